/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the target holds beside its blocks and mappings, read from /proc: a row for each `enum
 * holding`, as snapshots have them.
 *
 * Most is had for nothing: from /proc/PID/status, which is read each tick, and, the PSS, from the
 * walk of smaps. Descriptors and sockets are looked at every two seconds, in pieces of a
 * millisecond a tick. A look that took long waits five hundred times as long for the next one, so
 * that looking never takes more than 1/500 of a core; it is memtop's own time, and counted there.
 * None of it holds a lock of the target's memory.
 */
#ifndef MEMTOP_CAPTURE_HELD_H
#define MEMTOP_CAPTURE_HELD_H

#include "core/snapshot.h"

struct held;

struct held *held_open(pid_t pid);
void held_close(struct held *held);
/* Another program runs: what it holds is looked at anew. */
void held_restart(struct held *held);

/* A tick of a target that lives; `memory` and `threads` are of now. */
void held_tick(struct held *held, uint64_t now_ns, const struct memory *memory, unsigned threads);
/* The rows as of the last tick, valid until the next one. */
size_t held_rows(const struct held *held, const struct holding_sample **ret);

/* The soft limit of open files in a text of /proc/PID/limits; 0 = none, or not told. */
uint64_t held_parse_limit(const char *text);

#endif
