/* SPDX-License-Identifier: GPL-2.0-only */
/* Slopes over the last ten seconds, of many tracks that share one timeline. */
#ifndef MEMTOP_CORE_SLOPES_H
#define MEMTOP_CORE_SLOPES_H

#include "core/history.h"

/* What is the same for all of them at one tick: weights that turn their values into the slope. */
struct slopes {
	const struct timeline *timeline;
	uint64_t now_ns, from_ns;
	double weights[TRACK_POINTS]; /* of the difference to the value of now */
	bool known;
};

void slopes_take(struct slopes *slopes, const struct timeline *timeline, uint64_t now_ns);

/*
 * The slope of least squares of `values`, a ring as in track.values[SCALE_RECENT], and the
 * `current` one: over the ten seconds, or since `begin_ns`. NAN where there is no time to speak of.
 */
double slopes_of(const struct slopes *slopes, uint64_t begin_ns, const double *values,
		 double current);

#endif
