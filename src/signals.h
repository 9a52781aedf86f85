/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef MEMTOP_SIGNALS_H
#define MEMTOP_SIGNALS_H

#include <signal.h>

/*
 * Blocks the signals the loop takes by descriptor, so that none ends memtop with the terminal in
 * disorder. Before any thread is started; `old` is for children. Returns the descriptor or -errno.
 */
int signals_open(sigset_t *old);

#endif
