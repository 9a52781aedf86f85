/* SPDX-License-Identifier: GPL-2.0-only */
/* The clock of all that is measured. */
#ifndef MEMTOP_CAPTURE_CLOCK_H
#define MEMTOP_CAPTURE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

#endif
