/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Blocks that found no room near their home in the table of live blocks. Allocators give out
 * addresses in regular patterns, and whatever the hash, some places are crowded long before the
 * table is full: at a load of 0.4 the first homes are. Such a block goes to another part of the
 * table, by another hash, where many more buckets are looked at.
 *
 * Included by ledger.bpf.h alone.
 *
 * Invariant: overflows[home] and counters.overflowed are never less than what is so placed; both
 * rise before a block goes in and fall after it is out. So nearly always one word, which hardly
 * ever changes, says that there is nothing to look for.
 */
#ifndef MEMTOP_OVERFLOW_BPF_H
#define MEMTOP_OVERFLOW_BPF_H

#define OVERFLOW_PROBES 32
#define OVERFLOW_PLACES (OVERFLOW_PROBES * ABI_BLOCKS_PER_BUCKET)

LEDGER_ARRAY(overflows, s64); /* by home: how many of its blocks are elsewhere */

static __always_inline u32 overflow_home(u64 key)
{
	return (u32)hash_mix(0, key) & cfg_bucket_mask;
}

/*
 * Where `key` is, from its overflow_home() on; LEDGER_NONE if it is not there. A free place has the
 * key 0. Nothing is remembered from one place to the next: the verifier follows that in no time.
 */
__noinline u32 overflow_search(u64 key, u32 home)
{
	for (u32 probe = 0; probe < OVERFLOW_PROBES; probe++) {
		u32 index = (home + probe) & cfg_bucket_mask;
		struct abi_bucket *bucket = bpf_map_lookup_elem(&live_blocks, &index);

		if (!bucket)
			break;
#pragma unroll
		for (u32 i = 0; i < ABI_BLOCKS_PER_BUCKET; i++)
			if (read_once(bucket->blocks[i].key) == key)
				return probe * ABI_BLOCKS_PER_BUCKET + i;
	}
	return LEDGER_NONE;
}

/* Can a block with this home be elsewhere? */
static __always_inline int overflow_possible(u32 home)
{
	struct abi_counters *c = counters_get();
	s64 *count;

	if (!c || !read_once(c->overflowed))
		return 0;
	count = bpf_map_lookup_elem(&overflows, &home);
	return count && read_once(*count) > 0;
}

static __always_inline void overflow_add(u32 home, s64 number)
{
	struct abi_counters *c = counters_get();
	s64 *count = bpf_map_lookup_elem(&overflows, &home);

	if (c)
		__sync_fetch_and_add(&c->overflowed, number);
	if (count)
		__sync_fetch_and_add(count, number);
}

/* Takes the block out, where overflow_possible(); returns its value, 0 if it is not there. */
__noinline u64 overflow_remove(u64 key, u32 home)
{
	u32 place = overflow_search(key, overflow_home(key));
	struct abi_block *block;
	u64 value;

	if (place >= OVERFLOW_PLACES)
		return 0;
	block = block_at(overflow_home(key), place);
	if (!block)
		return 0;
	value = read_once(block->value);
	if (__sync_val_compare_and_swap(&block->key, key, 0) != key)
		return 0;
	overflow_add(home, -1);
	return value;
}

/* Puts a block in that is not there: 0, or -1 if there is no room. */
__noinline int overflow_insert(u64 key, u32 home, u64 value)
{
	overflow_add(home, 1);
	for (u32 attempt = 0; attempt < 8; attempt++) {
		u32 place = overflow_search(0, overflow_home(key));
		struct abi_block *block;

		if (place >= OVERFLOW_PLACES)
			break;
		block = block_at(overflow_home(key), place);
		if (!block)
			break;
		if (!__sync_val_compare_and_swap(&block->key, 0, key)) {
			write_once(block->value, value);
			return 0;
		}
	}
	overflow_add(home, -1);
	return -1;
}

#endif
