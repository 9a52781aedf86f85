/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A snapshot: the facts of one tick, as a source gives them. Plain data, no judgment.
 *
 * Everything a snapshot points to belongs to the source and stays valid until its next read.
 * Times are CLOCK_MONOTONIC nanoseconds unless the name says otherwise.
 */
#ifndef MEMTOP_CORE_SNAPSHOT_H
#define MEMTOP_CORE_SNAPSHOT_H

#include "core/unwinder.h"

#include <memtop/abi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct modules;

enum side {
	SIDE_USER,
	SIDE_MAPS,
	SIDE_KERNEL,
	SIDE_COUNT
};

enum level {
	LEVEL_AUTO,
	LEVEL_RSS,
	LEVEL_PAGES,
	LEVEL_HEAP
};

enum target_status {
	TARGET_RUNNING,
	TARGET_EXITED,
	TARGET_OOM_KILLED,
	TARGET_KILLED
};

enum limit_source {
	LIMIT_NONE,
	LIMIT_CGROUP,
	LIMIT_SYSTEM,
	LIMIT_USER
};

/* Cumulative; live = allocated - freed, never negative. */
struct totals {
	uint64_t allocated_bytes;
	uint64_t allocated_blocks;
	uint64_t freed_bytes;
	uint64_t freed_blocks;
};

struct target_state {
	pid_t pid;
	char comm[16];
	char exe[256];
	enum target_status status;
	int exit_code; /* -1 = not known */
	int signal;    /* 0 = none */
	unsigned threads;
};

/* From /proc/PID; bytes. */
struct memory {
	uint64_t rss_bytes;
	uint64_t anon_bytes;
	uint64_t file_bytes;
	uint64_t shmem_bytes;
	uint64_t swap_bytes;
	/* Resident parts by mapping, from a paced smaps walk; valid once parts_known. */
	bool parts_known;
	uint64_t heap_mapped_bytes; /* [heap] and the allocator's arenas */
	uint64_t anon_maps_bytes;   /* anonymous mappings that are not the allocator's */
	uint64_t stacks_bytes;
	uint64_t pss_bytes;	   /* of the same walk: shared pages divided by who shares them */
	uint64_t page_table_bytes; /* in the kernel; not resident, not in any of the above */
};

/* What kills: the tightest cgroup ancestor, or the system. */
struct charge {
	enum limit_source source;
	uint64_t limit_bytes;	 /* 0 = no limit */
	uint64_t used_bytes;	 /* charged and not reclaimable */
	uint64_t headroom_bytes; /* until the kill */
	char cgroup[256];	 /* path of the cgroup that sets it; empty for the system */
};

/* Of a core: what the kernel side takes is told from there on, and unasked for it takes no more. */
#define OVERHEAD_KERNEL_DEAR 1.0

/* What memtop costs. Percentages of one core; NAN = not measured yet. */
struct overhead {
	double events_per_s;
	double ns_per_event;
	double target_percent;	     /* of the target's CPU time */
	double worst_thread_percent; /* of that thread's time: run or slept, not waited for a CPU */
	pid_t worst_thread;
	char worst_thread_name[16];
	double self_cpu_percent;
	uint64_t self_rss_bytes;
	uint64_t tables_bytes;	    /* of kernel memory, for live blocks, sites and stacks */
	double kernel_core_percent; /* what the kernel side takes of the machine */
};

enum site_flag {
	SITE_TRUNCATED = 1u << 0,   /* the stack ends before its outermost frame */
	SITE_UNMATCHED = 1u << 1,   /* kernel cache whose frees are not seen: in no live total */
	SITE_UNKNOWN = 1u << 2,	    /* what the site table could not hold */
	SITE_PAGE_TABLE = 1u << 3,  /* kernel pages that hold page tables of the target */
	SITE_RECLAIMABLE = 1u << 4, /* a cache of the kernel's, which gives it up by itself when
				       memory is short: no leak, however it grows */
};

/* What never changes of a site; valid until its source closes. */
struct site_info {
	uint32_t id;  /* > 0, unique over sides, never used again */
	uint64_t key; /* the same site in every run, see core/sitekey.h */
	enum side side;
	enum abi_kind kind;
	uint32_t flags;
	uint64_t born_ns;	   /* first seen; its addresses belong to the modules of then */
	unsigned nframes;	   /* innermost first */
	const uint64_t *addresses; /* return addresses; frames of the kernel too on that side */
	const char *object;	   /* kernel slab: name of its cache; else NULL */
};

struct site_sample {
	const struct site_info *info;
	struct totals totals;
	bool resident_known;
	uint64_t resident_bytes; /* of a site of the maps side: how much of it is in RSS */
	bool ended; /* its book is closed: the totals stand, and are in no sum of its side */
};

/* One cohort row: blocks born in [from, to). */
struct cohort_row {
	uint64_t born_from_ns;
	uint64_t born_to_ns;
	struct totals totals;
};

struct cohorts {
	unsigned count; /* oldest first; the last is the row being filled */
	struct cohort_row rows[ABI_COHORT_ROWS];
};

/*
 * What the process holds beside its blocks and mappings, as /proc tells it: numbers, one a kind.
 * core/holdings.c has their names. Behind them come the exporters of dma-bufs, in bytes, in the
 * order in which they were met; those beyond the last share it.
 */
enum holding {
	HOLDING_PSS,
	HOLDING_PAGE_TABLES,
	HOLDING_KERNEL_STACKS,
	HOLDING_FDS, /* the sum of the next, to HOLDING_OTHER_FDS */
	HOLDING_FILES,
	HOLDING_DEVICES,
	HOLDING_PIPES,
	HOLDING_SOCKETS,
	HOLDING_EVENTFDS,
	HOLDING_EPOLLS,
	HOLDING_MEMFDS,
	HOLDING_DMABUFS,
	HOLDING_OTHER_FDS,
	HOLDING_SOCKET_BYTES,
	HOLDING_MEMFD_BYTES,
	HOLDING_DMABUF_BYTES, /* the sum of the exporters */
	HOLDING_COUNT,
};

#define HOLDING_EXPORTERS 8
#define HOLDING_MOST	  (HOLDING_COUNT + HOLDING_EXPORTERS)

struct holding_sample {
	bool known;
	const char *why;	       /* it is not known; NULL = not yet, or it is */
	const char *exporter;	       /* NULL: `enum holding` says what it is */
	uint64_t value;		       /* now */
	uint64_t limit;		       /* of the value; 0 = none */
	struct totals totals;	       /* came and went since the attach, where lives are known */
	const struct cohorts *cohorts; /* of those; NULL = lives are not known */
};

/* A file whose functions are probed at level heap. */
struct watched_allocator {
	char module[128]; /* its path, or the end of that */
	uint64_t device, inode;
	uint64_t since_ns;
	unsigned functions;
};

/* What the kernel side is made of: ABI_KIND_SLAB and the kinds behind it. */
#define KERNEL_KINDS 4

/* Which of them a kind is; KERNEL_KINDS = none. */
static inline unsigned kernel_kind_of(enum abi_kind kind)
{
	return kind >= ABI_KIND_SLAB && kind < ABI_KIND_SLAB + KERNEL_KINDS ?
		       (unsigned)kind - ABI_KIND_SLAB :
		       KERNEL_KINDS;
}

#define SNAPSHOT_ALLOCATORS 8 /* at most; there are hardly more than two */

struct snapshot {
	uint64_t time_ns;
	uint64_t time_unix_ns;
	uint64_t attached_ns; /* when this source began to watch */
	unsigned generation;
	bool final;	 /* last of its generation */
	bool followed;	 /* with `final`, of a target that ended: another one may come */
	bool from_start; /* the heap is watched since before the program's first instruction */
	struct target_state target;
	enum level level;
	const char *level_reason; /* NULL = as asked */
	struct memory memory;
	struct charge charge;
	struct overhead overhead;
	uint64_t losses[ABI_LOSS_COUNT];
	uint64_t before_attach_frees[SIDE_COUNT];
	bool side_known[SIDE_COUNT]; /* the side is watched at this level */
	bool kernel_off; /* that side is not, because of its cost; it may be asked for */
	bool kernel_kind_known[KERNEL_KINDS];
	const char *kernel_kind_why[KERNEL_KINDS]; /* it is not, of unlimited life; or NULL */
	struct unwinder_status unwind;		   /* all 0 where stacks are not walked */
	size_t allocator_count;
	struct watched_allocator allocators[SNAPSHOT_ALLOCATORS];
	const struct modules *modules;
	size_t site_count; /* append-only within a generation: index i stays the same site */
	const struct site_sample *sites;
	size_t holding_count; /* 0, or HOLDING_COUNT and the exporters: index i stays the same */
	const struct holding_sample *holdings;
};

static inline uint64_t totals_live_bytes(const struct totals *t)
{
	return t->allocated_bytes > t->freed_bytes ? t->allocated_bytes - t->freed_bytes : 0;
}

static inline uint64_t totals_live_blocks(const struct totals *t)
{
	return t->allocated_blocks > t->freed_blocks ? t->allocated_blocks - t->freed_blocks : 0;
}

static inline void totals_add(struct totals *t, const struct totals *more)
{
	t->allocated_bytes += more->allocated_bytes;
	t->allocated_blocks += more->allocated_blocks;
	t->freed_bytes += more->freed_bytes;
	t->freed_blocks += more->freed_blocks;
}

#endif
