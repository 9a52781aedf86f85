/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which pages of a process are resident, in bulk: what RSS counts, page by page.
 *
 * From 6.7 on the kernel's own scan of the page tables gives runs of pages (PAGEMAP_SCAN); before,
 * /proc/PID/pagemap gives a word for each page of the ranges asked for. The page of zeros that
 * reads of untouched memory get is in no RSS and left out; before 6.7 it is known by its frame
 * number, for which CAP_SYS_ADMIN is needed.
 *
 * Both hold the target's mmap lock while they read, so a read is bounded by the pages that it
 * finds, and the caller looks at the clock after each.
 */
#ifndef MEMTOP_CAPTURE_RESIDENCY_H
#define MEMTOP_CAPTURE_RESIDENCY_H

#include "capture/pages_table.h"

#include <sys/types.h>

struct residency {
	int fd;
	bool scans;	     /* PAGEMAP_SCAN, else words */
	uint64_t zero_frame; /* 0 = not known */
	uint64_t *words;     /* of the fallback */
	uint64_t page_regions[3 * 512];
};

/* 0 or -errno; -ESRCH: no such process. `plain`: the fallback, whatever the kernel has. */
int residency_open(struct residency *residency, pid_t pid, bool plain);
void residency_close(struct residency *residency);

#define RESIDENCY_RUNS 512 /* the most that one read gives */

/*
 * Runs of resident pages from `start` on, up to `end` or as far as one read goes: that is
 * *ret_end, above `start`. 0 or -errno.
 */
int residency_read(struct residency *residency, uint64_t start, uint64_t end,
		   struct pages_run runs[RESIDENCY_RUNS], size_t *ret_count, uint64_t *ret_end);

#endif
