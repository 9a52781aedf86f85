/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which allocations of the kernel have frees that are seen. Frees in bulk and by the batches of
 * kfree_rcu() have no tracepoint, so what they free seems to live on. Which those are differs by
 * kernel and is measured: a short-lived child of memtop takes pipes, sockets, epoll sets, mappings
 * and so on, and gives all back. What then still seems to live, or left only because its address
 * was given out again, is `unmatched`: a cache as a whole, and for kmalloc, whose caches everybody
 * shares, the place that called it.
 */
#ifndef MEMTOP_CAPTURE_KERNEL_MATCHING_H
#define MEMTOP_CAPTURE_KERNEL_MATCHING_H

#include "capture/kernel_book.h"
#include "util/vec.h"

#include <stdbool.h>

struct kernel_matching {
	VEC(uint64_t) unmatched; /* addresses of caches, and of calls of kmalloc */
	char reason[96];	 /* why this is not known, or not in full; empty if it is */
	bool failed;		 /* the child could not be watched */
	pid_t child;		 /* 0 = none */
	int go;			 /* write end of the pipe that lets the child go; -1 = closed */
};

/* Starts the child and books what it does. The rest can be prepared meanwhile. */
void kernel_matching_start(struct kernel_matching *matching, struct kernel_book *book);
/* Waits until the child's allocations have gone as far as they go, and concludes. */
void kernel_matching_finish(struct kernel_matching *matching, struct kernel_book *book);
void kernel_matching_deinit(struct kernel_matching *matching);

/* Are the frees of what this site allocates seen? */
bool kernel_matching_seen(const struct kernel_matching *matching, const struct abi_site *site);

#endif
