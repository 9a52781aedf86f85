/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The few kernel structs that the programs touch, with the few members that they read. libbpf
 * relocates each access to where the running kernel keeps the member, so the build needs neither
 * the build machine's BTF nor its kernel version.
 */
#ifndef MEMTOP_KERNEL_TYPES_H
#define MEMTOP_KERNEL_TYPES_H

#include "types.bpf.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct rq;

struct cfs_rq {
	struct rq *rq; /* with group scheduling only; the run queue of the CPU */
};

struct sched_entity {
	struct cfs_rq *cfs_rq;
};

struct mm_struct;

struct vm_unmapped_area_info {
	unsigned long length;
};

/* arm64 keeps the preemption count here, x86 in a per-CPU variable. */
struct thread_info {
	u64 preempt_count;
};

struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	int tgid;
	int pdeath_signal;
	struct task_struct *real_parent;
	int pagefault_disabled;
	struct mm_struct *mm;
	struct sched_entity se;
};

struct kmem_cache {
	unsigned int flags;
	unsigned int object_size;
	const char *name;
};

#pragma clang attribute pop

/* Since 6.9; before, these were macros. */
enum _slab_flag_bits {
	_SLAB_RECLAIM_ACCOUNT = 17,
};

#endif
