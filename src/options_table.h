/* SPDX-License-Identifier: GPL-2.0-only */
/* The table of options, for the two files that it is read by: options.c and options_text.c. */
#ifndef MEMTOP_OPTIONS_TABLE_H
#define MEMTOP_OPTIONS_TABLE_H

#include "options.h"

struct reason {
	char *text;
	size_t size;
};

/* Takes an argument in; `argument` is NULL for options that have none. */
typedef int take_fn(struct options *options, const char *argument, struct reason *reason);

enum group {
	GROUP_TARGET,
	GROUP_WATCH,
	GROUP_TABLE,
	GROUP_BATCH,
	GROUP_GATE,
	GROUP_OTHER,
	GROUP_COUNT,
};

struct option_row {
	const char *name;
	char letter;	      /* 0 = none */
	const char *argument; /* as --help shows it; NULL = takes none */
	enum group group;
	take_fn *take;	       /* NULL = not part of this version */
	const char *help;      /* lines apart by \n */
	const char *completes; /* words, or @pid @name @directory @file */
	bool hidden;	       /* for the build, in no list */
};

extern const struct option_row option_rows[];
extern const size_t option_row_count;

/* As getopt.h has it. "[=WORD]" may be left out, and only the long name takes it. */
int option_has_argument(const struct option_row *row);

#endif
