/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The cohort clock: which birth cohort blocks get now, and in which of a site's rows each cohort
 * counts. Pure bookkeeping; the ledger carries out what it says.
 *
 * Time is cut into cohorts. Each new cohort opens a row; to make room, two neighbouring rows are
 * merged, those whose common span is smallest against their age, so that rows come out spaced by
 * the logarithm of age: an exponential histogram (Datar, Gionis, Indyk, Motwani, 2002). Merging
 * moves numbers between rows while programs add to them, so it takes two steps: first the cohorts
 * of the one row are redirected to the other, and one step later, when no program can still be
 * adding to it, what it holds is moved over and the row is free.
 *
 * A block keeps the number of its cohort, of which there are few: once the clock runs short, blocks
 * of merged cohorts have to be relabelled with one cohort of their row (cohort_clock_relabel()).
 */
#ifndef MEMTOP_CAPTURE_COHORTS_H
#define MEMTOP_CAPTURE_COHORTS_H

#include <memtop/abi.h>
#include <stdbool.h>
#include <stdint.h>

#define COHORT_ROW_FREE (-1)

struct cohort_span {
	bool used;
	uint64_t from_ns, to_ns; /* births; the current row's `to_ns` is not yet known */
};

struct cohort_clock {
	uint8_t row_of[ABI_COHORTS]; /* valid where `used` */
	bool used[ABI_COHORTS];	     /* number 0 is never used */
	uint64_t born_ns[ABI_COHORTS];
	struct cohort_span rows[ABI_COHORT_ROWS];
	int draining;	   /* row to be moved at the next step, or COHORT_ROW_FREE */
	int draining_into; /* where it goes */
	unsigned now;	   /* current cohort */
	unsigned current;  /* its row */
};

void cohort_clock_init(struct cohort_clock *clock, uint64_t now_ns);

/*
 * Opens the next cohort at `now_ns`. Before it is used, the caller moves row *moved_from into
 * *moved_to (COHORT_ROW_FREE = nothing to move). False: no number is left, the cohort goes on.
 */
bool cohort_clock_advance(struct cohort_clock *clock, uint64_t now_ns, int *moved_from,
			  int *moved_to);

/* Cohorts still free. */
unsigned cohort_clock_free_count(const struct cohort_clock *clock);

/*
 * For each cohort its new label: one cohort of the same row, for those born before `before_ns`;
 * others keep theirs. Cohorts whose label changes can be given back once no block carries them.
 */
void cohort_clock_relabel(const struct cohort_clock *clock, uint64_t before_ns,
			  uint8_t labels[ABI_COHORTS]);
/* No block carries a cohort any more that `labels` changed: they are free. */
void cohort_clock_release(struct cohort_clock *clock, const uint8_t labels[ABI_COHORTS]);

/* Rows in use, oldest first; a row being drained is left out (`draining_into` has its span). */
unsigned cohort_clock_rows(const struct cohort_clock *clock, uint8_t ret[ABI_COHORT_ROWS]);

#endif
