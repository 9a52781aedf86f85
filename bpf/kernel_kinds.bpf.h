/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's memory that is no slab object: pages, vmalloc areas, per-CPU memory. Each byte is of
 * one kind: pages that back a slab, a vmalloc area or per-CPU memory, or are the user's own or the
 * page cache's, are not booked as pages. Movable pages are of the latter sort, but pages may be the
 * user's and not movable, as those that are pinned when they come (io_uring's buffers). So the
 * others are told by the code that called for them, among the inner frames.
 *
 * All kinds share the table. A page is known by its descriptor, an area by where it begins, per-CPU
 * memory, of which two pieces can be four bytes apart, by twice its address in the first CPU's unit
 * with the sign taken off: so no two kinds have an address in common.
 */
#ifndef MEMTOP_KERNEL_KINDS_BPF_H
#define MEMTOP_KERNEL_KINDS_BPF_H

#define GFP_DMA	       0x01u
#define GFP_HIGHMEM    0x02u
#define GFP_DMA32      0x04u
#define GFP_MOVABLE    0x08u
#define GFP_IO	       0x40u
#define GFP_FS	       0x80u
#define TOLD_FRAMES    20 /* the code that tells is among the first so many frames */
#define PAGE_MAX_ORDER 20

/* A function of its own, so that the verifier follows it once and not for every frame. */
__noinline u32 text_uses(u64 address)
{
	u32 uses = 0;

	for (u32 i = 0; i < KERNEL_TEXTS && i < read_once(text_count); i++)
		if (address > read_once(text_start[i]) && address <= read_once(text_end[i]))
			uses |= read_once(text_use[i]);
	return uses;
}

/* What is known after some frames: how many are the allocator's, and flags. */
#define JUDGED_INNER   0xff
#define JUDGED_PAST    0x100 /* the allocator's caller was met */
#define NOT_TO_BE_KEPT 0x200
#define JUDGED_MET     16 /* from this bit on: uses that were met */

/*
 * What is known after one more frame, in `place`, whose code has `uses`. Numbers in, a number out,
 * so that the verifier does not follow all that can be known.
 */
__noinline u32 judge_frame(u32 known, u32 place, u32 uses, u32 refused, u32 cut)
{
	if (uses & refused)
		return NOT_TO_BE_KEPT;
	known |= uses << JUDGED_MET;
	if (known & JUDGED_PAST)
		return known;
	if (uses & cut)
		return (known & ~JUDGED_INNER) | ((place + 1) & JUDGED_INNER);
	if (known & JUDGED_INNER)
		return uses & TEXT_CACHE ? NOT_TO_BE_KEPT : known | JUDGED_PAST;
	return known;
}

/*
 * How many of the `raw` frames in the window of `cpu` are the allocator's own, which `cut` tells;
 * NOT_TO_BE_KEPT where a frame's use is among `refused`, or none's is `wanted`.
 */
__noinline u32 judge_frames(u32 cpu, u32 raw, u32 refused, u32 wanted, u32 cut)
{
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &cpu);
	u32 known = 0;

	if (!thread)
		return NOT_TO_BE_KEPT;
	for (u32 i = 0; i < TOLD_FRAMES; i++) {
		if (i >= raw || known & NOT_TO_BE_KEPT)
			break;
		known = judge_frame(known, i, text_uses(read_once(thread->window[i])), refused,
				    cut);
	}
	if (known & NOT_TO_BE_KEPT || (known >> JUDGED_MET & wanted) != wanted)
		return NOT_TO_BE_KEPT;
	return known & JUDGED_INNER;
}

/* What of its stack makes an allocation one of a kind. */
struct kind {
	u32 kind, refused, wanted, cut;
	u64 call_site; /* of per-CPU memory, whose tracepoint tells it: instead of these; else 0 */
	u64 object;    /* tells sites of one stack apart */
};

static __always_inline u32 inner_frames(u32 cpu, u32 raw, const struct kind *kind)
{
	if (kind->kind == ABI_KIND_PERCPU)
		return find_call_site(cpu, kind->call_site);
	return judge_frames(cpu, raw, kind->refused, kind->wanted, kind->cut);
}

/* An allocation in the target's context; see book_own(). 0 if it is booked. */
static __always_inline int book_kind(void *ctx, u64 address, u64 size, const struct kind *kind)
{
	u32 cpu = bpf_get_smp_processor_id();
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &cpu);
	u32 *home = home_of(address);
	u32 raw, inner;
	int error = -1;

	if (!home || !thread || __sync_val_compare_and_swap(&thread->depth, 0, 1)) {
		loss_count(ABI_LOSS_EVENT_LOST);
		return error;
	}
	__sync_fetch_and_add(&thread->events, 1);
	raw = capture(ctx, thread, cpu, kind->call_site);
	inner = inner_frames(cpu, raw, kind);
	if (inner < NOT_TO_BE_KEPT) {
		u64 hash = join_frames(cpu, raw, inner);

		__sync_fetch_and_add(home, 1);
		error = book_allocation(address, size,
					site_find(cpu, hash, kind->object, kind->kind));
		if (error)
			__sync_fetch_and_add(home, -1);
	}
	write_once(thread->depth, 0);
	return error;
}

/* What was known to be at the address is gone; nearly always nothing was. */
static __always_inline int leave(u64 address)
{
	u64 value = take_block(address);

	if (value)
		book_free(value);
	return 0;
}

/* The same for a page. */
static __always_inline void page_leave(u64 descriptor)
{
	unsigned int *filter = page_filter_of(page_address(descriptor));
	u64 value = read_once(*filter) ? take_block(kernel_address(descriptor)) : 0;

	if (!value)
		return;
	__sync_fetch_and_add(filter, -1);
	book_free(value);
}

static __always_inline u64 page_object(u64 order, u64 gfp)
{
	u64 class = gfp & GFP_DMA		? ABI_PAGE_DMA :
		    gfp & GFP_DMA32		? ABI_PAGE_DMA32 :
		    gfp & GFP_HIGHMEM		? ABI_PAGE_HIGHUSER :
		    !(gfp & GFP_DIRECT_RECLAIM) ? ABI_PAGE_ATOMIC :
		    !(gfp & GFP_IO)		? ABI_PAGE_NOIO :
		    !(gfp & GFP_FS)		? ABI_PAGE_NOFS :
						  ABI_PAGE_KERNEL;

	return class << ABI_PAGE_CLASS_SHIFT | order;
}

/*
 * mm_page_alloc(page, order, gfp_flags, migratetype). A page whose free was missed leaves when
 * anyone is given it.
 */
SEC("raw_tp/mm_page_alloc")
int page_alloc(u64 *ctx)
{
	u64 page = kernel_address(ctx[0]), order = ctx[1] & 0xff, gfp = (u32)ctx[2];
	unsigned int *filter = page_filter_of(page_address(ctx[0]));
	struct kind kind = {.kind = ABI_KIND_PAGE, .refused = TEXT_NO_PAGES, .cut = TEXT_PAGE_CUT};

	page_leave(ctx[0]);
	if (gfp & GFP_MOVABLE || !is_targets(gfp) || !page || order > PAGE_MAX_ORDER)
		return 0;
	kind.object = page_object(order, gfp);
	__sync_fetch_and_add(filter, 1);
	if (book_kind(ctx, page, 1ull << order << (cfg_page_shift & 31), &kind))
		__sync_fetch_and_add(filter, -1);
	return 0;
}

/*
 * alloc_vmap_area(addr, size, align, vstart, vend, failed). The size has a page at its end that is
 * not mapped. Areas that are not filled by vmalloc() map what is memory of something else.
 */
SEC("raw_tp/alloc_vmap_area")
int area_alloc(u64 *ctx)
{
	u64 address = kernel_address(ctx[0]), size = ctx[1], page = 1ull << (cfg_page_shift & 31);
	struct kind kind = {.kind = ABI_KIND_VMALLOC,
			    .refused = TEXT_NO_AREA,
			    .wanted = TEXT_AREA,
			    .cut = TEXT_AREA_CUT};

	if ((u32)ctx[5])
		return 0;
	leave(address);
	if (is_targets(GFP_DIRECT_RECLAIM))
		book_kind(ctx, address, size > page ? size - page : size, &kind);
	return 0;
}

/* free_vmap_area_noflush(va_start, nr_lazy, nr_lazy_max) */
SEC("raw_tp/free_vmap_area_noflush")
int area_free(u64 *ctx)
{
	return leave(kernel_address(ctx[0]));
}

static __always_inline u64 percpu_address(u64 base, u64 offset)
{
	return (base + (u32)offset) << 1 & (1ull << (ABI_ADDRESS_BITS - 1)) - 1;
}

/*
 * percpu_alloc_percpu(call_site, reserved, is_atomic, size, align, base_addr, off, ptr,
 * bytes_alloc, gfp_flags)
 */
SEC("raw_tp/percpu_alloc_percpu")
int percpu_alloc(u64 *ctx)
{
	u64 address = percpu_address(ctx[5], ctx[6]);
	struct kind kind = {.kind = ABI_KIND_PERCPU, .call_site = ctx[0]};

	leave(address);
	if (is_targets((u32)ctx[9]) && !(text_uses(ctx[0]) & TEXT_NO_PERCPU))
		book_kind(ctx, address, ctx[8], &kind);
	return 0;
}

/* percpu_free_percpu(base_addr, off, ptr) */
SEC("raw_tp/percpu_free_percpu")
int percpu_free(u64 *ctx)
{
	return leave(percpu_address(ctx[0], ctx[1]));
}

#endif
