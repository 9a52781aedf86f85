/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The losses: name, meaning and remedy of each reason why an event was not accounted for.
 *
 * Two kinds: most lose an event or its place (they add up to the total that is shown as `lost`);
 * a few only mark a fact that was still booked in full, such as a stack that ends early. Those have
 * `booked` set, are listed by name, and stand outside of the total.
 *
 * A loss touches the books of one side or of several: what an interrupt made the kernel side miss
 * is no doubt about the heap.
 */
#ifndef MEMTOP_CORE_LOSSES_H
#define MEMTOP_CORE_LOSSES_H

#include "core/snapshot.h"

#include <memtop/abi.h>
#include <stdbool.h>

struct loss {
	const char *name;    /* token of batch output */
	const char *meaning; /* one sentence */
	const char *remedy;  /* what to do about it */
	bool booked;	     /* bytes, block and site are right all the same: not in the total */
	unsigned sides;	     /* whose books it touches: a bit for each enum side */
};

/* Indexed by enum abi_loss; `name` is NULL for numbers not given yet. */
extern const struct loss losses[ABI_LOSS_COUNT];

/* What was lost in all: the sum without those that are `booked`. */
uint64_t losses_total(const uint64_t counts[ABI_LOSS_COUNT]);

/* Whether a loss is a doubt about the side's books; of what has no name yet, about every side's. */
bool loss_touches(size_t loss, enum side side);
/* The part of the total that touches the side. */
uint64_t losses_of_side(const uint64_t counts[ABI_LOSS_COUNT], enum side side);

#endif
