/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/lost_calls.h"

#include "capture/procfs.h"
#include "util/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void lost_calls_deinit(struct lost_calls *lost)
{
	free(lost->tids);
	lost->tids = NULL;
}

static bool process_lives(pid_t pid)
{
	struct procstat stat;

	return !procstat_read(pid, &stat) && !(stat.flags & PROCSTAT_EXITING) && stat.state != 'Z';
}

static bool is_gone(pid_t pid, uint32_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%u", pid, tid);
	return access(path, F_OK);
}

void lost_calls_drop(struct ledger *ledger, struct abi_thread *thread)
{
	uint64_t *count = &ledger->counters->losses[ABI_LOSS_RETURN_MISSED];
	uint32_t depth = __atomic_load_n(&thread->depth, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < depth && i < ABI_MAX_INFLIGHT; i++) {
		const struct abi_inflight *call = &thread->inflight[i];

		__atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
		if (call->old_value)
			ledger_lose(ledger, call->address, call->old_value);
	}
	__atomic_store_n(&thread->depth, 0, __ATOMIC_RELEASE);
}

void lost_calls_look(struct lost_calls *lost, struct ledger *ledger, pid_t pid)
{
	unsigned threads = ledger->sizes.threads;

	for (unsigned i = 0; i < threads; i++) {
		struct abi_thread *thread = &ledger->threads[i];
		uint32_t tid = __atomic_load_n(&thread->tid, __ATOMIC_ACQUIRE);
		bool gone = tid && __atomic_load_n(&thread->depth, __ATOMIC_ACQUIRE) &&
			    is_gone(pid, tid) &&
			    /* It may have returned and ended meanwhile. */
			    __atomic_load_n(&thread->depth, __ATOMIC_ACQUIRE);

		if (!gone && !lost->tids)
			continue;
		if (!lost->tids)
			lost->tids = xcalloc(threads, sizeof(*lost->tids));
		if (gone && lost->tids[i] == tid && process_lives(pid)) {
			lost_calls_drop(ledger, thread);
			gone = false;
		}
		lost->tids[i] = gone ? tid : 0;
	}
}
