/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether a task changes the memory that is watched. Included after ledger.bpf.h, for its control.
 */
#ifndef MEMTOP_OWN_MEMORY_BPF_H
#define MEMTOP_OWN_MEMORY_BPF_H

unsigned long long watched_mm; /* whose memory it is; 0 = nothing was seen yet */

/* Of the target, and of the program that was attached to: after an exec its memory is another. */
static __always_inline int is_own(struct task_struct *task)
{
	struct abi_control *control = control_get();
	u64 mm;

	if (!control || (u32)task->tgid != control->tgid || !read_once(control->tracking))
		return 0;
	mm = (u64)task->mm;
	if (!read_once(watched_mm))
		__sync_val_compare_and_swap(&watched_mm, 0, mm);
	return mm == read_once(watched_mm);
}

#endif
