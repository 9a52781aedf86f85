/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The table's place, for what the target holds beside its blocks and mappings: descriptors,
 * buffers, page tables; and for what the kernel side is made of. Rows stand in the order of their
 * kinds, whatever they do.
 */
#ifndef MEMTOP_UI_BESIDE_H
#define MEMTOP_UI_BESIDE_H

#include "ui/draw.h"
#include "ui/keys.h"

struct beside {
	unsigned top;  /* first row shown */
	unsigned last; /* greatest `top` that makes sense, as of the last drawing */
	unsigned page; /* rows that fit */
};

/* False if the action is none that scrolls. */
bool beside_scroll(struct beside *beside, enum action action);

void beside_draw(struct beside *beside, const struct draw *draw);

#endif
