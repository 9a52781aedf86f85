/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Targets for the cases of the books: programs with a sub-command a case. They do one thing, write
 * down what they truly hold (the ledger) and stand still until they are told to go on:
 *
 *   BOOKS CASE LEDGER_FILE
 *
 * At each stop the ledger is written, the stop's name goes to standard output as a line, and the
 * next line on standard input lets the program go on. The first stop is `ready`: whoever attaches
 * there sees all of the ledger's `since_ready`.
 */
#ifndef TARGETS_BOOKS_H
#define TARGETS_BOOKS_H

#include "ledger.h"

struct books_case {
	const char *name;
	void (*run)(void);
};

/* Writes the ledger, says @name and waits. */
void books_stop(const char *name);
/* The same, with further members of the ledger's object (each followed by ",\n"). */
void books_stop_with(const char *name, const char *members);
/* ledger_mark_ready() and the stop `ready`. */
void books_ready(void);
__attribute__((noreturn)) void books_die(const char *what);
/* Zeroed memory that is not the allocator's. */
void *books_array(size_t count, size_t size);
/* Runs @body in @count threads at once and waits for them; each is given its number. */
void books_threads(unsigned count, void *(*body)(void *number));
unsigned books_random(unsigned *state);
void books_free_all(void **blocks, size_t count); /* and forgets them */

/* Cases of books_process.c. */
void books_idle_threads(void);
void books_children(void);
void books_lasting_children(void);
void books_plugins(void);
void books_late_threads(void);
void books_cross(void);

/* Cases of books_end.c. */
void books_cancelled(void);
void books_ends(void);

int books_main(int argc, char **argv, const struct books_case *cases, size_t count);

#endif
