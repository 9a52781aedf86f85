/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The resident pages of a target and whose they are: the site of the fault that brought a page in,
 * or one of two rows that are no stack's.
 *
 * It is told of faults as they come, and of what is resident, range by range, by a walk. A walk
 * that finds a page gone takes it from its site; one that finds a page that no fault was seen for
 * gives it
 *
 *   to the site of a fault near by, where the kernel maps more than was asked for: all of a huge
 *   page, and of a file what else is cached of 64 KiB around the fault (fault_around_bytes);
 *   to `before attach` while the first walk lasts, else to `populated`: mlock(), MAP_POPULATE, DMA
 *   and what else reaches pages without a fault.
 *
 * Pages that the target unmaps leave at once, and pages that it moves (mremap) stay whose they are.
 * What a call does that is not told of, or that was refused, the next walk finds: it is always the
 * last word on which pages are there, but whose a page is at a place that it was moved to unseen,
 * it cannot tell: `populated`.
 *
 * A fault may be told before its page is there. So a page of a young fault that a walk does not
 * find is remembered until the next walk, and comes back to its site if it is there then.
 *
 * Totals and cohort rows are those of a ledger, of whose sites this is the only writer. Each page
 * is in exactly one row, so the rows add up to what is resident.
 */
#ifndef MEMTOP_CAPTURE_PAGES_TABLE_H
#define MEMTOP_CAPTURE_PAGES_TABLE_H

#include <memtop/abi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGES_SHIFT	  12
#define PAGES_CHUNK_SHIFT 21 /* a huge page */
#define PAGES_CHUNK_COUNT (1u << (PAGES_CHUNK_SHIFT - PAGES_SHIFT))

/* Slots of the rows that are no stack's. */
enum pages_row {
	PAGES_NONE = 0,
	PAGES_POPULATED = 1,
	PAGES_BEFORE = 2,
	PAGES_FIRST_SITE = 3,
};

/* Of a ledger; all borrowed. */
struct pages_books {
	struct abi_totals *totals;
	struct abi_cohorts *cohorts;
	const struct abi_control *control;
	unsigned sites;
};

struct pages_chunk;

struct pages_table {
	struct pages_books books;
	struct pages_chunk **chunks; /* sorted by address */
	size_t count, capacity, hint;
	uint64_t resident; /* pages in the rows */
	bool first_walk;   /* what is found without a fault was there before the attach */
};

/* What a walk found resident, [start, end); the rest of the walked range is not. */
struct pages_run {
	uint64_t start, end;
	uint32_t flags;
};

enum pages_run_flag {
	PAGES_RUN_FILE = 1u << 0, /* of a file, or shared */
	PAGES_RUN_HUGE = 1u << 1, /* mapped as huge pages */
};

void pages_table_init(struct pages_table *table, const struct pages_books *books);
void pages_table_deinit(struct pages_table *table);

/*
 * A fault at `address`, booked at `site`. `was_present`: the page was there and is made writable or
 * copied, so it stays whose it is. `walking`: a walk under way has passed it already.
 */
void pages_table_fault(struct pages_table *table, uint64_t address, uint32_t site, bool was_present,
		       bool walking);

/* A walk's result for [start, end): `runs` are sorted and within it. */
void pages_table_walked(struct pages_table *table, uint64_t start, uint64_t end,
			const struct pages_run *runs, size_t count);

/* Pages that the target unmapped. */
void pages_table_unmap(struct pages_table *table, uint64_t start, uint64_t end);

/*
 * Pages that the target moved, with their sites and ages, to where nothing is left of what was
 * there. A walk under way may have passed the one place before and the other one never: they stay
 * until the next one does not find them.
 */
void pages_table_move(struct pages_table *table, uint64_t from, uint64_t to, uint64_t bytes);

/* Resident pages of [start, end). */
uint64_t pages_table_count(const struct pages_table *table, uint64_t start, uint64_t end);

/* New labels for birth cohorts, see cohorts.h. */
void pages_table_relabel(struct pages_table *table, const uint8_t labels[ABI_COHORTS]);

#endif
