/* SPDX-License-Identifier: GPL-2.0-only */
/* What comes of calls that change mappings, without a kernel to do them. */
#include "unit.h"

#include "capture/maps_book.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE  4096ull
#define BASE  0x7f0000000000ull
#define SITES 64
#define A     10u
#define B     11u

struct world {
	struct abi_totals totals[SITES];
	struct abi_cohorts cohorts[SITES];
	struct abi_control control;
	struct maps_book book;
};

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	struct pages_books books;

	assert_non_null(world);
	world->control.cohort_now = 1;
	books = (struct pages_books){world->totals, world->cohorts, &world->control, SITES};
	maps_book_init(&world->book, &books);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	maps_book_deinit(&world->book);
	free(world);
	return 0;
}

static void call(struct world *world, uint32_t kind, uint32_t site, uint64_t a, uint64_t b,
		 uint64_t c, uint64_t d, uint64_t e)
{
	struct abi_mapping_call record = {.kind = kind, .site = site, .arguments = {a, b, c, d, e}};

	maps_book_call(&world->book, &record);
}

static void area(struct world *world, uint64_t address, uint64_t bytes)
{
	call(world, ABI_MAPPING_AREA, 0, address, bytes, 0, 0, 0);
}

static void do_mmap(struct world *world, uint32_t site, uint64_t page, uint64_t pages)
{
	call(world, ABI_MAPPING_MMAP, site, 0, pages * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS, 0);
	area(world, BASE + page * PAGE, pages * PAGE);
}

static void do_munmap(struct world *world, uint64_t page, uint64_t pages)
{
	call(world, ABI_MAPPING_MUNMAP, 0, BASE + page * PAGE, pages * PAGE, 0, 0, 0);
}

static void do_mremap(struct world *world, uint32_t site, uint64_t page, uint64_t pages,
		      uint64_t to_pages, uint64_t flags, uint64_t to)
{
	call(world, ABI_MAPPING_MREMAP, site, BASE + page * PAGE, pages * PAGE, to_pages * PAGE,
	     flags, to);
}

/* Works the last call out. */
static void settle(struct world *world)
{
	call(world, ABI_MAPPING_OTHER, 0, 0, 0, 0, 0, 0);
}

static uint64_t pages_of(struct world *world, uint32_t site)
{
	const struct abi_totals *totals = &world->totals[site];
	uint64_t sum = 0;

	settle(world);
	for (size_t i = 0; i < world->book.regions.count; i++) {
		const struct maps_region *region = &world->book.regions.data[i];

		assert_true(region->start < region->end);
		assert_true(!i || region[-1].end <= region->start);
		if (world->book.mappings.data[region->mapping].site == site)
			sum += region->end - region->start;
	}
	assert_int_equal(sum, totals->allocated_bytes - totals->freed_bytes);
	assert_int_equal(!sum, totals->allocated_blocks == totals->freed_blocks);
	return sum / PAGE;
}

static uint64_t blocks_of(const struct world *world, uint32_t site)
{
	return world->totals[site].allocated_blocks - world->totals[site].freed_blocks;
}

static void test_munmap(void **state)
{
	struct world *world = *state;

	do_mmap(world, A, 0, 100);
	do_mmap(world, A, 100, 50);
	assert_int_equal(pages_of(world, A), 150);
	do_munmap(world, 40, 10); /* the middle */
	assert_int_equal(pages_of(world, A), 140);
	assert_int_equal(blocks_of(world, A), 2);
	do_munmap(world, 90, 20); /* a tail, and the head of the next */
	assert_int_equal(pages_of(world, A), 120);
	call(world, ABI_MAPPING_MUNMAP, 0, BASE + 1, PAGE, 0, 0, 0); /* refused */
	call(world, ABI_MAPPING_MUNMAP, 0, BASE, 0, 0, 0, 0);
	call(world, ABI_MAPPING_MUNMAP, 0, BASE, -PAGE, 0, 0, 0);
	assert_int_equal(pages_of(world, A), 120);
	do_munmap(world, 0, 90);
	assert_int_equal(pages_of(world, A), 40);
	assert_int_equal(blocks_of(world, A), 1);
	do_munmap(world, 0, 1000);
	assert_int_equal(pages_of(world, A), 0);
	assert_int_equal(world->totals[A].allocated_blocks, 2);
}

static void test_mmap(void **state)
{
	struct world *world = *state;

	do_mmap(world, A, 0, 10);
	/* Over a part of it, and not over it. */
	call(world, ABI_MAPPING_MMAP, B, BASE + 2 * PAGE, 3 * PAGE, 3, MAP_FIXED, 0);
	call(world, ABI_MAPPING_MMAP, B, BASE + 6 * PAGE, 3 * PAGE, 3, MAP_FIXED_NOREPLACE, 0);
	call(world, ABI_MAPPING_MMAP, B, BASE + 12 * PAGE, PAGE, 3, MAP_FIXED_NOREPLACE, 0);
	call(world, ABI_MAPPING_MMAP, B, BASE + 7, PAGE, 3, MAP_FIXED, 0);
	assert_int_equal(pages_of(world, A), 7);
	assert_int_equal(pages_of(world, B), 4);
	/* No room: the address is an error. */
	call(world, ABI_MAPPING_MMAP, B, 0, PAGE, 3, MAP_ANONYMOUS, 0);
	area(world, -12ull, PAGE);
	assert_int_equal(pages_of(world, B), 4);
	/* Where it was wished for, if that is free. */
	call(world, ABI_MAPPING_MMAP, B, BASE + 100 * PAGE - 9, 1, 3, MAP_ANONYMOUS, 0);
	assert_int_equal(pages_of(world, B), 5);
	/* Room for a huge page more: at the next multiple of one. */
	call(world, ABI_MAPPING_MMAP, B, 0, 4 << 20, 3, MAP_ANONYMOUS, 0);
	area(world, BASE + (5 << 20), 6 << 20);
	assert_int_equal(pages_of(world, B), 5 + 1024);
	assert_int_equal(world->book.regions.data[world->book.regions.count - 1].start,
			 BASE + (6 << 20));
}

static void test_mremap(void **state)
{
	struct world *world = *state;

	do_mmap(world, A, 0, 10);
	do_mmap(world, A, 100, 10);
	do_mremap(world, B, 0, 10, 20, 0, 0); /* grows where it is */
	assert_int_equal(pages_of(world, A), 10);
	assert_int_equal(pages_of(world, B), 20);
	do_mremap(world, B, 0, 20, 5, 0, 0);
	assert_int_equal(pages_of(world, B), 5);
	do_mremap(world, B, 0, 5, 101, 0, 0); /* refused: it may not move and there is no room */
	do_mremap(world, B, 500, 5, 6, MREMAP_MAYMOVE, 0); /* refused: nothing is there */
	do_mremap(world, B, 0, 5, 0, MREMAP_MAYMOVE, 0);
	do_mremap(world, B, 0, 5, 6, MREMAP_FIXED, BASE + 900 * PAGE);
	assert_int_equal(pages_of(world, B), 5);
	do_mremap(world, B, 0, 5, 101, MREMAP_MAYMOVE, 0); /* moves */
	area(world, BASE + 1000 * PAGE, 101 * PAGE);
	assert_int_equal(pages_of(world, B), 101);
	do_mremap(world, B, 1000, 101, 8, MREMAP_MAYMOVE | MREMAP_FIXED, BASE + 102 * PAGE);
	assert_int_equal(pages_of(world, A), 2);
	assert_int_equal(pages_of(world, B), 8);
	assert_int_equal(world->totals[B].allocated_blocks - world->totals[B].freed_blocks, 1);
}

static void next_change(struct world *world, uint64_t page, uint64_t to, uint64_t pages)
{
	const struct maps_change *change = world->book.changes.data;

	assert_true(world->book.changes.count > 0);
	assert_int_equal(change->from, BASE + page * PAGE);
	assert_int_equal(change->to, to ? BASE + to * PAGE : 0);
	assert_int_equal(change->bytes, pages * PAGE);
	assert_int_equal(change->sequence, 5);
	memmove(world->book.changes.data, world->book.changes.data + 1,
		--world->book.changes.count * sizeof(*change));
}

static void numbered(struct world *world, uint32_t kind, uint64_t a, uint64_t b, uint64_t c,
		     uint64_t d, uint64_t e)
{
	struct abi_mapping_call record = {.kind = kind, .arguments = {a, b, c, d, e}};

	record.sequence = 5;
	maps_book_call(&world->book, &record);
}

/* Told at once: no other call has to come first. */
static void test_changes(void **state)
{
	struct world *world = *state;

	do_mmap(world, A, 0, 10);
	numbered(world, ABI_MAPPING_MUNMAP, BASE + 8 * PAGE, 2 * PAGE, 0, 0, 0);
	next_change(world, 8, 0, 2);
	numbered(world, ABI_MAPPING_MUNMAP, BASE + 1, PAGE, 0, 0, 0); /* refused */
	numbered(world, ABI_MAPPING_MMAP, BASE, 2 * PAGE, 3, MAP_FIXED, 0);
	next_change(world, 0, 0, 2);
	numbered(world, ABI_MAPPING_MREMAP, BASE, 8 * PAGE, 5 * PAGE, 0, 0);
	next_change(world, 5, 0, 3);
	numbered(world, ABI_MAPPING_MREMAP, BASE, 5 * PAGE, 9 * PAGE, MREMAP_MAYMOVE, 0);
	assert_int_equal(world->book.changes.count, 0);
	area(world, -12ull, 9 * PAGE); /* no room; it is looked for elsewhere */
	assert_int_equal(world->book.changes.count, 0);
	area(world, BASE + 100 * PAGE, 9 * PAGE);
	next_change(world, 100, 0, 9);
	next_change(world, 0, 100, 5);
	numbered(world, ABI_MAPPING_MREMAP, BASE + 100 * PAGE, 9 * PAGE, 4 * PAGE,
		 MREMAP_MAYMOVE | MREMAP_FIXED, BASE + 50 * PAGE);
	next_change(world, 50, 0, 4);
	next_change(world, 100, 50, 4);
	next_change(world, 104, 0, 5);
	/* Where it is. */
	numbered(world, ABI_MAPPING_MREMAP, BASE + 50 * PAGE, 4 * PAGE, 6 * PAGE, MREMAP_MAYMOVE,
		 0);
	assert_int_equal(pages_of(world, 0), 6);
	assert_int_equal(world->book.changes.count, 0);
}

static void test_brk(void **state)
{
	struct world *world = *state;
	struct maps_range mapped = {BASE, BASE + 10 * PAGE};

	maps_book_sync(&world->book, &mapped, 1, &mapped, true);
	assert_int_equal(pages_of(world, PAGES_BEFORE), 10);
	call(world, ABI_MAPPING_BRK, A, 0, 0, 0, 0, 0); /* asks */
	call(world, ABI_MAPPING_BRK, A, BASE + 15 * PAGE + 5, 0, 0, 0, 0);
	assert_int_equal(pages_of(world, A), 6);
	call(world, ABI_MAPPING_BRK, B, BASE + 20 * PAGE, 0, 0, 0, 0);
	assert_int_equal(pages_of(world, B), 4);
	call(world, ABI_MAPPING_BRK, B, BASE + 12 * PAGE, 0, 0, 0, 0);
	assert_int_equal(pages_of(world, A), 2);
	assert_int_equal(pages_of(world, B), 0);
	call(world, ABI_MAPPING_BRK, B, BASE - PAGE, 0, 0, 0, 0); /* refused */
	assert_int_equal(pages_of(world, A), 2);
}

static void test_first_break(void **state)
{
	struct world *world = *state;
	struct maps_range mapped = {BASE, BASE + 10 * PAGE}, none = {0, 0};
	struct maps_range both[] = {mapped, {BASE + 50 * PAGE, BASE + 60 * PAGE}};

	maps_book_sync(&world->book, &mapped, 1, &none, true);
	call(world, ABI_MAPPING_BRK, A, 0, 0, 0, 0, 0);
	call(world, ABI_MAPPING_BRK, A, BASE + 60 * PAGE, 0, 0, 0, 0);
	maps_book_sync(&world->book, both, 2, &both[1], false);
	assert_int_equal(pages_of(world, A), 10);
	call(world, ABI_MAPPING_BRK, A, BASE + 61 * PAGE, 0, 0, 0, 0);
	assert_int_equal(pages_of(world, A), 11);
}

static void test_sync(void **state)
{
	struct world *world = *state;
	struct maps_range none = {0, 0};
	struct maps_range mapped[] = {{BASE, BASE + 10 * PAGE},
				      {BASE + 20 * PAGE, BASE + 30 * PAGE}};

	maps_book_sync(&world->book, mapped, 2, &none, true);
	assert_int_equal(pages_of(world, PAGES_BEFORE), 20);
	/* One that did not come, one that came elsewhere, one that nobody asked for. */
	do_mmap(world, A, 50, 3);
	do_mmap(world, B, 60, 7);
	mapped[1].end += 4 * PAGE;
	maps_book_sync(
		&world->book,
		(struct maps_range[]){mapped[0], mapped[1], {BASE + 80 * PAGE, BASE + 87 * PAGE}},
		3, &none, false);
	assert_int_equal(pages_of(world, A), 0);
	assert_int_equal(pages_of(world, B), 7);
	assert_int_equal(pages_of(world, PAGES_POPULATED), 4);
	assert_int_equal(pages_of(world, PAGES_BEFORE), 20);
	/* The first one comes late: it was under way. */
	maps_book_sync(&world->book,
		       (struct maps_range[]){mapped[0],
					     mapped[1],
					     {BASE + 80 * PAGE, BASE + 87 * PAGE},
					     {BASE + 90 * PAGE, BASE + 93 * PAGE}},
		       4, &none, false);
	assert_int_equal(pages_of(world, A), 3);
	/* And what goes unseen goes. */
	maps_book_sync(&world->book, mapped, 1, &none, false);
	assert_int_equal(pages_of(world, PAGES_BEFORE), 10);
	assert_int_equal(pages_of(world, A) + pages_of(world, B), 0);
}

/* Any calls: no region over another, and the totals are the regions'. */
static void test_many(void **state)
{
	struct world *world = *state;
	unsigned seed = 7;

	for (unsigned i = 0; i < 20000; i++) {
		uint64_t page, pages, site;

		seed = seed * 1664525 + 1013904223;
		page = seed >> 8 & 255;
		pages = 1 + (seed >> 16 & 31);
		site = 3 + (seed >> 21 & 7);
		switch (seed >> 28 & 3) {
		case 0:
			do_mmap(world, site, page, pages);
			break;
		case 1:
			do_munmap(world, page, pages);
			break;
		case 2:
			call(world, ABI_MAPPING_MMAP, site, BASE + page * PAGE, pages * PAGE, 3,
			     MAP_FIXED, 0);
			break;
		default:
			do_mremap(world, site, page, pages, 1 + (seed >> 25 & 31), MREMAP_MAYMOVE,
				  0);
		}
		if (i % 64 == 0)
			for (unsigned s = 0; s < SITES; s++)
				pages_of(world, s);
	}
	do_munmap(world, 0, 1000);
	for (unsigned s = 0; s < SITES; s++)
		assert_int_equal(pages_of(world, s), 0);
	assert_int_equal(world->book.unused.count, world->book.mappings.count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_munmap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mmap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mremap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_brk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_first_break, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sync, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
