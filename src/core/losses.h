/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The losses: name, meaning and remedy of each reason why an event was not accounted for.
 *
 * Two kinds: most lose an event or its place (they add up to the total that is shown as `lost`);
 * a few only mark a fact that was still booked in full, such as a stack that ends early. Those have
 * `booked` set, are listed by name, and stand outside of the total.
 */
#ifndef MEMTOP_CORE_LOSSES_H
#define MEMTOP_CORE_LOSSES_H

#include <memtop/abi.h>
#include <stdbool.h>

struct loss {
	const char *name;    /* token of batch output */
	const char *meaning; /* one sentence */
	const char *remedy;  /* what to do about it */
	bool booked;	     /* bytes, block and site are right all the same: not in the total */
};

/* Indexed by enum abi_loss; `name` is NULL for numbers not given yet. */
extern const struct loss losses[ABI_LOSS_COUNT];

/* What was lost in all: the sum without those that are `booked`. */
uint64_t losses_total(const uint64_t counts[ABI_LOSS_COUNT]);

#endif
