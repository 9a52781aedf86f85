/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel programs have to know of the running kernel and BTF relocations do not give: the
 * distance between two per-CPU variables, and the sizes of pages and their descriptors. Nothing of
 * it is indispensable.
 */
#ifndef MEMTOP_CAPTURE_KERNEL_FACTS_H
#define MEMTOP_CAPTURE_KERNEL_FACTS_H

#include <stdint.h>

/* 0 = the kernel's BTF does not tell. */
struct kernel_facts {
	int64_t preempt_count_from_rq; /* from a CPU's run queue to its preemption count, bytes */
	unsigned page_scale;	       /* a page is 1 << so many times as large as its descriptor */
	unsigned page_shift;	       /* always known */
};

void kernel_facts_read(struct kernel_facts *ret);

#endif
