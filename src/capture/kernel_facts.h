/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel programs have to know of the running kernel and BTF relocations do not give: the
 * distance between two per-CPU variables, and where certain code is. Nothing of it is
 * indispensable.
 */
#ifndef MEMTOP_CAPTURE_KERNEL_FACTS_H
#define MEMTOP_CAPTURE_KERNEL_FACTS_H

#include "capture/kernel_book.h"

/* From a CPU's run queue to its preemption count, in bytes; 0 = the kernel's BTF does not tell. */
int64_t kernel_preempt_count_from_rq(void);

/* The code to be left out, from kallsyms (some 60 ms); empty where it is not told. */
void kernel_find_skipped_texts(struct kernel_text ret[KERNEL_SKIPPED_TEXTS]);

#endif
