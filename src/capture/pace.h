/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How often a target's mappings are read: its threads that map or fault may have to wait while they
 * are, so after a read that took t of CPU time the next one waits for 100 t, if nothing is known to
 * need it at once.
 */
#ifndef MEMTOP_CAPTURE_PACE_H
#define MEMTOP_CAPTURE_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACE_FACTOR	100
#define PACE_MOST_NS	60000000000ull /* that anything waits */
#define PACE_MAPPING_NS 5000	       /* that one mapping takes at most, */
#define PACE_FIRST_NS	100000	       /* and none of them */

struct pace {
	uint64_t due_ns;
};

static inline bool pace_is_due(const struct pace *pace, uint64_t now_ns)
{
	return now_ns >= pace->due_ns;
}

/*
 * A read of so many mappings took so long. A virtual machine that stood still may not know that it
 * did: what the mappings cannot have taken is not the read's.
 */
static inline void pace_take(struct pace *pace, uint64_t now_ns, uint64_t spent_ns, size_t mappings)
{
	uint64_t most = PACE_FIRST_NS + (uint64_t)mappings * PACE_MAPPING_NS;
	uint64_t wait = (spent_ns < most ? spent_ns : most) * PACE_FACTOR;

	pace->due_ns = now_ns + (wait < PACE_MOST_NS ? wait : PACE_MOST_NS);
}

#endif
