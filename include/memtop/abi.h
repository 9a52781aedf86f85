/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the BPF programs and user space share: shapes of map values and the numbers in them.
 *
 * Append-only: a number, once given, keeps its meaning; a struct grows at its end. Everything is of
 * fixed width and naturally aligned. The names that people read (of kinds and losses) are tables in
 * core/, indexed by these numbers.
 */
#ifndef MEMTOP_ABI_H
#define MEMTOP_ABI_H

#ifdef __bpf__
typedef unsigned char __mt_u8;
typedef unsigned short __mt_u16;
typedef unsigned int __mt_u32;
typedef unsigned long long __mt_u64;
#else
#include <stdint.h>
typedef uint8_t __mt_u8;
typedef uint16_t __mt_u16;
typedef uint32_t __mt_u32;
typedef uint64_t __mt_u64;
#endif

#define ABI_VERSION 1

enum abi_limit {
	ABI_MAX_FRAMES = 128,	 /* return addresses kept of one stack */
	ABI_COHORTS = 256,	 /* birth cohorts a block can name */
	ABI_COHORT_ROWS = 16,	 /* cohort rows a site keeps */
	ABI_MAX_INFLIGHT = 8,	 /* probed calls in flight in one thread */
	ABI_MAX_NESTED = 64,	 /* probed calls that are parts of one probed call */
	ABI_WINDOW_WORDS = 1024, /* stack words read at once */
	ABI_BLOCKS_PER_BUCKET = 4,
	ABI_SPANS = 256, /* hints how much of the stack will be wanted */
};

/* What called for the memory. */
enum abi_kind {
	ABI_KIND_NONE = 0,
	ABI_KIND_MALLOC = 1,
	ABI_KIND_CALLOC = 2,
	ABI_KIND_REALLOC = 3,
	ABI_KIND_REALLOCARRAY = 4,
	ABI_KIND_MEMALIGN = 5,
	ABI_KIND_POSIX_MEMALIGN = 6,
	ABI_KIND_ALIGNED_ALLOC = 7,
	ABI_KIND_VALLOC = 8,
	ABI_KIND_PVALLOC = 9,
	ABI_KIND_NEW = 10,		/* operator new of an allocator's own */
	ABI_KIND_XALLOCX = 11,		/* resized where it is; the result is a size */
	ABI_KIND_REALLOCF = 12,		/* the old block goes even where there is no new one */
	ABI_KIND_FUNCTION = 13,		/* described by the user */
	ABI_KIND_FUNCTION_REALLOC = 14, /* the same, and it takes an old block */
	ABI_KIND_MMAP = 32,
	ABI_KIND_BRK = 33,
	ABI_KIND_SLAB = 64,
	ABI_KIND_PAGE = 65,
	ABI_KIND_VMALLOC = 66,
	ABI_KIND_PERCPU = 67,
	ABI_KIND_PAGE_FAULT = 96,
	ABI_KIND_POPULATED = 97,     /* resident pages that no fault was seen for */
	ABI_KIND_BEFORE_ATTACH = 98, /* pages that were resident at the attach */
};

/* Kinds that take an old block, a bit each. */
#define ABI_REALLOC_KINDS                                                                \
	(1u << ABI_KIND_REALLOC | 1u << ABI_KIND_REALLOCARRAY | 1u << ABI_KIND_XALLOCX | \
	 1u << ABI_KIND_REALLOCF | 1u << ABI_KIND_FUNCTION_REALLOC)
#define ABI_FUNCTION_KINDS (1u << ABI_KIND_FUNCTION | 1u << ABI_KIND_FUNCTION_REALLOC)

/*
 * The cookie of a heap probe. Its low byte is the kind, with ABI_COOKIE_AT_RETURN where the call is
 * booked at the function's own return instructions. Where the arguments are others than the kind's
 * own, ABI_COOKIE_SHAPED is set and three fields tell which they are, counted from 0
 * (ABI_COOKIE_NO_ARGUMENT: there is none); a size that is no argument stands in the highest bits.
 */
#define ABI_COOKIE_KIND		  0x7full
#define ABI_COOKIE_AT_RETURN	  0x80ull
#define ABI_COOKIE_SHAPED	  0x100ull
#define ABI_COOKIE_FUNCTION	  0x200ull /* of a free: a function described by the user */
#define ABI_COOKIE_FIRST_ARGUMENT 0x400ull /* of a return: the result is the first argument */
#define ABI_COOKIE_STEPS_RETURN	  0x400ull /* of an entry: a return of it is single-stepped */
#define ABI_COOKIE_STEPPED	  0x800ull /* the kernel has to single-step the instruction */
#define ABI_COOKIE_SIZE_SHIFT	  12
#define ABI_COOKIE_COUNT_SHIFT	  16
#define ABI_COOKIE_ADDRESS_SHIFT  20
#define ABI_COOKIE_NO_ARGUMENT	  0xfull
/* Placed while the books are open: of the group abi_control.opening nothing is booked yet; 0: none.
 */
#define ABI_COOKIE_GROUP_SHIFT	  24
#define ABI_COOKIE_GROUPS	  0xfull
#define ABI_COOKIE_CONSTANT_SHIFT 28

/* Why an event could not be accounted for; each is a row of core/losses.c. */
enum abi_loss {
	ABI_LOSS_LIVE_TABLE_FULL = 0,	   /* block not taken: in no total */
	ABI_LOSS_SITE_TABLE_FULL = 1,	   /* booked at the `unknown` site */
	ABI_LOSS_STACK_TRUNCATED = 2,	   /* stack ends before its outermost frame */
	ABI_LOSS_RETURN_MISSED = 3,	   /* call entered, never seen to return */
	ABI_LOSS_NESTING_TOO_DEEP = 4,	   /* more than ABI_MAX_INFLIGHT calls in flight */
	ABI_LOSS_EVENT_LOST = 5,	   /* the kernel skipped a program */
	ABI_LOSS_THREAD_TABLE_FULL = 6,	   /* no slot for the calling thread */
	ABI_LOSS_FREE_MISSED = 7,	   /* address given out again, its free was not seen */
	ABI_LOSS_ADDRESS_TOO_WIDE = 8,	   /* address of 52 bits or more */
	ABI_LOSS_SIZE_TOO_LARGE = 9,	   /* block of ABI_SIZE_MAX bytes or more */
	ABI_LOSS_KERNEL_EVENT_MISSED = 10, /* a kernel free in an interrupt */
	ABI_LOSS_RELEASED_IN_BULK = 11,	   /* a heap or arena was given back as a whole */
	ABI_LOSS_COUNT = 16,
};

/* The cookie of a probe of a function that gives back all blocks of a heap, or may. */
enum abi_bulk {
	ABI_BULK_ALWAYS = 1,   /* each call does */
	ABI_BULK_NAMED = 2,    /* (name): jemalloc's mallctl() */
	ABI_BULK_LOOKUP = 3,   /* (name, where its numbers go) */
	ABI_BULK_NUMBERED = 4, /* (numbers, how many) */
};

/* Pages that the kernel allocated: abi_site.cache is one of these << ABI_PAGE_CLASS_SHIFT | order.
 */
enum abi_page_class {
	ABI_PAGE_KERNEL = 1, /* may wait for anything */
	ABI_PAGE_NOFS = 2,
	ABI_PAGE_NOIO = 3,
	ABI_PAGE_ATOMIC = 4,   /* may not wait */
	ABI_PAGE_HIGHUSER = 5, /* holds a user's data, which the kernel does not address much */
	ABI_PAGE_DMA = 6,
	ABI_PAGE_DMA32 = 7,
	ABI_PAGE_CLASSES = 8,
};
#define ABI_PAGE_CLASS_SHIFT 8

/* abi_site.flags */
enum abi_site_flag {
	ABI_SITE_TRUNCATED = 1u << 0,
	ABI_SITE_CLOSED = 1u << 1, /* by user space: a frame's code went away; takes no more */
	ABI_SITE_READY = 1u << 31, /* frames are complete; set last */
};

/* Cumulative; live = allocated - freed. Readers load freed before allocated. */
struct abi_totals {
	__mt_u64 allocated_bytes;
	__mt_u64 allocated_blocks;
	__mt_u64 freed_bytes;
	__mt_u64 freed_blocks;
};

/*
 * A site: one kind of allocation from one call stack. Element i of the maps `sites`, `site_totals`
 * and `site_cohorts` is the same site. Slot 0 is the `unknown` site, where goes what the table
 * could not hold.
 */
struct abi_site {
	__mt_u64 hash;	/* of kind, cache and frames; 0 = slot free */
	__mt_u64 cache; /* kernel slab: address of its kmem_cache, or
			 * ABI_CACHE_KMALLOC_RECLAIMABLE; pages: see abi_page_class; else 0 */
	__mt_u32 flags;
	__mt_u16 kind;
	__mt_u16 nframes;
	__mt_u64 frames[ABI_MAX_FRAMES]; /* return addresses, innermost first */
};

struct abi_cohorts {
	struct abi_totals rows[ABI_COHORT_ROWS];
};

/*
 * A live block. key: epoch << 49 | address >> 3 (0 = slot free); value: size << 28 | site << 8 |
 * birth cohort. 36 bits of size, 20 of site.
 */
struct abi_block {
	__mt_u64 key;
	__mt_u64 value;
};

struct abi_bucket {
	struct abi_block blocks[ABI_BLOCKS_PER_BUCKET];
};

/* Of each of so many buckets next to each other: blocks whose home it is that live elsewhere. */
#define ABI_STRAYS 16
struct abi_strays {
	__mt_u32 counts[ABI_STRAYS];
};

#define ABI_ADDRESS_BITS 52
/*
 * Added to the address of a block from a function that the user described: a pool may give out the
 * very address at which the memory that it cuts up begins.
 */
#define ABI_FUNCTION_BLOCK   (1ull << 51)
#define ABI_KEY_EPOCH_SHIFT  49
#define ABI_KEY_ADDRESS_MASK ((1ull << ABI_KEY_EPOCH_SHIFT) - 1)
#define ABI_VALUE_SITE_SHIFT 8
#define ABI_VALUE_SIZE_SHIFT 28
#define ABI_SITE_MAX	     (1u << 20)
#define ABI_SIZE_MAX	     (1ull << 36)

#define abi_value_cohort(v) ((__mt_u32)(v)&0xff)
#define abi_value_site(v)   (((__mt_u32)(v) >> ABI_VALUE_SITE_SHIFT) & (ABI_SITE_MAX - 1))
#define abi_value_size(v)   ((v) >> ABI_VALUE_SIZE_SHIFT)

#define abi_block_key(epoch, address) \
	(((address) >> 3 & ABI_KEY_ADDRESS_MASK) | (__mt_u64)(epoch) << ABI_KEY_EPOCH_SHIFT)

/*
 * The bucket, of so many, that a block lives in or near. Fibonacci hashing (Knuth, 6.4): the
 * product's highest bits spread keys that are equally spaced, as blocks of one size are, more
 * evenly than chance would.
 */
#define ABI_HASH_MULTIPLIER 0x9E3779B97F4A7C15ull
#define abi_block_home(key, buckets) \
	((__mt_u32)((((key)*ABI_HASH_MULTIPLIER) >> 32) * (__mt_u64)(buckets) >> 32))

/* A probed call in flight, known by the stack pointer it was entered with. */
struct abi_inflight {
	__mt_u64 sp;
	__mt_u64 return_address; /* the true one, read at entry */
	__mt_u64 size;
	__mt_u64 address;   /* realloc: the old block; posix_memalign: where the pointer goes */
	__mt_u64 old_value; /* realloc: the old block as the table held it; 0 = not tracked */
	__mt_u32 site;
	__mt_u16 kind;
	__mt_u16 nested; /* calls that were taken for parts of it */
};

/* Where a stack walk stands; see bpf/unwind.bpf.h. */
struct abi_walk {
	__mt_u64 cfa;	      /* stack pointer of the frame, right after its callee returned */
	__mt_u64 fp;	      /* frame pointer there; 0 = not known */
	__mt_u64 pc;	      /* return address into the frame */
	__mt_u64 base;	      /* address of window[0] */
	__mt_u64 link;	      /* arm64: link register of the first frame, as long as it holds */
	__mt_u32 words;	      /* valid in the window */
	__mt_u32 cfa_unknown; /* cfa is only a lower bound */
	__mt_u64 hash;	      /* of the frames so far */
	__mt_u64 generation;  /* of the tables, when the walk began */
	__mt_u32 flags;
	__mt_u32 fresh; /* words at the stack pointer that were read into the window at the entry */
};

/*
 * One thread of the target. Only that thread's own programs write it, so nothing in it is shared
 * between CPUs and preemption cannot mix two captures. User space frees the slots of dead threads.
 */
struct abi_thread {
	__mt_u32 tid; /* 0 = slot free */
	__mt_u32 depth;
	__mt_u64 events; /* probe hits, for the cost to this thread */
	struct abi_inflight inflight[ABI_MAX_INFLIGHT];
	__mt_u32 frame_count;
	__mt_u32 truncated;
	__mt_u64 frames[ABI_MAX_FRAMES + 8]; /* room for bounded overshoot */
	__mt_u64 window[ABI_WINDOW_WORDS + 8];
	struct abi_walk walk;
	__mt_u64 freed_address; /* what was freed last, unless something was allocated since */
	__mt_u64 freed_sp;	/* the stack pointer of that call */
	__mt_u32 entry;		/* of the cache of stacks, where the present one would be */
	__mt_u32 reserved;
	__mt_u64 steps;		   /* instructions that were single-stepped for probes */
	__mt_u16 spans[ABI_SPANS]; /* words that a stack pointer's stack took last */
};

/*
 * Written by user space, read by the programs (but that an exec ends `tracking`); one element.
 * Cohort 0 is never given out, so that no block's value is 0.
 */
struct abi_control {
	__mt_u64 epoch;
	__mt_u64 trampoline; /* address that return probes leave on stacks; 0 = not known yet */
	__mt_u32 cohort_now;
	__mt_u32 tracking; /* 0: only frees are booked (attach and detach) */
	__mt_u32 tgid;	   /* the target */
	__mt_u32 opening;  /* the group of probes that is being placed; 0 = none */
	__mt_u8 cohort_row[ABI_COHORTS];
	__mt_u64 module_changes; /* of abi_counters.module_changes, those that the tables know */
};

/* What is known of a kernel slab cache, by its address. */
struct abi_cache {
	__mt_u64 cache;	      /* 0 = slot free */
	__mt_u32 reclaimable; /* the kernel takes its objects back when memory is short */
	__mt_u32 reserved;
	char name[48]; /* empty until all is known */
};

/* abi_site.cache of kmalloc() from caches of what the kernel takes back. */
#define ABI_CACHE_KMALLOC_RECLAIMABLE 1

/* Losses and counts that belong to no site; one element, only added to. */
struct abi_counters {
	__mt_u64 losses[ABI_LOSS_COUNT];
	__mt_u64 before_attach_frees;
	__mt_u64 untracked_frees;
	__mt_u64 threads; /* slots of the table of threads that were taken */
	__mt_u64 sites;
	__mt_u64 module_changes; /* how often the target's linker said that it changes mappings */
	__mt_u64 overflowed;	 /* blocks that are not near their home in the table, now */
	__mt_u64 execs;		 /* how often the target executed another program */
};

_Static_assert(sizeof(struct abi_totals) == 32, "abi");
_Static_assert(sizeof(struct abi_block) == 16, "abi");
_Static_assert(sizeof(struct abi_bucket) == 64, "one cache line");
_Static_assert(sizeof(struct abi_strays) == 64, "one cache line");
_Static_assert(sizeof(struct abi_cohorts) == 32 * ABI_COHORT_ROWS, "abi");
_Static_assert(sizeof(struct abi_site) == 24 + 8 * ABI_MAX_FRAMES, "abi");
_Static_assert(sizeof(struct abi_inflight) == 48, "abi");

#endif
