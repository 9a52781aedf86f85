/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A chunk is two megabytes of address space: 512 words, of a site, a birth cohort and flags
 * each. Chunks are found by bisection; faults and walks come in runs, so the last one is tried
 * first.
 */
#include "capture/pages_table.h"

#include "util/alloc.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES     (1ull << PAGES_SHIFT)
#define CHUNK_BYTES    (1ull << PAGES_CHUNK_SHIFT)
#define ENTRY_SITE     8
#define ENTRY_COHORT   0xffu
#define ENTRY_GONE     (1u << 28) /* was not there at the last walk, and is in no row */
#define ENTRY_YOUNG    (1u << 29) /* came while a walk went on that cannot have seen it */
#define ENTRY_NEAR     (1u << 30) /* by a fault near by: none of its own was seen */
#define AROUND_PAGES   16u	  /* fault_around_bytes, as it is unless somebody set it */
#define entry_site(e)  ((e) >> ENTRY_SITE & (ABI_SITE_MAX - 1))
#define entry_valid(e) ((e) && !((e)&ENTRY_GONE))

struct pages_chunk {
	uint64_t number; /* address >> PAGES_CHUNK_SHIFT */
	unsigned used;	 /* entries that are not 0 */
	unsigned there;	 /* of them, those that are in a row */
	uint32_t entries[PAGES_CHUNK_COUNT];
};

void pages_table_init(struct pages_table *table, const struct pages_books *books)
{
	memset(table, 0, sizeof(*table));
	table->books = *books;
	table->first_walk = true;
}

void pages_table_deinit(struct pages_table *table)
{
	for (size_t i = 0; i < table->count; i++)
		free(table->chunks[i]);
	free(table->chunks);
	memset(table, 0, sizeof(*table));
}

/* --- chunks --- */

/* Index of the first chunk whose number is `number` or more. */
static size_t chunk_index(const struct pages_table *table, uint64_t number)
{
	size_t low = 0, high = table->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (table->chunks[middle]->number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct pages_chunk *chunk_find(struct pages_table *table, uint64_t number)
{
	size_t i = table->hint;

	if (i >= table->count || table->chunks[i]->number != number)
		i = chunk_index(table, number);
	if (i >= table->count || table->chunks[i]->number != number)
		return NULL;
	table->hint = i;
	return table->chunks[i];
}

static struct pages_chunk *chunk_get(struct pages_table *table, uint64_t number)
{
	struct pages_chunk *chunk = chunk_find(table, number);
	size_t i;

	if (chunk)
		return chunk;
	if (table->count == table->capacity) {
		table->capacity = table->capacity ? 2 * table->capacity : 64;
		table->chunks =
			xreallocarray(table->chunks, table->capacity, sizeof(*table->chunks));
	}
	i = chunk_index(table, number);
	memmove(table->chunks + i + 1, table->chunks + i,
		(table->count - i) * sizeof(*table->chunks));
	chunk = xcalloc(1, sizeof(*chunk));
	chunk->number = number;
	table->chunks[i] = chunk;
	table->count++;
	table->hint = i;
	return chunk;
}

/* Chunks without entries, among those of [first, last] by number. */
static void drop_empty(struct pages_table *table, uint64_t first, uint64_t last)
{
	size_t from = chunk_index(table, first), kept = from, i = from;

	for (; i < table->count && table->chunks[i]->number <= last; i++) {
		if (table->chunks[i]->used)
			table->chunks[kept++] = table->chunks[i];
		else
			free(table->chunks[i]);
	}
	if (kept == i)
		return;
	memmove(table->chunks + kept, table->chunks + i,
		(table->count - i) * sizeof(*table->chunks));
	table->count -= i - kept;
}

/* --- books --- */

static void book(struct pages_table *table, uint32_t entry, bool freed)
{
	const struct abi_control *control = table->books.control;
	uint32_t site = entry_site(entry);
	struct abi_totals *totals = &table->books.totals[site];
	uint8_t row = control->cohort_row[entry & ENTRY_COHORT] & (ABI_COHORT_ROWS - 1);
	struct abi_totals *cohort = &table->books.cohorts[site].rows[row];

	if (freed) {
		totals->freed_bytes += PAGE_BYTES;
		totals->freed_blocks++;
		cohort->freed_bytes += PAGE_BYTES;
		cohort->freed_blocks++;
		table->resident--;
	} else {
		totals->allocated_bytes += PAGE_BYTES;
		totals->allocated_blocks++;
		cohort->allocated_bytes += PAGE_BYTES;
		cohort->allocated_blocks++;
		table->resident++;
	}
}

static void entry_set(struct pages_chunk *chunk, unsigned page, uint32_t entry)
{
	chunk->used += (entry != 0) - (chunk->entries[page] != 0);
	chunk->there += !!entry_valid(entry) - !!entry_valid(chunk->entries[page]);
	chunk->entries[page] = entry;
}

static void give(struct pages_table *table, struct pages_chunk *chunk, unsigned page, uint32_t site,
		 uint32_t flags)
{
	uint32_t entry = site << ENTRY_SITE | (table->books.control->cohort_now & ENTRY_COHORT);

	entry_set(chunk, page, entry | flags);
	book(table, entry, false);
}

static void take(struct pages_table *table, struct pages_chunk *chunk, unsigned page)
{
	if (entry_valid(chunk->entries[page]))
		book(table, chunk->entries[page], true);
	entry_set(chunk, page, 0);
}

void pages_table_fault(struct pages_table *table, uint64_t address, uint32_t site, bool was_present,
		       bool walking)
{
	struct pages_chunk *chunk = chunk_get(table, address >> PAGES_CHUNK_SHIFT);
	unsigned page = address >> PAGES_SHIFT & (PAGES_CHUNK_COUNT - 1);
	uint32_t entry = chunk->entries[page];

	if (site >= table->books.sites)
		site = 0;
	/* A private copy of a page that nobody's stack brought in is this stack's. */
	if (was_present && entry_valid(entry) && entry_site(entry) != PAGES_POPULATED)
		return;
	take(table, chunk, page);
	give(table, chunk, page, site, walking ? ENTRY_YOUNG : 0);
}

/* --- walks --- */

static void found_absent(struct pages_table *table, struct pages_chunk *chunk, unsigned page)
{
	uint32_t entry = chunk->entries[page];

	if (!entry)
		return;
	if (entry & ENTRY_YOUNG) {
		chunk->entries[page] = entry & ~ENTRY_YOUNG;
		return;
	}
	take(table, chunk, page);
	/* The fault may be under way still. */
	if (!(entry & ENTRY_GONE) && (entry & ENTRY_COHORT) == table->books.control->cohort_now &&
	    entry_site(entry) != PAGES_POPULATED && entry_site(entry) != PAGES_BEFORE)
		entry_set(chunk, page, entry | ENTRY_GONE);
}

/* The site of a fault among `count` pages from `first` on; PAGES_NONE where there was none. */
static uint32_t companion(const struct pages_chunk *chunk, unsigned first, unsigned count)
{
	for (unsigned i = first; i < first + count; i++) {
		uint32_t entry = chunk->entries[i];

		if (entry_valid(entry) && !(entry & ENTRY_NEAR) &&
		    entry_site(entry) != PAGES_POPULATED && entry_site(entry) != PAGES_BEFORE)
			return entry_site(entry);
	}
	return PAGES_NONE;
}

/*
 * The kernel reads in the aligned 64 KiB around a fault; where the mapping begins within them, as
 * much from there on.
 */
static uint32_t around(const struct pages_chunk *chunk, unsigned page)
{
	unsigned aligned = page & ~(AROUND_PAGES - 1);
	unsigned first = page < AROUND_PAGES ? 0 : page - AROUND_PAGES + 1;
	unsigned last = page + AROUND_PAGES - 1;
	uint32_t site = companion(chunk, aligned, AROUND_PAGES);

	if (last >= PAGES_CHUNK_COUNT)
		last = PAGES_CHUNK_COUNT - 1;
	return site != PAGES_NONE ? site : companion(chunk, first, last - first + 1);
}

static uint32_t whose(const struct pages_table *table, const struct pages_chunk *chunk,
		      unsigned page, uint32_t flags)
{
	uint32_t site = PAGES_NONE;

	if (table->first_walk)
		return PAGES_BEFORE;
	if (flags & PAGES_RUN_HUGE)
		site = companion(chunk, 0, PAGES_CHUNK_COUNT);
	else if (flags & PAGES_RUN_FILE)
		site = around(chunk, page);
	return site == PAGES_NONE ? PAGES_POPULATED : site;
}

static void found_resident(struct pages_table *table, struct pages_chunk *chunk, unsigned page,
			   uint32_t flags)
{
	uint32_t entry = chunk->entries[page];

	if (entry & ENTRY_GONE)
		give(table, chunk, page, entry_site(entry), entry & ENTRY_NEAR);
	else if (!entry)
		give(table, chunk, page, whose(table, chunk, page, flags), ENTRY_NEAR);
	else
		chunk->entries[page] = entry & ~ENTRY_YOUNG;
}

static unsigned page_of(uint64_t address, uint64_t number)
{
	return (address - (number << PAGES_CHUNK_SHIFT)) >> PAGES_SHIFT;
}

/* The chunk's pages in [start, end), from *first to before *stop; false if it begins later. */
static bool pages_within(const struct pages_chunk *chunk, uint64_t start, uint64_t end,
			 unsigned *first, unsigned *stop)
{
	uint64_t base = chunk->number << PAGES_CHUNK_SHIFT;

	if (base >= end)
		return false;
	*first = start > base ? page_of(start, chunk->number) : 0;
	*stop = end - base < CHUNK_BYTES ? page_of(end, chunk->number) : PAGES_CHUNK_COUNT;
	return true;
}

static void absent_range(struct pages_table *table, uint64_t start, uint64_t end)
{
	if (start >= end)
		return;
	for (size_t i = chunk_index(table, start >> PAGES_CHUNK_SHIFT); i < table->count; i++) {
		struct pages_chunk *chunk = table->chunks[i];
		unsigned page, stop;

		if (!pages_within(chunk, start, end, &page, &stop))
			break;
		for (; page < stop && chunk->used; page++)
			found_absent(table, chunk, page);
	}
}

static void resident_range(struct pages_table *table, const struct pages_run *run)
{
	uint64_t address = run->start;

	while (address < run->end) {
		struct pages_chunk *chunk = chunk_get(table, address >> PAGES_CHUNK_SHIFT);
		unsigned page = page_of(address, chunk->number);

		for (; page < PAGES_CHUNK_COUNT && address < run->end; page++) {
			found_resident(table, chunk, page, run->flags);
			address += PAGE_BYTES;
		}
	}
}

void pages_table_walked(struct pages_table *table, uint64_t start, uint64_t end,
			const struct pages_run *runs, size_t count)
{
	uint64_t cursor = start;

	for (size_t i = 0; i < count; i++) {
		absent_range(table, cursor, runs[i].start);
		resident_range(table, &runs[i]);
		cursor = runs[i].end;
	}
	absent_range(table, cursor, end);
	drop_empty(table, start >> PAGES_CHUNK_SHIFT, (end - 1) >> PAGES_CHUNK_SHIFT);
}

void pages_table_unmap(struct pages_table *table, uint64_t start, uint64_t end)
{
	for (size_t i = chunk_index(table, start >> PAGES_CHUNK_SHIFT); i < table->count; i++) {
		struct pages_chunk *chunk = table->chunks[i];
		unsigned page, stop;

		if (!pages_within(chunk, start, end, &page, &stop))
			break;
		for (; page < stop; page++)
			take(table, chunk, page);
	}
	if (start < end)
		drop_empty(table, start >> PAGES_CHUNK_SHIFT, (end - 1) >> PAGES_CHUNK_SHIFT);
}

static void move_chunk(struct pages_table *table, struct pages_chunk *chunk, unsigned page,
		       unsigned stop, uint64_t to)
{
	for (; page < stop && chunk->used; page++, to += PAGE_BYTES) {
		uint32_t entry = chunk->entries[page];

		if (!entry)
			continue;
		entry_set(chunk, page, 0);
		if (!(entry & ENTRY_GONE))
			entry |= ENTRY_YOUNG;
		entry_set(chunk_get(table, to >> PAGES_CHUNK_SHIFT),
			  to >> PAGES_SHIFT & (PAGES_CHUNK_COUNT - 1), entry);
	}
}

void pages_table_move(struct pages_table *table, uint64_t from, uint64_t to, uint64_t bytes)
{
	uint64_t cursor = from;

	if (!bytes)
		return;
	pages_table_unmap(table, to, to + bytes);
	/* Chunks that are made move the others, so each is looked for. */
	while (cursor < from + bytes) {
		size_t i = chunk_index(table, cursor >> PAGES_CHUNK_SHIFT);
		struct pages_chunk *chunk;
		unsigned page, stop;

		if (i == table->count)
			break;
		chunk = table->chunks[i];
		if (!pages_within(chunk, cursor, from + bytes, &page, &stop))
			break;
		cursor = (chunk->number << PAGES_CHUNK_SHIFT) + ((uint64_t)page << PAGES_SHIFT);
		move_chunk(table, chunk, page, stop, to + (cursor - from));
		cursor = (chunk->number + 1) << PAGES_CHUNK_SHIFT;
	}
	drop_empty(table, from >> PAGES_CHUNK_SHIFT, (from + bytes - 1) >> PAGES_CHUNK_SHIFT);
}

uint64_t pages_table_count(const struct pages_table *table, uint64_t start, uint64_t end)
{
	uint64_t count = 0;

	for (size_t i = chunk_index(table, start >> PAGES_CHUNK_SHIFT); i < table->count; i++) {
		const struct pages_chunk *chunk = table->chunks[i];
		unsigned page, stop;

		if (!pages_within(chunk, start, end, &page, &stop))
			break;
		if (stop - page == PAGES_CHUNK_COUNT)
			count += chunk->there;
		else
			for (; page < stop; page++)
				count += entry_valid(chunk->entries[page]);
	}
	return count;
}

void pages_table_relabel(struct pages_table *table, const uint8_t labels[ABI_COHORTS])
{
	for (size_t i = 0; i < table->count; i++) {
		struct pages_chunk *chunk = table->chunks[i];

		for (unsigned page = 0; page < PAGES_CHUNK_COUNT; page++)
			if (chunk->entries[page])
				chunk->entries[page] = (chunk->entries[page] & ~ENTRY_COHORT) |
						       labels[chunk->entries[page] & ENTRY_COHORT];
	}
}
