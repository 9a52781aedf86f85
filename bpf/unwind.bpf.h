/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The user stack walk, by the tables that user space compiled from the frame information of the
 * target's modules (memtop/unwind_abi.h).
 *
 * A frame is its return address `pc`, the stack pointer `cfa` it has right after its callee
 * returned, and the frame pointer `fp`. The rule of pc - 1 gives the caller's: where its CFA is,
 * where the callee kept fp, and that the return address is below the CFA. So by induction over the
 * rules each frame is the true one, as long as each step has a rule. Where a rule cannot be
 * expressed, the stack ends, marked truncated. Code without any information (made at run time, or
 * hand-written) may keep frame pointers: their chain is followed, each address it gives must stand
 * after a call, in an executable mapping, and the stack is marked all the same.
 *
 * unwind_part() takes the common steps itself: rule in the cache, CFA from sp or fp, words in the
 * window. Everything else is unwind_step(), which can do each of them.
 *
 * The stack is read in bulk into the thread's own window, which slides up with the walk. An
 * interrupted frame (below a signal handler) is stored as pc + 1, so that frame - 1 lies in its
 * instruction as it does for every return address.
 *
 * Who includes this defines the map `threads` first.
 */
#ifndef MEMTOP_UNWIND_BPF_H
#define MEMTOP_UNWIND_BPF_H

#include "ledger.bpf.h"

#include <memtop/unwind_abi.h>

#if defined(__TARGET_ARCH_x86)
#include "unwind_x86.bpf.h"
#elif defined(__TARGET_ARCH_arm64)
#include "unwind_arm64.bpf.h"
#else
#error "memtop walks the stacks of x86-64 and arm64"
#endif

#define UNWIND_ARRAY(name, type_, count)           \
	struct {                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);  \
		__uint(map_flags, BPF_F_MMAPABLE); \
		__uint(max_entries, count);        \
		__type(key, u32);                  \
		__type(value, type_);              \
	} name SEC(".maps")

/* The publisher sizes rows and blocks before they are loaded. */
UNWIND_ARRAY(unwind_rows, struct unwind_row, 1);
UNWIND_ARRAY(unwind_blocks, struct unwind_block, 1);
UNWIND_ARRAY(unwind_mappings, struct unwind_mapping, 2 * UNWIND_MAX_MAPPINGS);
UNWIND_ARRAY(unwind_wanted, u64, UNWIND_MAX_TABLES + 1);
UNWIND_ARRAY(unwind_states, struct unwind_state, 1);
UNWIND_ARRAY(unwind_caches, struct unwind_cache, 1);

/* Every step by unwind_step() and no rule from the cache: for tests, to compare. */
const volatile unsigned int cfg_unwind_plain = 0;

#define MAPPING_SEARCH_STEPS 14 /* 2^13 = UNWIND_MAX_MAPPINGS */
#define ROW_SEARCH_STEPS     10 /* at most 257 rows govern 256 bytes */
#define RULE_MASK	     ((1u << UNWIND_RULE_BITS) - 1)
#define RULE_UNMAPPED	     (1ull << 32) /* no executable mapping there */
#define RULE_PENDING	     (1ull << 33) /* a mapping whose table is not there yet */
#define WINDOW_READ_WORDS    256
#define FP_CHAIN_REACH	     (1u << 20)
#define STEP_COMPLETE	     0x100 /* the frame was the outermost */
#define WALK_PART	     16

/* The mapping of `address` in a half of the list, or NULL. */
static __always_inline struct unwind_mapping *mapping_find(u64 address, u32 half, u32 count)
{
	u32 first = half * UNWIND_MAX_MAPPINGS;
	struct unwind_mapping *mapping;
	u32 low = 0, high = count;

	for (u32 i = 0; i < MAPPING_SEARCH_STEPS; i++) {
		u32 middle = (low + high) / 2;
		u32 index = first + middle;

		if (low >= high)
			break;
		mapping = bpf_map_lookup_elem(&unwind_mappings, &index);
		if (!mapping)
			return 0;
		if (mapping->end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low >= count)
		return 0;
	low += first;
	mapping = bpf_map_lookup_elem(&unwind_mappings, &low);
	return mapping && mapping->start <= address ? mapping : 0;
}

/* The rule at `offset` of a module. */
static __always_inline u32 table_rule(const struct unwind_mapping *mapping, u64 offset)
{
	u32 index = mapping->first_block + (u32)(offset >> UNWIND_BLOCK_SHIFT);
	struct unwind_block *block;
	struct unwind_row *row;
	u32 low, high;

	if (offset >> UNWIND_BLOCK_SHIFT >= mapping->blocks)
		return UNWIND_NONE;
	block = bpf_map_lookup_elem(&unwind_blocks, &index);
	if (!block)
		return UNWIND_NONE;
	low = mapping->first_row + block->row;
	high = low;
	if (offset & (UNWIND_BLOCK_BYTES / 2)) {
		low += block->middle;
		high += block->end;
	} else {
		high += block->middle;
	}
	for (u32 i = 0; i < ROW_SEARCH_STEPS; i++) {
		u32 middle = (low + high + 1) / 2;

		if (low >= high)
			break;
		row = bpf_map_lookup_elem(&unwind_rows, &middle);
		if (!row)
			return UNWIND_NONE;
		if (row->pc <= (u32)offset)
			low = middle;
		else
			high = middle - 1;
	}
	row = bpf_map_lookup_elem(&unwind_rows, &low);
	return row ? row->rule & RULE_MASK : UNWIND_NONE;
}

static __always_inline void want(u32 index)
{
	u64 *count = bpf_map_lookup_elem(&unwind_wanted, &index);

	if (count)
		__sync_fetch_and_add(count, 1);
}

static __always_inline u64 mapping_rule(const struct unwind_mapping *mapping, u64 address)
{
	u32 wanted = UNWIND_UNMAPPED;

	if (mapping && mapping->flags & UNWIND_MAPPING_READY)
		return table_rule(mapping, address - mapping->base);
	if (mapping)
		wanted = mapping->wanted;
	want(wanted);
	return mapping ? RULE_PENDING : RULE_UNMAPPED;
}

/*
 * Into the cache, unless the tables change meanwhile: then it is taken back, by a writer however
 * late. So a word that stays was written before the next generation was stored (the exchange is a
 * full barrier, as user space has one between that and clearing the cache).
 */
static __always_inline void cache_rule(struct unwind_cache *cache, const struct unwind_state *state,
				       u64 pc, u64 generation, u64 rule)
{
	u64 *entry = &cache->entries[pc & (UNWIND_CACHE_ENTRIES - 1)];

	__sync_lock_test_and_set(entry,
				 unwind_cache_tag(pc, generation) << UNWIND_RULE_BITS | rule);
	if (read_once(state->generation) != generation)
		write_once(*entry, 0);
}

/* The rule of a return address by the half of the list that is in force in `generation`. */
__noinline u64 unwind_rule_of(u64 pc, u64 generation)
{
	u32 zero = 0, half = generation & 1;
	struct unwind_state *state = bpf_map_lookup_elem(&unwind_states, &zero);

	if (!state)
		return RULE_UNMAPPED;
	return mapping_rule(mapping_find(pc - 1, half, read_once(state->counts[half])), pc - 1);
}

/*
 * The rule of a return address, by the tables; into the cache with it. A look-up that a change of
 * the tables ran into is done again.
 */
__noinline u64 unwind_look_up(u64 pc)
{
	u32 zero = 0;
	struct unwind_state *state = bpf_map_lookup_elem(&unwind_states, &zero);
	struct unwind_cache *cache = bpf_map_lookup_elem(&unwind_caches, &zero);

	if (!state || !cache)
		return RULE_UNMAPPED;
	for (u32 attempt = 0; attempt < 3; attempt++) {
		u64 generation = read_once(state->generation);
		u64 rule = unwind_rule_of(pc, generation);

		if (read_once(state->generation) != generation)
			continue;
		if (rule && rule <= RULE_MASK && !(pc >> UNWIND_CACHE_ADDRESS_BITS))
			cache_rule(cache, state, pc, generation, rule);
		return rule;
	}
	return RULE_PENDING;
}

/* Reads the stack from `address` on into the window: the words it then has, 0 if none. */
__noinline u32 window_load(u32 index, u64 address)
{
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &index);
	u32 bytes;

	if (!thread)
		return 0;
	thread->walk.base = address;
	thread->walk.words = WINDOW_READ_WORDS;
	if (!bpf_probe_read_user(thread->window, WINDOW_READ_WORDS * 8, (void *)address))
		return WINDOW_READ_WORDS;
	/* The stack ends within: what there is up to the end of the page. */
	bytes = (4096 - (u32)(address & 4095)) & ~7u;
	thread->walk.words = 0;
	if (!bytes || bytes > WINDOW_READ_WORDS * 8 ||
	    bpf_probe_read_user(thread->window, bytes, (void *)address))
		return 0;
	thread->walk.words = bytes / 8;
	return bytes / 8;
}

/* The trampoline that return probes leave on stacks does; 0, too. */
static __always_inline int starts_page(u64 address)
{
	return !(address & 4095);
}

/* The word at `address`; nonzero if it cannot be read. */
static __always_inline int word_read(struct abi_thread *thread, u32 index, u64 address, u64 *ret)
{
	u64 offset = address - thread->walk.base;
	u64 word = offset >> 3;

	if (offset & 7 || word >= thread->walk.words) {
		if (!window_load(index, address))
			return UNWIND_TRUNCATED_UNREADABLE;
		word = 0;
	}
	*ret = thread->window[word & (ABI_WINDOW_WORDS - 1)];
	return 0;
}

/*
 * The return address of the function that was entered at `sp`, where `pc` is what its frame has now
 * and starts a page: if that is the trampoline of return probes, the address that they replaced, 0
 * where that is not known. As long as nobody knows where the trampoline is, any such address
 * outside of the mappings may be it; one that no call in flight explains stays in doubt and is no
 * frame.
 */
__noinline u64 trampoline_resolve(u32 index, u64 sp, u64 pc)
{
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &index);
	struct abi_control *control = control_get();
	u64 found = 0;

	if (!thread || !control || !pc)
		return 0;
	if (control->trampoline ? pc != control->trampoline : !(unwind_look_up(pc) & RULE_UNMAPPED))
		return pc;
	for (u32 i = 0; i < ABI_MAX_INFLIGHT; i++) {
		struct abi_inflight *call = &thread->inflight[i];

		if (i >= thread->depth)
			break;
		/* A probed function that was jumped to from another found the trampoline already.
		 */
		if (call->sp == sp && call->return_address != pc)
			found = call->return_address;
	}
	return found;
}

/* The caller by the frame pointer alone, where there is no rule. */
static __always_inline int step_by_fp(struct abi_thread *thread, u32 index)
{
	u64 fp = thread->walk.fp, reach = fp - thread->walk.cfa, pc;

	if (FP_CHAIN_TRUSTED && !fp)
		return STEP_COMPLETE;
	if (!FP_CHAIN_TRUSTED)
		thread->truncated = UNWIND_TRUNCATED_NO_ROW;
	if (fp & 7 || reach >= FP_CHAIN_REACH)
		return UNWIND_TRUNCATED_NO_ROW;
	if (word_read(thread, index, fp, &thread->walk.fp) || word_read(thread, index, fp + 8, &pc))
		return UNWIND_TRUNCATED_UNREADABLE;
	pc = RETURN_STRIP(pc);
	if (unwind_look_up(pc) & (RULE_UNMAPPED | RULE_PENDING) || !is_return_address(pc))
		return UNWIND_TRUNCATED_NO_ROW;
	thread->walk.cfa = fp + 16;
	thread->walk.cfa_unknown = FP_CHAIN_TRUSTED;
	thread->walk.pc = pc;
	return 0;
}

/* Out of a signal handler, to the code it interrupted, on whatever stack that ran. */
static __always_inline int step_out_of_signal(struct abi_thread *thread, u32 index, u32 rule)
{
	u64 context = thread->walk.cfa + rule_cfa_bytes(rule), pc, sp;

	if (word_read(thread, index, thread->walk.cfa + rule_fp_words(rule) * 8,
		      &thread->walk.fp) ||
	    word_read(thread, index, context, &sp) || word_read(thread, index, context + 8, &pc))
		return UNWIND_TRUNCATED_UNREADABLE;
	thread->walk.cfa = sp;
	thread->walk.cfa_unknown = 0;
	thread->walk.pc = pc + 1;
	return 0;
}

/* The frame's CFA, or 0 if it cannot be had. */
static __always_inline u64 frame_cfa(struct abi_thread *thread, u32 index, u32 rule)
{
	u64 cfa;

	switch (unwind_rule_type(rule)) {
	case UNWIND_SP:
		return thread->walk.cfa + rule_cfa_bytes(rule);
	case UNWIND_FP:
		return thread->walk.fp ? thread->walk.fp + rule_cfa_bytes(rule) : 0;
	case UNWIND_DRAP:
		if (!thread->walk.fp ||
		    word_read(thread, index, thread->walk.fp - rule_cfa_bytes(rule), &cfa))
			return 0;
		return cfa;
	case UNWIND_PLT:
		return thread->walk.cfa + 8 +
		       (((thread->walk.pc - 1) & 15) >= rule_cfa_bytes(rule) / 8 ? 8 : 0);
	default:
		return 0;
	}
}

static __always_inline int restore_fp(struct abi_thread *thread, u32 index, u32 rule, u64 cfa)
{
	u32 words = rule_fp_words(rule);

	if (!words)
		return 0;
	if (words <= RULE_FP_MAX)
		return word_read(thread, index, cfa - words * 8, &thread->walk.fp);
	if (words == RULE_FP_AT_FP)
		return word_read(thread, index, thread->walk.fp, &thread->walk.fp);
	thread->walk.fp = 0;
	return 0;
}

/*
 * From the frame in thread->walk to its caller, by `rule`: 0; STEP_COMPLETE if there is none; else
 * why the stack ends here.
 */
__noinline int unwind_step(u32 index, u64 rule)
{
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &index);
	u64 cfa, pc;
	int error;

	if (!thread)
		return UNWIND_TRUNCATED_FRAME;
	if (rule & RULE_UNMAPPED)
		return UNWIND_TRUNCATED_NO_ROW;
	if (rule & RULE_PENDING)
		return UNWIND_TRUNCATED_PENDING;
	if (unwind_rule_type(rule) == UNWIND_NONE && is_signal_return(thread->walk.pc))
		rule = SIGNAL_RULE;
	switch (unwind_rule_type(rule)) {
	case UNWIND_END:
		return STEP_COMPLETE;
	case UNWIND_SIGNAL:
		return step_out_of_signal(thread, index, rule);
	case UNWIND_UNSUPPORTED:
		/*
		 * Compiled code whose frame pointer, unless that is the rule, may be an outer
		 * frame's: following it would leave frames out.
		 */
		if (!FP_CHAIN_TRUSTED)
			return UNWIND_TRUNCATED_NO_ROW;
		return step_by_fp(thread, index);
	case UNWIND_NONE:
		return step_by_fp(thread, index);
	}
	if (thread->walk.cfa_unknown && unwind_rule_type(rule) != UNWIND_FP)
		return step_by_fp(thread, index);
	cfa = frame_cfa(thread, index, rule);
	/* Callers are higher on the stack. */
	if ((s64)(cfa - thread->walk.cfa) <= (FP_CHAIN_TRUSTED ? -1 : 0))
		return UNWIND_TRUNCATED_FRAME;
	error = restore_fp(thread, index, rule, cfa);
	if (error)
		return error;
	if (rule_ra_words((u32)rule)) {
		error = word_read(thread, index, cfa - rule_ra_words((u32)rule) * 8, &pc);
		if (error)
			return error;
	} else {
		pc = thread->walk.link;
	}
	thread->walk.link = 0;
	thread->walk.cfa_unknown = 0;
	thread->walk.cfa = cfa;
	pc = RETURN_STRIP(pc);
	if (!pc)
		return STEP_COMPLETE;
	if (starts_page(pc))
		pc = trampoline_resolve(index, ENTRY_SP(cfa), pc);
	thread->walk.pc = pc;
	return pc ? 0 : UNWIND_TRUNCATED_TRAMPOLINE;
}

/*
 * Up to WALK_PART frames from the one in thread->walk on: 0 if there are more, else as
 * unwind_step(). In the loop the frame is in registers, its CFA as a word of the window; for
 * unwind_step() it is in thread->walk.
 */
__noinline int unwind_part(u32 index)
{
	u32 zero = 0;
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &index);
	struct unwind_cache *cache = bpf_map_lookup_elem(&unwind_caches, &zero);
	u64 pc, fp, base, hash, words, cfa;
	u32 start, count, generation;
	int end = 0;

	if (!thread || !cache)
		return UNWIND_TRUNCATED_FRAME;
	pc = thread->walk.pc;
	fp = thread->walk.fp;
	base = thread->walk.base;
	words = thread->walk.words;
	cfa = (thread->walk.cfa - base) >> 3;
	hash = thread->walk.hash;
	generation = thread->walk.generation;
	start = thread->frame_count & (ABI_MAX_FRAMES - WALK_PART);
	for (count = 0; count < WALK_PART;) {
		u64 entry = read_once(cache->entries[pc & (UNWIND_CACHE_ENTRIES - 1)]);
		u64 rule = entry & RULE_MASK, above, saved, next;

		thread->frames[start + count] = pc;
		count++;
		hash = hash_mix(hash, pc);
		if (entry >> UNWIND_RULE_BITS != unwind_cache_tag(pc, generation) ||
		    !RULES_ARE_PLAIN || cfg_unwind_plain) {
			rule = unwind_look_up(pc);
			goto step;
		}
		above = cfa + rule_cfa_words(rule);
		if (unwind_rule_type(rule) != UNWIND_SP) {
			above = fp - base;
			if (unwind_rule_type(rule) != UNWIND_FP || above & 7)
				goto step;
			above = (above >> 3) + rule_cfa_words(rule);
			if (above <= cfa)
				goto step;
		}
		saved = rule_fp_words(rule);
		/* Words below `above` are in the window if it ends there or later. */
		if (above > words || saved > above)
			goto step;
		next = thread->window[(above - 1) & (ABI_WINDOW_WORDS - 1)];
		/* None, or that of a return probe. */
		if (starts_page(next))
			goto step;
		if (saved)
			fp = thread->window[(above - saved) & (ABI_WINDOW_WORDS - 1)];
		cfa = above;
		pc = next;
		continue;
	step:
		thread->walk.pc = pc;
		thread->walk.cfa = base + cfa * 8;
		thread->walk.fp = fp;
		end = unwind_step(index, rule);
		pc = thread->walk.pc;
		fp = thread->walk.fp;
		base = thread->walk.base;
		words = thread->walk.words;
		cfa = (thread->walk.cfa - base) >> 3;
		if (end)
			break;
		/* Interrupted code may have any stack pointer. */
		if ((thread->walk.cfa - base) & 7) {
			base = thread->walk.cfa;
			words = window_load(index, base);
			cfa = 0;
		}
	}
	thread->walk.pc = pc;
	thread->walk.cfa = base + cfa * 8;
	thread->walk.fp = fp;
	thread->walk.hash = hash;
	thread->frame_count = start + count;
	return end;
}

/*
 * Walks from the frame in thread->walk, the first of those stored; returns the hash of all. In
 * parts, so that the verifier looks at a part's frames only.
 */
__noinline u64 unwind_walk(u32 index)
{
	u32 zero = 0;
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &index);
	struct unwind_state *state = bpf_map_lookup_elem(&unwind_states, &zero);
	int end = 0;

	if (!thread || !state)
		return 0;
	thread->walk.hash = 1;
	thread->walk.generation = read_once(state->generation);
	thread->frame_count = 0;
	thread->truncated = 0;
	window_load(index, thread->walk.cfa);
	for (u32 i = 0; i < ABI_MAX_FRAMES / WALK_PART; i++) {
		end = unwind_part(index);
		if (end)
			break;
	}
	if (!end)
		thread->truncated = UNWIND_TRUNCATED_TOO_DEEP;
	else if (end != STEP_COMPLETE)
		thread->truncated = end;
	return thread->walk.hash;
}

/*
 * Walks the stack of thread `index` from the entry of a function: its return address, and sp and fp
 * as they are then. frames[0] is the return address.
 */
static __always_inline u64 stack_walk(u32 index, u64 return_address, u64 sp, u64 fp)
{
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &index);

	if (!thread)
		return 0;
	return_address = RETURN_STRIP(return_address);
	if (starts_page(return_address))
		return_address = trampoline_resolve(index, sp, return_address);
	if (!return_address) {
		thread->frame_count = 0;
		thread->truncated = UNWIND_TRUNCATED_TRAMPOLINE;
		return 1;
	}
	thread->walk.pc = return_address;
	thread->walk.cfa = ENTRY_CFA(sp);
	thread->walk.fp = fp;
	thread->walk.link = 0;
	thread->walk.cfa_unknown = 0;
	return unwind_walk(index);
}

/* The same from any instruction; frames[0] is pc + 1. `link`: arm64's link register. */
static __always_inline u64 stack_walk_at(u32 index, u64 pc, u64 sp, u64 fp, u64 link)
{
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &index);

	if (!thread)
		return 0;
	thread->walk.pc = pc + 1;
	thread->walk.cfa = sp;
	thread->walk.fp = fp;
	thread->walk.link = link;
	thread->walk.cfa_unknown = 0;
	return unwind_walk(index);
}

#endif
