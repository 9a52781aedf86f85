/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where code of the running kernel is that tells what an allocation is: whose own are not the
 * target's, and which pages are in another book already. See memtop/kernel_texts.h.
 */
#ifndef MEMTOP_CAPTURE_KERNEL_TEXTS_H
#define MEMTOP_CAPTURE_KERNEL_TEXTS_H

#include <memtop/kernel_texts.h>

#include <stdbool.h>
#include <stdint.h>

/* [start, end); empty where the kernel does not tell. */
struct kernel_text {
	uint64_t start, end;
	unsigned use; /* enum kernel_text_use */
};

struct kernel_texts {
	struct kernel_text rows[KERNEL_ALL_TEXTS];
	unsigned told;	  /* the first: what programs need to know of */
	bool slabs_known; /* the pages that slabs are made of can be told */
	bool areas_known; /* so can those of vmalloc areas, and these from others */
};

/* From kallsyms, some 60 ms. */
void kernel_texts_find(struct kernel_texts *ret);
/* What the code with this return address is of use for. */
unsigned kernel_texts_use(const struct kernel_texts *texts, uint64_t address);

#endif
