/* SPDX-License-Identifier: GPL-2.0-only */
/* Which elements of an array are free: first fit, neighbours joined. */
#ifndef MEMTOP_UNWIND_EXTENTS_H
#define MEMTOP_UNWIND_EXTENTS_H

#include "util/vec.h"

#include <stdint.h>

struct extent {
	uint32_t first, count;
};

/* All zero holds nothing; extents_give() of everything makes it a pool. */
struct extents {
	VEC(struct extent) free; /* sorted, no two touch */
	uint64_t free_count;
};

void extents_deinit(struct extents *extents);
/* 0 or -ENOSPC. */
int extents_take(struct extents *extents, uint32_t count, uint32_t *ret_first);
void extents_give(struct extents *extents, uint32_t first, uint32_t count);

#endif
