/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The table's place, for what the target holds beside its blocks and mappings: descriptors,
 * buffers, page tables. Rows stand in the order of their kinds, whatever they do.
 */
#ifndef MEMTOP_UI_BESIDE_H
#define MEMTOP_UI_BESIDE_H

#include "ui/draw.h"

struct beside {
	unsigned top;  /* first row shown */
	unsigned last; /* greatest `top` that makes sense, as of the last drawing */
	unsigned page; /* rows that fit */
};

void beside_draw(struct beside *beside, const struct draw *draw);

#endif
