/* SPDX-License-Identifier: GPL-2.0-only */
#include "ui/beside.h"

#include "core/holdings.h"
#include "ui/theme.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define CELL_SIZE 64

typedef void cell_fn(const struct draw *draw, size_t index, char *ret);

/* Rows behind the holdings: what the kernel side is made of. */
static const struct {
	const char *name, *meaning;
} kinds[KERNEL_KINDS] = {
	{"kernel slab", "objects of caches, and of kmalloc"},
	{"kernel pages", "pipe data, page tables, socket rings"},
	{"kernel vmalloc", "BPF maps, stacks of threads"},
	{"kernel per-CPU", "counters, BPF maps; on all CPUs"},
};

static size_t row_count(const struct draw *draw)
{
	return draw->picture->holding_count + KERNEL_KINDS;
}

static bool is_kind(const struct draw *draw, size_t index)
{
	return index >= draw->picture->holding_count;
}

/* What a number is formatted as. */
static size_t like(const struct draw *draw, size_t index)
{
	return is_kind(draw, index) ? HOLDING_PSS : index;
}

static struct holding_stats stats_of(const struct draw *draw, size_t index)
{
	const struct picture *picture = draw->picture;
	const struct side_stats *side;

	if (!is_kind(draw, index))
		return picture->holdings[index];
	index -= picture->holding_count;
	side = &picture->kernel_kinds[index];
	return (struct holding_stats){.known = side->known,
				      .lives_known = side->known,
				      .why = side->known ? NULL : picture->kernel_kind_why[index],
				      .value = totals_live_bytes(&side->totals),
				      .totals = side->totals,
				      .delta = side->delta_bytes,
				      .rate_per_s = side->known ? side->rate_bytes_per_s : NAN,
				      .kept_ratio = NAN};
}

static bool is_judged(const struct holding_stats *stats)
{
	return stats->known && stats->judgment.verdict != VERDICT_UNKNOWN;
}

static void verdict_cell(const struct draw *draw, size_t index, char *ret)
{
	struct holding_stats stats = stats_of(draw, index);

	snprintf(ret, CELL_SIZE, "%s",
		 is_judged(&stats) ? verdict_word(stats.judgment.verdict) : "");
}

static void now_cell(const struct draw *draw, size_t index, char *ret)
{
	if (stats_of(draw, index).known)
		holding_format_value(ret, like(draw, index), stats_of(draw, index).value);
	else
		snprintf(ret, CELL_SIZE, "-");
}

static void delta_cell(const struct draw *draw, size_t index, char *ret)
{
	if (stats_of(draw, index).known)
		holding_format_delta(ret, like(draw, index), stats_of(draw, index).delta);
	else
		snprintf(ret, CELL_SIZE, "-");
}

static void rate_cell(const struct draw *draw, size_t index, char *ret)
{
	holding_format_rate(ret, like(draw, index), stats_of(draw, index).rate_per_s);
}

static void kept_cell(const struct draw *draw, size_t index, char *ret)
{
	format_kept(ret, stats_of(draw, index).kept_ratio);
}

static void gone_cell(const struct draw *draw, size_t index, char *ret)
{
	struct holding_stats stats = stats_of(draw, index);

	if (stats.lives_known)
		holding_format_value(ret, like(draw, index), stats.totals.freed_bytes);
	else
		snprintf(ret, CELL_SIZE, "-");
}

static const struct {
	const char *heading; /* NULL = the change since the mark */
	unsigned width, gap;
	unsigned columns; /* of the screen, from which on it is shown */
	bool left;
	cell_fn *text;
} cells[] = {
	{"VERDICT", 11, 0, 0, true, verdict_cell}, {"NOW", 7, 1, 0, false, now_cell},
	{NULL, 8, 1, 0, false, delta_cell},	   {"RATE", 9, 1, 0, false, rate_cell},
	{"KEPT", 6, 2, 76, false, kept_cell},	   {"GONE", 7, 2, 100, false, gone_cell},
};

#define CELL_COUNT (sizeof(cells) / sizeof(cells[0]))
#define CELL_START 3
#define NAME_GAP   2
#define NAME_CELLS 17

/* What there never was of takes no line. */
static bool is_shown(const struct draw *draw, size_t index)
{
	struct holding_stats stats = stats_of(draw, index);

	return !stats.known ? stats.why != NULL :
			      stats.value || stats.delta || stats.totals.allocated_blocks;
}

static bool is_part(const struct draw *draw, size_t index)
{
	return !is_kind(draw, index) &&
	       ((index > HOLDING_FDS && index <= HOLDING_OTHER_FDS) || index >= HOLDING_COUNT);
}

static const char *name_of(const struct draw *draw, size_t index)
{
	return is_kind(draw, index) ? kinds[index - draw->picture->holding_count].name :
				      holding_name(draw->picture, index);
}

static const char *meaning_of(const struct draw *draw, size_t index)
{
	return is_kind(draw, index) ? kinds[index - draw->picture->holding_count].meaning :
				      holding_kind_of(index)->meaning;
}

/* "of 1,024", what it means, or why it is not known. */
static void note_text(const struct draw *draw, size_t index, char *ret, size_t size)
{
	struct holding_stats stats = stats_of(draw, index);
	char limit[FORMAT_SIZE], due[FORMAT_SIZE] = "";
	bool early = stats.known && stats.judgment.verdict == VERDICT_WARMING_UP;

	if (early)
		format_duration(due, stats.judgment.due_s);
	if (!stats.known)
		snprintf(ret, size, "not known: %s", stats.why ? stats.why : "not yet");
	else if (stats.limit)
		snprintf(ret, size, "of %s that may be open%s%s%s",
			 holding_format_value(limit, index, stats.limit), early ? " (due " : "",
			 due, early ? ")" : "");
	else
		snprintf(ret, size, "%s%s%s%s", meaning_of(draw, index), early ? " (due " : "", due,
			 early ? ")" : "");
}

static unsigned draw_cells(const struct draw *draw, unsigned row, size_t index, bool heading)
{
	unsigned at = CELL_START;
	char text[CELL_SIZE];

	for (size_t i = 0; i < CELL_COUNT; i++) {
		enum style style = heading ? STYLE_HEADER : STYLE_NORMAL;

		if (cells[i].columns > draw->canvas->columns)
			continue;
		at += cells[i].gap;
		if (!heading)
			cells[i].text(draw, index, text);
		else if (cells[i].heading)
			snprintf(text, sizeof(text), "%s", cells[i].heading);
		else
			snprintf(text, sizeof(text), "Δ %s", draw_mark_name(draw));
		if (cells[i].left && !heading)
			style = verdict_style(stats_of(draw, index).judgment.verdict);
		if (cells[i].left)
			canvas_text_cut(draw->canvas, row, at, cells[i].width, style, text);
		else
			canvas_text_right(draw->canvas, row, at, cells[i].width, style, text);
		at += cells[i].width;
	}
	return at + NAME_GAP;
}

static void draw_row(const struct draw *draw, unsigned row, size_t index)
{
	struct holding_stats stats = stats_of(draw, index);
	unsigned indent = is_part(draw, index) ? 2 : 0, columns = draw->canvas->columns, at;
	char note[160];

	if (is_judged(&stats))
		canvas_text(draw->canvas, row, 1, 1, verdict_style(stats.judgment.verdict),
			    verdict_glyph(stats.judgment.verdict));
	at = draw_cells(draw, row, index, false);
	canvas_text_cut(draw->canvas, row, at + indent, NAME_CELLS - indent, STYLE_NORMAL,
			name_of(draw, index));
	at += NAME_CELLS + 1;
	note_text(draw, index, note, sizeof(note));
	if (at < columns)
		canvas_text_cut(draw->canvas, row, at, columns - at, STYLE_DIM, note);
}

static void draw_foot(const struct draw *draw, size_t shown)
{
	size_t none = row_count(draw) - shown;
	char text[160];

	snprintf(text, sizeof(text),
		 "   beside memory: %zu kinds, %zu more of which there is none%s", shown, none,
		 draw->layout.wide ? "   Esc: back to the sites" : "");
	canvas_text_cut(draw->canvas, draw->layout.foot_row, 0, draw->canvas->columns, STYLE_TITLE,
			text);
}

bool beside_scroll(struct beside *beside, enum action action)
{
	long page = beside->page > 1 ? (long)beside->page - 1 : 1;
	const struct {
		enum action action;
		long rows;
	} steps[] = {
		{ACTION_UP, -1},	  {ACTION_DOWN, 1},	   {ACTION_PAGE_UP, -page},
		{ACTION_PAGE_DOWN, page}, {ACTION_FIRST, INT_MIN}, {ACTION_LAST, INT_MAX},
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		long top = (long)beside->top + steps[i].rows;

		if (steps[i].action != action)
			continue;
		beside->top = top < 0 ? 0 : top > (long)beside->last ? beside->last : (unsigned)top;
		return true;
	}
	return false;
}

void beside_draw(struct beside *beside, const struct draw *draw)
{
	const struct layout *at = &draw->layout;
	size_t shown = 0;
	unsigned start;

	for (size_t i = 0; i < row_count(draw); i++)
		shown += is_shown(draw, i);
	beside->page = at->table_rows;
	beside->last = shown > at->table_rows ? (unsigned)shown - at->table_rows : 0;
	if (beside->top > beside->last)
		beside->top = beside->last;
	canvas_fill(draw->canvas, at->heading_row, 0, draw->canvas->columns, STYLE_HEADER, ' ');
	start = draw_cells(draw, at->heading_row, 0, true);
	if (start < draw->canvas->columns)
		canvas_text_cut(draw->canvas, at->heading_row, start, draw->canvas->columns - start,
				STYLE_HEADER, "HELD BESIDE MEMORY");
	if (!shown)
		canvas_text_cut(draw->canvas, at->table_row, CELL_START,
				draw->canvas->columns - CELL_START, STYLE_DIM, "Nothing seen yet.");
	for (size_t i = 0, line = 0; i < row_count(draw); i++) {
		if (!is_shown(draw, i))
			continue;
		if (line >= beside->top && line - beside->top < at->table_rows)
			draw_row(draw, at->table_row + (unsigned)(line - beside->top), i);
		line++;
	}
	draw_foot(draw, shown);
}
