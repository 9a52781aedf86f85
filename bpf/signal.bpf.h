/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Does a signal handler run between a call in flight and the call that is entered now? Then the one
 * is no part of the other: a handler that allocates has interrupted the allocator, it was not
 * called by it.
 *
 * The kernel leaves the interrupted registers on the handler's stack, in a frame of a layout that
 * is user ABI (struct rt_sigframe). It is looked for word by word, from the entered call's stack
 * pointer upwards: it is recognised by fields that have one value only and by the interrupted stack
 * pointer, which lies between the frame and the call in flight. No allocator's own nested calls lie
 * as far apart as the search goes.
 *
 * Who includes this defines the map `threads` first, whose `window` is the search's.
 */
#ifndef MEMTOP_SIGNAL_BPF_H
#define MEMTOP_SIGNAL_BPF_H

#include "types.bpf.h"

/* Small windows: the verifier follows each word of one. */
#define SIGNAL_WINDOWS	    16
#define SIGNAL_WINDOW_WORDS 256

#if defined(__TARGET_ARCH_x86)
/* pretcode, struct ucontext: flags, link, stack (3), r8 ... rip, eflags, segments; then floats. */
#define SIGNAL_WORDS	   25
#define SIGNAL_SP_WORD	   21
#define SIGNAL_FRAME_BYTES 1024 /* the least that a frame and the red zone under it take */
#define SIGNAL_ALIGN	   8	/* of the frame, modulo 16 */
/* No context to come back to, a flag that is always set, the user's code segment. */
#define signal_mismatch(words) ((words)[2] | (~(words)[23] & 2) | (((words)[24] & 0xffff) ^ 0x33))
#elif defined(__TARGET_ARCH_arm64)
/* siginfo (16), struct ucontext: flags, link, stack (3), mask (16), fault address, x0 ... pstate.
 */
#define SIGNAL_WORDS	   75
#define SIGNAL_SP_WORD	   70
#define SIGNAL_FRAME_BYTES 4096
#define SIGNAL_ALIGN	   0
/* No flags, no context to come back to, from user mode; the record of floats is the first. */
#define signal_mismatch(words)                             \
	((words)[16] | (words)[17] | ((words)[72] & 0xf) | \
	 (((words)[74] & 0xffffffff) ^ 0x46508001))
#else
#error "memtop knows the signal frames of x86-64 and arm64"
#endif

enum signal_answer {
	SIGNAL_NONE,
	SIGNAL_BETWEEN,
	SIGNAL_TOO_FAR, /* not found, and more stack lies between than was searched */
};

/* Reads from `from` into the thread's window, to the page's end at least; gives the words read. */
static __always_inline u32 signal_read(struct abi_thread *thread, u64 from, u64 bytes)
{
	if (bytes > SIGNAL_WINDOW_WORDS * 8)
		bytes = SIGNAL_WINDOW_WORDS * 8;
	if (!bpf_probe_read_user(thread->window, bytes, (void *)from))
		return bytes / 8;
	bytes = 4096 - (from & 4095);
	if (bytes > SIGNAL_WINDOW_WORDS * 8 ||
	    bpf_probe_read_user(thread->window, bytes, (void *)from))
		return 0;
	return bytes / 8;
}

/*
 * Looks for a frame in one window of thread `index` that starts at `from`. Returns 1 if it is
 * there, else where the next window starts, 0 if there is none.
 */
__noinline u64 signal_search(u32 index, u64 from, u64 outer_sp)
{
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &index);
	u32 count;

	if (!thread)
		return 0;
	count = signal_read(thread, from, outer_sp - from);
	if (count < SIGNAL_WORDS)
		return 0;
	for (u32 i = 0; i <= SIGNAL_WINDOW_WORDS - SIGNAL_WORDS; i += 2) {
		const u64 *words = &thread->window[i];

		if (i + SIGNAL_WORDS > count)
			break;
		if (!signal_mismatch(words) && words[SIGNAL_SP_WORD] > from + i * 8 &&
		    words[SIGNAL_SP_WORD] <= outer_sp + 8)
			return 1;
	}
	return from + ((count - SIGNAL_WORDS) & ~1u) * 8 + 16;
}

/* Is there a signal frame between the call entered at `sp` and the one in flight at `outer_sp`? */
static __always_inline enum signal_answer signal_between(u32 index, u64 sp, u64 outer_sp)
{
	u64 from = (sp & ~15ull) + SIGNAL_ALIGN;

	if (outer_sp - sp < SIGNAL_FRAME_BYTES)
		return SIGNAL_NONE;
	for (u32 i = 0; i < SIGNAL_WINDOWS; i++) {
		from = signal_search(index, from, outer_sp);
		if (from == 1)
			return SIGNAL_BETWEEN;
		if (!from)
			return SIGNAL_TOO_FAR;
		if ((s64)(outer_sp - from) < SIGNAL_WORDS * 8)
			return SIGNAL_NONE;
	}
	return SIGNAL_TOO_FAR;
}

#endif
