/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Values over time, in bounded memory.
 *
 * A history is the line of the graph: the whole run in at most HISTORY_POINTS points, thinned
 * evenly in time. A track is one quantity of many (the live bytes of each site): a ring of points a
 * second apart, one of points 4 s apart and one of points 32 s apart, so that the near past is
 * known closely and nearly nine minutes coarsely. All tracks of a timeline share its times.
 */
#ifndef MEMTOP_CORE_HISTORY_H
#define MEMTOP_CORE_HISTORY_H

#include "core/picture.h"
#include "core/trend.h"

#define HISTORY_POINTS 1024
#define TRACK_POINTS   16
#define TRACK_WINDOW   (TRACK_POINTS + 1) /* most that track_window() gives */

enum scale {
	SCALE_RECENT, /* 16 s */
	SCALE_MINUTE, /* 64 s */
	SCALE_LONG,   /* 512 s */
	SCALE_COUNT
};

/* All zero is an empty history. */
struct history {
	size_t count;
	uint64_t spacing_ns; /* points before the last are at least so far apart */
	struct history_point points[HISTORY_POINTS];
};

/* O(1) amortized. The newest point is always the last; a time that does not advance replaces it. */
void history_add(struct history *history, const struct history_point *point);

/* All zero is an empty timeline. */
struct timeline {
	uint64_t times_ns[SCALE_COUNT][TRACK_POINTS];
	unsigned count[SCALE_COUNT];
	unsigned next[SCALE_COUNT];
	unsigned taken; /* bit per scale that took a point at the last advance */
};

/* All zero is a track that was 0 all along. */
struct track {
	double values[SCALE_COUNT][TRACK_POINTS];
};

/* Once a tick, before the tracks of that tick are pushed; time must advance. */
void timeline_advance(struct timeline *timeline, uint64_t now_ns);
void track_push(struct track *track, const struct timeline *timeline, double value);

/*
 * The points from `from_ns` on, oldest first, with `current` as that of `now_ns` behind them. Times
 * are seconds before now. At least two points where there are two.
 */
size_t track_window(const struct track *track, const struct timeline *timeline, enum scale scale,
		    uint64_t now_ns, uint64_t from_ns, double current, struct point *ret);

#endif
