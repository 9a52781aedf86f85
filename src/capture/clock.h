/* SPDX-License-Identifier: GPL-2.0-only */
/* The clocks of all that is measured. */
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

/* What this thread did: a machine that stood still meanwhile does not count. */
static inline uint64_t thread_cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

#endif
