/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Only rows that are seen are resolved and formatted. An unfolded site is a block of lines; the
 * window is moved so that the cursor's block is in it, and a block taller than the window is
 * scrolled through line by line (table->detail).
 */
#include "ui/table.h"

#include "ui/columns.h"
#include "ui/theme.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define DETAIL_LINES 2 /* of an unfolded site, before its frames */

/* Text from `cells` cells on. */
static const char *skip_cells(const struct canvas *canvas, const char *text, unsigned cells)
{
	size_t size = strlen(text);

	while (cells > 0 && size > 0) {
		char one[8];
		uint32_t character;
		size_t taken = utf8_decode(text, size, &character);
		unsigned width;

		if (taken == 0)
			taken = size;
		utf8_encode(character, one);
		width = canvas_width(canvas, one);
		cells -= width < cells ? width : cells;
		text += taken;
		size -= taken;
	}
	return text;
}

static const char *column_heading(const struct draw *draw, const struct column *column,
				  char *buffer, size_t size)
{
	if (column->heading)
		return column->heading;
	if (draw->absolute)
		return "MADE";
	snprintf(buffer, size, "Δ %s", draw_mark_name(draw));
	return buffer;
}

static void draw_heading(const struct draw *draw, const struct columns *columns)
{
	unsigned row = draw->layout.heading_row;
	bool inverted;
	enum sort_column sort = view_sort(draw->view, &inverted);
	const char *arrow = inverted ? "△" : "▼";
	char text[96];

	canvas_fill(draw->canvas, row, 0, draw->canvas->columns, STYLE_HEADER, ' ');
	for (size_t i = 0; i < columns->count; i++) {
		const struct column *column = columns->columns[i];
		const char *heading = column_heading(draw, column, text, sizeof(text));
		unsigned at = columns->starts[i], width = column->width;
		unsigned needed = canvas_width(draw->canvas, heading);
		bool sorted = column->sort == sort;

		/* The name of a mark may take all but one cell of the gap before it. */
		if (needed > width && column->gap > 1) {
			at -= column->gap - 1;
			width += column->gap - 1;
		}
		if (needed > width)
			needed = width;
		/* The arrow takes the column's last cell, or the gap behind a heading as wide. */
		if (sorted && !column->left && needed < width)
			width--;
		if (!column->left)
			at += width - needed;
		canvas_text_cut(draw->canvas, row, at, needed, STYLE_HEADER, heading);
		if (sorted)
			canvas_text(draw->canvas, row, at + needed, 1, STYLE_HEADER, arrow);
	}
	snprintf(text, sizeof(text), "ALLOCATED BY ← CALLERS%s", sort == SORT_SITE ? arrow : "");
	canvas_text_cut(draw->canvas, row, columns->site_start,
			draw->canvas->columns - columns->site_start, STYLE_HEADER, text);
}

static void draw_site(const struct draw *draw, const struct columns *columns, unsigned row,
		      const struct site_stats *site, bool selected, bool unfolded)
{
	struct canvas *canvas = draw->canvas;
	unsigned site_width = canvas->columns - columns->site_start;
	enum style style = verdict_style(site->judgment.verdict);
	char text[2048], due[FORMAT_SIZE];
	size_t used;

	canvas_text(canvas, row, 0, 1, STYLE_DIM, unfolded ? "▾" : "▸");
	canvas_text(canvas, row, 1, 1, style, verdict_glyph(site->judgment.verdict));
	for (size_t i = 0; i < columns->count; i++) {
		const struct column *column = columns->columns[i];

		column->text(draw, site, text);
		if (column->left)
			canvas_text_cut(canvas, row, columns->starts[i], column->width, style,
					text);
		else
			canvas_text_right(canvas, row, columns->starts[i], column->width,
					  STYLE_NORMAL, text);
	}
	stack_site_text(draw->resolver, draw->picture->modules, site->info, &draw->stacks, text,
			sizeof(text) - 64);
	used = strlen(text);
	if (site->judgment.verdict == VERDICT_WARMING_UP && !isnan(site->judgment.due_s) &&
	    site->judgment.due_s > 0)
		snprintf(text + used, sizeof(text) - used, " (due %s)",
			 format_duration(due, site->judgment.due_s));
	canvas_text_cut(canvas, row, columns->site_start, site_width, STYLE_NORMAL,
			skip_cells(canvas, text, draw->sideways));
	if (selected)
		canvas_style(canvas, row, 0, canvas->columns, STYLE_SELECTED);
}

static void books_line(const struct site_stats *site, char *ret, size_t size)
{
	const struct totals *totals = &site->totals;
	char a[FORMAT_SIZE], b[FORMAT_SIZE], c[FORMAT_SIZE], d[FORMAT_SIZE];
	size_t used;

	used = (size_t)snprintf(
		ret, size, "made   %s (%s), freed %s (%s)",
		format_count(a, totals->allocated_blocks), format_bytes(b, totals->allocated_bytes),
		format_count(c, totals->freed_blocks), format_bytes(d, totals->freed_bytes));
	if (!isnan(site->allocations_per_s))
		used += (size_t)snprintf(ret + used, size - used, ", %.*f/s",
					 site->allocations_per_s < 10 ? 1 : 0,
					 site->allocations_per_s);
	if (site->resident_known)
		used += (size_t)snprintf(ret + used, size - used, ", %s resident",
					 format_bytes(a, site->resident_bytes));
	snprintf(ret + used, size - used, "  by %s%s%.40s", kind_name(site->info->kind),
		 site->info->object ? " of " : "", site->info->object ? site->info->object : "");
}

static void life_line(const struct site_stats *site, char *ret, size_t size)
{
	char kept[FORMAT_SIZE], oldest[FORMAT_SIZE], life[FORMAT_SIZE];
	size_t used = 0;

	ret[0] = '\0';
	if (site->info->flags & SITE_UNMATCHED)
		used = (size_t)snprintf(ret, size, "life   frees of this cache are not seen");
	else
		used = (size_t)snprintf(ret, size, "life   median %s, oldest %s, kept %s",
					format_duration(life, site->median_life_s),
					format_duration(oldest, site->oldest_s),
					format_kept(kept, site->kept_ratio));
	used += (size_t)snprintf(ret + used, size - used, "  stack %s",
				 site->info->flags & SITE_TRUNCATED ? "truncated" : "complete");
	if (site->info->flags & SITE_RECLAIMABLE)
		snprintf(ret + used, size - used,
			 "  the kernel takes it back when memory is short");
}

static unsigned detail_height(const struct draw *draw, const struct site_stats *site)
{
	return DETAIL_LINES + stack_draw(draw->canvas, 0, 0, 0, draw->resolver,
					 draw->picture->modules, site->info, &draw->stacks);
}

/* Lines [from, from + rows) of what an unfolded site shows below its row. */
static void draw_detail(const struct draw *draw, unsigned row, unsigned rows, unsigned from,
			const struct site_stats *site)
{
	static void (*const lines[DETAIL_LINES])(const struct site_stats *, char *, size_t) = {
		books_line,
		life_line,
	};
	unsigned width = draw->canvas->columns - 3;
	char text[320];

	for (; from < DETAIL_LINES && rows > 0; from++, row++, rows--) {
		lines[from](site, text, sizeof(text));
		canvas_text_cut(draw->canvas, row, 3, width, STYLE_NORMAL, text);
	}
	if (rows > 0)
		stack_draw(draw->canvas, row, rows, from - DETAIL_LINES, draw->resolver,
			   draw->picture->modules, site->info, &draw->stacks);
}

/* Lines that a row takes, with what is unfolded below it. */
static unsigned block_height(const struct draw *draw, size_t row)
{
	const struct site_stats *site = view_row(draw->view, row);

	return 1 + (view_unfolded(draw->view, site->info->id) ? detail_height(draw, site) : 0);
}

/* Moves the window so that the cursor's block is in it, as much of it as fits. */
static void place_window(struct table *table, const struct draw *draw)
{
	size_t cursor = view_cursor(draw->view);
	unsigned rows = draw->layout.table_rows, cursor_height, above = 0;
	size_t first;

	cursor_height = block_height(draw, cursor);
	if (cursor_height > rows) {
		if (table->detail > cursor_height - rows)
			table->detail = cursor_height - rows;
	} else {
		table->detail = 0;
	}
	if (cursor_height >= rows || cursor < table->top) {
		table->top = cursor;
		return;
	}
	/* From the cursor upwards: the first row from which on everything fits. */
	for (first = cursor; first > table->top; first--) {
		above += block_height(draw, first - 1);
		if (above + cursor_height > rows)
			break;
	}
	table->top = first;
}

static void draw_rows(struct table *table, const struct draw *draw, const struct columns *columns)
{
	unsigned line = 0, rows = draw->layout.table_rows, at = draw->layout.table_row;
	size_t cursor = view_cursor(draw->view);

	table->detail_hidden = 0;
	for (size_t row = table->top; line < rows; row++) {
		const struct site_stats *site = view_row(draw->view, row);
		bool unfolded;
		unsigned skipped = row == cursor ? table->detail : 0, height;

		if (!site)
			break;
		unfolded = view_unfolded(draw->view, site->info->id);
		draw_site(draw, columns, at + line++, site, row == cursor, unfolded);
		if (!unfolded)
			continue;
		height = detail_height(draw, site) - skipped;
		if (row == cursor && height > rows - line)
			table->detail_hidden = height - (rows - line);
		if (height > rows - line)
			height = rows - line;
		draw_detail(draw, at + line, height, skipped, site);
		line += height;
	}
}

static void draw_empty(const struct draw *draw)
{
	const struct picture *picture = draw->picture;
	enum side side = view_side(draw->view);
	char text[320];

	if (!picture->sides[side].known)
		snprintf(text, sizeof(text), "The %s side is not watched at level %s.",
			 side_name(side), level_name(picture->level));
	else if (view_hidden(draw->view))
		snprintf(text, sizeof(text), "None of %zu is shown%s%.200s",
			 view_hidden(draw->view), view_filter(draw->view) ? " by the filter " : ".",
			 view_filter(draw->view) ? view_filter(draw->view) : "");
	else
		snprintf(text, sizeof(text), "No allocations seen yet.");
	canvas_text_cut(draw->canvas, draw->layout.table_row, COLUMNS_START,
			draw->canvas->columns - COLUMNS_START, STYLE_DIM, text);
}

/* "4K" for "4.0K": a limit that was asked for is a round number. */
static char *round_bytes(char *ret, uint64_t bytes)
{
	char *zero;

	format_bytes(ret, bytes);
	zero = strstr(ret, ".0");
	if (zero && zero[2] && !strchr("0123456789", zero[2]))
		memmove(zero, zero + 2, strlen(zero + 2) + 1);
	return ret;
}

/* "212 sites under 4K · STEADY = nothing above 40K/s" */
static void foot_note(const struct draw *draw, char *ret, size_t size)
{
	size_t hidden = view_hidden(draw->view), used = 0;
	uint64_t minimum = view_minimum(draw->view, NULL);
	const char *filter = view_filter(draw->view);
	uint64_t floor = picture_floor(draw->picture, view_side(draw->view));
	bool wide = draw->layout.wide;
	char number[FORMAT_SIZE];

	ret[0] = '\0';
	if (hidden && filter)
		used = (size_t)snprintf(ret, size, "%zu not shown", hidden);
	else if (hidden && minimum)
		used = (size_t)snprintf(ret, size, "%zu %sunder %s", hidden,
					!wide	    ? "" :
					hidden == 1 ? "site " :
						      "sites ",
					round_bytes(number, minimum));
	else if (hidden)
		used = (size_t)snprintf(ret, size, "%zu younger", hidden);
	if (floor)
		snprintf(ret + used, size - used,
			 wide ? "%sSTEADY = nothing above %s/s" : "%sfloor %s",
			 !used ? "" :
			 wide  ? " · " :
				 "; ",
			 round_bytes(number, floor));
}

/* Starts under the verdict, or further left if it needs the room. */
static void draw_count(const struct draw *draw, unsigned row, unsigned start, unsigned width,
		       const char *text)
{
	unsigned needed = canvas_width(draw->canvas, text), end = start + width;

	if (needed > width)
		start = needed < end ? end - needed : 0;
	canvas_text_cut(draw->canvas, row, start, end - start, STYLE_TITLE, text);
}

/*
 * Small screens have no status row: the totals' place is free where the side is not watched, and
 * where they are RSS, which stands above.
 */
static bool draw_reason(const struct draw *draw)
{
	const struct picture *picture = draw->picture;
	enum side side = view_side(draw->view);
	bool told =
		picture->sides[side].known && !(side == SIDE_USER && picture->level == LEVEL_PAGES);

	if (draw->layout.status_row != LAYOUT_NONE || !picture->level_reason[0] || told)
		return false;
	canvas_text_cut(draw->canvas, draw->layout.foot_row, 0, draw->canvas->columns,
			STYLE_WARNING, picture->level_reason);
	return true;
}

static void draw_foot(const struct draw *draw, const struct columns *columns)
{
	const struct side_stats *side = &draw->picture->sides[view_side(draw->view)];
	unsigned row = draw->layout.foot_row;
	char text[256];

	if (draw_reason(draw))
		return;
	for (size_t i = 0; i < columns->count; i++) {
		const struct column *column = columns->columns[i];

		if (!column->total || !side->known)
			continue;
		column->total(draw, side, text);
		if (column->left)
			draw_count(draw, row, columns->starts[i], column->width, text);
		else
			canvas_text_right(draw->canvas, row, columns->starts[i], column->width,
					  STYLE_TITLE, text);
	}
	foot_note(draw, text, sizeof(text));
	canvas_text_cut(draw->canvas, row, columns->site_start,
			draw->canvas->columns - columns->site_start, STYLE_DIM, text);
}

void table_draw(struct table *table, const struct draw *draw)
{
	struct columns columns;

	table->page = draw->layout.table_rows;
	columns_choose(&columns, draw->canvas->columns);
	draw_heading(draw, &columns);
	if (view_count(draw->view)) {
		place_window(table, draw);
		draw_rows(table, draw, &columns);
	} else {
		table->top = 0;
		table->detail = table->detail_hidden = 0;
		draw_empty(draw);
	}
	draw_foot(draw, &columns);
}
