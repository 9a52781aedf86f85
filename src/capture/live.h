/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The live source: a running process, watched at a level.
 *
 * A thread of its own keeps watch between ticks, whatever their length: it steps down when the cost
 * to the target's busiest thread exceeds the budget, keeps the cohort clocks going and notices what
 * the target maps.
 */
#ifndef MEMTOP_CAPTURE_LIVE_H
#define MEMTOP_CAPTURE_LIVE_H

#include "capture/allocators.h"
#include "core/source.h"
#include "core/unwinder.h"

struct live_options {
	pid_t pid;
	enum level level;      /* LEVEL_AUTO: the highest that fits the budget */
	double budget_percent; /* of the busiest thread; NAN = no governor */
	bool kernel;	       /* watch the kernel side too */
	bool kernel_asked;     /* whatever it costs; else as long as it is cheap */
	uint64_t max_blocks;   /* live blocks to make room for; 0 = by the target's size */
	uint64_t limit_bytes;  /* a limit of the user's own; 0 = none */
	uint32_t last_id;      /* ids of sites are above it */
	pid_t launched;	       /* the target is our child; 0 if not */
	struct allocators_options allocators; /* what it points to lives as long as the source */
	struct unwinder *unwinder; /* gives stacks their tables; closed with the source */
};

/*
 * 0, or -errno with one line for the user in `error`: -ESRCH no such process, -EINVAL a kernel
 * thread, -ELOOP memtop itself, -EPERM and -EOPNOTSUPP an explicit level that cannot be had.
 */
int live_open(const struct live_options *options, struct source **ret, char *error, size_t size);

#endif
