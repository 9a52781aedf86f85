/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is charged over time, in braille: two by four dots a cell. The time axis is linear from a
 * little before the attach to a little after the expected end; measured values are solid, the
 * forecast is a line of dots, and before the attach there is nothing. The top row belongs to the
 * limit; where the limit is far above everything it is said, but not drawn to scale.
 */
#include "ui/draw.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define LABEL_CELLS  6
#define MIN_SPAN_S   60.0
#define MAX_FORECAST 3.0 /* times the measured span */
#define FAR_LIMIT    4.0 /* times the greatest value */
#define BRAILLE	     0x2800
#define NS	     1e9
#define MAX_SHIFT    4 /* cells */
#define MAX_DOTS     2048

/* The plotted area in cells, and what its edges mean. */
struct plot {
	unsigned row, rows, column, columns;
	unsigned limit_row;  /* the row above */
	double from_s, to_s; /* since attach */
	double now_s;
	double top;    /* bytes at the upper edge */
	bool to_scale; /* the limit is the upper edge */
};

static bool is_charged(const struct picture *picture)
{
	return picture->charge.source == LIMIT_CGROUP && picture->charge.limit_bytes;
}

static double point_value(const struct picture *picture, size_t i)
{
	const struct history_point *point = &picture->history[i];

	return (double)(is_charged(picture) ? point->charged_bytes : point->rss_bytes);
}

/* Seconds since the attach. */
static double point_time(const struct picture *picture, size_t i)
{
	return picture->elapsed_s -
	       ((double)picture->time_ns - (double)picture->history[i].time_ns) / NS;
}

static double greatest(const struct picture *picture)
{
	double most = 0;

	for (size_t i = 0; i < picture->history_count; i++)
		most = fmax(most, point_value(picture, i));
	return most;
}

/* Value that the forecast line starts from: the charge, or RSS where nothing is charged. */
static double value_now(const struct picture *picture)
{
	if (picture->history_count)
		return point_value(picture, picture->history_count - 1);
	return (double)picture->memory.rss_bytes;
}

/* Of what is drawn: the charge, or RSS, which is not alone in using up the system's memory. */
static double rate_ahead(const struct picture *picture)
{
	if (is_charged(picture))
		return picture->forecast.rate_bytes_per_s;
	return isnan(picture->rss_rate_bytes_per_s) ? 0 : picture->rss_rate_bytes_per_s;
}

static double end_s(const struct picture *picture)
{
	return (picture->forecast.low_s + (isnan(picture->forecast.high_s) ?
						   picture->forecast.low_s :
						   picture->forecast.high_s)) /
	       2;
}

static void plot_axes(const struct draw *draw, struct plot *plot)
{
	const struct picture *picture = draw->picture;
	double limit = (double)picture->charge.limit_bytes, most = greatest(picture);
	double span = fmax(picture->elapsed_s, 1);

	plot->now_s = picture->elapsed_s;
	if (!isnan(picture->forecast.low_s) && picture->target.status == TARGET_RUNNING) {
		double ahead = fmin(end_s(picture) * 1.05, span * MAX_FORECAST);

		plot->to_s = plot->now_s + ahead;
		plot->from_s = -0.02 * (span + ahead);
	} else {
		plot->to_s = plot->now_s;
		plot->from_s = fmin(plot->now_s - MIN_SPAN_S, -0.02 * span);
	}
	/* The system's limit is no limit of the target's RSS: other programs take their part. */
	plot->to_scale = limit > 0 &&
			 (is_charged(picture) || picture->charge.source == LIMIT_USER) &&
			 (limit <= FAR_LIMIT * most || !isnan(picture->forecast.low_s));
	if (!plot->to_scale && plot->to_s > plot->now_s)
		most = fmax(most,
			    value_now(picture) + rate_ahead(picture) * (plot->to_s - plot->now_s));
	plot->top = plot->to_scale ? fmax(limit, most) : fmax(most * 1.25, 1);
}

static double dot_time(const struct plot *plot, double dot)
{
	return plot->from_s + (plot->to_s - plot->from_s) * dot / (plot->columns * 2);
}

static unsigned time_dot(const struct plot *plot, double time_s)
{
	double dot = (time_s - plot->from_s) / (plot->to_s - plot->from_s) * plot->columns * 2;

	return dot <= 0 ? 0 : dot >= plot->columns * 2 - 1 ? plot->columns * 2 - 1 : (unsigned)dot;
}

static unsigned value_dots(const struct plot *plot, double value)
{
	double dots = value / plot->top * plot->rows * 4;

	return dots <= 0 ? 0 : dots >= plot->rows * 4 ? plot->rows * 4 : (unsigned)(dots + 0.5);
}

static void draw_column(const struct draw *draw, const struct plot *plot, unsigned cell,
			unsigned left, unsigned right)
{
	/* Dots of a cell from the bottom up. */
	static const uint8_t left_dots[] = {0, 0x40, 0x44, 0x46, 0x47};
	static const uint8_t right_dots[] = {0, 0x80, 0xa0, 0xb0, 0xb8};

	for (unsigned up = 0; up < plot->rows; up++) {
		unsigned l = left > up * 4 ? left - up * 4 : 0;
		unsigned r = right > up * 4 ? right - up * 4 : 0;

		if (!l && !r)
			return;
		canvas_put(draw->canvas, plot->row + plot->rows - 1 - up, plot->column + cell,
			   STYLE_GRAPH,
			   BRAILLE + left_dots[l > 4 ? 4 : l] + right_dots[r > 4 ? 4 : r]);
	}
}

/* The greatest value of each dot column; a column without a point repeats the one before. */
static void draw_measured(const struct draw *draw, const struct plot *plot)
{
	const struct picture *picture = draw->picture;
	unsigned first = time_dot(plot, 0), last = time_dot(plot, plot->now_s);
	uint16_t heights[MAX_DOTS] = {0};
	size_t point = 0;
	double value = picture->history_count ? point_value(picture, 0) : 0;

	for (unsigned dot = first; dot <= last && dot < MAX_DOTS; dot++) {
		double until = dot == last ? INFINITY : dot_time(plot, dot + 1), most = 0;

		while (point < picture->history_count && point_time(picture, point) < until) {
			value = point_value(picture, point++);
			most = fmax(most, value);
		}
		heights[dot] = (uint16_t)value_dots(plot, most > 0 ? most : value);
	}
	for (unsigned cell = first / 2; cell <= last / 2 && cell * 2 + 1 < MAX_DOTS; cell++)
		draw_column(draw, plot, cell, heights[cell * 2], heights[cell * 2 + 1]);
}

static void draw_forecast(const struct draw *draw, const struct plot *plot)
{
	/* A dot of a cell's left half, by height from the bottom. */
	static const uint8_t dots[] = {0x40, 0x04, 0x02, 0x01};
	const struct picture *picture = draw->picture;
	double now = value_now(picture), rate, end;

	if (plot->to_s <= plot->now_s)
		return;
	end = end_s(picture);
	rate = plot->to_scale && end > 0 ? (plot->top - now) / end : rate_ahead(picture);
	for (unsigned cell = time_dot(plot, plot->now_s) / 2 + 1; cell < plot->columns; cell++) {
		double time = dot_time(plot, cell * 2);
		unsigned height = value_dots(plot, now + rate * (time - plot->now_s));

		if (time > plot->now_s + end)
			return;
		height = height ? height - 1 : 0;
		canvas_put(draw->canvas, plot->row + plot->rows - 1 - height / 4,
			   plot->column + cell, STYLE_WARNING, BRAILLE + dots[height % 4]);
	}
}

static void draw_limit(const struct draw *draw, const struct plot *plot, unsigned label_column)
{
	const struct picture *picture = draw->picture;
	unsigned end = plot->column + plot->columns;
	char text[96], number[FORMAT_SIZE];
	unsigned width;

	canvas_text(draw->canvas, plot->limit_row, label_column, LABEL_CELLS, STYLE_DIM,
		    format_bytes(number, (uint64_t)plot->top));
	if (plot->to_scale)
		snprintf(text, sizeof(text), " limit%s%s", draw->layout.boxed ? ", " : "",
			 draw->layout.boxed ? limit_source_name(picture->charge.source) : "");
	else if (picture->charge.limit_bytes)
		snprintf(text, sizeof(text), "limit %s, %s",
			 format_bytes(number, picture->charge.limit_bytes),
			 (double)picture->charge.limit_bytes > FAR_LIMIT * greatest(picture) ?
				 "far above" :
				 "shared");
	else
		snprintf(text, sizeof(text), "no limit");
	width = canvas_width(draw->canvas, text);
	if (plot->to_scale)
		canvas_fill(draw->canvas, plot->limit_row, plot->column, plot->columns - width - 1,
			    STYLE_LIMIT, L'┄');
	canvas_text(draw->canvas, plot->limit_row, end - width - 1, width,
		    plot->to_scale ? STYLE_LIMIT : STYLE_DIM, text);
}

static bool is_free(const bool *taken, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		if (taken[i])
			return false;
	return true;
}

/* A word on the time axis at its time, or a little later if another one stands there. */
static void axis_word(const struct draw *draw, const struct plot *plot, bool *taken, double time_s,
		      const char *word)
{
	unsigned row = plot->row + plot->rows, width = canvas_width(draw->canvas, word);
	unsigned cell;

	if (time_s < plot->from_s || time_s > plot->to_s || width + 2 > plot->columns)
		return;
	cell = time_dot(plot, time_s) / 2;
	if (cell + width > plot->columns)
		cell = plot->columns - width;
	for (unsigned shift = 0;; shift++, cell++) {
		unsigned before = cell ? cell - 1 : 0;
		unsigned after = cell + width < plot->columns ? cell + width + 1 : plot->columns;

		if (shift > MAX_SHIFT || cell + width > plot->columns)
			return;
		if (is_free(taken, before, after))
			break;
	}
	memset(taken + cell, true, width);
	canvas_text(draw->canvas, row, plot->column + cell, width, STYLE_DIM, word);
}

static void draw_axis(const struct draw *draw, const struct plot *plot)
{
	const struct picture *picture = draw->picture;
	bool taken[MAX_DOTS / 2] = {false};
	double mark_s =
		plot->now_s - ((double)picture->time_ns - (double)picture->mark.time_ns) / NS;
	char clock[FORMAT_SIZE];

	if (plot->columns > MAX_DOTS / 2)
		return;
	axis_word(draw, plot, taken, plot->now_s, "now");
	if (plot->to_s > plot->now_s)
		axis_word(draw, plot, taken, plot->now_s + end_s(picture),
			  picture->charge.source == LIMIT_USER ? "limit" : "OOM");
	axis_word(draw, plot, taken, 0, "attach");
	if (picture->mark.time_ns)
		axis_word(draw, plot, taken, mark_s, draw_mark_name(draw));
	if (plot->to_s > plot->now_s) {
		double ahead = (plot->to_s - plot->now_s) / 2;

		format_clock(clock, picture->time_unix_ns + (uint64_t)(ahead * NS));
		axis_word(draw, plot, taken, plot->now_s + ahead, clock);
	}
}

static void draw_frame(const struct draw *draw)
{
	const struct layout *at = &draw->layout;
	unsigned bottom = at->graph_row + at->graph_rows - 1, right = at->graph_columns - 1;
	struct canvas *canvas = draw->canvas;

	canvas_fill(canvas, at->graph_row, 1, right, STYLE_DIM, L'─');
	canvas_fill(canvas, bottom, 1, right, STYLE_DIM, L'─');
	canvas_put(canvas, at->graph_row, 0, STYLE_DIM, L'┌');
	canvas_put(canvas, bottom, 0, STYLE_DIM, L'└');
	for (unsigned row = at->graph_row + 1; row < bottom; row++)
		canvas_put(canvas, row, 0, STYLE_DIM, L'│');
	canvas_text(canvas, at->graph_row, 1, right - 1, STYLE_DIM,
		    is_charged(draw->picture) ? " charged to cgroup, then forecast " :
						" RSS, then forecast ");
}

void graph_draw(const struct draw *draw)
{
	const struct layout *at = &draw->layout;
	unsigned label = at->boxed ? 2 : 0;
	struct plot plot = {.column = label + LABEL_CELLS};

	if (at->graph_row == LAYOUT_NONE)
		return;
	plot.limit_row = at->graph_row + (at->boxed ? 1 : 0);
	plot.row = plot.limit_row + 1;
	plot.rows = at->graph_rows - (at->boxed ? 3 : 1);
	plot.columns = at->graph_columns - plot.column - (at->boxed ? 2 : 0);
	if (plot.columns > MAX_DOTS / 2)
		plot.columns = MAX_DOTS / 2;
	plot_axes(draw, &plot);
	if (at->boxed)
		draw_frame(draw);
	draw_limit(draw, &plot, label);
	draw_forecast(draw, &plot);
	draw_measured(draw, &plot);
	if (at->boxed)
		draw_axis(draw, &plot);
}
