/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A row of blocks born between a and b seconds ago (a < b), of which the part S lives, bounds the
 * median lifetime m: a block of age x lives with probability at least 1/2 while x < m, so
 * S ≥ (m − a) / 2(b − a), that is m ≤ a + 2 S (b − a). The youngest row with S ≤ 1/2 gives the
 * bound that is used: it is far sharper than b for blocks that live a fraction of a row.
 *
 * Old is ten times that, but at least 5 s; a row counts as old once all of its blocks are.
 */
#include "core/ages.h"

#include <math.h>

#define OLD_AT_LEAST_S 5.0
#define OLD_LIVES      10.0
#define DECAY_BLOCKS   8 /* fewer tell nothing about a part */

static double age_s(uint64_t born_ns, uint64_t now_ns)
{
	return now_ns > born_ns ? (now_ns - born_ns) / 1e9 : 0;
}

static double survival(const struct totals *totals)
{
	return (double)totals_live_blocks(totals) / totals->allocated_blocks;
}

static double median_life(const struct cohorts *cohorts, uint64_t now_ns)
{
	for (unsigned i = cohorts->count; i--;) {
		const struct cohort_row *row = &cohorts->rows[i];
		double young = age_s(row->born_to_ns, now_ns);
		double part;

		if (!row->totals.allocated_blocks)
			continue;
		part = survival(&row->totals);
		if (part <= 0.5)
			return young + 2 * part * (age_s(row->born_from_ns, now_ns) - young);
	}
	return NAN;
}

static bool is_decaying(const struct cohorts *cohorts, unsigned old_rows, uint64_t allocated)
{
	struct totals older = {0}, younger = {0};

	for (unsigned i = 0; i < old_rows; i++)
		totals_add(older.allocated_blocks * 2 < allocated ? &older : &younger,
			   &cohorts->rows[i].totals);
	if (older.allocated_blocks < DECAY_BLOCKS || younger.allocated_blocks < DECAY_BLOCKS ||
	    totals_live_blocks(&younger) < DECAY_BLOCKS)
		return false;
	return survival(&older) < survival(&younger) / 2;
}

struct ages ages_of(const struct cohorts *cohorts, uint64_t now_ns)
{
	struct ages ages = {.oldest_s = NAN, .kept_ratio = NAN, .oldest_kept = NAN};
	struct totals old = {0}, oldest = {0};
	unsigned rows = 0;

	ages.median_life_s = median_life(cohorts, now_ns);
	ages.old_s = fmax(OLD_AT_LEAST_S,
			  isnan(ages.median_life_s) ? 0 : ages.median_life_s * OLD_LIVES);
	for (unsigned i = 0; i < cohorts->count && i < ABI_COHORT_ROWS; i++) {
		const struct cohort_row *row = &cohorts->rows[i];
		double young = age_s(row->born_to_ns, now_ns);

		if (isnan(ages.oldest_s) && totals_live_blocks(&row->totals))
			ages.oldest_s = young;
		if (young >= OLD_AT_LEAST_S && oldest.allocated_blocks < DECAY_BLOCKS)
			totals_add(&oldest, &row->totals);
		if (young < ages.old_s || rows < i)
			continue;
		totals_add(&old, &row->totals);
		rows++;
	}
	ages.old_blocks = totals_live_blocks(&old);
	ages.old_bytes = totals_live_bytes(&old);
	if (oldest.allocated_blocks)
		ages.oldest_kept = survival(&oldest);
	if (old.allocated_blocks) {
		ages.kept_ratio = survival(&old);
		ages.decaying = is_decaying(cohorts, rows, old.allocated_blocks);
	}
	return ages;
}
