/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Looks for the allocators of a target again, after it has mapped or unmapped files: in a thread of
 * its own, since files are read, and neither the display nor the watch waits for that.
 */
#ifndef MEMTOP_CAPTURE_LATE_SEARCH_H
#define MEMTOP_CAPTURE_LATE_SEARCH_H

#include "capture/allocators.h"

#include <pthread.h>

struct late_search {
	bool due;     /* something changed since the last one began */
	bool running; /* it has a thread; `book` is whose it is */
	unsigned book;
	uint64_t began_ns, not_before_ns;
	int done_fd; /* readable once it is done; -1: not set up */
	pid_t pid;
	struct allocators_options options;
	pthread_t thread;
	/* The thread's until it is done. */
	struct probe_points points;
	int status;
};

void late_search_init(struct late_search *search, pid_t pid);
/* Waits for the thread. */
void late_search_deinit(struct late_search *search);

/* Begins, if it is due and its time: searches take a tenth of one CPU's time at most. */
void late_search_start(struct late_search *search, const struct allocators_options *options,
		       unsigned book, uint64_t now_ns);
/*
 * False unless one has ended. Then its points, which are the caller's, for the book that was given;
 * empty, with why in their note, where it failed.
 */
bool late_search_take(struct late_search *search, uint64_t now_ns, struct probe_points *ret,
		      unsigned *book);

#endif
