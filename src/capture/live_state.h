/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The live source's state, for its own files: live.c reads, live_level.c enters and leaves levels,
 * live_kernel.c the kernel side, live_watch.c keeps watch between reads. All is under `lock`.
 */
#ifndef MEMTOP_CAPTURE_LIVE_STATE_H
#define MEMTOP_CAPTURE_LIVE_STATE_H

#include "capture/clock.h"
#include "capture/cgroup.h"
#include "capture/heap_level.h"
#include "capture/held.h"
#include "capture/kernel.h"
#include "capture/kernel_cost.h"
#include "capture/late_search.h"
#include "capture/lifetime.h"
#include "capture/live.h"
#include "capture/maps_side.h"
#include "capture/memory.h"
#include "capture/pace.h"
#include "capture/pages_level.h"
#include "capture/sites.h"
#include "capture/target.h"

#include <pthread.h>
#include <time.h>

#define REASON_SIZE 160

struct live {
	struct source source;
	struct live_options options;
	pthread_mutex_t lock; /* guards all below; held by read and by the watch */
	pthread_t watch;
	bool watching;
	int stop_fd; /* wakes the watch up to end */
	int news_fd; /* wakes the reader up: another program runs */
	int wait_fd; /* polls readable for that, or because the target ended; -1: cannot tell */

	struct lifetime *lifetime;
	struct charge_reader *charge;
	struct memory_reader *memory;
	struct modules *mapped;	 /* what the watch saw */
	struct modules *modules; /* the same as of the last read: what snapshots point to */
	uint64_t modules_ns;
	struct pace modules_pace;
	uint64_t unmapped; /* unwinder_ops.unmapped() at the last look */
	bool in_vain;	   /* looking because it rose found nothing */
	unsigned soon_ms;  /* in which a meter of cost wants the next look; 0: whenever */
	struct target_identity identity;
	struct target_state target;
	struct memory last_memory;
	struct held *held;
	uint64_t walk_ns, walked_ns; /* spent in walks until then */

	enum level level;
	char reason[REASON_SIZE];
	char no_kernel[REASON_SIZE];		 /* why, if it should be there */
	char shown_reason[2 * REASON_SIZE + 16]; /* as of the last read */
	struct heap_level heap;
	struct pages_level *pages; /* NULL: not entered; never beside the heap */
	struct maps_side *maps;	   /* NULL: not watched; beside the pages */
	struct late_search late;   /* the watch's, of allocators that came later */
	bool let_go;		   /* the probes of the heap are gone, its book is still open */
	struct kernel_side *kernel;
	struct kernel_cost kernel_cost;
	bool kernel_let_go; /* its programs are gone, its book is still open */
	bool kernel_off;    /* because of its cost; it may be asked for */
	struct self_meter self;
	struct sites sites;
	uint64_t heap_losses[ABI_LOSS_COUNT]; /* of books that ended */
	uint64_t before_attach_frees;
	unsigned generation;
	uint64_t attached_ns;
	bool from_start; /* the book began before the program's first instruction */
	bool execed;	 /* another program runs: the next snapshot is this generation's last */
	bool stopped;	 /* at that exec, before the first instruction; only our own child */
	bool restart;	 /* that was given: the next read begins a generation */
	bool ended;	 /* the final snapshot was given */
};

__attribute__((format(printf, 2, 3))) void live_give_reason(struct live *live, const char *format,
							    ...);
/*
 * What is mapped now, for the unwinder and the next read; returns how much changed. Sites are
 * closed before walks see other code at their addresses.
 */
int live_update_modules(struct live *live, uint64_t now_ns);
/* Takes the probes of the heap out; its book stays open until it is closed. */
void live_let_go(struct live *live);
void live_close_book(struct live *live, uint64_t now_ns);
void live_leave_heap(struct live *live, const char *why);
/* After the heap was left because of its cost: on at pages, the heap's rows stay as they are. */
void live_step_down(struct live *live);
/* If it cannot be had: why, in `no_kernel`. */
void live_open_kernel(struct live *live);
/* By the reading thread alone. */
void live_end_kernel(struct live *live);
void live_restart_kernel(struct live *live);
/* Lets go of it where it costs too much unasked. In how many ms it wants the next look, or 0. */
unsigned live_look_at_kernel(struct live *live, uint64_t now_ns);
/* 0 if it is as asked for from now on, else -errno. */
int live_ask_for_kernel(struct live *live, bool on);
/* Enters the level asked for, or under `auto` the highest that can be had. 0, -errno and why. */
int live_choose_level(struct live *live, char *error, size_t size);
/* What the user side's sites are read from; NULL if neither heap nor pages are entered. */
struct ledger *live_user_ledger(struct live *live);
/* A new program runs in the process: new books. Returns the time after it. */
uint64_t live_restart(struct live *live, uint64_t now_ns);
int live_change_level(struct live *live, enum level level);
/* Closes the old program's books, as far as any thread may, once another one runs. */
void live_notice_exec(struct live *live);
int live_start_watch(struct live *live);
void live_stop_watch(struct live *live);

#endif
