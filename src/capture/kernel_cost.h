/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel side costs the machine, as a share of one core: every program of it, whoever's
 * event it runs for. Measured by the kernel's run-time statistics, now and then, for a moment.
 */
#ifndef MEMTOP_CAPTURE_KERNEL_COST_H
#define MEMTOP_CAPTURE_KERNEL_COST_H

#include "capture/kernel.h"

#include <stdbool.h>

#define KERNEL_COST_WINDOWS 5

struct kernel_cost {
	int statistics_fd;	   /* -1: run time is not measured */
	uint64_t due_ns;	   /* then it is again */
	uint64_t window_ns;	   /* when the window began */
	struct kernel_runs before; /* as of then */
	double windows[KERNEL_COST_WINDOWS];
	unsigned window_count;
	unsigned over;	     /* measurements in a row */
	double core_percent; /* NAN: not known */
};

void kernel_cost_init(struct kernel_cost *cost);
/* A side was opened. */
void kernel_cost_start(struct kernel_cost *cost, uint64_t now_ns);
/* Ends a measurement that is under way; it is made another time. */
void kernel_cost_pause(struct kernel_cost *cost);
/* The side is closed: nothing is known. */
void kernel_cost_stop(struct kernel_cost *cost);

/*
 * Often: begins and ends measurements. Returns in how many milliseconds it wants to look again; 0:
 * whenever others do.
 */
unsigned kernel_cost_look(struct kernel_cost *cost, const struct kernel_side *side,
			  double statistics_ns, uint64_t now_ns);

/* Is it, for more than a moment, more than the side may cost unasked? */
bool kernel_cost_is_over(const struct kernel_cost *cost);

/* Share of a core that so much did take in so long; `statistics_ns` as kernel_cost_look() has it.
 */
double kernel_cost_percent(const struct kernel_runs *runs, double statistics_ns,
			   uint64_t elapsed_ns);

#endif
