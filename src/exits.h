/* SPDX-License-Identifier: GPL-2.0-only */
/* What memtop's exit codes mean; part of the batch contract. */
#ifndef MEMTOP_EXITS_H
#define MEMTOP_EXITS_H

enum exits {
	EXITS_DONE = 0,
	EXITS_USAGE = 1,
	EXITS_NO_TARGET = 2,	 /* not found, or gone before the first tick */
	EXITS_NOT_PERMITTED = 3, /* or not supported, or a kernel thread */
	EXITS_INTERNAL = 4,
	EXITS_NOT_JUDGED = 98,	   /* --fail-if-leaked: its conditions did not hold */
	EXITS_LEAKED = 99,	   /* --fail-if-leaked: more than that */
	EXITS_LAUNCH_FAILED = 125, /* with -- CMD: memtop itself failed */
	EXITS_NOT_EXECUTABLE = 126,
	EXITS_NOT_FOUND = 127,
	EXITS_SIGNAL_BASE = 128,
};

#endif
