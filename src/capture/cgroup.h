/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What kills: how much memory is charged to where the target is, and how far that is from its
 * limit.
 *
 * Every cgroup from the target's own up to the highest that can be seen is a candidate, in the
 * hierarchy of version 1 and in that of version 2 (a machine may mount both), and so are the
 * system and a limit of the user's. The one with the least headroom is given: it is the one that
 * will be hit first.
 *
 *   cgroup   limit - (usage - reclaimable), reclaimable = file pages on the LRU lists and slab
 *            that can shrink. No limit: "max", and the huge number of version 1.
 *   system   limit is MemTotal, headroom MemAvailable.
 *   user     the limit is given, the use is the target's RSS: what a watchdog looks at.
 */
#ifndef MEMTOP_CAPTURE_CGROUP_H
#define MEMTOP_CAPTURE_CGROUP_H

#include "core/snapshot.h"

#include <stdint.h>
#include <sys/types.h>

struct charge_reader;

/* A limit that somebody else watches; limit_bytes = 0: there is none. */
struct charge_user {
	uint64_t limit_bytes;
	uint64_t used_bytes;
};

/*
 * `root` is put before every path that is read ("" for the real system; tests give a directory).
 * -ESRCH if there is no such process. Without cgroups it opens and gives the system's charge.
 */
int charge_open(pid_t pid, const char *root, struct charge_reader **ret);
void charge_close(struct charge_reader *reader);

/*
 * Follows the target from cgroup to cgroup; once it has ended, goes on with where it was last.
 * -ENODATA if nothing has a limit and the system tells nothing: LIMIT_NONE.
 */
int charge_read(struct charge_reader *reader, const struct charge_user *user, struct charge *ret);

/* The lowest memory.high on the way up as of the last read: it throttles, it does not kill; 0 none.
 */
uint64_t charge_high_bytes(const struct charge_reader *reader);

/*
 * How often the OOM killer has struck: in the target's own cgroup, whichever limit it was, and on
 * the whole system. Both only rise; a count that cannot be read is left out: false.
 */
struct oom_kills {
	bool cgroup_known, system_known;
	uint64_t cgroup, system;
};

void charge_oom_kills(const struct charge_reader *reader, struct oom_kills *ret);

#endif
