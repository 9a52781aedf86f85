/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Places bare traps in a process, where memtop would place its probes, until its input ends.
 *
 *     bench_watch PID      says "ready" once they stand
 */
#include "tests/bench/probing.h"

#include <stdlib.h>

int main(int argc, char **argv)
{
	const struct ledger_sizes sizes = {0}; /* of a book that is not opened */
	struct watcher *watcher;

	if (argc != 2 || atoi(argv[1]) <= 0)
		die("usage: bench_watch PID");
	watcher = watcher_new(atoi(argv[1]), &sizes, true);
	watcher_attach(watcher,
		       probe_kind_best() == PROBE_SESSION ? WATCH_BARE_SESSION : WATCH_BARE_MULTI);
	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		;
	watcher_free(watcher);
	return 0;
}
