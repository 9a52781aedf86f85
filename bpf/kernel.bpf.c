/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel book: what the kernel allocated on the target's behalf, freed by whoever frees it.
 * Slab objects are here; pages, vmalloc areas and per-CPU memory in kernel_kinds.bpf.h.
 *
 * The target's are the allocations made in process context while one of its threads runs. Those
 * made in an interrupt that happened to hit it are not, nor are those of the machinery behind
 * memtop's own uprobes, as far as that machinery itself calls the allocator (what it has the rest
 * of the kernel allocate, such as the mapping of its out-of-line area, cannot be told apart here),
 * nor what the allocator takes for slabs of its own.
 *
 * A block leaves when anyone frees it, or when anyone is given its address again, or when its page
 * goes back to the page allocator: some frees (in bulk, by the RCU batches of kfree_rcu()) have no
 * tracepoint, and then this is all that is ever seen. Such an implicit free is counted by site, as
 * the sign that frees of its cache are not seen. So every allocation and free of the whole machine
 * costs a look-up; only the target's own cost a stack.
 *
 * The page allocator speaks of pages by their descriptors. Where the memory of a page is, is a
 * linear function of that address, whose constant nobody tells: it is measured on allocations that
 * are pages of their own (large ones of kmalloc()), as the calibrating child makes them.
 *
 * The kernel does not run a program on top of itself: what an interrupt frees while the program of
 * frees runs on that CPU, often a whole batch of RCU's, that program does not see. So a second one
 * stands on each tracepoint of frees and looks at what the first did not mark as seen. The events
 * that both miss, in an interrupt of the second on top of the first, are a named loss.
 */
#include "kernel_types.h"
#include "registers.bpf.h"
#include <bpf/bpf_core_read.h>
#include <memtop/kernel_texts.h>

/* One element per CPU: the stack being captured there. `depth` tells that one is. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct abi_thread);
} threads SEC(".maps");

#include "ledger.bpf.h"
#include "unwind.bpf.h"

LEDGER_ARRAY(implicit_frees, u64); /* by site */
LEDGER_ARRAY(homes, u32);	   /* by bucket: live blocks that have their home there, or more */
LEDGER_ARRAY(caches, struct abi_cache);
LEDGER_ARRAY(page_counts, u32); /* by page number, modulo: live blocks that begin there */

#define GFP_DIRECT_RECLAIM  0x400u     /* may sleep: so not in an interrupt */
#define GFP_RECLAIMABLE	    0x10u      /* the kernel takes it back when memory is short */
#define CONTEXT_INTERRUPTED 0x00ff0100 /* NMI, hard interrupt, serving a soft interrupt */
#define ZERO_SIZE_POINTER   16	       /* what kmalloc(0) gives */
#define INNER_FRAMES	    12	       /* the call site is among the first so many frames */
#define CACHE_PROBES	    8
#define FREE_MARKS	    1024 /* a power of two; CPUs that share one only look twice */
#define BLOCK_ALIGNMENT	    8
#define PAGE_MIN_SHIFT	    12
#define PAGE_MAX_SHIFT	    16
#define SLAB_PAGES	    8	 /* what one slab takes: at most so many pages */
#define PAGE_FILTER	    4096 /* a power of two; what fits the innermost cache */

const volatile unsigned int cfg_cache_mask = 0;
/* Where the preemption count is, seen from the CPU's run queue; 0 = not known. */
const volatile long long cfg_preempt_count_from_rq = 0;
const volatile unsigned int cfg_page_mask = 0;
const volatile unsigned int cfg_page_shift = PAGE_MIN_SHIFT;
/* Of a page's descriptor to the page itself, as a power of two. */
const volatile unsigned int cfg_page_scale = 0;
/* The address of a page is (that of its descriptor << cfg_page_scale) + this; 0 = not known. */
unsigned long long page_base;
/* Measuring it: the last page of the target's, and what the majority of votes is for. */
struct {
	unsigned long long on, page, base;
	long long votes;
} page_measure;
/*
 * Code that tells by its presence on a stack; the first KERNEL_SKIPPED_TEXTS are code whose own
 * allocations are not the target's: the uprobe machinery, and the allocators' for themselves.
 * Written by user space, at any time.
 */
unsigned long long text_start[KERNEL_TEXTS];
unsigned long long text_end[KERNEL_TEXTS];
unsigned int text_use[KERNEL_TEXTS];
unsigned int text_count; /* the rest is empty */

/*
 * By page number, modulo: how much is booked that is there, objects and pages. It is so small that
 * to look here first is cheap for the pages of all others.
 */
unsigned int page_filter[PAGE_FILTER];

/* Written by user space: walk the user's stack too, by the tables of the target's modules. */
unsigned long long user_stacks;

/*
 * Per CPU: what the first program on each tracepoint of frees saw last, and before that, for the
 * event that an interrupt came between its two programs.
 */
struct {
	unsigned long long kfree, kfree_before;
	unsigned long long kmem_cache_free, kmem_cache_free_before;
	unsigned long long second_looks; /* what the first missed; and seldom what it saw */
	unsigned long long padding[3];	 /* to a cache line */
} free_marks[FREE_MARKS];

char LICENSE[] SEC("license") = "GPL";

static __always_inline u64 kernel_address(u64 pointer)
{
	return pointer & ((1ull << ABI_ADDRESS_BITS) - 1);
}

/*
 * Is this an interrupt that hit `task`? What may sleep is not. For the rest the preemption count
 * tells: it is at a fixed distance from the run queue of the CPU, to which the running task points.
 */
static __always_inline int interrupted(struct task_struct *task, u64 gfp)
{
	u32 count = 0;

	if (gfp & GFP_DIRECT_RECLAIM)
		return 0;
	if (bpf_core_field_exists(task->thread_info.preempt_count))
		return (task->thread_info.preempt_count & CONTEXT_INTERRUPTED) != 0;
	if (!cfg_preempt_count_from_rq || !bpf_core_field_exists(task->se.cfs_rq->rq))
		return 0;
	if (bpf_probe_read_kernel(&count, sizeof(count),
				  (void *)task->se.cfs_rq->rq + cfg_preempt_count_from_rq))
		return 0;
	return (count & CONTEXT_INTERRUPTED) != 0;
}

static __always_inline int is_skipped(u64 call_site)
{
#pragma unroll
	for (u32 i = 0; i < KERNEL_SKIPPED_TEXTS; i++)
		if (call_site >= read_once(text_start[i]) && call_site < read_once(text_end[i]))
			return 1;
	return 0;
}

/* Does one of the target's threads run, and not an interrupt on top of it? */
static __always_inline int is_targets(u64 gfp)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct abi_control *control = control_get();

	return control && (u32)task->tgid == control->tgid && read_once(control->tracking) &&
	       !interrupted(task, gfp);
}

static __always_inline int is_own(u64 call_site, u64 gfp)
{
	return is_targets(gfp) && !is_skipped(call_site);
}

/*
 * Index of the call site among the raw frames in the window of `cpu`; 0 where it is not (then they
 * are all kept). A function of its own, so that the verifier follows its caller once and not for
 * every index.
 */
__noinline u32 find_call_site(u32 cpu, u64 call_site)
{
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &cpu);

	if (!thread)
		return 0;
	for (u32 i = 0; i < INNER_FRAMES; i++)
		if (thread->window[i] == call_site)
			return i;
	return 0;
}

/*
 * The frames of the user code below the system call or fault, from the registers that it entered
 * the kernel with, become those of `cpu`.
 */
__noinline int walk_user(u32 cpu)
{
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &cpu);
	void *registers = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());

	if (!thread)
		return 0;
	thread->frame_count = 0;
	thread->truncated = 0;
	if (!read_once(user_stacks))
		return 0;
	if (bpf_probe_read_kernel(thread->window, SAVED_REGISTER_BYTES, registers)) {
		thread->truncated = 1;
		return 0;
	}
	stack_walk_at(cpu, saved_ip(thread->window), saved_sp(thread->window),
		      saved_frame(thread->window), saved_link(thread->window));
	return 0;
}

/*
 * Frame `place` of the joined stack: one of the kernel's from the window, or one of the user's that
 * moves up. A function of its own, so that the verifier does not follow each combination of counts.
 */
__noinline u64 join_frame(u32 cpu, u32 place, u32 inner, u32 skip)
{
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &cpu);
	u64 frame;

	if (!thread || place >= ABI_MAX_FRAMES)
		return 0;
	if (place >= inner)
		frame = read_once(thread->frames[(place - inner) & (ABI_MAX_FRAMES - 1)]);
	else
		frame = read_once(thread->window[(place + skip) & (ABI_WINDOW_WORDS - 1)]);
	write_once(thread->frames[place], frame);
	return frame;
}

/*
 * Puts the `raw` kernel frames in the window of `cpu`, without the first `skip`, before the user's
 * frames, and returns the hash of all. From the end, so that no frame is overwritten before it has
 * moved; what has no room is the outermost.
 */
__noinline u64 join_frames(u32 cpu, u32 raw, u32 skip)
{
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &cpu);
	u32 count;
	u64 hash = 1;

	if (!thread || skip > raw)
		return 0;
	raw -= skip;
	count = raw + thread->frame_count;
	if (count > ABI_MAX_FRAMES) {
		count = ABI_MAX_FRAMES;
		thread->truncated = 1;
	}
	thread->frame_count = count;
	for (u32 i = 1; i <= ABI_MAX_FRAMES; i++) {
		if (i > count)
			break;
		hash = hash_mix(hash, join_frame(cpu, count - i, raw, skip));
	}
	return hash;
}

/*
 * The stack into the CPU's element: the user's frames, and in the window the kernel's, whose number
 * is returned. join_frames() makes them one, without the inner ones of the tracepoint and of this
 * program.
 */
static __always_inline u32 capture(void *ctx, struct abi_thread *thread, u32 cpu, u64 call_site)
{
	u32 raw;
	long size;

	walk_user(cpu);
	size = bpf_get_stack(ctx, thread->window, ABI_MAX_FRAMES * sizeof(u64), 0);
	raw = size > 0 ? size / sizeof(u64) : 0;
	if (!raw) {
		write_once(thread->window[0], call_site);
		raw = 1;
	}
	if (raw >= ABI_MAX_FRAMES - 1)
		thread->truncated = 1;
	return raw;
}

static __always_inline u32 reclaimable_flag(void)
{
	if (bpf_core_enum_value_exists(enum _slab_flag_bits, _SLAB_RECLAIM_ACCOUNT))
		return 1u << bpf_core_enum_value(enum _slab_flag_bits, _SLAB_RECLAIM_ACCOUNT);
	return 0x00020000;
}

/* Keeps what user space wants to know of the cache: the site knows only its address. */
static __always_inline void remember_cache(u64 address, struct kmem_cache *cache)
{
	u32 home = (address * ABI_HASH_MULTIPLIER) >> 40;

	for (u32 probe = 0; probe < CACHE_PROBES; probe++) {
		u32 slot = (home + probe) & cfg_cache_mask;
		struct abi_cache *entry = bpf_map_lookup_elem(&caches, &slot);
		u64 seen;

		if (!entry)
			return;
		seen = read_once(entry->cache);
		if (!seen)
			seen = __sync_val_compare_and_swap(&entry->cache, 0, address);
		if (!seen) {
			entry->reclaimable = (cache->flags & reclaimable_flag()) != 0;
			bpf_probe_read_kernel_str(entry->name, sizeof(entry->name), cache->name);
			return;
		}
		if (seen == address)
			return;
	}
}

static __always_inline u32 *page_count_of(u64 address)
{
	u32 page = address >> (cfg_page_shift & 63) & cfg_page_mask;

	return bpf_map_lookup_elem(&page_counts, &page);
}

static __always_inline unsigned int *page_filter_of(u64 address)
{
	return &page_filter[address >> (cfg_page_shift & 63) & (PAGE_FILTER - 1)];
}

static __always_inline u64 page_address(u64 descriptor)
{
	return kernel_address((descriptor << (cfg_page_scale & 63)) + read_once(page_base));
}

static __always_inline u32 *home_of(u64 address)
{
	struct abi_control *control = control_get();
	u32 home;

	if (!control)
		return 0;
	home = block_home(block_key(control, address)) & cfg_bucket_mask;
	return bpf_map_lookup_elem(&homes, &home);
}

/*
 * live_remove() for addresses that are hardly ever in the table: most events of the machine end at
 * one word that says that no block has its home there. It is counted before a block goes in and
 * after it is out, so it is never too low.
 */
static __always_inline u64 take_block(u64 address)
{
	u32 *home = home_of(address);
	u64 value;

	if (!home || !read_once(*home))
		return 0;
	value = live_remove(address);
	if (value)
		__sync_fetch_and_add(home, -1);
	return value;
}

/* The same for a slab object. Mostly none is booked that is on its page. */
static __always_inline u64 take(u64 address)
{
	u64 value = read_once(*page_filter_of(address)) ? take_block(address) : 0;
	u32 *on_page = value ? page_count_of(address) : 0;

	if (on_page) {
		__sync_fetch_and_add(on_page, -1);
		__sync_fetch_and_add(page_filter_of(address), -1);
	}
	return value;
}

/* Whatever was known to live at the address is gone. */
static __always_inline void book_implicit_free(u64 address)
{
	u64 old = take(address);
	u32 site = abi_value_site(old);
	u64 *count;

	if (!old)
		return;
	book_free(old);
	count = bpf_map_lookup_elem(&implicit_frees, &site);
	if (count)
		__sync_fetch_and_add(count, 1);
}

/*
 * An allocation of the target's. Its element is held meanwhile: where programs can be preempted,
 * another of the target's threads may come by on the same CPU.
 */
static __always_inline void book_own(void *ctx, u64 call_site, u64 address, u64 size,
				     struct kmem_cache *cache, u64 gfp)
{
	u32 cpu = bpf_get_smp_processor_id();
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &cpu);
	u32 *home = home_of(address);
	u32 *on_page = page_count_of(address);
	u64 hash, cache_address;
	u32 raw;

	if (!home || !on_page || !thread || __sync_val_compare_and_swap(&thread->depth, 0, 1)) {
		loss_count(ABI_LOSS_EVENT_LOST);
		return;
	}
	__sync_fetch_and_add(&thread->events, 1);
	raw = capture(ctx, thread, cpu, call_site);
	hash = join_frames(cpu, raw, find_call_site(cpu, call_site));
	/* By way of memory: the verifier takes no sums of kernel pointers. */
	write_once(thread->window[0], (u64)cache);
	cache_address = read_once(thread->window[0]);
	if (cache)
		remember_cache(cache_address, cache);
	else if (gfp & GFP_RECLAIMABLE)
		cache_address = ABI_CACHE_KMALLOC_RECLAIMABLE;
	__sync_fetch_and_add(home, 1);
	__sync_fetch_and_add(on_page, 1);
	__sync_fetch_and_add(page_filter_of(address), 1);
	if (book_allocation(address, size, site_find(cpu, hash, cache_address, ABI_KIND_SLAB))) {
		__sync_fetch_and_add(home, -1);
		__sync_fetch_and_add(on_page, -1);
		__sync_fetch_and_add(page_filter_of(address), -1);
	}
	write_once(thread->depth, 0);
}

/*
 * A block as large as pages of its own begins with the page that was allocated for it. An interrupt
 * in between can make a vote wrong, but hardly most of them.
 */
static __always_inline void measure_page_base(u64 address, u64 allocated)
{
	u64 page = read_once(page_measure.page), base;

	if (!page || allocated <= 2ull << (cfg_page_shift & 63))
		return;
	write_once(page_measure.page, 0);
	base = address - (page << (cfg_page_scale & 63));
	if (base == page_measure.base) {
		page_measure.votes++;
	} else if (page_measure.votes > 0) {
		page_measure.votes--;
	} else {
		page_measure.base = base;
		page_measure.votes = 1;
	}
}

/* kmalloc(call_site, ptr, bytes_req, bytes_alloc, gfp_flags, node) */
SEC("tp_btf/kmalloc")
int kmalloc(u64 *ctx)
{
	u64 address = kernel_address(ctx[1]);

	if (address <= ZERO_SIZE_POINTER)
		return 0;
	book_implicit_free(address);
	if (!is_own(ctx[0], ctx[4]))
		return 0;
	if (read_once(page_measure.on))
		measure_page_base(ctx[1], ctx[3]);
	book_own(ctx, ctx[0], address, ctx[2], 0, ctx[4]);
	return 0;
}

/* kmem_cache_alloc(call_site, ptr, cache, gfp_flags, node) */
SEC("tp_btf/kmem_cache_alloc")
int kmem_cache_alloc(u64 *ctx)
{
	struct kmem_cache *cache = (void *)ctx[2];
	u64 address = kernel_address(ctx[1]);

	if (!address)
		return 0;
	book_implicit_free(address);
	if (is_own(ctx[0], ctx[3]))
		book_own(ctx, ctx[0], address, cache->object_size, cache, ctx[3]);
	return 0;
}

static __always_inline int book_if_taken(u64 address)
{
	u64 value = take(address);

	if (value)
		book_free(value);
	return 0;
}

#define free_mark() (&free_marks[bpf_get_smp_processor_id() & (FREE_MARKS - 1)])

/*
 * To look twice at one free does no harm: the address is not given out before the tracepoint's
 * programs are through.
 */
#define mark_seen(mark, name, address)                                      \
	({                                                                  \
		write_once((mark)->name##_before, read_once((mark)->name)); \
		write_once((mark)->name, address);                          \
	})

#define seen_by_first(mark, name, address)                                          \
	({                                                                          \
		int seen_ = read_once((mark)->name) == (address);                   \
                                                                                    \
		if (seen_)                                                          \
			write_once((mark)->name, read_once((mark)->name##_before)); \
		else                                                                \
			__sync_fetch_and_add(&(mark)->second_looks, 1);             \
		seen_;                                                              \
	})

/* kfree(call_site, ptr) */
SEC("tp_btf/kfree")
int kfree(u64 *ctx)
{
	u64 address = kernel_address(ctx[1]);

	mark_seen(free_mark(), kfree, address);
	return address > ZERO_SIZE_POINTER ? book_if_taken(address) : 0;
}

SEC("tp_btf/kfree")
int kfree_missed(u64 *ctx)
{
	u64 address = kernel_address(ctx[1]);

	if (seen_by_first(free_mark(), kfree, address) || address <= ZERO_SIZE_POINTER)
		return 0;
	return book_if_taken(address);
}

/* kmem_cache_free(call_site, ptr, cache) */
SEC("tp_btf/kmem_cache_free")
int kmem_cache_free(u64 *ctx)
{
	u64 address = kernel_address(ctx[1]);

	mark_seen(free_mark(), kmem_cache_free, address);
	return book_if_taken(address);
}

SEC("tp_btf/kmem_cache_free")
int kmem_cache_free_missed(u64 *ctx)
{
	u64 address = kernel_address(ctx[1]);

	return seen_by_first(free_mark(), kmem_cache_free, address) ? 0 : book_if_taken(address);
}

/* mm_page_alloc(page, order, gfp_flags, migratetype); attached only to measure. */
SEC("raw_tp/mm_page_alloc")
int page_alloc_measured(u64 *ctx)
{
	struct abi_control *control = control_get();

	if (control && bpf_get_current_pid_tgid() >> 32 == control->tgid)
		write_once(page_measure.page, ctx[0]);
	return 0;
}

#include "kernel_kinds.bpf.h"

/* A function of its own, so that the verifier follows it once and not for every address. */
__noinline int forget_block(u64 address)
{
	book_implicit_free(address);
	return 0;
}

/* The page goes: no block is left on it. It is rarely that a page has blocks, and then few. */
__noinline int forget_page(u64 page)
{
	u32 *on_page = page_count_of(page);

	if (!on_page)
		return 0;
	for (u32 offset = 0; offset < 1u << PAGE_MAX_SHIFT; offset += BLOCK_ALIGNMENT) {
		if (offset >> (cfg_page_shift & 31) || !read_once(*on_page))
			break;
		forget_block(page + offset);
	}
	return 0;
}

/*
 * mm_page_free(page, order): every page that goes back, one by one or in batches. It may be one
 * that is booked, or may have objects on it; what takes more pages than a slab is one block, at its
 * beginning.
 */
SEC("raw_tp/mm_page_free")
int page_free(u64 *ctx)
{
	u64 page = page_address(ctx[0]), size = 1ull << (cfg_page_shift & 63);
	u32 order = ctx[1];

	page_leave(ctx[0]);
	if (!read_once(page_base))
		return 0;
	for (u32 i = 0; i < SLAB_PAGES; i++, page += size) {
		u32 *on_page;

		if (i >> (order & 31))
			break;
		if (!read_once(*page_filter_of(page)))
			continue;
		on_page = page_count_of(page);
		if (on_page && read_once(*on_page))
			forget_page(page);
	}
	return 0;
}
