/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The heap level of one target: entering it (what to probe, at which cost, with which tables),
 * keeping to the budget, leaving it. Leaving ends its book; entering again opens an empty one.
 */
#ifndef MEMTOP_CAPTURE_HEAP_LEVEL_H
#define MEMTOP_CAPTURE_HEAP_LEVEL_H

#include "capture/allocators.h"
#include "capture/cost.h"
#include "capture/forks.h"
#include "capture/heap.h"
#include "capture/lost_calls.h"
#include "capture/procmaps.h"

/* What this kernel's filters of system calls (seccomp) do to a target with return probes. */
enum heap_level_filters {
	FILTERS_UNKNOWN,
	FILTERS_PASS,
	FILTERS_FORBID,
};

struct heap_level {
	pid_t pid;
	double budget_percent;		   /* of the busiest thread; NAN = no governor */
	struct unwinder *unwinder;	   /* borrowed; may be NULL */
	struct heap *heap;		   /* NULL: not entered */
	struct cost_meter *cost;	   /* NULL until entered for the first time */
	struct allocators_options options; /* what it points to is borrowed */
	char note[256];			   /* of probe_points, of the last entry */
	struct probe_points points;	   /* that are watched */
	unsigned book;			   /* how many were opened */
	bool no_returns;		   /* no return probes in this one */
	enum heap_level_filters filters;
	unsigned over_budget; /* looks, one after the other */
	bool launched;	      /* the target is memtop's child: execs stop it */
	bool held;	      /* the target runs only once the level is entered */
	struct forks forks;
	struct lost_calls lost;
};

void heap_level_init(struct heap_level *level, pid_t pid, double budget_percent,
		     struct unwinder *unwinder);
void heap_level_deinit(struct heap_level *level);

/* The points as probes; what they point to is the points'. */
void heap_level_probes(const struct probe_points *points, struct heap_probes *ret);
void heap_level_probes_deinit(struct heap_probes *probes);

/* What the tables' size depends on. */
struct heap_level_target {
	uint64_t anon_bytes; /* resident: blocks are in there, and no code */
	unsigned threads;
	uint64_t max_blocks;	     /* asked for; 0 = by the above */
	uint64_t other_tables_bytes; /* that memtop has already, without those of the unwinder */
};

/* Of which memtop's tables may take a part: what is left where its memory is charged. */
struct heap_level_room {
	uint64_t headroom_bytes; /* UINT64_MAX = no limit known */
	uint64_t others_bytes;	 /* of all other tables */
};

/*
 * Tables for a target. By its size: a block for each 64 bytes that it holds, and all tables
 * together within a twentieth of the headroom. For a number of blocks that was asked for: within a
 * quarter of it, else -ENOMEM with a line for the user in `error`.
 */
int heap_level_choose_sizes(const struct heap_level_target *target,
			    const struct heap_level_room *room, struct ledger_sizes *ret,
			    char *error, size_t size);

/*
 * 0: entered. 1: the canary advises against it: the projected cost is over the budget; asked only
 * with `canary`. -errno. Other than 0: why, in `error`.
 */
int heap_level_enter(struct heap_level *level, const struct heap_level_target *target, bool canary,
		     char *error, size_t size);
void heap_level_leave(struct heap_level *level);

/*
 * Watches those of the points found that are not watched yet, from now on; takes them. Returns how
 * many, or -errno.
 */
int heap_level_add(struct heap_level *level, struct probe_points *found, uint64_t now_ns);
/* The files whose functions are watched: how many, at most `capacity` of them in `ret`. */
size_t heap_level_allocators(const struct heap_level *level, struct watched_allocator *ret,
			     size_t capacity);

/* True once the cost has been over the budget for more than a moment; why, in `reason`. */
bool heap_level_over_budget(struct heap_level *level, uint64_t now_ns, char *reason, size_t size);

/* After the target's maps were read: learns the trampoline, lets go of forked processes. */
void heap_level_update(struct heap_level *level, const struct procmaps *maps);

/* Of threads that ended: counts the calls they were in; frees their slots, once they are many. */
void heap_level_reclaim(struct heap_level *level);

/* Adds what could not be accounted for. */
void heap_level_losses(const struct heap_level *level, uint64_t losses[ABI_LOSS_COUNT]);

#endif
