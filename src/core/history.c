/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The history holds points at least `spacing_ns` apart and, behind them, the newest point, which
 * the next one replaces as long as it is nearer than that. When it is full the spacing grows so
 * that half of the points go: each point is moved at most once per doubling.
 */
#include "core/history.h"

#include <string.h>

static const uint64_t spacings_ns[SCALE_COUNT] = {
	[SCALE_RECENT] = 1000000000ull,
	[SCALE_MINUTE] = 4000000000ull,
	[SCALE_LONG] = 32000000000ull,
};

static void thin(struct history *history)
{
	struct history_point *points = history->points;
	size_t kept = 1;

	history->spacing_ns =
		(points[history->count - 1].time_ns - points[0].time_ns) / (HISTORY_POINTS / 2);
	for (size_t i = 1; i < history->count; i++)
		if (i + 1 == history->count ||
		    points[i].time_ns - points[kept - 1].time_ns >= history->spacing_ns)
			points[kept++] = points[i];
	history->count = kept;
}

void history_add(struct history *history, const struct history_point *point)
{
	struct history_point *points = history->points;
	size_t count = history->count;

	if (count && point->time_ns <= points[count - 1].time_ns) {
		points[count - 1] = *point;
		points[count - 1].time_ns =
			history->count > 1 && point->time_ns <= points[count - 2].time_ns ?
				points[count - 2].time_ns + 1 :
				point->time_ns;
		return;
	}
	if (count > 1 &&
	    points[count - 1].time_ns - points[count - 2].time_ns < history->spacing_ns)
		history->count--;
	if (history->count == HISTORY_POINTS)
		thin(history);
	points[history->count++] = *point;
}

void timeline_advance(struct timeline *timeline, uint64_t now_ns)
{
	timeline->taken = 0;
	for (unsigned scale = 0; scale < SCALE_COUNT; scale++) {
		unsigned last = (timeline->next[scale] + TRACK_POINTS - 1) % TRACK_POINTS;

		/* A tenth early, so that a tick a little too soon does not cost a whole tick. */
		if (timeline->count[scale] &&
		    now_ns - timeline->times_ns[scale][last] < spacings_ns[scale] / 10 * 9)
			continue;
		timeline->times_ns[scale][timeline->next[scale]] = now_ns;
		timeline->next[scale] = (timeline->next[scale] + 1) % TRACK_POINTS;
		if (timeline->count[scale] < TRACK_POINTS)
			timeline->count[scale]++;
		timeline->taken |= 1u << scale;
	}
}

void track_push(struct track *track, const struct timeline *timeline, double value)
{
	for (unsigned scale = 0; scale < SCALE_COUNT; scale++)
		if (timeline->taken & (1u << scale))
			track->values[scale][(timeline->next[scale] + TRACK_POINTS - 1) %
					     TRACK_POINTS] = value;
}

size_t track_window(const struct track *track, const struct timeline *timeline, enum scale scale,
		    uint64_t now_ns, uint64_t from_ns, double current, struct point *ret)
{
	unsigned count = timeline->count[scale];
	unsigned first = timeline->next[scale] + TRACK_POINTS - count;
	size_t filled = 0;

	for (unsigned i = 0; i < count; i++) {
		unsigned slot = (first + i) % TRACK_POINTS;
		uint64_t time_ns = timeline->times_ns[scale][slot];

		if (time_ns >= now_ns)
			break;
		/* The last one stays even if it is older: a slow tick must not leave one point. */
		if (time_ns < from_ns && i + 1 < count &&
		    timeline->times_ns[scale][(slot + 1) % TRACK_POINTS] < now_ns)
			continue;
		ret[filled].time_s = -(double)(now_ns - time_ns) / 1e9;
		ret[filled++].value = track->values[scale][slot];
	}
	ret[filled].time_s = 0;
	ret[filled++].value = current;
	return filled;
}
