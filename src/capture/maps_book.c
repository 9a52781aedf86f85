/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/maps_book.h"

#include <string.h>

#define PAGE_BYTES (1ull << PAGES_SHIFT)
#define HUGE_BYTES (1ull << PAGES_CHUNK_SHIFT)
/* The user ABI of mmap and mremap. */
#define FLAG_FIXED	     0x10u
#define FLAG_ANONYMOUS	     0x20u
#define FLAG_FIXED_NOREPLACE 0x100000u
#define REMAP_MAYMOVE	     1u
#define REMAP_FIXED	     2u
#define REMAP_DONTUNMAP	     4u

void maps_book_init(struct maps_book *book, const struct pages_books *books)
{
	memset(book, 0, sizeof(*book));
	book->books = *books;
}

void maps_book_deinit(struct maps_book *book)
{
	vec_deinit(&book->regions);
	vec_deinit(&book->mappings);
	vec_deinit(&book->unused);
	vec_deinit(&book->lost);
	vec_deinit(&book->changes);
}

static uint64_t round_up(uint64_t bytes)
{
	return (bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

static bool is_aligned(uint64_t address)
{
	return !(address & (PAGE_BYTES - 1));
}

/* --- totals --- */

static void book(const struct maps_book *book, uint32_t site, uint8_t label, uint64_t bytes,
		 uint64_t blocks, bool freed)
{
	struct abi_totals *totals = &book->books.totals[site];
	uint8_t row = book->books.control->cohort_row[label] & (ABI_COHORT_ROWS - 1);
	struct abi_totals *cohort = &book->books.cohorts[site].rows[row];

	if (freed) {
		totals->freed_bytes += bytes;
		totals->freed_blocks += blocks;
		cohort->freed_bytes += bytes;
		cohort->freed_blocks += blocks;
	} else {
		totals->allocated_bytes += bytes;
		totals->allocated_blocks += blocks;
		cohort->allocated_bytes += bytes;
		cohort->allocated_blocks += blocks;
	}
}

static uint32_t mapping_new(struct maps_book *maps, uint32_t site, uint64_t bytes)
{
	uint32_t index;

	if (site >= maps->books.sites)
		site = 0;
	if (maps->unused.count) {
		index = maps->unused.data[--maps->unused.count];
	} else {
		index = (uint32_t)maps->mappings.count;
		vec_push(&maps->mappings);
	}
	maps->mappings.data[index] = (struct maps_mapping){
		.bytes = bytes, .site = site, .cohort = (uint8_t)maps->books.control->cohort_now};
	book(maps, site, (uint8_t)maps->books.control->cohort_now, bytes, 1, false);
	return index;
}

static void mapping_shrink(struct maps_book *maps, uint32_t index, uint64_t bytes)
{
	struct maps_mapping *mapping = &maps->mappings.data[index];

	mapping->bytes -= bytes;
	book(maps, mapping->site, mapping->cohort, bytes, !mapping->bytes, true);
	if (!mapping->bytes)
		*vec_push(&maps->unused) = index;
}

/* --- regions --- */

/* Index of the first region that ends behind `address`. */
static size_t region_at(const struct maps_book *maps, uint64_t address)
{
	size_t low = 0, high = maps->regions.count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (maps->regions.data[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_free(const struct maps_book *maps, uint64_t start, uint64_t end)
{
	size_t i = region_at(maps, start);

	return i == maps->regions.count || maps->regions.data[i].start >= end;
}

static bool is_mapped(const struct maps_book *maps, uint64_t start, uint64_t end)
{
	for (size_t i = region_at(maps, start); start < end; i++) {
		if (i == maps->regions.count || maps->regions.data[i].start > start)
			return false;
		start = maps->regions.data[i].end;
	}
	return true;
}

static void insert(struct maps_book *maps, size_t i, struct maps_region region)
{
	vec_push(&maps->regions);
	memmove(maps->regions.data + i + 1, maps->regions.data + i,
		(maps->regions.count - 1 - i) * sizeof(region));
	maps->regions.data[i] = region;
}

static void unmap(struct maps_book *maps, uint64_t start, uint64_t end)
{
	size_t i = region_at(maps, start), kept;

	if (i < maps->regions.count && maps->regions.data[i].start < start &&
	    maps->regions.data[i].end > end) {
		struct maps_region rest = maps->regions.data[i];

		mapping_shrink(maps, rest.mapping, end - start);
		maps->regions.data[i].end = start;
		rest.start = end;
		insert(maps, i + 1, rest);
		return;
	}
	for (kept = i; i < maps->regions.count; i++) {
		struct maps_region region = maps->regions.data[i];
		uint64_t from = region.start > start ? region.start : start;
		uint64_t to = region.end < end ? region.end : end;

		if (region.start >= end)
			break;
		mapping_shrink(maps, region.mapping, to - from);
		if (region.start < from)
			region.end = from;
		else
			region.start = to;
		if (region.start < region.end)
			maps->regions.data[kept++] = region;
	}
	memmove(maps->regions.data + kept, maps->regions.data + i,
		(maps->regions.count - i) * sizeof(*maps->regions.data));
	maps->regions.count -= i - kept;
}

static void map(struct maps_book *maps, uint64_t start, uint64_t end, uint32_t site, bool confirmed)
{
	if (start >= end)
		return;
	if (maps->regions.count)
		unmap(maps, start, end);
	insert(maps, region_at(maps, start),
	       (struct maps_region){start, end, mapping_new(maps, site, end - start), confirmed});
}

/* --- calls --- */

/*
 * Where the kernel puts `bytes` for which it found room of `area_bytes` at `area`: where it looked
 * for a huge page more, at the next multiple of one (__thp_get_unmapped_area()). 0 = cannot be
 * told.
 */
static uint64_t place(const struct maps_book *maps, uint64_t bytes)
{
	if (maps->area_bytes == bytes)
		return maps->area;
	if (maps->area_bytes != bytes + HUGE_BYTES)
		return 0;
	return (maps->area & ~(HUGE_BYTES - 1)) + HUGE_BYTES;
}

/* It is mapped somewhere: the next look at what is will tell. */
static void lose(struct maps_book *maps, uint64_t bytes, uint32_t site)
{
	*vec_push(&maps->lost) = (struct maps_lost){bytes, site, 0};
}

static void change(struct maps_book *maps, const struct abi_mapping_call *call, uint64_t from,
		   uint64_t to, uint64_t bytes)
{
	if (bytes)
		*vec_push(&maps->changes) = (struct maps_change){from, to, bytes, call->sequence};
}

static void finish_mmap(struct maps_book *maps, const struct abi_mapping_call *call)
{
	uint64_t start = call->arguments[0], bytes = round_up(call->arguments[1]);
	uint64_t flags = call->arguments[3];

	if (!bytes || bytes >> 56)
		return;
	if (flags & (FLAG_FIXED | FLAG_FIXED_NOREPLACE)) {
		if (!is_aligned(start) ||
		    (flags & FLAG_FIXED_NOREPLACE && !is_free(maps, start, start + bytes)))
			return;
		change(maps, call, start, 0, bytes);
	} else if (maps->area) {
		if (maps->area >> 63)
			return;
		start = place(maps, bytes);
	} else {
		start = round_up(start);
		if (start && !is_free(maps, start, start + bytes))
			start = 0;
	}
	if (start)
		map(maps, start, start + bytes, call->site, false);
	else
		lose(maps, bytes, call->site);
}

static void finish_munmap(struct maps_book *maps, const struct abi_mapping_call *call)
{
	uint64_t start = call->arguments[0], bytes = round_up(call->arguments[1]);

	if (!is_aligned(start) || !bytes || start + bytes <= start || (start + bytes) >> 63)
		return;
	unmap(maps, start, start + bytes);
	change(maps, call, start, 0, bytes);
}

static void finish_brk(struct maps_book *maps, const struct abi_mapping_call *call)
{
	uint64_t from = round_up(maps->break_end), to = round_up(call->arguments[0]);

	if (!call->arguments[0])
		return;
	if (!maps->break_end) {
		maps->break_site = call->site;
		return;
	}
	if (to > from && !is_free(maps, from, to))
		return;
	/* An end below where the heap begins is refused. */
	if (to < from && !is_mapped(maps, to, from))
		return;
	if (to > from) {
		map(maps, from, to, call->site, false);
	} else {
		unmap(maps, to, from);
		change(maps, call, to, 0, from - to);
	}
	maps->break_end = call->arguments[0];
}

/* Where mremap puts it; 0 = it is refused. */
static uint64_t remap_place(const struct maps_book *maps, const struct abi_mapping_call *call,
			    uint64_t old_bytes, uint64_t bytes)
{
	uint64_t start = call->arguments[0], flags = call->arguments[3];
	uint64_t to = call->arguments[4];

	if (!is_aligned(start) || !bytes || bytes >> 56 || old_bytes >> 56 || start >> 63)
		return 0;
	/* For what is not mapped no place is chosen. */
	if (!maps->area && !is_mapped(maps, start, start + (old_bytes ? old_bytes : PAGE_BYTES)))
		return 0;
	if (flags & REMAP_FIXED)
		return flags & REMAP_MAYMOVE && is_aligned(to) &&
				       (to + bytes <= start || start + old_bytes <= to) ?
			       to :
			       0;
	if (maps->area)
		return maps->area >> 63 ? 0 : place(maps, bytes);
	if (bytes > old_bytes && !is_free(maps, start + old_bytes, start + bytes))
		return 0;
	return start;
}

/* What it covers goes, what it has no room for goes, the rest moves. */
static void change_by_mremap(struct maps_book *maps, const struct abi_mapping_call *call,
			     uint64_t old_bytes, uint64_t to, uint64_t bytes)
{
	uint64_t start = call->arguments[0], kept = bytes < old_bytes ? bytes : old_bytes;

	if (to != start) {
		change(maps, call, to, 0, bytes);
		change(maps, call, start, to, kept);
	}
	change(maps, call, start + kept, 0, old_bytes - kept);
}

static void finish_mremap(struct maps_book *maps, const struct abi_mapping_call *call)
{
	uint64_t start = call->arguments[0];
	uint64_t old_bytes = round_up(call->arguments[1]), bytes = round_up(call->arguments[2]);
	uint64_t to = remap_place(maps, call, old_bytes, bytes);

	if (!to)
		return;
	if (!(call->arguments[3] & REMAP_DONTUNMAP))
		unmap(maps, start, start + old_bytes);
	map(maps, to, to + bytes, call->site, false);
	change_by_mremap(maps, call, old_bytes, to, bytes);
}

static void finish(struct maps_book *maps)
{
	struct abi_mapping_call call = maps->call;

	maps->call.kind = ABI_MAPPING_OTHER;
	switch (call.kind) {
	case ABI_MAPPING_MMAP:
		finish_mmap(maps, &call);
		break;
	case ABI_MAPPING_MUNMAP:
		finish_munmap(maps, &call);
		break;
	case ABI_MAPPING_BRK:
		finish_brk(maps, &call);
		break;
	case ABI_MAPPING_MREMAP:
		finish_mremap(maps, &call);
		break;
	}
	maps->area = maps->area_bytes = 0;
}

/* Is all told that there is to tell of the call at hand? */
static bool is_complete(const struct maps_book *maps)
{
	const uint64_t *arguments = maps->call.arguments;

	switch (maps->call.kind) {
	case ABI_MAPPING_MUNMAP:
	case ABI_MAPPING_BRK:
		return true;
	case ABI_MAPPING_MMAP:
		return arguments[3] & (FLAG_FIXED | FLAG_FIXED_NOREPLACE);
	case ABI_MAPPING_MREMAP:
		return arguments[3] & REMAP_FIXED ||
		       round_up(arguments[2]) <= round_up(arguments[1]) ||
		       (maps->area && !(maps->area >> 63));
	default:
		return false;
	}
}

void maps_book_call(struct maps_book *maps, const struct abi_mapping_call *call)
{
	if (call->kind == ABI_MAPPING_AREA) {
		maps->area = call->arguments[0];
		maps->area_bytes = call->arguments[1];
	} else {
		finish(maps);
		maps->call = *call;
	}
	if (is_complete(maps))
		finish(maps);
}

/* --- what is mapped --- */

/* What is in no range leaves; where all of a mapping was never seen, it is somewhere else. */
static void drop(struct maps_book *maps, uint64_t start, uint64_t end)
{
	for (size_t i = region_at(maps, start); i < maps->regions.count; i++) {
		const struct maps_region *region = &maps->regions.data[i];
		const struct maps_mapping *mapping = &maps->mappings.data[region->mapping];

		if (region->start >= end)
			break;
		if (!region->confirmed && region->start >= start && region->end <= end &&
		    mapping->bytes == region->end - region->start)
			lose(maps, mapping->bytes, mapping->site);
	}
	unmap(maps, start, end);
}

static uint32_t find_lost(struct maps_book *maps, uint64_t bytes, uint32_t otherwise)
{
	for (size_t i = 0; i < maps->lost.count; i++) {
		uint32_t site = maps->lost.data[i].site;

		if (maps->lost.data[i].bytes != bytes)
			continue;
		maps->lost.data[i] = maps->lost.data[--maps->lost.count];
		return site;
	}
	return otherwise;
}

/* What is mapped there and in no region becomes one, a gap at a time. */
static void fill(struct maps_book *maps, const struct maps_range *range,
		 const struct maps_range *heap, uint32_t row)
{
	uint64_t cursor = range->start;

	while (cursor < range->end) {
		size_t i = region_at(maps, cursor);
		uint64_t end = range->end;
		uint32_t site = row;

		if (i < maps->regions.count && maps->regions.data[i].start <= cursor) {
			maps->regions.data[i].confirmed = true;
			cursor = maps->regions.data[i].end;
			continue;
		}
		if (i < maps->regions.count && maps->regions.data[i].start < end)
			end = maps->regions.data[i].start;
		if (maps->break_site && cursor >= heap->start && end <= heap->end)
			site = maps->break_site;
		else
			site = find_lost(maps, end - cursor, row);
		map(maps, cursor, end, site, true);
		cursor = end;
	}
}

static void forget_lost(struct maps_book *maps)
{
	size_t kept = 0;

	for (size_t i = 0; i < maps->lost.count; i++)
		if (!maps->lost.data[i].looks++)
			maps->lost.data[kept++] = maps->lost.data[i];
	maps->lost.count = kept;
}

void maps_book_sync(struct maps_book *maps, const struct maps_range *mapped, size_t count,
		    const struct maps_range *heap, bool first)
{
	uint64_t cursor = 0;

	finish(maps);
	for (size_t i = 0; i < count; i++) {
		drop(maps, cursor, mapped[i].start);
		cursor = mapped[i].end;
	}
	drop(maps, cursor, UINT64_MAX);
	for (size_t i = 0; i < count; i++)
		fill(maps, &mapped[i], heap, first ? PAGES_BEFORE : PAGES_POPULATED);
	forget_lost(maps);
	maps->break_site = 0;
	if (heap->end && round_up(maps->break_end) != heap->end)
		maps->break_end = heap->end;
}

void maps_book_relabel(struct maps_book *maps, const uint8_t labels[ABI_COHORTS])
{
	struct maps_mapping *mapping;

	vec_for_each(mapping, &maps->mappings)
		mapping->cohort = labels[mapping->cohort];
}
