/* SPDX-License-Identifier: GPL-2.0-only */
/* Of measurements that other load disturbs now and then, the one in the middle. */
#ifndef MEMTOP_UTIL_MEDIAN_H
#define MEMTOP_UTIL_MEDIAN_H

#include <stddef.h>

/* Sorts the values. Of an even number it is the upper of the two; `count` is at least 1. */
double median(double *values, size_t count);

#endif
