/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What watching costs: events of each thread times what one event costs, the traps as calibrated
 * plus the programs' own time as the kernel measures it, now and then, for a moment. Traps at
 * instructions that the kernel has to single-step cost ten times the others, and how often they are
 * hit differs from thread to thread: the programs count them, and what they cost more is added.
 */
#ifndef MEMTOP_CAPTURE_COST_H
#define MEMTOP_CAPTURE_COST_H

#include "capture/heap.h"
#include "core/snapshot.h"

struct cost_meter;

struct cost_meter *cost_meter_new(pid_t pid, const struct trap_costs *traps);
void cost_meter_free(struct cost_meter *meter);

/*
 * What an event (a call) cost between two readings of the statistics, were all of its traps at
 * instructions that the kernel emulates; false if there were fewer calls than `least`.
 */
bool cost_of_event(const struct trap_costs *traps, const struct heap_statistics *before,
		   const struct heap_statistics *now, unsigned least, double *ret);

/* From now on events are counted; call it when probes are placed, and again for another ledger. */
void cost_meter_start(struct cost_meter *meter, const struct heap *heap, uint64_t now_ns);

/*
 * Often: begins and ends the measuring of the programs, which is to be short. Returns in how many
 * milliseconds it wants to look again; 0: whenever others do.
 */
unsigned cost_meter_look(struct cost_meter *meter, const struct heap *heap, uint64_t now_ns);

/* Nothing is measured any more, until cost_meter_start(). */
void cost_meter_stop(struct cost_meter *meter);

/*
 * What was caused since the last sample (at least 50 ms ago, else the last answer again). Looks at
 * all threads of the ledger. `heap` may be NULL: nothing is traced.
 */
void cost_meter_sample(struct cost_meter *meter, struct heap *heap, uint64_t now_ns,
		       struct overhead *ret);

/* What the kernel's telling of run time adds to each run; 0 = not known. */
double cost_meter_statistics_ns(const struct cost_meter *meter);

/* What memtop itself takes. All zero to begin with. */
struct self_meter {
	uint64_t time_ns, cpu_ns;
};

/* Into ret->self_*. */
void self_meter_sample(struct self_meter *meter, uint64_t now_ns, struct overhead *ret);

#endif
