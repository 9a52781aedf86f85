/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The lives of things that are not told of, only seen by looking: open descriptors, buffers. A look
 * names all that are there; what the last one had not named came since, what this one does not name
 * has gone. Things are known by a key that no two have at once.
 *
 * What was there at the first look has an unknown age: it counts in the sums, and in no life. What
 * comes and goes between two looks was never there.
 *
 * Births are kept in rows spaced by the logarithm of their age, as those of blocks are (cohorts.h).
 * Pure: no clock, no files.
 */
#ifndef MEMTOP_CAPTURE_LIVES_H
#define MEMTOP_CAPTURE_LIVES_H

#include "core/snapshot.h"
#include "util/map.h"
#include "util/vec.h"

/* Things of more than this are not followed; they are counted in `unseen`. */
#define LIVES_MOST 65536

struct lives {
	struct map index; /* key -> index of the entry */
	VEC(struct life) entries;
	uint32_t look;
	bool looked; /* a whole look was had */
	uint64_t unseen;
	uint64_t sums[HOLDING_MOST]; /* of what the last whole look saw */
	struct totals totals[HOLDING_MOST];
	unsigned row_count; /* oldest first; the last one is being filled */
	struct lives_row {
		uint64_t from_ns, to_ns;
		struct totals totals[HOLDING_MOST];
	} rows[ABI_COHORT_ROWS];
};

/* All zero is empty. */
void lives_deinit(struct lives *lives);
/* Forgets everything. */
void lives_clear(struct lives *lives);

void lives_begin(struct lives *lives);
/*
 * Something is there: so much (1, or bytes) of holding `what`. Seen twice in a look it counts once;
 * with another size than before it is another one, as a reallocated block is. `key` is not 0.
 */
void lives_see(struct lives *lives, uint64_t key, unsigned what, uint64_t size);
/* The look ended. */
void lives_end(struct lives *lives, uint64_t now_ns);

/* Sums over the holdings [from, to). */
void lives_cohorts(const struct lives *lives, unsigned from, unsigned to, struct cohorts *ret);
struct totals lives_totals(const struct lives *lives, unsigned from, unsigned to);
uint64_t lives_sum(const struct lives *lives, unsigned from, unsigned to);

#endif
