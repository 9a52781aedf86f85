/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Code of the running kernel that tells what an allocation is, by being on its stack. User space
 * looks it up, bpf/kernel_kinds.bpf.h asks.
 */
#ifndef MEMTOP_KERNEL_TEXTS_H
#define MEMTOP_KERNEL_TEXTS_H

#define KERNEL_TEXTS	     30
#define KERNEL_ALL_TEXTS     37 /* with those that only user space asks for */
#define KERNEL_SKIPPED_TEXTS 5	/* the first: what slab objects they call for is in no book */

enum kernel_text_use {
	TEXT_NO_PAGES = 1u << 0,  /* pages for it are in no book, or in another one */
	TEXT_NO_AREA = 1u << 1,	  /* nor are vmalloc areas, */
	TEXT_NO_PERCPU = 1u << 2, /* nor is per-CPU memory */
	TEXT_PAGE_CUT = 1u << 3,  /* the page allocator: its caller is who asked */
	TEXT_AREA_CUT = 1u << 4,  /* vmalloc: the same */
	TEXT_AREA = 1u << 5,	  /* what makes an area and fills it with memory */
	TEXT_CACHE = 1u << 6,	  /* asks for pages of the page cache, or the user's own */
	TEXT_TABLES = 1u << 7,	  /* makes page tables */
	TEXT_PINNED = 1u << 8,	  /* what it makes stays until its owner lets go of it */
	TEXT_INODE_PART = 1u << 9 /* makes what lives as long as an inode */
};

#endif
