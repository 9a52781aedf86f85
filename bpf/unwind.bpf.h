/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The user stack walk: frames of the caller of a probed function. The return address comes from
 * where the architecture keeps it at a function's entry, so frames[0] is right whatever the code is
 * built with; outer frames follow the chain of frame pointers.
 */
#ifndef MEMTOP_UNWIND_BPF_H
#define MEMTOP_UNWIND_BPF_H

#include "ledger.bpf.h"

/*
 * Walks the stack of thread `index`, entered at `sp` with the frame pointer `fp`, into its
 * `frames`; returns their hash.
 */
__noinline u64 stack_walk(u32 index, u64 return_address, u64 sp, u64 fp)
{
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &index);
	u64 hash = hash_mix(1, return_address);
	u32 count = 1;

	if (!thread)
		return 0;
	thread->frames[0] = return_address;
	thread->truncated = 0;
	for (u32 i = 1; i < 48; i++) {
		u64 pair[2];

		/* Frame records lie ever higher on the stack and are word-aligned. */
		if ((s64)(fp - sp) <= 0 || fp & 7)
			break;
		if (bpf_probe_read_user(pair, sizeof(pair), (void *)fp) || !pair[1])
			break;
		thread->frames[i] = pair[1];
		hash = hash_mix(hash, pair[1]);
		count = i + 1;
		sp = fp;
		fp = pair[0];
	}
	thread->frame_count = count;
	return hash;
}

#endif
