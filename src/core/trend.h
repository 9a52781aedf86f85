/* SPDX-License-Identifier: GPL-2.0-only */
/* What a handful of points over time tells: slope and its error, shape. Pure arithmetic. */
#ifndef MEMTOP_CORE_TREND_H
#define MEMTOP_CORE_TREND_H

#include <stdbool.h>
#include <stddef.h>

struct point {
	double time_s;
	double value;
};

/* A line of least squares. */
struct fit {
	double slope; /* per second; NAN with fewer than two points */
	double error; /* standard error of the slope; 0 with fewer than three points */
	double span_s;
};

struct fit trend_fit(const struct point *points, size_t count);

/* Growth within each third of the time, interpolated. */
void trend_thirds(const struct point *points, size_t count, double ret[3]);

/* Each third grows by at least 3/10 of what it would on a straight line. */
bool trend_steady(const struct point *points, size_t count);

/*
 * The last third grows by less than half of the first, and the middle lies between: growth that
 * runs out. `ret` gets where it ends if each third goes on to grow by the same part of the one
 * before it.
 */
bool trend_slowing(const struct point *points, size_t count, double *ret);

/*
 * How often the value fell by at least `amplitude`; `ret` gets the highest of the values it fell
 * to.
 */
unsigned trend_falls(const struct point *points, size_t count, double amplitude, double *ret);

/*
 * One step up by at least `amplitude` within a third of the time, level before and after. `step`
 * and `time_s` get its height and its middle.
 */
bool trend_step(const struct point *points, size_t count, double amplitude, double *step,
		double *time_s);

#endif
