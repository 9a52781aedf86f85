/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ledger: live blocks, sites and their totals, losses. The only writer of totals.
 *
 * Live blocks are in an open-addressing table of one-cache-line buckets. A block lives in its home
 * bucket or one of the next LEDGER_PROBES - 1 (where these are full: overflow.bpf.h); a slot is
 * taken by compare-and-swap of its key and given back by clearing it, so there are no tombstones.
 * How many blocks stray from a home is counted there, before a block is and after it was in the
 * table: the count is never too low, and where it is 0, which is nearly everywhere, a look at the
 * home bucket alone tells that a block is not there. Keys are exact addresses (shifted by 3: blocks
 * of jemalloc and tcmalloc are 8 bytes apart).
 *
 * A site is found by the hash of its stack and then compared frame by frame, so two stacks that
 * hash alike are still two sites.
 *
 * Invariants: a block enters the totals after the table took it and leaves by what the table held
 * for it; totals only grow; what could not be taken is counted under the name of the loss.
 *
 * Who includes this defines the map `threads` first (abi_thread by index: the heap's by thread, the
 * kernel's per CPU), whose `frames` are the captured stack.
 */
#ifndef MEMTOP_LEDGER_BPF_H
#define MEMTOP_LEDGER_BPF_H

#include "types.bpf.h"

#define LEDGER_PROBES 4
#define SITE_PROBES   64

/* Sizes, powers of two less one; the maps' max_entries agree with them. */
const volatile unsigned int cfg_bucket_mask = 0;
const volatile unsigned int cfg_site_mask = 0;

#define LEDGER_ARRAY(name, type_)                  \
	struct {                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);  \
		__uint(map_flags, BPF_F_MMAPABLE); \
		__uint(max_entries, 1);            \
		__type(key, u32);                  \
		__type(value, type_);              \
	} name SEC(".maps")

LEDGER_ARRAY(live_blocks, struct abi_bucket);
LEDGER_ARRAY(strays, struct abi_strays);
LEDGER_ARRAY(sites, struct abi_site);
LEDGER_ARRAY(site_order, u64); /* slots of sites in the order they were made; 0 = not yet written */
LEDGER_ARRAY(site_totals, struct abi_totals);
LEDGER_ARRAY(site_cohorts, struct abi_cohorts);
LEDGER_ARRAY(lost_blocks, s64); /* how many of those whose home is here the table could not take */

/* Maps of one element each, whose address the programs have without looking it up. */
struct abi_control ledger_control SEC(".data.controls");
struct abi_counters ledger_counters SEC(".data.counters");

/* Never NULL. */
static __always_inline struct abi_control *control_get(void)
{
	return &ledger_control;
}

static __always_inline struct abi_counters *counters_get(void)
{
	return &ledger_counters;
}

static __always_inline void loss_count(u32 loss)
{
	struct abi_counters *c = counters_get();

	if (c && loss < ABI_LOSS_COUNT)
		__sync_fetch_and_add(&c->losses[loss], 1);
}

static __always_inline u64 hash_mix(u64 hash, u64 word)
{
	hash ^= word;
	hash *= 0xff51afd7ed558ccdull; /* MurmurHash3's finalizer */
	hash ^= hash >> 32;
	return hash;
}

/* Adds one block to what its site has allocated, or freed. */
static __always_inline void book(u32 site, u32 cohort, u64 bytes, int freed)
{
	struct abi_control *control = control_get();
	struct abi_cohorts *cohorts = bpf_map_lookup_elem(&site_cohorts, &site);
	struct abi_totals *totals = bpf_map_lookup_elem(&site_totals, &site);
	struct abi_totals *row;

	if (!control || !cohorts || !totals)
		return;
	row = &cohorts->rows[control->cohort_row[cohort & (ABI_COHORTS - 1)] &
			     (ABI_COHORT_ROWS - 1)];
	if (freed) {
		__sync_fetch_and_add(&totals->freed_bytes, bytes);
		__sync_fetch_and_add(&totals->freed_blocks, 1);
		__sync_fetch_and_add(&row->freed_bytes, bytes);
		__sync_fetch_and_add(&row->freed_blocks, 1);
	} else {
		__sync_fetch_and_add(&totals->allocated_bytes, bytes);
		__sync_fetch_and_add(&totals->allocated_blocks, 1);
		__sync_fetch_and_add(&row->allocated_bytes, bytes);
		__sync_fetch_and_add(&row->allocated_blocks, 1);
	}
}

static __always_inline void book_free(u64 value)
{
	book(abi_value_site(value), abi_value_cohort(value), abi_value_size(value), 1);
}

static __always_inline u64 block_key(const struct abi_control *control, u64 address)
{
	return abi_block_key(control->epoch, address);
}

static __always_inline u32 block_home(u64 key)
{
	return abi_block_home(key, cfg_bucket_mask + 1ull);
}

/* Slot `place` of the probe sequence that starts at bucket `home`. */
static __always_inline struct abi_block *block_at(u32 home, u32 place)
{
	u32 index = (home + place / ABI_BLOCKS_PER_BUCKET) & cfg_bucket_mask;
	struct abi_bucket *bucket = bpf_map_lookup_elem(&live_blocks, &index);

	return bucket ? &bucket->blocks[place & (ABI_BLOCKS_PER_BUCKET - 1)] : 0;
}

#define LEDGER_PLACES (LEDGER_PROBES * ABI_BLOCKS_PER_BUCKET)
#define LEDGER_HOLE   0x100 /* flag: the key is not there, but a free slot is */
#define LEDGER_NONE   0x200

/*
 * Where `key` is; else the first free slot with LEDGER_HOLE; else LEDGER_NONE. (A function of its
 * own: the verifier follows it once and not for each attempt of an insert.)
 */
__noinline u32 live_search(u64 key, u32 home)
{
	u32 result = LEDGER_NONE;

	for (u32 probe = 0; probe < LEDGER_PROBES; probe++) {
		u32 index = (home + probe) & cfg_bucket_mask;
		struct abi_bucket *bucket = bpf_map_lookup_elem(&live_blocks, &index);

		if (!bucket)
			return LEDGER_NONE;
#pragma unroll
		for (u32 i = 0; i < ABI_BLOCKS_PER_BUCKET; i++) {
			u64 seen = read_once(bucket->blocks[i].key);

			if (seen == key)
				return probe * ABI_BLOCKS_PER_BUCKET + i;
			if (!seen && result == LEDGER_NONE)
				result = LEDGER_HOLE | (probe * ABI_BLOCKS_PER_BUCKET + i);
		}
	}
	return result;
}

#include "overflow.bpf.h"

/* Blocks that are not in the table share counts, by their home. */
static __always_inline s64 *lost_count(u64 key)
{
	u32 index = block_home(key) & cfg_site_mask;

	return bpf_map_lookup_elem(&lost_blocks, &index);
}

/* A block that exists from now on, but not in the table. */
static __always_inline void lost_add(u64 key, u32 loss)
{
	s64 *count = lost_count(key);

	loss_count(loss);
	if (count)
		__sync_fetch_and_add(count, 1);
}

/* The free of a block that the table does not have: it was lost, or is older than the book. */
static __always_inline void count_unknown_free(u64 address)
{
	struct abi_control *control = control_get();
	struct abi_counters *c = counters_get();
	s64 *count;

	if (!control || !c)
		return;
	count = lost_count(block_key(control, address));
	if (count && read_once(*count) > 0 && __sync_fetch_and_add(count, -1) > 0) {
		__sync_fetch_and_add(&c->untracked_frees, 1);
		return;
	}
	__sync_fetch_and_add(&c->before_attach_frees, 1);
}

/* How many blocks live elsewhere whose home is bucket `home`. */
static __always_inline u32 *strays_of(u32 home)
{
	u32 index = home / ABI_STRAYS;
	struct abi_strays *strays_here = bpf_map_lookup_elem(&strays, &index);

	return strays_here ? &strays_here->counts[home & (ABI_STRAYS - 1)] : 0;
}

/* Of two frees of one block at once, one takes it. */
static __always_inline u64 block_take(struct abi_block *block, u64 key)
{
	u64 value = read_once(block->value);

	return __sync_val_compare_and_swap(&block->key, key, 0) == key ? value : 0;
}

/* Takes a block out that is not in its home bucket. */
__noinline u64 live_remove_stray(u64 key, u32 home)
{
	u32 *count = strays_of(home);
	u32 place = live_search(key, home);
	struct abi_block *block;
	u64 value;

	if (!count)
		return 0;
	if (place < LEDGER_PLACES) {
		block = block_at(home, place & (LEDGER_PLACES - 1));
		value = block ? block_take(block, key) : 0;
	} else {
		value = overflow_possible(home) ? overflow_remove(key, home) : 0;
	}
	if (value && place >= ABI_BLOCKS_PER_BUCKET)
		__sync_fetch_and_add(count, -1);
	return value;
}

/*
 * Where a block is, or is to be, for nearly all of them. live_look() asks for the lines of the
 * table and of the counts before what is in them is wanted: among many blocks each is far away.
 */
struct live_place {
	u64 address, key;
	u32 home;
	struct abi_bucket *bucket;
	u32 *strays;
};

static __always_inline void live_look(u64 address, struct live_place *ret)
{
	ret->address = address;
	ret->key = block_key(control_get(), address);
	ret->home = block_home(ret->key) & cfg_bucket_mask;
	ret->bucket = bpf_map_lookup_elem(&live_blocks, &ret->home);
	if (ret->bucket)
		read_once(ret->bucket->blocks[0].key);
	ret->strays = strays_of(ret->home);
	if (ret->strays)
		read_once(*ret->strays);
}

/* Takes a block out of the table; returns its value, 0 if it is not there. */
static __always_inline u64 live_remove_at(const struct live_place *place)
{
	struct abi_bucket *bucket = place->bucket;
	u32 *count = place->strays;

	if (!bucket || !count || place->address >> ABI_ADDRESS_BITS)
		return 0;
#pragma unroll
	for (u32 i = 0; i < ABI_BLOCKS_PER_BUCKET; i++)
		if (read_once(bucket->blocks[i].key) == place->key)
			return block_take(&bucket->blocks[i], place->key);
	return read_once(*count) ? live_remove_stray(place->key, place->home) : 0;
}

/* The same, nothing of which is near yet. */
static __always_inline u64 live_remove(u64 address)
{
	struct abi_control *control = control_get();
	struct abi_bucket *bucket;
	u32 home, *count;
	u64 key;

	if (!control || address >> ABI_ADDRESS_BITS)
		return 0;
	key = block_key(control, address);
	home = block_home(key) & cfg_bucket_mask;
	bucket = bpf_map_lookup_elem(&live_blocks, &home);
	if (!bucket)
		return 0;
#pragma unroll
	for (u32 i = 0; i < ABI_BLOCKS_PER_BUCKET; i++)
		if (read_once(bucket->blocks[i].key) == key)
			return block_take(&bucket->blocks[i], key);
	count = strays_of(home);
	if (!count || !read_once(*count))
		return 0;
	return live_remove_stray(key, home);
}

/* Is a block of this address in the table? */
__noinline int live_holds(u64 address)
{
	struct abi_control *control = control_get();
	u64 key;
	u32 home;

	if (!control || address >> ABI_ADDRESS_BITS)
		return 0;
	key = block_key(control, address);
	home = block_home(key);
	if (live_search(key, home) < LEDGER_PLACES)
		return 1;
	return overflow_possible(home) &&
	       overflow_search(key, overflow_home(key)) < OVERFLOW_PLACES;
}

/*
 * Puts a block into the table: 0, or -1 with the loss counted. An address that is in the table
 * already was freed unseen: the old block is booked as freed under the name of that loss.
 */
__noinline int live_insert(u64 address, u64 value)
{
	struct abi_control *control = control_get();
	u32 home, *count;
	u64 key, old;

	if (!control)
		return -1;
	if (address >> ABI_ADDRESS_BITS) {
		lost_add(block_key(control, address), ABI_LOSS_ADDRESS_TOO_WIDE);
		return -1;
	}
	key = block_key(control, address);
	home = block_home(key);
	count = strays_of(home & cfg_bucket_mask);
	if (!count)
		return -1;
	old = overflow_possible(home) ? overflow_remove(key, home) : 0;
	if (old) {
		__sync_fetch_and_add(count, -1);
		book_free(old);
		loss_count(ABI_LOSS_FREE_MISSED);
	}
	/* A hole that another CPU took meanwhile: look again. */
	for (u32 attempt = 0; attempt < 8; attempt++) {
		u32 place = live_search(key, home);
		struct abi_block *block;
		u32 strays_off = (place & (LEDGER_PLACES - 1)) >= ABI_BLOCKS_PER_BUCKET;

		if (place == LEDGER_NONE)
			break;
		block = block_at(home, place & (LEDGER_PLACES - 1));
		if (!block)
			break;
		if (place < LEDGER_PLACES) {
			old = read_once(block->value);
			write_once(block->value, value);
			book_free(old);
			loss_count(ABI_LOSS_FREE_MISSED);
			return 0;
		}
		if (strays_off)
			__sync_fetch_and_add(count, 1);
		if (!__sync_val_compare_and_swap(&block->key, 0, key)) {
			write_once(block->value, value);
			return 0;
		}
		if (strays_off)
			__sync_fetch_and_add(count, -1);
	}
	__sync_fetch_and_add(count, 1);
	if (!overflow_insert(key, home, value))
		return 0;
	__sync_fetch_and_add(count, -1);
	lost_add(key, ABI_LOSS_LIVE_TABLE_FULL);
	return -1;
}

/*
 * The same for nearly all blocks: new, with a place in their home bucket. Nonzero if the block is
 * none of these, and nothing was done.
 */
static __always_inline int live_insert_home(const struct live_place *place, u64 value)
{
	struct abi_bucket *bucket = place->bucket;
	struct abi_block *hole = 0;
	u64 key = place->key;

	if (place->address >> ABI_ADDRESS_BITS || !bucket || !place->strays ||
	    read_once(*place->strays))
		return -1;
#pragma unroll
	for (u32 i = 0; i < ABI_BLOCKS_PER_BUCKET; i++) {
		u64 seen = read_once(bucket->blocks[i].key);

		if (seen == key)
			return -1;
		if (!seen)
			hole = &bucket->blocks[i];
	}
	if (!hole || __sync_val_compare_and_swap(&hole->key, 0, key))
		return -1;
	write_once(hole->value, value);
	return 0;
}

/* The block at `address` is freed. */
static __always_inline void book_free_at(u64 address)
{
	u64 value = live_remove(address);

	if (value)
		book_free(value);
	else
		count_unknown_free(address);
}

/* A new block: table first, then totals. 0, or -1 with the loss counted. */
static __always_inline int book_allocation(u64 address, u64 size, u32 site)
{
	struct abi_control *control = control_get();
	struct live_place place;
	u64 value;
	u32 cohort;

	if (!control)
		return -1;
	live_look(address, &place);
	if (size >= ABI_SIZE_MAX) {
		lost_add(block_key(control, address), ABI_LOSS_SIZE_TOO_LARGE);
		return -1;
	}
	cohort = read_once(control->cohort_now) & (ABI_COHORTS - 1);
	value = size << ABI_VALUE_SIZE_SHIFT | (u64)site << ABI_VALUE_SITE_SHIFT | cohort;
	if (live_insert_home(&place, value) && live_insert(address, value))
		return -1;
	book(site, cohort, size, 0);
	return 0;
}

/* Is the stack of thread `index` the one of the site in `slot`? */
__noinline int site_equals(u32 slot, u32 index, u64 cache, u32 kind)
{
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &index);
	struct abi_site *site = bpf_map_lookup_elem(&sites, &slot);
	u32 count, flags;

	if (!thread || !site)
		return 0;
	flags = read_once(site->flags);
	/* Another CPU is writing it down this moment; the hash has to do. */
	if (!(flags & ABI_SITE_READY))
		return 1;
	/* The same addresses are other code now. */
	if (flags & ABI_SITE_CLOSED)
		return 0;
	count = thread->frame_count;
	if (site->nframes != count || site->kind != kind || site->cache != cache)
		return 0;
	for (u32 i = 0; i < ABI_MAX_FRAMES; i++) {
		if (i >= count)
			break;
		if (site->frames[i] != thread->frames[i])
			return 0;
	}
	return 1;
}

/* Writes the stack of thread `index` down as the site in `slot`, which is the caller's alone. */
__noinline int site_write(u32 slot, u32 index, u64 cache, u32 kind)
{
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &index);
	struct abi_site *site = bpf_map_lookup_elem(&sites, &slot);
	struct abi_counters *c = counters_get();
	u32 count, place;
	u64 *order;

	if (!thread || !site || !c)
		return 0;
	count = thread->frame_count;
	if (count > ABI_MAX_FRAMES)
		count = ABI_MAX_FRAMES;
	for (u32 i = 0; i < ABI_MAX_FRAMES; i++) {
		if (i >= count)
			break;
		write_once(site->frames[i], thread->frames[i]);
	}
	site->cache = cache;
	site->kind = kind;
	site->nframes = count;
	/* The swap orders the frames before the flag on every architecture. */
	__sync_val_compare_and_swap(&site->flags, 0,
				    ABI_SITE_READY | (thread->truncated ? ABI_SITE_TRUNCATED : 0));
	place = __sync_fetch_and_add(&c->sites, 1);
	order = bpf_map_lookup_elem(&site_order, &place);
	if (order)
		write_once(*order, (u64)slot);
	return 0;
}

/*
 * Is `slot` the place of the site of this stack, or does it become that now? Slots of other sites,
 * and the first, are not. (A function of its own: the verifier follows it once.)
 */
__noinline int site_take(u32 slot, u32 index, u64 hash, u64 cache, u32 kind)
{
	struct abi_site *site = bpf_map_lookup_elem(&sites, &slot);
	u64 seen;

	if (!site || !slot)
		return 0;
	seen = read_once(site->hash);
	if (!seen) {
		seen = __sync_val_compare_and_swap(&site->hash, 0, hash);
		if (!seen) {
			site_write(slot, index, cache, kind);
			return 1;
		}
	}
	return seen == hash && site_equals(slot, index, cache, kind);
}

/*
 * The site of the stack in thread `index`, whose frames hash to `hash`; made if it is new. Slot 0,
 * the unknown site, where the table has no room (a named loss).
 */
__noinline u32 site_find(u32 index, u64 hash, u64 cache, u32 kind)
{
	hash = hash_mix(hash_mix(hash, kind), cache);
	if (!hash)
		hash = 1;
	for (u32 probe = 0; probe < SITE_PROBES; probe++) {
		u32 slot = (u32)(hash + probe) & cfg_site_mask;

		if (site_take(slot, index, hash, cache, kind))
			return slot;
	}
	loss_count(ABI_LOSS_SITE_TABLE_FULL);
	return 0;
}

#endif
