/* SPDX-License-Identifier: GPL-2.0-only */
/* The panes beside the graph: one for each side, the one that the table shows stands out. */
#include "ui/draw.h"
#include "ui/theme.h"

#include <math.h>
#include <stdio.h>

#define LABEL_CELLS 8
#define VALUE_END   (LAYOUT_PANE_WIDTH - 3)

static void live_text(const struct draw *draw, enum side side, char *ret)
{
	format_bytes(ret, totals_live_bytes(&draw->picture->sides[side].totals));
}

static void delta_text(const struct draw *draw, enum side side, char *ret)
{
	format_delta(ret, draw->picture->sides[side].delta_bytes);
}

static void rate_text(const struct draw *draw, enum side side, char *ret)
{
	format_rate(ret, draw->picture->sides[side].rate_bytes_per_s,
		    picture_floor(draw->picture, side));
}

static void blocks_text(const struct draw *draw, enum side side, char *ret)
{
	format_count(ret, totals_live_blocks(&draw->picture->sides[side].totals));
}

static void per_second_text(double per_s, char *ret)
{
	if (isnan(per_s) || per_s < 0)
		snprintf(ret, FORMAT_SIZE, "-");
	else
		format_count(ret, (uint64_t)llround(per_s));
}

static void allocations_text(const struct draw *draw, enum side side, char *ret)
{
	per_second_text(draw->picture->sides[side].allocations_per_s, ret);
}

static void frees_text(const struct draw *draw, enum side side, char *ret)
{
	per_second_text(draw->picture->sides[side].frees_per_s, ret);
}

typedef void line_fn(const struct draw *draw, enum side side, unsigned index, unsigned row,
		     unsigned column);

static line_fn draw_value, draw_spark, draw_top;

/* A low pane leaves out the lines of the highest rank. */
static const struct {
	line_fn *draw;
	unsigned rank;
	const char *labels[SIDE_COUNT]; /* NULL = the change since the mark */
	void (*text)(const struct draw *draw, enum side side, char *ret);
	unsigned top; /* which of the side's sites */
} lines[] = {
	{draw_value, 0, {"live", "live", "live"}, live_text, 0},
	{draw_value, 1, {NULL, NULL, NULL}, delta_text, 0},
	{draw_value, 2, {"rate", "rate", "rate"}, rate_text, 0},
	{draw_value, 7, {"blocks", "maps", "objects"}, blocks_text, 0},
	{draw_value, 8, {"malloc/s", "mmap/s", "alloc/s"}, allocations_text, 0},
	{draw_value, 9, {"free/s", "unmap/s", "free/s"}, frees_text, 0},
	{draw_spark, 4, {0}, NULL, 0},
	{draw_top, 3, {0}, NULL, 0},
	{draw_top, 5, {0}, NULL, 1},
	{draw_top, 6, {0}, NULL, 2},
};

#define LINE_COUNT  (sizeof(lines) / sizeof(lines[0]))
#define SPARK_CELLS (LAYOUT_PANE_WIDTH - 4)
#define SPARK_LEAST 64 /* of the greatest value, one in so many; less change is drawn flat */

static void draw_value(const struct draw *draw, enum side side, unsigned index, unsigned row,
		       unsigned column)
{
	char label[32], value[FORMAT_SIZE];
	unsigned taken;

	if (lines[index].labels[side])
		snprintf(label, sizeof(label), "%s", lines[index].labels[side]);
	else
		snprintf(label, sizeof(label), "Δ %s", draw_mark_name(draw));
	lines[index].text(draw, side, value);
	taken = canvas_text_cut(draw->canvas, row, column + 1, LABEL_CELLS, STYLE_DIM, label);
	canvas_text_right(draw->canvas, row, column + 1 + taken, VALUE_END - taken - 1,
			  STYLE_NORMAL, value);
}

/* What was live in each part of the run, from its least to its most. */
static void draw_spark(const struct draw *draw, enum side side, unsigned index, unsigned row,
		       unsigned column)
{
	static const char *const bars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	const struct history_point *points = draw->picture->history;
	size_t count = draw->picture->history_count;
	uint64_t low = UINT64_MAX, high = 0, first, span;

	(void)index;
	if (count < 2)
		return;
	for (size_t i = 0; i < count; i++) {
		uint64_t live = points[i].live_bytes[side];

		low = live < low ? live : low;
		high = live > high ? live : high;
	}
	first = points[0].time_ns;
	span = points[count - 1].time_ns - first;
	for (unsigned cell = 0, i = 0; cell < SPARK_CELLS; cell++) {
		uint64_t until = first + span / SPARK_CELLS * (cell + 1);
		unsigned height = 0;

		/* The last point of the cell's part of time; the one before, where it has none. */
		while (i + 1 < count && (points[i + 1].time_ns <= until || cell + 1 == SPARK_CELLS))
			i++;
		if (high - low > high / SPARK_LEAST)
			height = (unsigned)((double)(points[i].live_bytes[side] - low) /
						    (double)(high - low) * 7 +
					    0.5);
		canvas_text(draw->canvas, row, column + 1 + cell, 1, STYLE_GRAPH, bars[height]);
	}
}

static void draw_top(const struct draw *draw, enum side side, unsigned index, unsigned row,
		     unsigned column)
{
	const struct site_stats *site = draw->tops[side][lines[index].top];
	char name[STACK_NAME_SIZE], value[FORMAT_SIZE];
	unsigned width;

	if (!site)
		return;
	stack_site_name(draw->resolver, draw->picture->modules, site->info, name, sizeof(name));
	if (site->delta_bytes)
		format_delta(value, site->delta_bytes);
	else
		format_bytes(value, totals_live_bytes(&site->totals));
	width = canvas_width(draw->canvas, value);
	canvas_text_cut(draw->canvas, row, column + 1, VALUE_END - width - 2, STYLE_NORMAL, name);
	canvas_text_right(draw->canvas, row, column + VALUE_END - width, width,
			  verdict_style(site->judgment.verdict), value);
}

static void draw_lines(const struct draw *draw, enum side which, unsigned column, unsigned rows)
{
	const struct side_stats *side = &draw->picture->sides[which];
	unsigned row = draw->layout.graph_row + 1;

	if (!side->known) {
		canvas_text(draw->canvas, row, column + 1, LAYOUT_PANE_WIDTH - 1, STYLE_DIM,
			    "not watched");
		return;
	}
	for (unsigned i = 0; i < LINE_COUNT; i++)
		if (lines[i].rank < rows)
			lines[i].draw(draw, which, i, row++, column);
}

static void draw_pane(const struct draw *draw, enum side which, unsigned column, bool last)
{
	const struct layout *at = &draw->layout;
	struct canvas *canvas = draw->canvas;
	unsigned bottom = at->graph_row + at->graph_rows - 1, end = column + LAYOUT_PANE_WIDTH;
	bool selected = view_side(draw->view) == which;
	char title[48];
	unsigned taken;

	canvas_put(canvas, at->graph_row, column - 1, STYLE_DIM, L'┬');
	canvas_put(canvas, bottom, column - 1, STYLE_DIM, L'┴');
	canvas_fill(canvas, at->graph_row, column, LAYOUT_PANE_WIDTH, STYLE_DIM, L'─');
	canvas_fill(canvas, bottom, column, LAYOUT_PANE_WIDTH, STYLE_DIM, L'─');
	if (last) {
		canvas_put(canvas, at->graph_row, end, STYLE_DIM, L'┐');
		canvas_put(canvas, bottom, end, STYLE_DIM, L'┘');
	}
	for (unsigned row = at->graph_row + 1; row < bottom; row++) {
		canvas_put(canvas, row, column - 1, STYLE_DIM, L'│');
		if (last)
			canvas_put(canvas, row, end, STYLE_DIM, L'│');
	}
	snprintf(title, sizeof(title), " %s ", side_name(which));
	taken = canvas_text(canvas, at->graph_row, column, LAYOUT_PANE_WIDTH,
			    selected ? STYLE_TITLE : STYLE_DIM, title);
	if (draw->picture->sides[which].known) {
		enum verdict worst = draw->worst[which];

		canvas_text(canvas, at->graph_row, column + taken, 1, verdict_style(worst),
			    verdict_glyph(worst));
		canvas_text(canvas, at->graph_row, column + taken + 1, 1, STYLE_DIM, " ");
	}
	draw_lines(draw, which, column, bottom - at->graph_row - 1);
}

void split_draw(const struct draw *draw)
{
	static const enum side two[] = {SIDE_USER, SIDE_KERNEL};
	static const enum side three[] = {SIDE_USER, SIDE_MAPS, SIDE_KERNEL};
	const struct layout *at = &draw->layout;
	const enum side *sides = at->panes == 3 ? three : two;

	/* The graph's last column is the first pane's left border; the last pane ends the line. */
	for (unsigned i = 0; i < at->panes; i++)
		draw_pane(draw, sides[i], at->graph_columns + i * (LAYOUT_PANE_WIDTH + 1),
			  i + 1 == at->panes);
}
