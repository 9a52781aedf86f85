/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The verified stack cache: the site of a stack without walking it.
 *
 * An entry holds, for one stack that was walked in full, each stack word that the unwind rules read
 * (a return address; a saved frame pointer that a later rule used; the saved CFA of a realigned
 * frame) with the value it had: frame pointers and saved CFAs less the stack pointer, so that the
 * same path at another place on a stack is the same entry. It is a hit only if the return address,
 * the kind of call, the generation of the tables, the frame pointer (if a rule used it) and each of
 * these words are what they were.
 *
 * A hit is the stack, not a guess. By induction over the frames: the first frame's return address
 * and CFA (less sp) are equal. If a frame's return address and CFA are equal, then its rule is the
 * same rule (same address, same tables), which takes its CFA from the equal CFA, from the frame
 * pointer or from a word on the stack; that pointer and that word were checked; so the caller's CFA
 * is equal, so the words that hold its return address and frame pointer are at the same place, and
 * they were checked. So the walk would give the same return addresses, up to the outermost frame.
 *
 * A stack is entered only if each of its rules is of that form (no signal frame, nothing by guess,
 * no return probe's trampoline on it), it is complete, and all its words lie in one window.
 *
 * Entries are shared: a writer makes `version` odd, and a reader believes what it saw only if
 * `version` was even and is the same after. The window is the thread's own.
 */
#ifndef MEMTOP_STACK_CACHE_BPF_H
#define MEMTOP_STACK_CACHE_BPF_H

#include "unwind.bpf.h"

UNWIND_ARRAY(unwind_entries, struct unwind_entry, UNWIND_ENTRIES);

/* In abi_walk.flags: what entry_record_frame() still knows. */
#define RECORD_FP_CHECKED 1u /* of the present value of the frame pointer */
#define RECORD_FP_ENTRY	  2u /* it is the one at the function's entry */

static __always_inline u32 entry_index(u64 sp, u64 return_address, u32 kind)
{
	u64 hash = (sp >> 3 ^ return_address << 20 ^ (u64)kind << 58) * ABI_HASH_MULTIPLIER;

	return hash >> 52 & (UNWIND_ENTRIES - 1);
}

static __always_inline u64 tables_generation(void)
{
	u32 zero = 0;
	struct unwind_state *state = bpf_map_lookup_elem(&unwind_states, &zero);

	return state ? read_once(state->generation) : 0;
}

/* Compares the words of an entry with the thread's window. */
static __always_inline int entry_matches(const struct unwind_entry *entry,
					 const struct abi_thread *thread, u64 sp)
{
	u32 count = entry->count;

	for (u32 i = 0; i < UNWIND_ENTRY_CHECKS; i++) {
		u32 offset;
		u64 word;

		if (i >= count)
			return 1;
		offset = entry->offsets[i];
		word = thread->window[offset & (ABI_WINDOW_WORDS - 1)];
		if (offset & UNWIND_CHECK_RELATIVE)
			word -= sp;
		if (word != entry->values[i])
			return 0;
	}
	return count == UNWIND_ENTRY_CHECKS;
}

/*
 * The site at which this very stack was booked before, 0 if that is not known. Thread `index`
 * enters a function with this return address, stack and frame pointer; `kind` is what the site is
 * of.
 */
__noinline u32 stack_cache_find(u32 index, u64 return_address, u64 sp, u64 fp, u32 kind)
{
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &index);
	u32 slot = entry_index(sp, return_address, kind);
	struct unwind_entry *entry = bpf_map_lookup_elem(&unwind_entries, &slot);
	u32 version, bytes, site;

	if (!thread || !entry)
		return 0;
	version = read_once(entry->version);
	if (version & 1 || entry->return_address != return_address || entry->kind != kind ||
	    entry->generation != tables_generation() ||
	    (entry->flags & UNWIND_ENTRY_USES_FP && fp - sp != entry->fp))
		goto miss;
	bytes = entry->span * 8;
	if (bytes > ABI_WINDOW_WORDS * 8 ||
	    bpf_probe_read_user(thread->window, bytes, (void *)ENTRY_CFA(sp)))
		goto miss;
	site = entry->site;
	if (!entry_matches(entry, thread, sp))
		goto miss;
	if (entry->misses)
		entry->misses = 0;
	return read_once(entry->version) == version ? site : 0;
miss:
	entry->misses++;
	return 0;
}

/* Adds a check to an entry that is being written; nonzero if there is no room. */
static __always_inline int entry_check(struct unwind_entry *entry, struct abi_thread *thread,
				       u64 address, u64 sp, u32 relative, u64 *ret_value)
{
	u64 word = (address - ENTRY_CFA(sp)) >> 3;
	u32 count = entry->count;
	u64 value;

	if (address & 7 || word >= thread->walk.words || count >= UNWIND_ENTRY_CHECKS)
		return -1;
	value = thread->window[word & (ABI_WINDOW_WORDS - 1)];
	*ret_value = value;
	entry->offsets[count] = word | relative;
	entry->values[count] = relative ? value - sp : value;
	entry->count = count + 1;
	if (entry->span <= word)
		entry->span = word + 1;
	return 0;
}

/* The frame pointer is about to be used: its value must be checked, once, where it came from. */
static __always_inline int entry_check_fp(struct unwind_entry *entry, struct abi_thread *thread,
					  u64 sp)
{
	u64 unused;

	if (thread->walk.flags & RECORD_FP_CHECKED)
		return 0;
	thread->walk.flags |= RECORD_FP_CHECKED;
	if (thread->walk.flags & RECORD_FP_ENTRY) {
		entry->flags |= UNWIND_ENTRY_USES_FP;
		entry->fp = thread->walk.fp - sp;
		return 0;
	}
	return entry_check(entry, thread, thread->walk.link, sp, UNWIND_CHECK_RELATIVE, &unused);
}

/* Notes where the callee kept the frame pointer (in walk.link), and its value. */
static __always_inline int entry_note_fp(struct abi_thread *thread, u64 address, u64 sp)
{
	u64 word = (address - ENTRY_CFA(sp)) >> 3;

	if (address & 7 || word >= thread->walk.words)
		return -1;
	thread->walk.fp = thread->window[word & (ABI_WINDOW_WORDS - 1)];
	thread->walk.link = address;
	thread->walk.flags = 0;
	return 0;
}

/*
 * Writes down what the rule of frame `number` reads. 0, STEP_COMPLETE at the outermost frame, -1 if
 * the stack is not for the cache.
 */
__noinline int entry_record_frame(u32 index, u32 slot, u32 number, u64 sp)
{
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &index);
	struct unwind_entry *entry = bpf_map_lookup_elem(&unwind_entries, &slot);
	u64 rule, cfa, value;
	u32 type, saved;

	if (!thread || !entry || !RULES_ARE_PLAIN)
		return -1;
	rule = unwind_look_up(thread->frames[number & (ABI_MAX_FRAMES - 1)]);
	type = unwind_rule_type(rule);
	if (rule > RULE_MASK)
		return -1;
	if (type == UNWIND_END)
		return STEP_COMPLETE;
	if (type == UNWIND_SP) {
		cfa = thread->walk.cfa + rule_cfa_bytes(rule);
	} else if (type == UNWIND_FP || type == UNWIND_DRAP) {
		if (entry_check_fp(entry, thread, sp))
			return -1;
		cfa = thread->walk.fp + rule_cfa_bytes(rule);
		if (type == UNWIND_DRAP &&
		    entry_check(entry, thread, thread->walk.fp - rule_cfa_bytes(rule), sp,
				UNWIND_CHECK_RELATIVE, &cfa))
			return -1;
	} else {
		return -1;
	}
	saved = rule_fp_words(rule);
	if (saved == RULE_FP_LOST ||
	    (saved &&
	     entry_note_fp(thread, saved == RULE_FP_AT_FP ? thread->walk.fp : cfa - saved * 8, sp)))
		return -1;
	thread->walk.cfa = cfa;
	/* A return address that was resolved from a trampoline is not the word on the stack. */
	if (entry_check(entry, thread, cfa - 8, sp, 0, &value) ||
	    value != thread->frames[(number + 1) & (ABI_MAX_FRAMES - 1)])
		return -1;
	return 0;
}

/* The whole stack that was walked, from `address` on, into the window; nonzero if it does not fit.
 */
static __always_inline int window_load_all(struct abi_thread *thread, u64 address)
{
	u64 bytes = (thread->walk.cfa - address) & ~7ull;

	if (bytes > ABI_WINDOW_WORDS * 8 ||
	    bpf_probe_read_user(thread->window, bytes, (void *)address))
		return -1;
	thread->walk.base = address;
	thread->walk.words = bytes / 8;
	return 0;
}

/*
 * The stack that stack_walk() has just given for thread `index`, with the same arguments, is the
 * one of `site`: for stack_cache_find() from now on, if it can be.
 */
__noinline int stack_cache_add(u32 index, u64 sp, u64 fp, u32 kind, u32 site)
{
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &index);
	struct unwind_entry *entry;
	u64 generation = tables_generation();
	u32 slot, version, count;
	int result = 0;

	if (!thread || !site || thread->truncated || thread->walk.generation != generation)
		return 0;
	count = thread->frame_count;
	if (count > UNWIND_ENTRY_FRAMES)
		return 0;
	slot = entry_index(sp, thread->frames[0], kind);
	entry = bpf_map_lookup_elem(&unwind_entries, &slot);
	if (!entry)
		return 0;
	version = read_once(entry->version);
	/* One that still serves does not give way to one that comes by. */
	if (version & 1 ||
	    (entry->generation == generation && entry->misses < UNWIND_ENTRY_PATIENCE) ||
	    __sync_val_compare_and_swap(&entry->version, version, version + 1) != version)
		return 0;
	result = window_load_all(thread, ENTRY_CFA(sp));
	thread->walk.cfa = ENTRY_CFA(sp);
	thread->walk.fp = fp;
	thread->walk.link = 0;
	thread->walk.flags = RECORD_FP_ENTRY;
	entry->return_address = thread->frames[0];
	entry->generation = generation;
	entry->kind = kind;
	entry->site = site;
	entry->misses = 0;
	entry->count = entry->span = 0;
	entry->flags = 0;
	for (u32 i = 0; i < UNWIND_ENTRY_FRAMES; i++) {
		if (result)
			break;
		result = entry_record_frame(index, slot, i, sp);
	}
	/* What is not for the cache is kept out of it for as long as another would stay. */
	if (result != STEP_COMPLETE)
		entry->return_address = 0;
	/* Atomic, so that what was written is seen before it. */
	__sync_fetch_and_add(&entry->version, 1);
	return result == STEP_COMPLETE;
}

#endif
