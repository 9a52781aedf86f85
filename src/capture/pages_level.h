/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The pages level of one target: its faults and its residency put together into rows that add up
 * to its RSS.
 *
 * Residency is found by walks over all of the target's memory, a piece at a time: at most so long
 * a tick, on average, as the walk of smaps has (memory.h), a piece that took longer being paid back
 * by ticks without any. Faults that came while a piece was read are taken before it is believed.
 *
 * Where the maps side is watched, what it tells of pages that were unmapped or moved goes to the
 * table between the faults before and after: a call bears the number of the fault that came next
 * when it was given the lock of the mappings. So a page that was touched before a move moves, and
 * one that is touched at the new place afterwards is not overwritten. Faults whose numbers are not
 * below the one at the beginning of a look wait for the next one, when the calls before them are
 * told. What changed while a piece was read is not believed of it. Not in order is a fault that
 * another thread has at the old place during the call: the next walk finds its page, as
 * `populated`.
 */
#ifndef MEMTOP_CAPTURE_PAGES_LEVEL_H
#define MEMTOP_CAPTURE_PAGES_LEVEL_H

#include "capture/maps_side.h"
#include "capture/pages.h"
#include "capture/pages_table.h"
#include "capture/procmaps.h"

struct pages_level;

/*
 * Watches, and walks once, in pieces with pauses. 0, or -errno with a line in `error`: -EPERM,
 * -EOPNOTSUPP. `events`: PAGES_EVENTS_COUNT takes the best there is.
 */
int pages_level_open(pid_t pid, enum pages_events events, struct unwinder *unwinder,
		     struct pages_level **ret, char *error, size_t size);
void pages_level_close(struct pages_level *level);

struct ledger *pages_level_ledger(struct pages_level *level);

/* The maps side of the same target, which tells of pages from now on; borrowed. NULL: none. */
void pages_level_follow(struct pages_level *level, struct maps_side *maps);
/* For maps_side_open(). */
int pages_level_sequence_fd(const struct pages_level *level);

/* Between ticks: takes the faults, so that rings do not fill, and keeps the cohort clock going. */
void pages_level_look(struct pages_level *level, uint64_t now_ns);

/* A tick: faults, and a part of a walk. Returns the nanoseconds that reads of residency took. */
uint64_t pages_level_tick(struct pages_level *level, uint64_t now_ns);

/* Whole walks so far; bytes in the rows. */
unsigned pages_level_walks(const struct pages_level *level);
uint64_t pages_level_bytes(const struct pages_level *level);

/* The pages themselves; borrowed. */
const struct pages_table *pages_level_table(const struct pages_level *level);

void pages_level_losses(const struct pages_level *level, uint64_t losses[ABI_LOSS_COUNT]);

/*
 * What it costs the target. Which thread has how many faults is not told: the worst thread's share
 * is what it would be if all of them were of one thread.
 */
void pages_level_cost(struct pages_level *level, uint64_t now_ns, struct overhead *ret);

#endif
