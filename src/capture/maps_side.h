/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The maps side of a target: the programs of bpf/maps.bpf.c, their sites, and the maps book.
 */
#ifndef MEMTOP_CAPTURE_MAPS_SIDE_H
#define MEMTOP_CAPTURE_MAPS_SIDE_H

#include "capture/ledger.h"
#include "capture/maps_book.h"
#include "capture/pages_table.h"
#include "core/unwinder.h"

struct maps_side;

/*
 * Watches from now on. 0 or -errno; what the machine lacks is told by pages, which need as much.
 * `sequence_fd`: the map with the number of the next page fault (pages.h).
 */
int maps_side_open(pid_t pid, int sequence_fd, struct unwinder *unwinder, struct maps_side **ret);
void maps_side_close(struct maps_side *side);

struct ledger *maps_side_ledger(struct maps_side *side);

/* Between ticks: takes the calls, and keeps the cohort clock going. */
void maps_side_look(struct maps_side *side, uint64_t now_ns);
/* A tick: also compares with what is mapped, at its own pace. Returns the nanoseconds that the
 * reading took. */
uint64_t maps_side_tick(struct maps_side *side, uint64_t now_ns);

/*
 * What became of pages by the calls up to now, oldest first; borrowed, for who gives back how many
 * of them need not be told again.
 */
const struct maps_change *maps_side_changes(struct maps_side *side, size_t *ret_count);
void maps_side_drop_changes(struct maps_side *side, size_t count);

/* Resident bytes of the mappings of each site, by slot, from the table of pages. */
const uint64_t *maps_side_resident(struct maps_side *side, const struct pages_table *pages);

void maps_side_losses(const struct maps_side *side, uint64_t losses[ABI_LOSS_COUNT]);

#endif
