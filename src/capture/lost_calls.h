/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Calls of the allocator that were in flight in threads which ended: cancelled, or left by the
 * system call. They never return. Each is a named loss (return missed), and the block that a
 * realloc had taken out of the table by then is booked as freed: nobody can tell what became of it.
 *
 * A process that ends leaves such calls, too, and they are none: it ended in the middle of them.
 * So a thread has to be gone at two looks, at both of which the process lived.
 */
#ifndef MEMTOP_CAPTURE_LOST_CALLS_H
#define MEMTOP_CAPTURE_LOST_CALLS_H

#include "capture/ledger.h"

#include <sys/types.h>

struct lost_calls {
	uint32_t *tids; /* by slot: the thread that was gone at the last look, or 0; owned */
};

void lost_calls_deinit(struct lost_calls *lost);
/* A look; @ledger may be of another book than at the last one. */
void lost_calls_look(struct lost_calls *lost, struct ledger *ledger, pid_t pid);
/* What was in flight in a thread that is gone, where the process lives. */
void lost_calls_drop(struct ledger *ledger, struct abi_thread *thread);

#endif
