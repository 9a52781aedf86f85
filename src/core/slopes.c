/* SPDX-License-Identifier: GPL-2.0-only */
#include "core/slopes.h"

#include "core/trend.h"

#include <math.h>
#include <string.h>

#define RATE_SECONDS 10.5 /* the tick ten seconds ago belongs to it even if it was early */

void slopes_take(struct slopes *slopes, const struct timeline *timeline, uint64_t now_ns)
{
	uint64_t window_ns = (uint64_t)(RATE_SECONDS * 1e9);
	struct track none = {0};
	struct point points[TRACK_WINDOW];
	size_t count;
	double mean = 0, squares = 0;

	memset(slopes, 0, sizeof(*slopes));
	slopes->timeline = timeline;
	slopes->now_ns = now_ns;
	slopes->from_ns = now_ns > window_ns ? now_ns - window_ns : 0;
	count = track_window(&none, timeline, SCALE_RECENT, now_ns, slopes->from_ns, 0, points);
	for (size_t i = 0; i < count; i++)
		mean += points[i].time_s / count;
	for (size_t i = 0; i < count; i++)
		squares += (points[i].time_s - mean) * (points[i].time_s - mean);
	if (!(squares > 0))
		return;
	slopes->known = true;
	/* The window is the newest run of slots before now, in their order. */
	for (size_t i = 0, slot = timeline->next[SCALE_RECENT] + TRACK_POINTS; i + 1 < count; i++) {
		do
			slot--;
		while (timeline->times_ns[SCALE_RECENT][slot % TRACK_POINTS] >= now_ns);
		slopes->weights[slot % TRACK_POINTS] =
			(points[count - 2 - i].time_s - mean) / squares;
	}
}

/* Of what is younger than the ten seconds. */
static double slope_since(const struct slopes *slopes, uint64_t begin_ns, const double *values,
			  double current)
{
	struct point points[TRACK_WINDOW];
	struct track recent;
	size_t count;

	memcpy(recent.values[SCALE_RECENT], values, sizeof(recent.values[SCALE_RECENT]));
	count = track_window(&recent, slopes->timeline, SCALE_RECENT, slopes->now_ns, begin_ns,
			     current, points);
	return trend_fit(points, count).slope;
}

double slopes_of(const struct slopes *slopes, uint64_t begin_ns, const double *values,
		 double current)
{
	double parts[4] = {0}; /* apart, as none then waits for the one before */

	if (!slopes->known)
		return NAN;
	if (begin_ns > slopes->from_ns)
		return slope_since(slopes, begin_ns, values, current);
	for (unsigned i = 0; i < TRACK_POINTS; i += 4)
		for (unsigned j = 0; j < 4; j++)
			parts[j] += slopes->weights[i + j] * (values[i + j] - current);
	return parts[0] + parts[1] + (parts[2] + parts[3]);
}
