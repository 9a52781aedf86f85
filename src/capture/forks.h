/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether the target has forked since the last look, at a cost that does not grow with its threads:
 * the kernel tells the number of the newest process (/proc/loadavg), numbers are given in rising
 * order, and only processes with numbers since the last look are asked for their parent. Each is
 * asked in two looks: a number may be given a moment before its process can be seen.
 *
 * A child that forked and ended between two looks is seen by the faults that the target reaped with
 * it. Where so many processes began that asking them all would be the dearer way, or where the
 * newest is not told, the children of each thread are read.
 */
#ifndef MEMTOP_CAPTURE_FORKS_H
#define MEMTOP_CAPTURE_FORKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct forks {
	pid_t pid;
	pid_t newest, newest_before; /* of the system at the last two looks; 0 = not known */
	uint64_t reaped_faults;
	uint64_t children; /* a hash of the list, of the looks that read it */
	struct {
		pid_t *data;
		size_t count, capacity;
	} seen; /* children of the last look */
};

/* What is forked from now on. */
void forks_init(struct forks *forks, pid_t pid);
void forks_deinit(struct forks *forks);

/* Whether there is, or was, a child that no look before has seen. */
bool forks_look(struct forks *forks);

#endif
