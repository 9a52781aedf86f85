/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Puts the parts of the screen together and keeps what they need; keys are answered in actions.c.
 */
#include "ui/screen_state.h"

#include "core/format.h"
#include "core/losses.h"
#include "ui/draw.h"
#include "ui/keys.h"
#include "ui/overlay.h"
#include "util/alloc.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct screen *screen_new(void)
{
	return xcalloc(1, sizeof(struct screen));
}

void screen_free(struct screen *screen)
{
	free(screen);
}

enum level screen_level(const struct screen *screen)
{
	return screen->level;
}

double screen_delay(const struct screen *screen)
{
	return screen->delay_s;
}

void screen_message(struct screen *screen, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(screen->message, sizeof(screen->message), format, arguments);
	va_end(arguments);
}

/* What search and filter look at: the stack as shown, the modules, the kind. */
static void site_text(void *context, const struct picture *picture, const struct site_info *site,
		      char *ret, size_t size)
{
	struct screen *screen = context;
	struct frame frames[RESOLVER_MAX_INLINED];
	const char *last = "";
	size_t used;

	stack_site_text(screen->resolver, picture->modules, site, &screen->stacks, ret, size);
	used = strlen(ret);
	used += (size_t)snprintf(ret + used, size - used, "  %s", kind_name(site->kind));
	for (unsigned i = 0; i < site->nframes && used < size; i++) {
		if (!resolver_resolve(screen->resolver, picture->modules, site, i, frames,
				      RESOLVER_MAX_INLINED) ||
		    strcmp(frames[0].module, last) == 0)
			continue;
		last = frames[0].module;
		used += (size_t)snprintf(ret + used, size - used, " %s", last);
	}
}

/* Drawing. */

/* Puts a site in its place among the three of its side that grew most since the mark. */
static void gather_top(struct draw *draw, const struct site_stats *site)
{
	const struct site_stats **tops = draw->tops[site->info->side % SIDE_COUNT];

	if (site->info->flags & (SITE_UNMATCHED | SITE_RECLAIMABLE) || site->ended)
		return;
	for (size_t i = 0; site && i < TOP_SITES; i++) {
		const struct site_stats *other = tops[i];

		if (other &&
		    (other->delta_bytes > site->delta_bytes ||
		     (other->delta_bytes == site->delta_bytes &&
		      totals_live_bytes(&other->totals) >= totals_live_bytes(&site->totals))))
			continue;
		tops[i] = site;
		site = other;
	}
}

static void gather(struct draw *draw)
{
	static const uint8_t urgency[VERDICT_COUNT] = {
		[VERDICT_STEADY] = 1,  [VERDICT_SAWTOOTH] = 2, [VERDICT_WARMING_UP] = 3,
		[VERDICT_FILLING] = 4, [VERDICT_BURST] = 5,    [VERDICT_UNEXPLAINED] = 6,
		[VERDICT_GROWING] = 7, [VERDICT_LEAKING] = 8,
	};
	const struct picture *picture = draw->picture;

	for (int side = 0; side < SIDE_COUNT; side++)
		draw->worst[side] = VERDICT_STEADY;
	for (size_t i = 0; i < picture->site_count; i++) {
		const struct site_stats *site = &picture->sites[i], *rest = site;
		enum side side = site->info->side;
		enum verdict verdict = site->judgment.verdict;

		if (site_is_past(picture, site))
			continue;
		draw->sites[side]++;
		gather_top(draw, site);
		/* What cannot be judged yet says nothing of the side, unless it is all there is. */
		if (verdict != VERDICT_WARMING_UP && urgency[verdict] > urgency[draw->worst[side]])
			draw->worst[side] = verdict;
		if (picture->top_site && site->info->id == picture->top_site)
			draw->top = site;
		for (size_t d = 0; side == SIDE_USER && rest && d < TOP_DELTAS; d++) {
			const struct site_stats *old = draw->deltas[d];

			if (old && old->delta_bytes >= rest->delta_bytes)
				continue;
			draw->deltas[d] = rest;
			rest = old;
		}
	}
}

/* "lost: free_missed 3, return_missed 1": what the header counts for this side, by name. */
static void status_losses(const struct draw *draw, struct piece *ret)
{
	const uint64_t *counts = draw->picture->losses;
	size_t used = 0;

	for (size_t i = 0; i < ABI_LOSS_COUNT && used < sizeof(ret->text); i++)
		if (losses[i].name && !losses[i].booked && counts[i] &&
		    loss_touches(i, view_side(draw->view)))
			used += (size_t)snprintf(ret->text + used, sizeof(ret->text) - used,
						 "%s %s %llu", used ? "," : "lost:", losses[i].name,
						 (unsigned long long)counts[i]);
}

static void draw_status(const struct draw *draw)
{
	const struct picture *picture = draw->picture;
	struct piece pieces[] = {
		{.before = "", .rank = 1},
		{.before = " · ", .rank = 2},
		{.before = " · ", .style = STYLE_WARNING},
		{.before = " · ", .style = STYLE_WARNING},
		{.before = " · ", .style = STYLE_TITLE},
		{.before = " · ", .rank = 3},
	};
	char clock[FORMAT_SIZE], number[FORMAT_SIZE];

	if (picture->mark.time_unix_ns)
		snprintf(pieces[0].text, sizeof(pieces[0].text), "mark: %s %s",
			 draw_mark_name(draw), format_clock(clock, picture->mark.time_unix_ns));
	if (draw_names_below(draw) && !isnan(picture->names_percent))
		snprintf(pieces[1].text, sizeof(pieces[1].text), "names %s",
			 format_percent(number, picture->names_percent));
	status_losses(draw, &pieces[2]);
	snprintf(pieces[3].text, sizeof(pieces[3].text), "%.150s", picture->level_reason);
	if (view_filter(draw->view))
		snprintf(pieces[4].text, sizeof(pieces[4].text), "filter: %.140s",
			 view_filter(draw->view));
	if (picture->overhead.tables_bytes)
		snprintf(pieces[5].text, sizeof(pieces[5].text), "tables %s",
			 format_bytes(number, picture->overhead.tables_bytes));
	draw_pieces(draw->canvas, draw->layout.status_row, 0, draw->canvas->columns, pieces,
		    sizeof(pieces) / sizeof(pieces[0]));
}

/* A line over the status row or, where there is none, over the foot. */
static void draw_notice(const struct draw *draw, const char *text)
{
	unsigned row = draw->layout.status_row != LAYOUT_NONE ? draw->layout.status_row :
								draw->layout.foot_row;

	canvas_fill(draw->canvas, row, 0, draw->canvas->columns, STYLE_BANNER, ' ');
	canvas_text_cut(draw->canvas, row, 1, draw->canvas->columns - 2, STYLE_BANNER, text);
}

static void draw_bottom(const struct screen *screen, const struct draw *draw)
{
	char text[512], clock[FORMAT_SIZE];

	if (draw->layout.status_row != LAYOUT_NONE)
		draw_status(draw);
	if (screen->message[0]) {
		draw_notice(draw, screen->message);
	} else if (view_looks_back(draw->view)) {
		snprintf(
			text, sizeof(text),
			"GENERATION %u of %u as it ended at %s: [ ] back and forward, Space to the "
			"present",
			draw->picture->generation, view_present_generation(draw->view),
			format_clock(clock, draw->picture->time_unix_ns));
		draw_notice(draw, text);
	} else if (view_frozen(draw->view)) {
		snprintf(text, sizeof(text), "FROZEN at %s, capture goes on: Space resumes",
			 format_clock(clock, draw->picture->time_unix_ns));
		draw_notice(draw, text);
	}
	if (screen->mode == MODE_LEVEL) {
		const struct picture *picture = draw->picture;

		snprintf(text, sizeof(text),
			 screen->level == LEVEL_RSS ?
				 "Leave heap? Its rows freeze, coming back starts an empty book%.0s"
				 "  y/n " :
				 "Go to heap? %s  y/n ",
			 picture->level_reason[0] ? picture->level_reason :
						    "Its cost to the target is shown above.");
		overlay_prompt(draw->canvas, draw->layout.keys_row, text, "");
	} else if (screen_question(screen)) {
		overlay_prompt(draw->canvas, draw->layout.keys_row, screen_question(screen),
			       screen->prompt);
	} else {
		keys_line(text, sizeof(text), draw->canvas->columns);
		canvas_text(draw->canvas, draw->layout.keys_row, 0, draw->canvas->columns,
			    STYLE_KEY, text);
	}
}

static void draw_centred(struct canvas *canvas, const char *text)
{
	unsigned width = canvas_width(canvas, text);
	unsigned column = width < canvas->columns ? (canvas->columns - width) / 2 : 0;

	canvas_text(canvas, canvas->rows / 2, column, canvas->columns - column, STYLE_TITLE, text);
}

static bool maps_known(const struct picture *picture)
{
	return picture && picture->sides[SIDE_MAPS].known;
}

void screen_draw(struct screen *screen, struct canvas *canvas, struct view *view,
		 struct resolver *resolver, const struct screen_status *status)
{
	const struct picture *picture = view_picture(view);
	struct draw draw = {
		.canvas = canvas,
		.view = view,
		.resolver = resolver,
		.status = status,
		.picture = picture,
		.sideways = screen->sideways,
		.absolute = screen->absolute,
	};

	screen->resolver = resolver;
	screen->stacks.own_known = status->own_modules_known;
	screen->stacks.own_glob = status->own_glob;
	draw.stacks = screen->stacks;
	view_set_text(view, site_text, screen);
	canvas_clear(canvas);
	if (!canvas->rows || !canvas->columns)
		return;
	draw.layout = layout_for(canvas->rows, canvas->columns, maps_known(picture));
	if (draw.layout.too_small) {
		draw_centred(canvas, "too small");
		return;
	}
	if (screen->mode == MODE_HELP) {
		screen->help_last = overlay_help(canvas, screen->help_top);
		return;
	}
	if (!picture) {
		draw_centred(canvas, "attaching …");
		return;
	}
	gather(&draw);
	header_draw(&draw);
	graph_draw(&draw);
	split_draw(&draw);
	if (screen->mode == MODE_BESIDE)
		beside_draw(&screen->beside, &draw);
	else
		table_draw(&screen->table, &draw);
	draw_bottom(screen, &draw);
	if (screen->mode == MODE_SORT) {
		bool inverted;
		enum sort_column sorted = view_sort(view, &inverted);

		overlay_sort_menu(canvas, screen->sort_chosen, sorted, inverted);
	}
}
