/* SPDX-License-Identifier: GPL-2.0-only */
#include "core/trend.h"

#include <math.h>

struct fit trend_fit(const struct point *points, size_t count)
{
	double mean_t = 0, mean_v = 0, tt = 0, tv = 0, vv = 0, residual;
	struct fit fit = {.slope = NAN};

	if (count < 2)
		return fit;
	for (size_t i = 0; i < count; i++) {
		mean_t += points[i].time_s / count;
		mean_v += points[i].value / count;
	}
	for (size_t i = 0; i < count; i++) {
		double t = points[i].time_s - mean_t, v = points[i].value - mean_v;

		tt += t * t;
		tv += t * v;
		vv += v * v;
	}
	fit.span_s = points[count - 1].time_s - points[0].time_s;
	if (!(tt > 0))
		return fit;
	fit.slope = tv / tt;
	residual = fmax(vv - fit.slope * tv, 0);
	if (count > 2)
		fit.error = sqrt(residual / (count - 2) / tt);
	return fit;
}

static double value_at(const struct point *points, size_t count, double time_s)
{
	for (size_t i = 1; i < count; i++) {
		const struct point *a = &points[i - 1], *b = &points[i];

		if (time_s <= b->time_s && b->time_s > a->time_s)
			return a->value + (b->value - a->value) * (time_s - a->time_s) /
						  (b->time_s - a->time_s);
	}
	return points[count - 1].value;
}

void trend_thirds(const struct point *points, size_t count, double ret[3])
{
	double start = count ? points[0].time_s : 0, before = count ? points[0].value : 0;
	double span = count ? points[count - 1].time_s - start : 0;

	for (unsigned i = 0; i < 3; i++) {
		double value = count ? value_at(points, count, start + span * (i + 1) / 3) : 0;

		ret[i] = value - before;
		before = value;
	}
}

bool trend_steady(const struct point *points, size_t count)
{
	double thirds[3], enough;

	trend_thirds(points, count, thirds);
	enough = (thirds[0] + thirds[1] + thirds[2]) / 3 * 0.3;
	return count > 3 && enough > 0 && thirds[0] >= enough && thirds[1] >= enough &&
	       thirds[2] >= enough;
}

bool trend_slowing(const struct point *points, size_t count, double *ret)
{
	double thirds[3], ratio;

	trend_thirds(points, count, thirds);
	if (count < 6 || !(thirds[0] > 0) || thirds[2] > thirds[0] / 2 ||
	    thirds[1] > thirds[0] * 1.1 || thirds[1] < thirds[2] * 0.9)
		return false;
	ratio = sqrt(fmax(thirds[2], 0) / thirds[0]);
	*ret = points[count - 1].value + fmax(thirds[2], 0) * ratio / (1 - ratio);
	return true;
}

unsigned trend_falls(const struct point *points, size_t count, double amplitude, double *ret)
{
	double peak = count ? points[0].value : 0, trough = peak;
	bool falling = false;
	unsigned falls = 0;

	*ret = 0;
	for (size_t i = 1; i < count; i++) {
		double value = points[i].value;

		if (falling && value < trough)
			trough = value;
		if (falling && value - trough >= amplitude / 2) {
			*ret = fmax(*ret, trough);
			falling = false;
			peak = value;
		}
		if (!falling && value > peak)
			peak = value;
		if (!falling && peak - value >= amplitude) {
			falling = true;
			falls++;
			trough = value;
		}
	}
	if (falling)
		*ret = fmax(*ret, trough);
	return falls;
}

bool trend_step(const struct point *points, size_t count, double amplitude, double *step,
		double *time_s)
{
	double span, before, after, rise;
	size_t from = 0, to;

	if (count < 5)
		return false;
	before = points[0].value;
	after = points[count - 1].value;
	rise = after - before;
	span = points[count - 1].time_s - points[0].time_s;
	if (rise < amplitude)
		return false;
	while (from + 1 < count && points[from + 1].value < before + rise * 0.1)
		from++;
	for (to = from; to < count && points[to].value < before + rise * 0.9;)
		to++;
	if (!from || to + 2 >= count || points[to].time_s - points[from].time_s > span / 3)
		return false;
	/* Level behind the step: nothing left that still climbs or comes down again. */
	for (size_t i = to; i < count; i++)
		if (fabs(points[i].value - after) > rise * 0.15)
			return false;
	*step = rise;
	*time_s = (points[from].time_s + points[to].time_s) / 2;
	return true;
}
