/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * When and how the target ended.
 *
 * A pidfd tells when. How: a child of memtop by waitid(); any other by what the kernel keeps for
 * the pidfd after the process was reaped (PIDFD_GET_INFO, since 6.15), or by its zombie's stat
 * until then. Where none of these can be had the process has exited, with a code not known.
 *
 * The OOM killer kills by SIGKILL, and counts it in the victim's cgroup, or (where that cannot be
 * read, or is gone) for the whole system. SIGKILL together with a rise of that count since the last
 * look at the living target is taken for it.
 */
#ifndef MEMTOP_CAPTURE_LIFETIME_H
#define MEMTOP_CAPTURE_LIFETIME_H

#include "core/snapshot.h"

#include <stdbool.h>
#include <sys/types.h>

struct charge_reader;
struct lifetime;

/* -ESRCH if there is no such process. A zombie can be opened: it has ended. */
int lifetime_open(pid_t pid, struct lifetime **ret);
void lifetime_close(struct lifetime *lifetime);

/* Polls readable once the target has ended; -1 where the kernel has none. Owned by the lifetime. */
int lifetime_fd(const struct lifetime *lifetime);

/*
 * Whether the target has ended; then status, exit_code and signal of `ret` are set, and stay the
 * same from now on. To be called each tick, so that OOM kills of others before are not mistaken for
 * the target's. `charge` may be NULL: no kill is taken for one of the OOM killer. A child is not
 * reaped: that is left to who started it.
 */
bool lifetime_has_ended(struct lifetime *lifetime, const struct charge_reader *charge,
			struct target_state *ret);

#endif
