/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The command line. One table holds every option: the parser, --help and the bash completion are
 * made from it, and a test holds the manual page against it.
 */
#ifndef MEMTOP_OPTIONS_H
#define MEMTOP_OPTIONS_H

#include "core/functions.h"
#include "core/snapshot.h"
#include "core/view.h"
#include "options_file.h"

#include <stdio.h>

enum output_format {
	FORMAT_TEXT,
	FORMAT_JSON,
};

/* Instead of watching a target. */
enum options_action {
	ACTION_WATCH,
	ACTION_HELP,
	ACTION_HELP_LOSSES,
	ACTION_VERSION,
	ACTION_CHECK,
	ACTION_COMPLETION,
};

#define OPTIONS_MAX_FUNCTIONS 16
#define OPTIONS_MAX_PREFIXES  8

struct options {
	enum options_action action;
	/* The target: exactly one of them is set when a target is watched. */
	pid_t pid;	  /* 0 = not given */
	const char *name; /* NULL = not given; strings are the command line's own */
	const char *match;
	char *const *command; /* NULL = not given */
	bool tui;	      /* with a command: on the screen */
	enum level level;
	double budget_percent; /* NAN = none */
	uint64_t max_blocks;   /* 0 = by the target's size */
	uint64_t limit_bytes;  /* 0 = none */
	uint64_t unwind_bytes; /* of unwind tables, at most */
	const char *debug_dir; /* NULL = the usual ones */
	struct function_description functions[OPTIONS_MAX_FUNCTIONS];
	size_t function_count;
	const char *prefixes[OPTIONS_MAX_PREFIXES]; /* of allocators */
	size_t prefix_count;
	bool no_return_probes;
	double delay_s;
	bool batch;
	unsigned long iterations; /* 0 = until the target ends */
	enum output_format format;
	unsigned sides; /* a bit for each enum side */
	bool sides_given;
	enum sort_column sort;
	size_t top; /* 0 = all */
	const char *filter;
	double older_s;
	uint64_t min_size_bytes;
	bool top_given;
	bool fail_if_leaked; /* with a command: judge what it leaks */
	uint64_t leak_limit_bytes;
	const char *suppress; /* files; NULL = not given */
	const char *baseline;
	const char *report;
	bool level_given, budget_given;
	const char *config; /* a file of options; NULL = those at their usual places */
	bool no_config;
	struct options_files files; /* what was read; strings point into them */
	bool from_file;		    /* while they are read */
	bool min_size_given; /* else the screen leaves out what is nothing beside the others */
};

/* 0, or -EINVAL with one line for the user in `error`; to be freed either way. */
int options_parse(int argc, char **argv, struct options *ret, char *error, size_t size);
void options_deinit(struct options *options);

void options_write_help(FILE *out);
/* The table of core/losses.h, as people read it; a test holds the manual page against it. */
void options_write_losses(FILE *out);
/* The script for bash; completions/memtop is made of it. */
void options_write_completion(FILE *out);

#endif
