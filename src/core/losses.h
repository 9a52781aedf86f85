/* SPDX-License-Identifier: GPL-2.0-only */
/* The losses: name, meaning and remedy of each reason why an event was not accounted for. */
#ifndef MEMTOP_CORE_LOSSES_H
#define MEMTOP_CORE_LOSSES_H

#include <memtop/abi.h>

struct loss {
	const char *name;    /* token of batch output */
	const char *meaning; /* one sentence */
	const char *remedy;  /* what to do about it */
};

/* Indexed by enum abi_loss; `name` is NULL for numbers not given yet. */
extern const struct loss losses[ABI_LOSS_COUNT];

#endif
