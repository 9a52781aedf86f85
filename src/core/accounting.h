/* SPDX-License-Identifier: GPL-2.0-only */
/* What RSS is made of, and what its growth since a mark is made of. */
#ifndef MEMTOP_CORE_ACCOUNTING_H
#define MEMTOP_CORE_ACCOUNTING_H

#include "core/picture.h"

/* The walk of smaps is older than the counters beside it; this remembers when it changed. */
struct walk {
	uint64_t heap_mapped_bytes, anon_maps_bytes, stacks_bytes;
	uint64_t live_bytes; /* of the heap when the walk came in */
};

/* What growth is measured from. */
struct baseline {
	bool set;
	bool parts_known;
	uint64_t time_ns;
	uint64_t rss_bytes, file_bytes, shmem_bytes;
	uint64_t live_bytes[SIDE_COUNT];
	uint64_t live_blocks;
	struct accounting parts;
};

/*
 * Parts of the snapshot's RSS; they add up to it exactly. The heap's live bytes count as far as
 * its resident mappings hold them; blocks that found a mapping of their own count there.
 */
void accounting_split(struct walk *walk, const struct snapshot *snapshot,
		      const struct side_stats *sides, struct accounting *ret);

void baseline_set(struct baseline *baseline, const struct memory *memory, uint64_t time_ns,
		  const struct side_stats *sides, const struct accounting *parts);

/* Growth since the baseline; fills in `parts->explained_percent` too. */
void accounting_growth(struct baseline *baseline, const struct snapshot *snapshot,
		       const struct side_stats *sides, struct accounting *parts,
		       struct growth *ret);

#endif
