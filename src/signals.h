/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef MEMTOP_SIGNALS_H
#define MEMTOP_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

/*
 * Blocks the signals the loop takes by descriptor, so that none ends memtop with the terminal in
 * disorder; for a `command` also those that are meant for it. Before any thread is started; `old`
 * is for children. Returns the descriptor or -errno.
 */
int signals_open(bool command, sigset_t *old);

#endif
