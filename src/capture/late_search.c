/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/late_search.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define APART 10 /* times as long as the last one took, until the next one */

void late_search_init(struct late_search *search, pid_t pid)
{
	memset(search, 0, sizeof(*search));
	search->pid = pid;
	search->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void late_search_deinit(struct late_search *search)
{
	if (search->running)
		pthread_join(search->thread, NULL);
	if (search->running)
		probe_points_deinit(&search->points);
	search->running = false;
	if (search->done_fd >= 0)
		close(search->done_fd);
	search->done_fd = -1;
}

static void *run(void *argument)
{
	struct late_search *search = argument;
	struct procmaps maps;
	char error[256] = "";

	memset(&search->points, 0, sizeof(search->points));
	search->status = procmaps_read(search->pid, &maps);
	if (!search->status) {
		search->status = allocators_find(search->pid, &maps, &search->options,
						 &search->points, error, sizeof(error));
		procmaps_deinit(&maps);
	}
	if (search->status)
		snprintf(search->points.note, sizeof(search->points.note), "%s", error);
	eventfd_write(search->done_fd, 1);
	return NULL;
}

void late_search_start(struct late_search *search, const struct allocators_options *options,
		       unsigned book, uint64_t now_ns)
{
	sigset_t all, before;

	if (!search->due || search->running || search->done_fd < 0 ||
	    now_ns < search->not_before_ns)
		return;
	search->due = false;
	search->book = book;
	search->began_ns = now_ns;
	search->options = *options;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	search->running = !pthread_create(&search->thread, NULL, run, search);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

bool late_search_take(struct late_search *search, uint64_t now_ns, struct probe_points *ret,
		      unsigned *book)
{
	eventfd_t done;

	if (!search->running || eventfd_read(search->done_fd, &done))
		return false;
	pthread_join(search->thread, NULL);
	search->running = false;
	search->not_before_ns = now_ns + APART * (now_ns - search->began_ns);
	*ret = search->points;
	*book = search->book;
	return true;
}
