/* SPDX-License-Identifier: GPL-2.0-only */
/* When the headroom is used up if it goes on to shrink as it did: an interval, or nothing. */
#ifndef MEMTOP_CORE_FORECAST_H
#define MEMTOP_CORE_FORECAST_H

#include "core/picture.h"
#include "core/trend.h"

/*
 * `minute` is the headroom in bytes over the last minute, `recent` over the last seconds, both
 * oldest first and ending with now. The interval spans the slopes that both allow. No forecast
 * before 30 s, nor where the slowest of these slopes does not shrink the headroom by the floor,
 * nor beyond 30 days.
 */
struct forecast forecast_make(const struct point *minute, size_t minute_count,
			      const struct point *recent, size_t recent_count,
			      double floor_bytes_per_s);

#endif
