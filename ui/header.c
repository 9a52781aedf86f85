/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The rows on top answer in this order: what is watched, is it leaking, when does it die, what is
 * RSS made of, what grew since the mark. Shown parts add up to the shown sum: they are rounded
 * together.
 */
#include "core/holdings.h"
#include "core/losses.h"
#include "ui/draw.h"
#include "ui/theme.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define BAR_CELLS    20
#define BAR_COLUMN   19
#define TENTH	     (1024 * 1024 / 10.0)
#define MAX_PARTS    8
#define CLOCK_SPREAD 1.5

/* A part of a sum of bytes. */
struct part {
	const char *glyph; /* NULL = not in the bar */
	char name[96];
	double bytes;
	bool upper_bound;
};

static void target_text(const struct draw *draw, struct piece *ret, struct piece *alias)
{
	const struct target_state *target = &draw->picture->target;
	const char *slash = strrchr(target->exe, '/');
	const char *name = slash && slash[1] ? slash + 1 : target->comm;

	snprintf(ret->text, sizeof(ret->text), "%.60s[%d]", name, (int)target->pid);
	ret->style = STYLE_TITLE;
	/* What top and ps call it, where that is another name than its file's. */
	if (target->comm[0] && strncmp(name, target->comm, strlen(target->comm)) != 0)
		snprintf(alias->text, sizeof(alias->text), "(%s)", target->comm);
}

static void ending_text(const struct draw *draw, struct piece *ret)
{
	const struct target_state *target = &draw->picture->target;

	ret->style = STYLE_BAD;
	switch (target->status) {
	case TARGET_RUNNING:
		ret->style = view_frozen(draw->view) ? STYLE_WARNING : STYLE_GOOD;
		if (view_frozen(draw->view))
			snprintf(ret->text, sizeof(ret->text), "‖ %s",
				 view_looks_back(draw->view) ? "past" : "frozen");
		else if (!draw->status->live)
			snprintf(ret->text, sizeof(ret->text), "○ ended");
		else if (draw->layout.wide)
			snprintf(ret->text, sizeof(ret->text), "● live %gs", draw->status->delay_s);
		else
			snprintf(ret->text, sizeof(ret->text), "● live");
		return;
	case TARGET_EXITED:
		if (target->exit_code >= 0)
			snprintf(ret->text, sizeof(ret->text), "○ exited %d", target->exit_code);
		else
			snprintf(ret->text, sizeof(ret->text), "○ exited");
		return;
	case TARGET_OOM_KILLED:
		snprintf(ret->text, sizeof(ret->text), "○ OOM-killed");
		return;
	case TARGET_KILLED:
		snprintf(ret->text, sizeof(ret->text), "○ killed by signal %d", target->signal);
		return;
	}
}

/* How it ended, and what comes then. */
static void state_text(const struct draw *draw, struct piece *ret)
{
	const char *next = draw->status->waiting_for;
	size_t length;

	ending_text(draw, ret);
	length = strlen(ret->text);
	if (next && draw->picture->target.status != TARGET_RUNNING)
		snprintf(ret->text + length, sizeof(ret->text) - length, ", waiting for %.24s",
			 next);
}

/*
 * Two shares of two things: how much of the CPU time that the target takes goes to the watching,
 * and how much of its time the thread loses that is hit hardest.
 */
static void cost_text(const struct draw *draw, struct piece *cost, struct piece *worst)
{
	bool roomy = draw->canvas->columns >= 150;
	const struct overhead *overhead = &draw->picture->overhead;
	char number[FORMAT_SIZE];

	if (draw->picture->level == LEVEL_RSS)
		return;
	if (!isnan(overhead->target_percent))
		snprintf(cost->text, sizeof(cost->text), "cost %s of its CPU",
			 format_percent(number, overhead->target_percent));
	if (!isnan(overhead->worst_thread_percent) && overhead->worst_thread)
		snprintf(worst->text, sizeof(worst->text), "worst %s%.15s %s%s",
			 roomy ? "thread " : "", overhead->worst_thread_name,
			 format_percent(number, overhead->worst_thread_percent),
			 roomy ? " of its time" : "");
}

/* Nobody's share of its own: of the machine's. Only where somebody asked for it all the same. */
static void kernel_cost_text(const struct overhead *overhead, struct piece *ret)
{
	char number[FORMAT_SIZE];

	ret->style = STYLE_WARNING;
	if (overhead->kernel_core_percent >= OVERHEAD_KERNEL_DEAR)
		snprintf(ret->text, sizeof(ret->text), "kernel side %s of a core",
			 format_percent(number, overhead->kernel_core_percent));
}

/* How far stacks can be believed to be whole; nothing where all are. */
static void stacks_text(const struct picture *picture, struct piece *ret)
{
	char number[FORMAT_SIZE];

	ret->style = STYLE_WARNING;
	if (picture->unwind.tables_refused)
		snprintf(ret->text, sizeof(ret->text), "%u unwind tables refused",
			 picture->unwind.tables_refused);
	else if (picture->truncated_percent > 0)
		snprintf(ret->text, sizeof(ret->text), "stacks cut %s",
			 format_percent(number, picture->truncated_percent));
}

static void draw_identity(const struct draw *draw)
{
	const struct picture *picture = draw->picture;
	bool wide = draw->layout.wide;
	const char *dot = wide ? " · " : " ";
	struct piece pieces[] = {
		{.before = ""},
		{.before = " ", .rank = 7},
		{.before = "  ", .rank = 5},
		{.before = wide ? "  " : " "},
		{.before = "  ", .rank = 1, .style = STYLE_TITLE},
		{.before = dot, .rank = 3},
		{.before = wide ? ", " : " ", .rank = 4},
		{.before = dot, .rank = 3},
		{.before = dot, .rank = 6},
		{.before = dot, .rank = 5},
		{.before = dot, .rank = 2},
		{.before = dot, .rank = 1},
	};
	uint64_t lost = losses_of_side(picture->losses, view_side(draw->view));
	char number[FORMAT_SIZE];

	target_text(draw, &pieces[0], &pieces[1]);
	if (wide)
		snprintf(pieces[2].text, sizeof(pieces[2].text), "attached %s",
			 format_duration(number, picture->elapsed_s));
	state_text(draw, &pieces[3]);
	snprintf(pieces[4].text, sizeof(pieces[4].text), "%s", level_name(picture->level));
	cost_text(draw, &pieces[5], &pieces[6]);
	kernel_cost_text(&picture->overhead, &pieces[7]);
	if (!isnan(picture->names_percent) && wide && !draw_names_below(draw))
		snprintf(pieces[8].text, sizeof(pieces[8].text), "names %s",
			 format_percent(number, picture->names_percent));
	stacks_text(picture, &pieces[9]);
	snprintf(pieces[10].text, sizeof(pieces[10].text), "lost %s", format_count(number, lost));
	pieces[10].style = lost ? STYLE_WARNING : STYLE_NORMAL;
	format_clock(pieces[11].text, picture->time_unix_ns);
	draw_pieces(draw->canvas, 0, 0, draw->canvas->columns, pieces,
		    sizeof(pieces) / sizeof(pieces[0]));
}

/* "OOM in 3m19s–3m35s (12:06:38)", "" where it cannot be told. */
static void death_text(const struct draw *draw, bool clock, char *ret, size_t size)
{
	const struct picture *picture = draw->picture;
	const struct forecast *forecast = &picture->forecast;
	char low[FORMAT_SIZE], high[FORMAT_SIZE], at[FORMAT_SIZE];
	bool apart;
	size_t used;

	ret[0] = '\0';
	if (isnan(forecast->low_s) || picture->target.status != TARGET_RUNNING)
		return;
	format_duration(low, forecast->low_s);
	format_duration(high, forecast->high_s);
	apart = strcmp(low, high) != 0 && !isnan(forecast->high_s);
	used = (size_t)snprintf(ret, size, "%s in %s%s%s",
				picture->charge.source == LIMIT_USER ? "limit" : "OOM", low,
				apart ? "–" : "", apart ? high : "");
	/* A time of day only where the interval is one: nobody reads an hour from its middle. */
	if (clock && apart && forecast->high_s < CLOCK_SPREAD * forecast->low_s) {
		double middle = (forecast->low_s + forecast->high_s) / 2;

		if (middle < 86400)
			snprintf(
				ret + used, size - used, " (%s)",
				format_clock(at, picture->time_unix_ns + (uint64_t)(middle * 1e9)));
	}
}

/* ", 1 block in 7 never freed" and the share of the growth. */
static void leak_pieces(const struct draw *draw, struct piece *kept, struct piece *share)
{
	const struct judgment *judgment = &draw->picture->judgment;
	bool wide = draw->layout.wide;
	char number[FORMAT_SIZE] = "";

	if (judgment->one_in > 1)
		format_kept(number, 1 / judgment->one_in);
	if (wide && strncmp(number, "1 in ", 5) == 0)
		snprintf(kept->text, sizeof(kept->text), "1 block in %s never freed", number + 5);
	else
		snprintf(kept->text, sizeof(kept->text), "%s%snever freed", number,
			 number[0] ? wide ? " of the blocks " : " " : "");
	if (!isnan(draw->picture->top_share) && draw->picture->top_share > 0)
		snprintf(share->text, sizeof(share->text), "%.0f%% of %sgrowth",
			 fmin(draw->picture->top_share, 1) * 100, wide ? "the " : "");
}

/*
 * The site that explains most of the growth; none where the books do not tell. That of the kernel's
 * says nothing of RSS, but of a leak.
 */
static const struct site_stats *culprit(const struct draw *draw)
{
	const struct picture *picture = draw->picture;
	const struct side_stats *sides = picture->sides;

	if (!draw->top || !sides[draw->top->info->side].known)
		return NULL;
	if (!sides[SIDE_USER].known && picture->judgment.verdict != VERDICT_LEAKING)
		return NULL;
	return draw->top;
}

/* Is it a descriptor that leaks, and not memory? What the kernel keeps for one is not the cause. */
static bool holding_leaks(const struct draw *draw)
{
	const struct site_stats *top = culprit(draw);

	return draw->picture->leaking_holding &&
	       (draw->picture->judgment.verdict != VERDICT_LEAKING ||
		(top && top->info->side == SIDE_KERNEL));
}

/* What is left until no descriptor can be opened: "limit of 1,024 in 5m10s". */
static void fd_limit_text(const struct picture *picture, char *ret, size_t size)
{
	const struct holding_stats *fds = &picture->holdings[HOLDING_FDS];
	char limit[FORMAT_SIZE], time[FORMAT_SIZE];

	ret[0] = '\0';
	if (fds->known && fds->limit > fds->value && fds->rate_per_s > 0)
		snprintf(
			ret, size, "limit of %s in %s", format_count(limit, fds->limit),
			format_duration(time, (double)(fds->limit - fds->value) / fds->rate_per_s));
}

/* The line of the verdict, where what leaks is not memory of a site. */
static void draw_leaking_holding(const struct draw *draw)
{
	const struct picture *picture = draw->picture;
	size_t leak = picture->leaking_holding - 1;
	const struct holding_stats *stats = &picture->holdings[leak];
	struct piece pieces[] = {
		{.before = "", .style = verdict_style(VERDICT_LEAKING)},
		{.before = "  ", .style = STYLE_TITLE},
		{.before = " ", .style = STYLE_TITLE},
		{.before = draw->layout.wide ? ", " : "  ", .rank = 1},
		{.before = "  ", .rank = 2},
		{.before = "  ", .rank = 3, .style = STYLE_DIM},
	};
	char number[FORMAT_SIZE] = "";

	snprintf(pieces[0].text, sizeof(pieces[0].text), "%s %s", verdict_glyph(VERDICT_LEAKING),
		 verdict_word(VERDICT_LEAKING));
	snprintf(pieces[1].text, sizeof(pieces[1].text), "%s", holding_name(picture, leak));
	holding_format_rate(pieces[2].text, leak, stats->judgment.rate_bytes_per_s);
	if (stats->judgment.one_in > 1)
		format_kept(number, 1 / stats->judgment.one_in);
	snprintf(pieces[3].text, sizeof(pieces[3].text), "%s%snever closed", number,
		 number[0] ? " " : "");
	fd_limit_text(picture, pieces[4].text, sizeof(pieces[4].text));
	if (draw->layout.wide)
		snprintf(pieces[5].text, sizeof(pieces[5].text), "b shows them");
	draw_pieces(draw->canvas, 1, 0, draw->canvas->columns, pieces,
		    sizeof(pieces) / sizeof(pieces[0]));
}

/* Beside a leak of memory. */
static void also_text(const struct picture *picture, struct piece *ret)
{
	size_t leak = picture->leaking_holding - 1;
	char rate[FORMAT_SIZE];

	if (!picture->leaking_holding)
		return;
	snprintf(
		ret->text, sizeof(ret->text), "also %s %s", holding_name(picture, leak),
		holding_format_rate(rate, leak, picture->holdings[leak].judgment.rate_bytes_per_s));
}

static void draw_verdict(const struct draw *draw)
{
	const struct picture *picture = draw->picture;
	const struct judgment *judgment = &picture->judgment;
	enum style style = verdict_style(judgment->verdict);
	const struct site_stats *top = culprit(draw);
	bool wide = draw->layout.wide, leaking = judgment->verdict == VERDICT_LEAKING;
	bool unseen = judgment->verdict == VERDICT_GROWING && !picture->sides[SIDE_USER].known;
	struct piece pieces[] = {
		{.before = "", .style = style},
		{.before = wide || !leaking ? "  " : " ", .style = STYLE_TITLE},
		{.before = " ", .style = STYLE_TITLE, .rank = 1},
		{.before = wide ? ", " : "  ", .rank = 2},
		{.before = ": ", .rank = 3},
		{.before = "; ", .rank = 2, .style = STYLE_BAD},
	};
	char death[80] = "", sentence[160], number[FORMAT_SIZE];
	unsigned columns = draw->canvas->columns, right;

	if (holding_leaks(draw)) {
		draw_leaking_holding(draw);
		return;
	}
	/* Without the heap's book nobody knows how frees follow. */
	if (leaking || unseen)
		snprintf(sentence, sizeof(sentence), "%s", verdict_word(judgment->verdict));
	else
		verdict_sentence(sentence, sizeof(sentence), judgment, picture->floor_bytes_per_s);
	snprintf(pieces[0].text, sizeof(pieces[0].text), "%s %.150s",
		 verdict_glyph(judgment->verdict), sentence);
	if (top && judgment->verdict != VERDICT_STEADY) {
		char name[STACK_NAME_SIZE];

		stack_site_name(draw->resolver, picture->modules, top->info, name, sizeof(name));
		snprintf(pieces[1].text, sizeof(pieces[1].text), "%.150s", name);
		format_rate(pieces[2].text, top->rate_bytes_per_s, 0);
	} else if (judgment->verdict != VERDICT_STEADY && !isnan(picture->rss_rate_bytes_per_s)) {
		snprintf(pieces[1].text, sizeof(pieces[1].text), "RSS %s",
			 format_rate(number, picture->rss_rate_bytes_per_s, 0));
	}
	if (unseen)
		snprintf(pieces[3].text, sizeof(pieces[3].text), "whose is not seen at level %s",
			 level_name(picture->level));
	if (leaking)
		leak_pieces(draw, &pieces[3], &pieces[4]);
	also_text(picture, &pieces[5]);
	if (wide)
		death_text(draw, true, death, sizeof(death));
	right = canvas_width(draw->canvas, death);
	if (right)
		canvas_text(draw->canvas, 1, columns - right, right, STYLE_BAD, death);
	draw_pieces(draw->canvas, 1, 0, columns - (right ? right + 2 : 0), pieces,
		    sizeof(pieces) / sizeof(pieces[0]));
}

static void draw_charge(const struct draw *draw)
{
	const struct picture *picture = draw->picture;
	const struct charge *charge = &picture->charge;
	struct piece pieces[] = {
		{.before = "", .style = STYLE_BAD}, {.before = "  "},
		{.before = ", ", .rank = 2},	    {.before = "  ", .rank = 4, .style = STYLE_DIM},
		{.before = "  ", .rank = 1},
	};
	char used[FORMAT_SIZE], limit[FORMAT_SIZE];

	if (!draw->layout.wide)
		death_text(draw, false, pieces[0].text, sizeof(pieces[0].text));
	if (charge->source == LIMIT_NONE || !charge->limit_bytes) {
		snprintf(pieces[1].text, sizeof(pieces[1].text), "no memory limit found");
	} else {
		snprintf(pieces[1].text, sizeof(pieces[1].text), "%s %s of %s",
			 charge->source == LIMIT_USER ? "--limit" :
							limit_source_name(charge->source),
			 format_bytes(used, charge->used_bytes),
			 format_bytes(limit, charge->limit_bytes));
		snprintf(pieces[2].text, sizeof(pieces[2].text), "%s left",
			 format_bytes(used, charge->headroom_bytes));
	}
	snprintf(pieces[3].text, sizeof(pieces[3].text), "%.150s", charge->cgroup);
	if (picture->memory.swap_bytes)
		snprintf(pieces[4].text, sizeof(pieces[4].text), "not in RSS: swap %s",
			 format_bytes(used, picture->memory.swap_bytes));
	draw_pieces(draw->canvas, 2, 0, draw->canvas->columns, pieces,
		    sizeof(pieces) / sizeof(pieces[0]));
}

static void draw_bar(const struct draw *draw, unsigned row, unsigned column,
		     const struct part *parts, size_t count)
{
	double bytes[MAX_PARTS] = {0};
	uint64_t cells[MAX_PARTS] = {0};

	for (size_t i = 0; i < count; i++)
		bytes[i] = parts[i].bytes > 0 && parts[i].glyph ? parts[i].bytes : 0;
	draw_apportion(bytes, count, BAR_CELLS, cells);
	for (size_t i = 0; i < count; i++)
		for (uint64_t cell = 0; cell < cells[i]; cell++)
			canvas_text(draw->canvas, row, column++, 1, STYLE_GRAPH, parts[i].glyph);
}

/* Texts of the parts in megabytes, so rounded that they add up to the rounded sum. */
static void part_texts(const struct part *parts, size_t count, double sum, bool glyphs,
		       struct piece *ret)
{
	double bytes[MAX_PARTS] = {0};
	uint64_t tenths[MAX_PARTS] = {0};
	bool plain = true;

	for (size_t i = 0; i < count; i++) {
		bytes[i] = parts[i].bytes;
		plain &= bytes[i] >= 0;
	}
	if (plain && sum > 0)
		draw_apportion(bytes, count, (uint64_t)llround(sum / TENTH), tenths);
	for (size_t i = 0; i < count; i++) {
		double value = plain && sum > 0 ? (double)tenths[i] / 10 : bytes[i] / (1024 * 1024);

		if (fabs(value) < 0.05)
			value = 0;
		snprintf(ret[i].text, sizeof(ret[i].text), "%s%s%s %s%.1f",
			 glyphs && parts[i].glyph ? parts[i].glyph : "",
			 glyphs && parts[i].glyph ? " " : "", parts[i].name,
			 parts[i].upper_bound ? "≤" : "", value);
	}
}

static size_t rss_parts(const struct draw *draw, struct part *ret)
{
	const struct accounting *books = &draw->picture->accounting;
	const struct memory *memory = &draw->picture->memory;
	bool wide = draw->layout.wide;
	double mapped = (double)(books->anon_maps_bytes + books->stacks_bytes);
	double files = (double)(books->file_bytes + books->shmem_bytes);

	if (!books->known) {
		ret[0] = (struct part){"█", "anonymous", (double)memory->anon_bytes, false};
		ret[1] = (struct part){"▒", "file", (double)memory->file_bytes, false};
		ret[2] = (struct part){"▓", "shm", (double)memory->shmem_bytes, false};
		return 3;
	}
	if (!books->live_known) {
		ret[0] = (struct part){
			"█", "heap",
			(double)(books->heap_live_bytes + books->slack_or_before_bytes), false};
		ret[1] = (struct part){"▒", "maps+stacks", mapped, false};
		ret[2] = (struct part){"▓", "file+shm", files, false};
		ret[3] = (struct part){"?", "unexplained", (double)books->unexplained_bytes, false};
		return books->unexplained_bytes ? 4 : 3;
	}
	ret[0] = (struct part){"█", "live", (double)books->heap_live_bytes, false};
	ret[1] = (struct part){"░", "", (double)books->slack_or_before_bytes, true};
	strcpy(ret[1].name, wide ? "slack or pre-attach" : "slack/before");
	if (!wide) {
		ret[2] = (struct part){"▒", "rest",
				       mapped + files + (double)books->unexplained_bytes, false};
		return 3;
	}
	ret[2] = (struct part){"▒", "maps+stacks", mapped, false};
	ret[3] = (struct part){"▓", "file+shm", files, false};
	if (!books->unexplained_bytes)
		return 4;
	ret[4] = (struct part){"?", "unexplained", (double)books->unexplained_bytes, false};
	return 5;
}

static void draw_rss(const struct draw *draw)
{
	const struct picture *picture = draw->picture;
	unsigned columns = draw->canvas->columns, at, right;
	struct piece pieces[MAX_PARTS] = {0};
	struct part parts[MAX_PARTS];
	size_t count = rss_parts(draw, parts);
	char text[80], number[FORMAT_SIZE];

	snprintf(text, sizeof(text), "RSS %s", format_bytes(number, picture->memory.rss_bytes));
	at = canvas_text(draw->canvas, 3, 0, columns, STYLE_TITLE, text);
	part_texts(parts, count, (double)picture->memory.rss_bytes, draw->layout.wide, pieces);
	for (size_t i = 0; i < count; i++)
		pieces[i].before = draw->layout.wide ? "  " : " + ";
	format_rate(text, picture->rss_rate_bytes_per_s, 0);
	right = canvas_width(draw->canvas, text) + 1;
	if (draw->layout.wide) {
		unsigned start = BAR_COLUMN + BAR_CELLS + 1, used;

		draw_bar(draw, 3, BAR_COLUMN, parts, count);
		used = draw_pieces(draw->canvas, 3, start, columns - start, pieces, count);
		if (start + used + right + 1 < columns)
			canvas_text_right(draw->canvas, 3, columns - right, right, STYLE_NORMAL,
					  text);
		return;
	}
	at += canvas_text(draw->canvas, 3, at, columns - at, STYLE_DIM, " = ");
	canvas_text_right(draw->canvas, 3, columns - right, right, STYLE_NORMAL, text);
	draw_pieces(draw->canvas, 3, at, columns - at - right, pieces, count);
}

static void site_part(const struct draw *draw, const struct site_stats *site, const char *glyph,
		      struct part *ret)
{
	char name[STACK_NAME_SIZE];

	stack_site_name(draw->resolver, draw->picture->modules, site->info, name, sizeof(name));
	*ret = (struct part){glyph, "", (double)site->delta_bytes, false};
	snprintf(ret->name, sizeof(ret->name), "%.40s", name);
}

static size_t growth_parts_wide(const struct draw *draw, struct part *ret)
{
	const struct growth *growth = &draw->picture->growth;
	double others = (double)growth->user_bytes;
	size_t count = 0;

	for (size_t i = 0; i < TOP_DELTAS; i++)
		if (draw->deltas[i] && (double)draw->deltas[i]->delta_bytes >= TENTH) {
			others -= (double)draw->deltas[i]->delta_bytes;
			site_part(draw, draw->deltas[i], i ? "▓" : "█", &ret[count++]);
		}
	if (fabs(others) >= TENTH / 2)
		ret[count++] = (struct part){"▒", "others", others, false};
	if (growth->maps_bytes)
		ret[count++] = (struct part){"▒", "maps", (double)growth->maps_bytes, false};
	if (draw->picture->accounting.live_known)
		ret[count++] = (struct part){"░", "slack", (double)growth->slack_bytes, false};
	if (growth->file_bytes || growth->shmem_bytes)
		ret[count++] = (struct part){
			"▒", "file+shm", (double)(growth->file_bytes + growth->shmem_bytes), false};
	return count;
}

static size_t growth_parts(const struct draw *draw, struct part *ret)
{
	const struct growth *growth = &draw->picture->growth;

	if (!draw->picture->accounting.known || !draw->picture->sides[SIDE_USER].known) {
		ret[0] = (struct part){
			"█", "anonymous",
			(double)(growth->rss_bytes - growth->file_bytes - growth->shmem_bytes),
			false};
		ret[1] = (struct part){"▒", "file", (double)growth->file_bytes, false};
		ret[2] = (struct part){"▓", "shm", (double)growth->shmem_bytes, false};
		return 3;
	}
	if (draw->layout.wide)
		return growth_parts_wide(draw, ret);
	ret[0] = (struct part){"█", "user", (double)growth->user_bytes, false};
	ret[1] = (struct part){NULL, "kernel", (double)growth->kernel_bytes, false};
	ret[2] = (struct part){"░", "slack", (double)growth->slack_bytes, false};
	return draw->picture->accounting.live_known ? 3 : 2;
}

static void draw_growth(const struct draw *draw)
{
	const struct picture *picture = draw->picture;
	const struct growth *growth = &picture->growth;
	unsigned columns = draw->canvas->columns, at, right = 0;
	struct piece pieces[MAX_PARTS] = {0};
	struct part parts[MAX_PARTS];
	size_t count = growth_parts(draw, parts);
	double sum = 0;
	char text[120], delta[FORMAT_SIZE], time[FORMAT_SIZE];

	format_delta(delta, growth->rss_bytes);
	if (growth->elapsed_s < 120)
		snprintf(time, sizeof(time), "%.0fs", growth->elapsed_s);
	else
		format_duration(time, growth->elapsed_s);
	if (draw->layout.wide)
		snprintf(text, sizeof(text), "Δ %s %s/%s", draw_mark_name(draw), delta, time);
	else
		snprintf(text, sizeof(text), "Δ %s %s %s:", draw_mark_name(draw), time, delta);
	at = canvas_text_cut(draw->canvas, 4, 0, 40, STYLE_TITLE, text) + 1;
	if (!isnan(picture->accounting.explained_percent)) {
		char percent[FORMAT_SIZE];

		snprintf(text, sizeof(text), "explained %s",
			 format_percent(percent, picture->accounting.explained_percent));
		right = canvas_width(draw->canvas, text);
		canvas_text(draw->canvas, 4, columns - right, right,
			    picture->accounting.explained_percent < 90 ? STYLE_WARNING :
									 STYLE_NORMAL,
			    text);
		right += 2;
	}
	/* Only parts of RSS that make up all of its growth can be rounded with it. */
	for (size_t i = 0; i < count; i++)
		sum += parts[i].bytes;
	if (fabs(sum - (double)growth->rss_bytes) > TENTH / 2)
		sum = 0;
	part_texts(parts, count, sum, draw->layout.wide, pieces);
	for (size_t i = 0; i < count; i++) {
		pieces[i].before = "  ";
		pieces[i].rank = i < 2 ? 0 : (unsigned)i;
	}
	if (draw->layout.wide) {
		at = at < BAR_COLUMN ? BAR_COLUMN : at;
		draw_bar(draw, 4, at, parts, count);
		at += BAR_CELLS + 1;
	}
	draw_pieces(draw->canvas, 4, at, columns - at - right, pieces, count);
}

void header_draw(const struct draw *draw)
{
	draw_identity(draw);
	draw_verdict(draw);
	draw_charge(draw);
	if (draw->layout.header_rows < 5)
		return;
	draw_rss(draw);
	draw_growth(draw);
}
