/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The target as a process: may it be watched, what is it called, is it still the same one.
 */
#ifndef MEMTOP_CAPTURE_TARGET_H
#define MEMTOP_CAPTURE_TARGET_H

#include "core/snapshot.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Whether a process can be a target. 0, or with one line in `error` (no newline, no "memtop:"):
 *   -ESRCH   there is no such process, it is a zombie, or the id is a thread's
 *   -EINVAL  a kernel thread: it has no memory of its own
 *   -ELOOP   memtop itself
 */
int target_check(pid_t pid, char *error, size_t size);

/* comm, exe and threads; status, exit_code and signal are those of a running process. */
int target_state_read(pid_t pid, struct target_state *ret);

/*
 * The processes whose executable's basename is `name`; if there is none, those whose comm is.
 * Returns how many there are, in the order of their ids; the first `capacity` are in `pids`.
 * Never kernel threads, zombies, or memtop itself.
 */
int target_find_by_name(const char *name, pid_t *pids, size_t capacity);

/*
 * The processes whose command line (arguments joined by blanks) matches the extended regular
 * expression. As above; -EINVAL with the reason in `error` if it is none.
 */
int target_find_by_match(const char *regex, pid_t *pids, size_t capacity, char *error, size_t size);

/*
 * Which program in which process. A PID used again has another start time; an exec keeps that and
 * replaces the memory: the executable, and (with address randomisation off too, unless arguments
 * and environment are of the same length) where its code and stack start.
 */
struct target_identity {
	uint64_t start_time; /* clock ticks after boot */
	uint64_t exe_device, exe_inode;
	uint64_t start_code, start_stack;
};

enum target_change {
	TARGET_SAME,
	TARGET_EXECED,
	TARGET_REPLACED, /* the PID belongs to another process now */
};

/* -ESRCH when it has ended; a zombie has ended. -EAGAIN in the middle of an exec: ask again. */
int target_identity_read(pid_t pid, struct target_identity *ret);
enum target_change target_identity_compare(const struct target_identity *before,
					   const struct target_identity *now);

#endif
