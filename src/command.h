/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A command that memtop started, as far as it is more than a target: the report of what it never
 * freed, the gate that judges it, and the exit code that follows.
 *
 * Judged is the process that memtop started, in the program that it executed last, and nothing
 * else: what an earlier program held went with its address space, and children are processes of
 * their own.
 */
#ifndef MEMTOP_COMMAND_H
#define MEMTOP_COMMAND_H

#include "core/picture.h"
#include "core/resolver.h"
#include "options.h"

struct command;

/*
 * Reads and opens what the report and the gate need, before anything is started. 0, or -errno with
 * one line for the user in `error`.
 */
int command_open(const struct options *options, struct command **ret, char *error, size_t size);
void command_close(struct command *command);

/* Each tick's picture, for what a judgment depends on all the time. */
void command_watch(struct command *command, const struct picture *picture);

/*
 * The end of it, or of memtop's watching it (`ended` is false): waits for the status, writes the
 * report, judges. `code` is memtop's own exit code so far; returns the one to exit with. `picture`
 * may be NULL. `shown`: it was on the screen, or written tick by tick.
 */
int command_end(struct command *command, pid_t pid, bool ended, int code,
		const struct picture *picture, struct resolver *resolver, bool shown);

#endif
