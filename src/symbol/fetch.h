/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Debug files from debuginfod servers: those of DEBUGINFOD_URLS, by elfutils' client library where
 * it is installed, which also keeps what it got in its cache.
 *
 * A network may be slow or silent, so downloads have a thread of their own: whoever asks is told to
 * come again, and goes on with what there is on disk. A download ends after a time without a byte
 * (DEBUGINFOD_TIMEOUT, at most FETCH_STALL_S), after FETCH_TOTAL_S, or when it is too big. A file
 * counts only if its build-id is the one asked for.
 */
#ifndef MEMTOP_SYMBOL_FETCH_H
#define MEMTOP_SYMBOL_FETCH_H

#include <stdbool.h>
#include <stddef.h>

#define FETCH_STALL_S 15
#define FETCH_TOTAL_S 600

struct fetcher;

/* NULL if no server is named. `done` is called in the fetcher's thread after each download, found
 * or not, with no lock of the fetcher held. */
struct fetcher *fetcher_new(void (*done)(void *opaque), void *opaque);
/* No more downloads; to be called well before fetcher_free(). */
void fetcher_stop(struct fetcher *fetcher);
/* False if its thread could not be ended within `timeout_ms`: it and what it uses are left. */
bool fetcher_free(struct fetcher *fetcher, unsigned timeout_ms);

/* The debug file with this build-id: a descriptor, the caller's; -EAGAIN while it is being fetched;
 * -ENOENT if it cannot be had. NULL as fetcher has nothing. */
int fetcher_find(struct fetcher *fetcher, const void *id, size_t size);

#endif
