/* SPDX-License-Identifier: GPL-2.0-only */
/* The panes beside the graph: one for each side, the one that the table shows stands out. */
#include "ui/draw.h"
#include "ui/theme.h"

#include <math.h>
#include <stdio.h>

#define LABEL_CELLS 8
#define VALUE_END   (LAYOUT_PANE_WIDTH - 3)

static void live_text(const struct draw *draw, const struct side_stats *side, char *ret)
{
	(void)draw;
	format_bytes(ret, totals_live_bytes(&side->totals));
}

static void delta_text(const struct draw *draw, const struct side_stats *side, char *ret)
{
	(void)draw;
	format_delta(ret, side->delta_bytes);
}

static void rate_text(const struct draw *draw, const struct side_stats *side, char *ret)
{
	format_rate(ret, side->rate_bytes_per_s, (double)draw->picture->floor_bytes_per_s);
}

static void blocks_text(const struct draw *draw, const struct side_stats *side, char *ret)
{
	(void)draw;
	format_count(ret, totals_live_blocks(&side->totals));
}

static void per_second_text(double per_s, char *ret)
{
	if (isnan(per_s) || per_s < 0)
		snprintf(ret, FORMAT_SIZE, "-");
	else
		format_count(ret, (uint64_t)llround(per_s));
}

static void allocations_text(const struct draw *draw, const struct side_stats *side, char *ret)
{
	(void)draw;
	per_second_text(side->allocations_per_s, ret);
}

static void frees_text(const struct draw *draw, const struct side_stats *side, char *ret)
{
	(void)draw;
	per_second_text(side->frees_per_s, ret);
}

static const struct {
	const char *labels[SIDE_COUNT]; /* NULL = the change since the mark */
	void (*text)(const struct draw *draw, const struct side_stats *side, char *ret);
} lines[] = {
	{{"live", "live", "live"}, live_text},
	{{NULL, NULL, NULL}, delta_text},
	{{"rate", "rate", "rate"}, rate_text},
	{{"blocks", "maps", "objects"}, blocks_text},
	{{"malloc/s", "mmap/s", "alloc/s"}, allocations_text},
	{{"free/s", "unmap/s", "free/s"}, frees_text},
};

#define LINE_COUNT (sizeof(lines) / sizeof(lines[0]))

static void draw_lines(const struct draw *draw, enum side which, unsigned column, unsigned rows)
{
	const struct side_stats *side = &draw->picture->sides[which];
	unsigned row = draw->layout.graph_row + 1;

	if (!side->known) {
		canvas_text(draw->canvas, row, column + 1, LAYOUT_PANE_WIDTH - 1, STYLE_DIM,
			    "not watched");
		return;
	}
	for (unsigned i = 0; i < LINE_COUNT && i < rows; i++, row++) {
		char label[32], value[FORMAT_SIZE];
		unsigned taken;

		if (lines[i].labels[which])
			snprintf(label, sizeof(label), "%s", lines[i].labels[which]);
		else
			snprintf(label, sizeof(label), "Δ %s", draw_mark_name(draw));
		lines[i].text(draw, side, value);
		taken = canvas_text_cut(draw->canvas, row, column + 1, LABEL_CELLS, STYLE_DIM,
					label);
		canvas_text_right(draw->canvas, row, column + 1 + taken, VALUE_END - taken - 1,
				  STYLE_NORMAL, value);
	}
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
