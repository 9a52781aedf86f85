/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The heap level: the allocator's probes and their ledger. Opening loads programs and tables and
 * touches nothing of the target; attaching places the probes, closing takes them out.
 */
#ifndef MEMTOP_CAPTURE_HEAP_H
#define MEMTOP_CAPTURE_HEAP_H

#include "capture/calibrate.h"
#include "capture/ledger.h"
#include "capture/probes.h"
#include "core/unwinder.h"

struct heap;

/* What a probe of the heap does. In the order in which they are placed. */
enum heap_role {
	HEAP_BULK,	/* gives back many blocks that it does not name; ABI_BULK_* */
	HEAP_FREES,	/* free itself, its block is the first argument */
	HEAP_RELEASES,	/* the cookie tells which argument is the block */
	HEAP_LEAVES,	/* on a return instruction of a function that HEAP_ENTERS stands on */
	HEAP_ENTERS,	/* allocates, booked where HEAP_LEAVES stands */
	HEAP_ALLOCATES, /* allocates, booked by a return probe */
	HEAP_ROLES,
};

/* Where to probe; cookies are ABI_COOKIE_*. */
struct heap_probes {
	const struct probe *probes[HEAP_ROLES];
	size_t counts[HEAP_ROLES];
	const struct probe *loader; /* see loader_probe.h; NULL = none */
	bool functions;		    /* some are described by the user */
	bool stop_at_exec;	    /* the target is memtop's child: see heap_execs() */
};

/*
 * 0 or -errno with a line for the user in `error`. The probes are copied. `unwinder` gives the
 * stack walk its tables; NULL: stacks end, marked, where they need one.
 */
int heap_open(pid_t pid, enum probe_kind kind, const struct heap_probes *probes,
	      const struct ledger_sizes *sizes, struct unwinder *unwinder, uint64_t now_ns,
	      struct heap **ret, char *error, size_t size);
void heap_close(struct heap *heap);

/* Places the probes: frees first, then what allocates, and only then books are opened. */
int heap_attach(struct heap *heap);
/* Places programs that only count; take them out with heap_detach(). */
int heap_attach_counters(struct heap *heap);
void heap_detach(struct heap *heap);
/*
 * Places more probes while the books are open: of functions that were mapped since. All of them
 * stand before the first of their allocations is booked. 0, -ENOSPC after too many times, or
 * -errno, and then none of them stands.
 */
int heap_attach_more(struct heap *heap, const struct heap_probes *probes);

struct ledger *heap_ledger(struct heap *heap);

/* The address that return probes leave on stacks, once it is known. */
void heap_set_trampoline(struct heap *heap, uint64_t address);

/*
 * Frees the slots of threads that have ended: those that had one `before` the target's threads were
 * listed and are not in that list (`tids`, sorted). One born since has its slot, and keeps it.
 */
bool heap_threads_crowd(const struct heap *heap);	      /* it is time for that */
void heap_thread_ids(const struct heap *heap, uint32_t *ret); /* an element for each slot */
void heap_reclaim_threads(struct heap *heap, const uint32_t *before, const pid_t *tids,
			  size_t count);

/*
 * How often the target has executed another program since the attach. The book is closed from the
 * first time on: no event of the next program is in it. With `stop_at_exec` the target is stopped
 * (SIGSTOP) before the first instruction of the next one, where the kernel tells its types. Nothing
 * where heap_tells_exec() is false.
 */
uint64_t heap_execs(const struct heap *heap);
bool heap_tells_exec(const struct heap *heap);

/*
 * Readable when the target's linker changes mappings, or the target executes a program; -1 where
 * neither is told. Then heap_module_changes() is higher than what was last given to
 * heap_modules_known(), and stacks are marked as long as it is.
 */
int heap_wait_fd(const struct heap *heap);
uint64_t heap_module_changes(struct heap *heap);
void heap_modules_known(struct heap *heap, uint64_t changes);
/*
 * The target is held where its linker has mapped the libraries and has not said so yet: what it
 * says first tells nothing new.
 */
void heap_expect_module_change(struct heap *heap);

/*
 * Takes the breakpoints out of processes that the target forked: they have copies of its pages, and
 * would pay for each hit although no program runs for them. 0 or -errno.
 */
int heap_release_children(struct heap *heap);

/* How often the kernel skipped a program, and what the programs took, since they were loaded. */
struct heap_statistics {
	/* Counted while run time is measured; a session's program runs twice a call. */
	uint64_t session_runs, entering_runs, returning_runs, leaving_runs, freeing_runs;
	uint64_t run_time_ns;
	uint64_t missed;
};
void heap_read_statistics(const struct heap *heap, struct heap_statistics *ret);

#endif
