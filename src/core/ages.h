/* SPDX-License-Identifier: GPL-2.0-only */
/* What the birth cohorts of a site tell about how long its blocks live. */
#ifndef MEMTOP_CORE_AGES_H
#define MEMTOP_CORE_AGES_H

#include "core/snapshot.h"

struct ages {
	double oldest_s;      /* lower bound; NAN = none live */
	double median_life_s; /* upper bound; NAN = more than half of every row lives */
	double old_s;	      /* from this age on blocks count as old */
	double kept_ratio;    /* of the old blocks; NAN = there were none yet */
	double oldest_kept;   /* the same of the oldest blocks there were, 5 s old at least */
	bool decaying;	      /* the older half of them is kept far less than the younger half */
	uint64_t old_blocks, old_bytes; /* old and live */
};

struct ages ages_of(const struct cohorts *cohorts, uint64_t now_ns);

#endif
