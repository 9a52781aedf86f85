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
 * Which entry a stack has is chosen by where the function is entered, and by the words that are
 * known to tell stacks apart that enter it there (struct unwind_branch). That is a hint: it makes
 * hits likely and says nothing of what a hit is.
 *
 * Entries are shared: a writer makes `version` odd, and a reader believes what it saw only if
 * `version` was even and is the same after. The window is the thread's own.
 */
#ifndef MEMTOP_STACK_CACHE_BPF_H
#define MEMTOP_STACK_CACHE_BPF_H

#include "registers.bpf.h"
#include "unwind.bpf.h"

UNWIND_ARRAY(unwind_entries, struct unwind_entry, UNWIND_ENTRIES);
UNWIND_ARRAY(unwind_branches, struct unwind_branch, UNWIND_BRANCHES);

/* In abi_walk.flags: what entry_record_frame() still knows. */
#define RECORD_FP_CHECKED 1u /* of the present value of the frame pointer */
#define RECORD_FP_ENTRY	  2u /* it is the one at the function's entry */

#define ENTRY_DIFFERS 0x10000u

/*
 * Reads as many words from `sp` on as the last stack that was known again there took: it is calls
 * of the kernel that cost. What the window has is for stack_cache_find(), if nothing else uses the
 * window before. Nonzero if nothing was read.
 */
static __always_inline int stack_expect(struct abi_thread *thread, u64 sp)
{
	u16 *span = &thread->spans[sp >> 3 & (ABI_SPANS - 1)];
	u32 words = read_once(*span) & (ABI_WINDOW_WORDS - 1);

	thread->walk.fresh = 0;
	if (!words)
		return -1;
	if (bpf_probe_read_user(thread->window, words * 8, (void *)sp)) {
		/* The stack is not as deep as another was. */
		*span = 0;
		return -1;
	}
	thread->walk.fresh = words;
	return 0;
}

/*
 * A function is entered at `sp`, with `link` in the link register if there is one; returns its
 * return address, 0 if it cannot be read. Where that is on the stack, the rest is read with it.
 */
static __always_inline u64 stack_enter(struct abi_thread *thread, u64 sp, u64 link)
{
	if (!RETURN_ADDRESS_ON_STACK) {
		thread->walk.fresh = 0;
		return link;
	}
	if (stack_expect(thread, sp) && bpf_probe_read_user(thread->window, 8, (void *)sp))
		return 0;
	return thread->window[0];
}

/* The window has `words` words from `sp` on, as they are now; nonzero if it cannot. */
static __always_inline int stack_read_more(struct abi_thread *thread, u64 sp, u32 words)
{
	if (thread->walk.fresh >= words)
		return 0;
	if (words > ABI_WINDOW_WORDS || bpf_probe_read_user(thread->window, words * 8, (void *)sp))
		return -1;
	thread->walk.fresh = words;
	thread->spans[sp >> 3 & (ABI_SPANS - 1)] = words;
	return 0;
}

static __always_inline u64 entry_hash(u64 sp, u64 return_address, u32 kind)
{
	return (sp >> 3 ^ return_address << 20 ^ (u64)kind << 58) * ABI_HASH_MULTIPLIER;
}

static __always_inline struct unwind_branch *branch_of(u64 hash)
{
	u32 index = hash >> 54 & (UNWIND_BRANCHES - 1);

	return bpf_map_lookup_elem(&unwind_branches, &index);
}

/* The word that is to be compared at `offset`. */
static __always_inline u64 checked_word(const struct abi_thread *thread, u32 offset, u64 sp)
{
	u64 word = thread->window[offset & (ABI_WINDOW_WORDS - 1)];

	return offset & UNWIND_CHECK_RELATIVE ? word - sp : word;
}

static __always_inline s64 check_value(u64 check)
{
	return (s64)check >> UNWIND_CHECK_SHIFT;
}

/* The entry for the stack in the window. Any would do: this one may be that very stack's. */
static __always_inline u32 entry_index(struct abi_thread *thread,
				       const struct unwind_branch *branch, u64 sp, u64 hash)
{
	u32 count = read_once(branch->count);

	if (count && !stack_read_more(thread, sp, read_once(branch->span)))
		for (u32 i = 0; i < UNWIND_BRANCH_WORDS; i++) {
			if (i >= count)
				break;
			hash ^= checked_word(thread, branch->offsets[i], sp);
			hash *= ABI_HASH_MULTIPLIER;
		}
	return hash >> 52 & (UNWIND_ENTRIES - 1);
}

/*
 * The word at `offset` tells two stacks apart. Two CPUs at once may take one place, or note a word
 * twice: that chooses worse, or not as fast.
 */
static __always_inline void branch_note(struct unwind_branch *branch, u32 offset)
{
	u32 span = (offset & (ABI_WINDOW_WORDS - 1)) + 1;
	u32 count = read_once(branch->count);

	if (count >= UNWIND_BRANCH_WORDS)
		return;
	for (u32 i = 0; i < UNWIND_BRANCH_WORDS; i++)
		if (i < count && branch->offsets[i] == offset)
			return;
	if (branch->span < span)
		branch->span = span;
	write_once(branch->offsets[count], offset);
	write_once(branch->count, count + 1);
}

/*
 * What tells some stacks apart may be a variable in others, which then are never found again: where
 * that outweighs, it begins anew.
 */
static __always_inline void branch_missed(struct unwind_branch *branch)
{
	if (++branch->misses < UNWIND_BRANCH_PATIENCE)
		return;
	branch->misses = 0;
	branch->span = 0;
	write_once(branch->count, 0);
}

static __always_inline u64 tables_generation(void)
{
	u32 zero = 0;
	struct unwind_state *state = bpf_map_lookup_elem(&unwind_states, &zero);

	return state ? read_once(state->generation) : 0;
}

/*
 * Compares the words of an entry with the thread's window: 0 if all are equal, else ENTRY_DIFFERS
 * and the offset of the first that is not. (A function of its own: the loop has all registers.)
 */
static __attribute__((noinline)) u32 entry_differs(const struct unwind_entry *entry,
						   const struct abi_thread *thread, u64 sp)
{
	u32 count = entry->count;

	for (u32 i = 0; i < UNWIND_ENTRY_CHECKS; i++) {
		u64 check;
		u32 offset;

		if (i >= count)
			return 0;
		check = entry->checks[i];
		offset = check & 0xffff;
		if ((s64)checked_word(thread, offset, sp) != check_value(check))
			return ENTRY_DIFFERS | offset;
	}
	return count == UNWIND_ENTRY_CHECKS ? 0 : ENTRY_DIFFERS;
}

/*
 * The site at which this very stack was booked before, 0 if that is not known. The thread
 * enters a function with this return address, stack and frame pointer; `kind` is what the site is
 * of. After stack_enter() or stack_expect().
 */
static __always_inline u32 stack_cache_find(struct abi_thread *thread, u64 return_address, u64 sp,
					    u64 fp, u32 kind)
{
	u64 hash = entry_hash(sp, return_address, kind);
	struct unwind_branch *branch = branch_of(hash);
	u32 version, site, slot, differs;
	struct unwind_entry *entry;

	/* What is kept out of the cache has entries that say 0. */
	if (!branch || !return_address)
		return 0;
	slot = entry_index(thread, branch, sp, hash);
	thread->entry = slot;
	entry = bpf_map_lookup_elem(&unwind_entries, &slot);
	if (!entry)
		return 0;
	version = read_once(entry->version);
	if (version & 1 || entry->return_address != return_address || entry->kind != kind ||
	    entry->generation != tables_generation() ||
	    (entry->flags & UNWIND_ENTRY_USES_FP && fp - sp != entry->fp))
		goto miss;
	if (stack_read_more(thread, sp, entry->span))
		goto miss;
	site = entry->site;
	differs = entry_differs(entry, thread, sp);
	if (read_once(entry->version) != version)
		return 0;
	if (!differs) {
		if (entry->misses)
			entry->misses = 0;
		if (branch->misses)
			branch->misses--;
		return site;
	}
	branch_note(branch, differs & 0xffff);
miss:
	entry->misses++;
	branch_missed(branch);
	return 0;
}

/* Adds a check to an entry that is being written; nonzero if there is no room. */
static __always_inline int entry_check(struct unwind_entry *entry, struct abi_thread *thread,
				       u64 address, u64 sp, u32 relative, u64 *ret_value)
{
	u64 word = (address - sp) >> 3;
	u32 count = entry->count;
	u64 value, check;

	if (address & 7 || word >= thread->walk.words || count >= UNWIND_ENTRY_CHECKS)
		return -1;
	value = thread->window[word & (ABI_WINDOW_WORDS - 1)];
	*ret_value = value;
	if (relative)
		value -= sp;
	check = value << UNWIND_CHECK_SHIFT | word | relative;
	if (check_value(check) != (s64)value)
		return -1;
	entry->checks[count] = check;
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
	u64 word = (address - sp) >> 3;

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
 * The stack that stack_walk() has just given for thread `index`, after stack_cache_find() did not
 * know it, is the one of `site`: to be found from now on, if it can be.
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
	slot = thread->entry & (UNWIND_ENTRIES - 1);
	entry = bpf_map_lookup_elem(&unwind_entries, &slot);
	if (!entry)
		return 0;
	version = read_once(entry->version);
	/* One that still serves does not give way to one that comes by. */
	if (version & 1 ||
	    (entry->generation == generation && entry->misses < UNWIND_ENTRY_PATIENCE) ||
	    __sync_val_compare_and_swap(&entry->version, version, version + 1) != version)
		return 0;
	result = window_load_all(thread, sp);
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
