/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The heap book: probes on the entry points of an allocator.
 *
 * A call that may allocate is booked at its return, by its outermost probed frame, with the size
 * and the stack that it was entered with. A call that may free takes the old block out of the table
 * at its entry, before the allocator can hand the address to another thread, and puts it back if
 * the call fails.
 *
 * A call in flight is known by the stack pointer it was entered with. It is dead (its function was
 * left by longjmp or an exception) once its thread enters or leaves a probed function with a higher
 * stack pointer, or when its return address is no longer the trampoline that return probes put
 * there. A call entered below one in flight is a part of it and not booked, unless a signal handler
 * runs in between. Everything in flight is in the thread's own slot of `threads`: nobody else
 * writes it.
 *
 * Functions that no return probe may stand on (they throw, or switch stacks) are booked at their
 * own return instructions: allocate_enter at the entry, allocate_leave at each `ret`. Nothing of
 * theirs is on the stack, so such a call is alive as long as its true return address is where it
 * was. Where the function ends in a jump to another, that one's return is this call's.
 *
 * Which function was entered is told by the cookie of its probe (ABI_COOKIE_*). The loader takes
 * either allocate_enter and allocate_exit, two probes, or allocate_session, one program for both;
 * only that one needs the kernel's BTF.
 */
#include "kernel_types.h"
#include "registers.bpf.h"
#include "types.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct abi_thread);
} threads SEC(".maps");

#include "ledger.bpf.h"
#include "bulk.bpf.h"
#include "signal.bpf.h"
#include "stack_cache.bpf.h"

#define ENTRY_KINDS 64 /* a power of two */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} module_events SEC(".maps");

/*
 * The kinds of functions by the addresses of their probes: address, 8 bits of the count of changes
 * of the mappings, and the kind, in one word, which cannot tear. It tells that a program was called
 * for an entry, and for which, where the kernel would have to be asked for both. A return is to
 * what follows a call: an address at which no function begins.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64[ENTRY_KINDS]);
} entry_kinds SEC(".maps");

/* Fixed by the user ABI; of a task's flags, that it ends. */
#define SIGNAL_CONT  18
#define SIGNAL_STOP  19
#define TASK_EXITING 4u

#define THREAD_PROBES 16
#define NO_THREAD     (~0u) /* not the target's */
#define NO_SLOT	      (~1u) /* the target's, but the table is full */
#define KIND_BY_PLACE 0x100
#define ANOTHER_PLACE 1

const volatile unsigned int cfg_thread_mask = 0;
const volatile bool cfg_functions = 0; /* the user described functions of his own */
const volatile int cfg_watcher = 0; /* memtop, whose child is stopped at an exec; 0 = it is not */

#ifdef WITHOUT_KERNEL_BTF
#define bpf_session_is_return() 0
#else
extern bool bpf_session_is_return(void) __ksym __weak;
#endif

char LICENSE[] SEC("license") = "GPL";

/*
 * What thread_slot() does for a thread that is not in the first place for it. Only the thread
 * itself claims a slot for its tid, so looking everywhere first is enough to have just one.
 */
__noinline u32 thread_search(u32 tid, u32 home)
{
	for (u32 claim = 0; claim < 2; claim++) {
		for (u32 probe = 0; probe < THREAD_PROBES; probe++) {
			u32 slot = (home + probe) & cfg_thread_mask;
			struct abi_thread *thread = bpf_map_lookup_elem(&threads, &slot);

			if (!thread)
				return NO_SLOT;
			if (read_once(thread->tid) == tid)
				return slot;
			if (claim && !__sync_val_compare_and_swap(&thread->tid, 0, tid)) {
				struct abi_counters *c = counters_get();

				if (c)
					__sync_fetch_and_add(&c->threads, 1);
				thread->depth = 0;
				return slot;
			}
		}
	}
	return NO_SLOT;
}

/*
 * Slot of the calling thread, and what is there; NO_THREAD or NO_SLOT, which no table has, and NULL
 * if there is none.
 */
static __always_inline u32 thread_slot(struct abi_thread **ret_thread)
{
	u64 ids = bpf_get_current_pid_tgid();
	u32 tid = (u32)ids;
	u32 home = (tid * (u32)0x9E3779B1u) >> 12;
	u32 slot = home & cfg_thread_mask;
	struct abi_control *control = control_get();
	struct abi_thread *thread;

	*ret_thread = 0;
	if (!control || ids >> 32 != control->tgid)
		return NO_THREAD;
	thread = bpf_map_lookup_elem(&threads, &slot);
	if (!thread || read_once(thread->tid) != tid) {
		slot = thread_search(tid, home);
		thread = bpf_map_lookup_elem(&threads, &slot);
	}
	*ret_thread = thread;
	return slot;
}

/*
 * A realloc that took its block out of the table and did not succeed: the block is as it was. Of
 * one that was left in its middle nobody knows how far it came; but where the block's address was
 * given out again meanwhile, it had freed it.
 */
static __always_inline void put_back(const struct abi_inflight *call)
{
	if (!call->old_value)
		return;
	if (live_holds(call->address) || live_insert(call->address, call->old_value))
		book_free(call->old_value);
}

static __always_inline int takes_old_block(u32 kind)
{
	return ABI_REALLOC_KINDS >> (kind & 31) & 1;
}

static __always_inline int is_function(u32 kind)
{
	return ABI_FUNCTION_KINDS >> (kind & 31) & 1;
}

static __always_inline u32 call_kind(const struct abi_inflight *call)
{
	return call->kind & ABI_COOKIE_KIND;
}

/* Is it booked at return instructions, with its own return address on the stack? */
static __always_inline int call_at_return(const struct abi_inflight *call)
{
	return call->kind & ABI_COOKIE_AT_RETURN;
}

/* The trampoline is at the start of a page: that has to do until it is known. */
static __always_inline int is_trampoline(const struct abi_control *control, u64 address)
{
	if (control && control->trampoline)
		return address == control->trampoline;
	return address && !(address & 4095);
}

/*
 * Is the call still in flight? Its return address is the trampoline's as long as it is. Where the
 * return address is in a register, nothing tells.
 */
static __always_inline int call_alive(const struct abi_inflight *call)
{
#if RETURN_ADDRESS_ON_STACK
	struct abi_control *control = control_get();
	u64 word = 0;

	if (!control || bpf_probe_read_user(&word, sizeof(word), (void *)call->sp))
		return 0;
	if (call_at_return(call))
		return word == call->return_address || is_trampoline(control, word);
	if (control->trampoline)
		return word == control->trampoline;
	return word != call->return_address;
#else
	return 1;
#endif
}

/*
 * A function was entered at the stack pointer of a call in flight: by that call's last jump (then
 * it returns to the trampoline, too), or after that call was left?
 */
static __always_inline int is_tail_call(const struct abi_inflight *call, u64 return_address,
					u32 kind)
{
	struct abi_control *control = control_get();

	/*
	 * The same function from the same place: it was left by an exception, and called again. The
	 * trampoline is another observer's: where one stands, the kernel puts it up for all, after
	 * the entry. So who finds it when entered was jumped to, by a function of any kind.
	 */
	if (call_at_return(call))
		return return_address == call->return_address ?
			       call->kind != kind :
			       is_trampoline(control, return_address);
	if (control && control->trampoline)
		return return_address == control->trampoline;
	return return_address != call->return_address && is_trampoline(control, return_address);
}

/* What drop_dead() does where there is something to drop. */
__noinline u32 drop_left(u32 slot, u64 sp)
{
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &slot);
	u32 depth;

	if (!thread)
		return 0;
	depth = thread->depth;
	for (u32 i = 0; i < ABI_MAX_INFLIGHT; i++) {
		struct abi_inflight *call;

		if (!depth || depth > ABI_MAX_INFLIGHT)
			break;
		call = &thread->inflight[(depth - 1) & (ABI_MAX_INFLIGHT - 1)];
		if ((s64)(call->sp - sp) >= 0)
			break;
		loss_count(ABI_LOSS_RETURN_MISSED);
		put_back(call);
		depth--;
	}
	thread->depth = depth;
	return depth;
}

/* Drops the calls that the thread left without returning; returns how many are still in flight. */
static __always_inline u32 drop_dead(const struct abi_thread *thread, u32 slot, u64 sp)
{
	u32 depth = thread->depth;

	if (!depth || (s64)(thread->inflight[(depth - 1) & (ABI_MAX_INFLIGHT - 1)].sp - sp) >= 0)
		return depth;
	return drop_left(slot, sp);
}

#define NESTED_NO   0
#define NESTED_YES  1
#define NESTED_DEAD 2

/*
 * Is the function that was entered at `sp` a part of the innermost call in flight in thread `slot`?
 * If that call is dead instead, it was dropped. (A function of its own for the verifier's sake,
 * which follows it once, and not for each call that may be in flight.)
 */
__noinline int is_part(u32 slot, u64 sp, u64 return_address, u32 kind)
{
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &slot);
	enum signal_answer signal;
	struct abi_inflight *call;
	u32 depth;

	if (!thread)
		return NESTED_NO;
	depth = thread->depth;
	if (!depth || depth > ABI_MAX_INFLIGHT)
		return NESTED_NO;
	call = &thread->inflight[(depth - 1) & (ABI_MAX_INFLIGHT - 1)];
	if (call->sp == sp) {
		if (is_tail_call(call, return_address, kind))
			return NESTED_YES;
		/* By an exception, or its last jump: nothing that it gave out is missed. */
		if (call_at_return(call) && call->return_address == return_address) {
			put_back(call);
			thread->depth = depth - 1;
			return NESTED_NO;
		}
	} else {
		signal = signal_between(slot, sp, call->sp);
		if (signal == SIGNAL_BETWEEN)
			return NESTED_NO;
		/* One with parts without end was left; its place on the stack is as it was. */
		if (call_alive(call) && call->nested < ABI_MAX_NESTED) {
			call->nested += signal == SIGNAL_NONE;
			return signal == SIGNAL_NONE ? NESTED_YES : NESTED_NO;
		}
	}
	loss_count(ABI_LOSS_RETURN_MISSED);
	put_back(call);
	thread->depth = depth - 1;
	return NESTED_DEAD;
}

/*
 * Is the function that was entered at `sp` a part of a call in flight in thread `slot`? Calls that
 * turn out to be dead are dropped.
 */
__noinline int is_nested(u32 slot, u64 sp, u64 return_address, u32 kind)
{
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &slot);
	int answer;

	if (!thread)
		return 0;
	drop_dead(thread, slot, sp);
	for (u32 i = 0; i < ABI_MAX_INFLIGHT; i++) {
		answer = is_part(slot, sp, return_address, kind);
		if (answer != NESTED_DEAD)
			return answer == NESTED_YES;
	}
	return 0;
}

/* What is left to do for a call whose return will not be seen: a realloc's old block goes. */
static __always_inline void give_up(u64 address, u32 kind, u32 loss)
{
	loss_count(loss);
	if (address && takes_old_block(kind))
		book_free_at(address);
}

/* The block at `address`, as the table held it: the realloc that begins has taken it out. */
__noinline u64 old_block_take(u64 address)
{
	return live_remove(address);
}

/* Takes the block of a call that has an old one out of the table. */
static __always_inline void take_old_block(struct abi_inflight *call, u32 kind)
{
	if (!call->address)
		return;
	if (is_function(kind)) {
		call->old_value = old_block_take(call->address | ABI_FUNCTION_BLOCK);
		if (call->old_value) {
			call->address |= ABI_FUNCTION_BLOCK;
			return;
		}
	}
	call->old_value = old_block_take(call->address);
}

/*
 * Has the target's linker changed what is mapped, and the tables do not know yet? Then a stack may
 * have been walked by the rules of code that is gone.
 */
static __always_inline int tables_are_old(const struct abi_control *control)
{
	struct abi_counters *c = counters_get();

	return c && read_once(c->module_changes) > read_once(control->module_changes);
}

/*
 * A function that may allocate was entered by the thread in `slot`. `called` is its kind, with
 * ABI_COOKIE_AT_RETURN; `address` is the block that it may free (realloc), or where it puts the
 * result (posix_memalign).
 */
static __always_inline int call_enter(struct abi_thread *thread, u32 slot, u64 sp, u64 fp, u64 size,
				      u64 address, u32 called, u64 link)
{
	u32 kind = called & ABI_COOKIE_KIND;
	struct abi_control *control = control_get();
	struct abi_inflight *call;
	u64 return_address, hash;
	u32 depth, site;
	int old;

	if (!thread) {
		if (read_once(control->tracking))
			give_up(address, kind, ABI_LOSS_THREAD_TABLE_FULL);
		return 0;
	}
	thread->events++;
	thread->freed_address = 0;
	if (!read_once(control->tracking))
		return 0;
	return_address = stack_enter(thread, sp, link);
	if (thread->depth) {
		if (is_nested(slot, sp, return_address, called))
			return 0;
		/* The search for signals has its own use for the window. */
		thread->walk.fresh = 0;
	}
	depth = thread->depth;
	if (depth >= ABI_MAX_INFLIGHT) {
		give_up(address, kind, ABI_LOSS_NESTING_TOO_DEEP);
		return 0;
	}
	call = &thread->inflight[depth & (ABI_MAX_INFLIGHT - 1)];
	call->sp = sp;
	call->return_address = return_address;
	call->size = size;
	call->address = address;
	call->kind = called;
	call->nested = 0;
	call->old_value = 0;
	if (takes_old_block(kind))
		take_old_block(call, kind);
	old = tables_are_old(control);
	site = old ? 0 : stack_cache_find(thread, return_address, sp, fp, kind);
	if (!site) {
		hash = stack_walk(slot, return_address, sp, fp);
		if (old) {
			/* Marked, and a site apart from those of what was mapped before. */
			if (!thread->truncated)
				thread->truncated = UNWIND_TRUNCATED_PENDING;
			hash = hash_mix(hash, UNWIND_TRUNCATED_PENDING);
		}
		site = site_find(slot, hash, 0, kind);
		/* Cached stacks are whole. */
		if (thread->truncated)
			loss_count(ABI_LOSS_STACK_TRUNCATED);
		else if (site)
			stack_cache_add(slot, sp, fp, kind, site);
	}
	call->site = site;
	thread->depth = depth + 1;
	return 0;
}

/* What a realloc did to the old block. */
static __always_inline void finish_old_block(const struct abi_inflight *call, u64 result)
{
	if (!call->address)
		return;
	/* NULL for a size of 0 means freed (glibc); for any other size the block is untouched. */
	if (!result && call->size && call_kind(call) != ABI_KIND_REALLOCF) {
		put_back(call);
		return;
	}
	if (call->old_value)
		book_free(call->old_value);
	else
		count_unknown_free(call->address);
}

/* A call returns `result`. */
static __always_inline void finish(const struct abi_inflight *call, u64 result)
{
	u32 kind = call_kind(call);

	if (kind == ABI_KIND_POSIX_MEMALIGN) {
		if (result)
			return;
		if (bpf_probe_read_user(&result, sizeof(result), (void *)call->address))
			loss_count(ABI_LOSS_EVENT_LOST);
	} else if (takes_old_block(kind)) {
		if (kind == ABI_KIND_XALLOCX)
			result = result >= call->size ? call->address : 0;
		finish_old_block(call, result);
	}
	if (result && is_function(kind))
		result |= ABI_FUNCTION_BLOCK;
	if (result)
		book_allocation(result, call->size, call->site);
}

/*
 * A function that may allocate returns `result` to `place`; `sp` is the one it was entered with. It
 * is the call in flight there if it returns to where that was called from, or else if it is of the
 * same kind, which costs more to know: ANOTHER_PLACE asks for it. `called` is its kind,
 * ABI_COOKIE_AT_RETURN alone at a return instruction, which functions may share, or KIND_BY_PLACE.
 */
__noinline int call_exit(u64 sp, u64 result, u64 place, u32 called)
{
	struct abi_inflight *call;
	struct abi_thread *thread;
	u32 slot = thread_slot(&thread);
	u32 depth;

	if (!thread)
		return 0;
	depth = drop_dead(thread, slot, sp);
	if (!depth || depth > ABI_MAX_INFLIGHT)
		return 0;
	call = &thread->inflight[(depth - 1) & (ABI_MAX_INFLIGHT - 1)];
	/* Not taken at its entry: nested in another call, or entered before the attach. */
	if (call->sp != sp)
		return 0;
	if (!call_at_return(call)) {
		if (called == KIND_BY_PLACE && call->return_address != place)
			return ANOTHER_PLACE;
		if (called != KIND_BY_PLACE && call->kind != called)
			return 0;
	}
	thread->depth = depth - 1;
	finish(call, result);
	return 0;
}

/*
 * Did a realloc in flight take the block out that is freed? The free is a part of it, or the thread
 * has left it before: one way or the other the block is gone now, even if the realloc never
 * returns. What has the address in the table is then a newer block, and gone as well. Nothing is
 * dropped here: a handler that frees may run on a stack of its own.
 */
static __always_inline int book_reallocs(struct abi_thread *thread, u64 sp, u64 address,
					 u32 function)
{
	u64 other = function ? address | ABI_FUNCTION_BLOCK : address;
	u32 depth = thread->depth, found = ABI_MAX_INFLIGHT;
	struct abi_inflight *call;
	u64 newer;

	for (u32 i = 0; i < ABI_MAX_INFLIGHT; i++) {
		u64 taken = thread->inflight[i].address;

		if (i >= depth)
			break;
		if ((taken == address || taken == other) &&
		    takes_old_block(call_kind(&thread->inflight[i])))
			found = i;
	}
	if (found >= ABI_MAX_INFLIGHT)
		return 0;
	call = &thread->inflight[found & (ABI_MAX_INFLIGHT - 1)];
	newer = live_remove(call->address);
	if (newer)
		book_free(newer);
	if (call->old_value)
		book_free(call->old_value);
	else if (!newer)
		count_unknown_free(address);
	call->old_value = 0;
	call->address = 0;
	thread->freed_address = address;
	thread->freed_sp = sp;
	return 1;
}

/*
 * Takes a block out of the books. Where a function that frees is made of another one, the second
 * finds nothing: it is known by its address and by its place on the stack.
 */
static __always_inline void book_freed(struct abi_thread *thread, u64 sp,
				       const struct live_place *place, u32 function)
{
	u64 address = place->address;
	u64 value = function ? live_remove(address | ABI_FUNCTION_BLOCK) : 0;

	if (!value)
		value = live_remove_at(place);
	if (!value && !function && cfg_functions)
		value = live_remove(address | ABI_FUNCTION_BLOCK);
	if (value)
		book_free(value);
	else if (!thread || thread->freed_address != address || (s64)(thread->freed_sp - sp) < 0)
		count_unknown_free(address);
	if (thread) {
		thread->freed_address = address;
		thread->freed_sp = sp;
	}
}

static __always_inline int call_free(u64 sp, u64 address, u32 function)
{
	struct abi_control *control = control_get();
	struct live_place place;
	struct abi_thread *thread;
	u32 slot;

	live_look(address, &place);
	slot = thread_slot(&thread);
	if (slot == NO_THREAD || !control)
		return 0;
	if (thread)
		thread->events++;
	/* No book is open yet, or it is closed: its last totals are of one moment. */
	if (!address || !read_once(control->tracking))
		return 0;
	if (thread && thread->depth && book_reallocs(thread, sp, address, function))
		return 0;
	book_freed(thread, sp, &place, function);
	return 0;
}

/* The product as malloc families take it: too large to be had where it does not fit. */
static __always_inline u64 product(u64 count, u64 size)
{
	u64 most = count ? ~0ull / count : ~0ull;

	/* Keeps clang from making it a 128-bit multiplication, which BPF does not have. */
	asm volatile("" : "+r"(most));
	return size > most ? ~0ull : count * size;
}

static __always_inline u64 *entry_word(u64 ip)
{
	u32 zero = 0;
	u64 *words = bpf_map_lookup_elem(&entry_kinds, &zero);

	return words ? &words[ip * ABI_HASH_MULTIPLIER >> 58 & (ENTRY_KINDS - 1)] : 0;
}

/* What a word says of an address, less the kind. */
static __always_inline u64 entry_tag(u64 ip)
{
	struct abi_counters *c = counters_get();

	return ip << 16 | (c ? read_once(c->module_changes) & 0xff : 0) << 8;
}

/* The kind of the function whose probe is at `ip`; 0 if that is not known. */
static __always_inline u32 entry_kind(u64 ip)
{
	u64 *word = entry_word(ip);
	u64 kind = word ? read_once(*word) ^ entry_tag(ip) : 0;

	return kind <= 0xff && !(ip >> 48) ? kind : 0;
}

/* A cookie that says more than the kind is asked for each time. */
static __always_inline void entry_learn(u64 ip, u64 cookie)
{
	u64 *word = entry_word(ip);

	if (word && cookie <= 0xff && !(ip >> 48))
		write_once(*word, entry_tag(ip) | cookie);
}

/* An argument by its number; 0 where it is none. */
static __always_inline u64 argument(struct pt_regs *context, u64 number)
{
	switch (number & ABI_COOKIE_NO_ARGUMENT) {
	case 0:
		return register_argument0(context);
	case 1:
		return register_argument1(context);
	case 2:
		return register_argument2(context);
	case 3:
		return register_argument3(context);
	case 4:
		return register_argument4(context);
	case 5:
		return register_argument5(context);
	}
	return 0;
}

#define has_argument(cookie, shift) \
	(((cookie) >> (shift)&ABI_COOKIE_NO_ARGUMENT) != ABI_COOKIE_NO_ARGUMENT)

/* Arguments as the cookie tells them; kept out of the way of those that are the kind's own. */
static __always_inline u64 shaped_size(struct pt_regs *context, u64 cookie)
{
	u64 size = cookie >> ABI_COOKIE_CONSTANT_SHIFT;

	if (has_argument(cookie, ABI_COOKIE_SIZE_SHIFT))
		size = argument(context, cookie >> ABI_COOKIE_SIZE_SHIFT);
	if (has_argument(cookie, ABI_COOKIE_COUNT_SHIFT))
		size = product(argument(context, cookie >> ABI_COOKIE_COUNT_SHIFT), size);
	return size;
}

/*
 * Of functions whose probes come while the books are open: a block that was given out before all of
 * them stand could leave through one that does not.
 */
static __always_inline int is_opening(u64 cookie)
{
	u64 group = cookie >> ABI_COOKIE_GROUP_SHIFT & ABI_COOKIE_GROUPS;
	struct abi_control *control = group ? control_get() : 0;

	return control && read_once(control->opening) == group;
}

/*
 * What the kernel has to single-step costs ten times what it emulates, so it is counted apart. Only
 * cookies that say more than the kind have the mark: no probe that is emulated pays for this.
 */
static __always_inline void count_step(struct abi_thread *thread, u64 cookie)
{
	if (thread && cookie & ABI_COOKIE_STEPPED)
		thread->steps++;
}

static __always_inline void count_step_here(u64 cookie)
{
	struct abi_thread *thread;

	if (!(cookie & ABI_COOKIE_STEPPED))
		return;
	thread_slot(&thread);
	if (thread)
		thread->steps++;
}

/* Takes the arguments apart as the function that was entered takes them. */
static __always_inline int enter(struct abi_thread *thread, u32 slot, struct pt_regs *context,
				 u64 cookie)
{
	u64 a0 = register_argument0(context);
	u64 a1 = register_argument1(context);
	u64 a2 = register_argument2(context);
	u64 size = a0, address = 0;
	u32 kind = cookie & 0xff;

	if (slot == NO_THREAD || is_opening(cookie))
		return 0;
	if (cookie & ABI_COOKIE_SHAPED) {
		size = shaped_size(context, cookie);
		address = argument(context, cookie >> ABI_COOKIE_ADDRESS_SHIFT);
		goto enter;
	}
	switch (kind & ABI_COOKIE_KIND) {
	case ABI_KIND_CALLOC:
		size = product(a0, a1);
		break;
	case ABI_KIND_REALLOC:
	case ABI_KIND_REALLOCF:
	case ABI_KIND_XALLOCX:
		size = a1;
		address = a0;
		break;
	case ABI_KIND_REALLOCARRAY:
		size = product(a1, a2);
		address = a0;
		break;
	case ABI_KIND_MEMALIGN:
	case ABI_KIND_ALIGNED_ALLOC:
		size = a1;
		break;
	case ABI_KIND_POSIX_MEMALIGN:
		size = a2;
		address = a0;
		break;
	}
enter:
	return call_enter(thread, slot, register_sp(context), register_frame(context), size,
			  address, kind, return_link(context));
}

/* A function returns. Mostly where it returns to tells that it is the call that is expected. */
static __always_inline int leave(struct pt_regs *context)
{
	u64 sp = register_sp_at_entry(context), result = register_result(context);

	if (call_exit(sp, result, register_ip(context), KIND_BY_PLACE) == ANOTHER_PLACE)
		call_exit(sp, result, 0, bpf_get_attach_cookie(context) & 0xff);
	return 0;
}

/*
 * Does the innermost call in flight return this moment, and to where it was called from? A function
 * that is entered is entered elsewhere, or lower on the stack.
 */
static __always_inline struct abi_inflight *returning(struct abi_thread *thread,
						      struct pt_regs *context)
{
	struct abi_inflight *call;
	u32 depth = thread ? thread->depth : 0;

	if (!depth || depth > ABI_MAX_INFLIGHT)
		return 0;
	call = &thread->inflight[(depth - 1) & (ABI_MAX_INFLIGHT - 1)];
	if (call->sp != register_sp_at_entry(context) ||
	    call->return_address != register_ip(context) || call_at_return(call))
		return 0;
	return call;
}

SEC("uprobe") int allocate_enter(struct pt_regs *context)
{
	struct abi_thread *thread;
	u32 slot = thread_slot(&thread);
	u64 cookie = bpf_get_attach_cookie(context);

	count_step(thread, cookie);
	return enter(thread, slot, context, cookie);
}

SEC("uretprobe") int allocate_exit(struct pt_regs *context)
{
	return leave(context);
}

SEC("uprobe") int allocate_session(struct pt_regs *context)
{
	struct abi_inflight *call;
	struct abi_thread *thread;
	u32 slot = thread_slot(&thread);
	u64 cookie;

	call = returning(thread, context);
	if (call) {
		thread->depth--;
		finish(call, register_result(context));
		return 0;
	}
	cookie = entry_kind(register_ip(context));
	if (!cookie) {
		if (bpf_session_is_return())
			return leave(context);
		cookie = bpf_get_attach_cookie(context);
		entry_learn(register_ip(context), cookie);
		count_step(thread, cookie);
	}
	return enter(thread, slot, context, cookie);
}

/* At a return instruction, or a last jump, of a function that allocate_enter has seen. */
SEC("uprobe") int allocate_leave(struct pt_regs *context)
{
	u64 cookie = bpf_get_attach_cookie(context);
	u64 result = cookie & ABI_COOKIE_FIRST_ARGUMENT ? register_argument0(context) :
							  register_result(context);

	count_step_here(cookie);
	return call_exit(register_sp(context), result, 0, ABI_COOKIE_AT_RETURN);
}

SEC("uprobe") int free_enter(struct pt_regs *context)
{
	return call_free(register_sp(context), register_argument0(context), 0);
}

/*
 * The same, of a function whose block is another argument, that the user described, or that is
 * single-stepped.
 */
SEC("uprobe") int release_enter(struct pt_regs *context)
{
	u64 cookie = bpf_get_attach_cookie(context);

	count_step_here(cookie);
	return call_free(register_sp(context),
			 argument(context, cookie >> ABI_COOKIE_ADDRESS_SHIFT),
			 (cookie & ABI_COOKIE_FUNCTION) != 0);
}

/* Many blocks may be given back at once: which ones, nobody says. */
SEC("uprobe") int bulk_release(struct pt_regs *context)
{
	struct abi_control *control = control_get();
	struct abi_thread *thread;

	if (!control || thread_slot(&thread) == NO_THREAD || !read_once(control->tracking))
		return 0;
	/* Its group, if it was placed later, is none of its kind. */
	if (is_in_bulk(bpf_get_attach_cookie(context) & ABI_COOKIE_KIND,
		       register_argument0(context), register_argument1(context)))
		loss_count(ABI_LOSS_RELEASED_IN_BULK);
	return 0;
}

/* The linker is about to change, or has changed, what is mapped: wakes user space up. */
SEC("uprobe") int modules_change(struct pt_regs *context)
{
	struct abi_counters *c = counters_get();
	u64 change;

	if (!c)
		return 0;
	change = __sync_fetch_and_add(&c->module_changes, 1);
	/* Where there is no room, a wake-up is under way already. */
	bpf_ringbuf_output(&module_events, &change, sizeof(change), BPF_RB_FORCE_WAKEUP);
	return 0;
}

/*
 * Stops the target, memtop's own child, until the next book is open. Should memtop die, the target
 * gets a SIGCONT at the death of its parent thread; but other threads of memtop may live a little
 * longer, and this program with them. So the look at the parent comes after the stop: either the
 * SIGCONT is still to come, or it is sent here. One that would get none (the kernel forgets that
 * where a program gains privileges) is not stopped.
 */
static __always_inline void stop_for(int watcher)
{
#ifndef WITHOUT_KERNEL_BTF /* else nobody could tell whether memtop lives: no stop */
	const struct task_struct *task = bpf_get_current_task_btf(), *parent;

	if (task->pdeath_signal != SIGNAL_CONT)
		return;
	bpf_send_signal(SIGNAL_STOP);
	parent = task->real_parent;
	if (parent->tgid != watcher || parent->flags & TASK_EXITING)
		bpf_send_signal(SIGNAL_CONT);
#endif
}

/*
 * The target executes another program: the book is closed before the first instruction of it, whose
 * blocks are none of the old one's. All other threads are gone by now. A command of memtop's own is
 * stopped here until the next book is open.
 */
SEC("raw_tp/sched_process_exec") int program_changes(void *context)
{
	struct abi_control *control = control_get();
	struct abi_counters *c = counters_get();
	u64 change;

	if (!control || !c || bpf_get_current_pid_tgid() >> 32 != control->tgid)
		return 0;
	write_once(control->tracking, 0);
	change = __sync_fetch_and_add(&c->execs, 1);
	if (cfg_watcher)
		stop_for(cfg_watcher);
	bpf_ringbuf_output(&module_events, &change, sizeof(change), BPF_RB_FORCE_WAKEUP);
	return 0;
}

/*
 * Only counts calls, for the projection of what watching them would cost. No probes stand where
 * they return: what those would step is counted here.
 */
SEC("uprobe") int count_enter(struct pt_regs *context)
{
	u64 cookie = bpf_get_attach_cookie(context);
	struct abi_thread *thread;

	thread_slot(&thread);
	if (!thread)
		return 0;
	thread->events++;
	count_step(thread, cookie);
	if (cookie & ABI_COOKIE_STEPS_RETURN)
		thread->steps++;
	return 0;
}
