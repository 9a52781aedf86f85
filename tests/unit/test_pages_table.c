/* SPDX-License-Identifier: GPL-2.0-only */
/* Whose pages are: faults and walks against what must come of them. */
#include "unit.h"

#include "capture/pages_table.h"

#include <stdlib.h>
#include <string.h>

#define PAGE  4096ull
#define BASE  0x7f0000000000ull
#define SITES 64
#define A     10u
#define B     11u

struct world {
	struct abi_totals totals[SITES];
	struct abi_cohorts cohorts[SITES];
	struct abi_control control;
	struct pages_table table;
};

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	struct pages_books books;

	assert_non_null(world);
	world->control.cohort_now = 1;
	for (unsigned i = 0; i < ABI_COHORTS; i++)
		world->control.cohort_row[i] = i % ABI_COHORT_ROWS;
	books = (struct pages_books){world->totals, world->cohorts, &world->control, SITES};
	pages_table_init(&world->table, &books);
	world->table.first_walk = false;
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	pages_table_deinit(&world->table);
	free(world);
	return 0;
}

static uint64_t live(const struct world *world, unsigned site)
{
	const struct abi_totals *totals = &world->totals[site];
	uint64_t in_rows = 0;

	for (unsigned row = 0; row < ABI_COHORT_ROWS; row++)
		in_rows += world->cohorts[site].rows[row].allocated_blocks -
			   world->cohorts[site].rows[row].freed_blocks;
	assert_int_equal(in_rows, totals->allocated_blocks - totals->freed_blocks);
	assert_int_equal(in_rows * PAGE, totals->allocated_bytes - totals->freed_bytes);
	return in_rows;
}

static void fault(struct world *world, uint64_t page, uint32_t site)
{
	pages_table_fault(&world->table, BASE + page * PAGE + 123, site, false, false);
}

/* Pages [from, to) of the walk over [0, pages) are there. */
static void walk(struct world *world, uint64_t pages, uint64_t from, uint64_t to, uint32_t flags)
{
	struct pages_run run = {BASE + from * PAGE, BASE + to * PAGE, flags};

	pages_table_walked(&world->table, BASE, BASE + pages * PAGE, &run, from < to);
}

/* So that what is gone is not taken for a fault under way. */
static void grow_old(struct world *world)
{
	world->control.cohort_now++;
}

static void test_faults_and_walks(void **state)
{
	struct world *world = *state;

	for (uint64_t i = 0; i < 1000; i++)
		fault(world, i, A);
	assert_int_equal(live(world, A), 1000);
	grow_old(world);
	walk(world, 2000, 0, 600, 0);
	assert_int_equal(live(world, A), 600);
	assert_int_equal(world->totals[A].freed_blocks, 400);
	/* The address is used again, by another stack. */
	fault(world, 599, B);
	assert_int_equal(live(world, A), 599);
	assert_int_equal(live(world, B), 1);
	walk(world, 2000, 0, 0, 0);
	grow_old(world);
	walk(world, 2000, 0, 0, 0);
	assert_int_equal(live(world, A) + live(world, B), 0);
	assert_int_equal(world->table.resident, 0);
	assert_int_equal(world->table.count, 0);
}

static void test_before_and_populated(void **state)
{
	struct world *world = *state;

	world->table.first_walk = true;
	walk(world, 1000, 0, 100, 0);
	world->table.first_walk = false;
	walk(world, 1000, 0, 150, 0);
	assert_int_equal(live(world, PAGES_BEFORE), 100);
	assert_int_equal(live(world, PAGES_POPULATED), 50);
	/* Made writable: one from before stays, one that nobody brought in is the writer's. */
	pages_table_fault(&world->table, BASE, A, true, false);
	pages_table_fault(&world->table, BASE + 120 * PAGE, A, true, false);
	assert_int_equal(live(world, PAGES_BEFORE), 100);
	assert_int_equal(live(world, PAGES_POPULATED), 49);
	assert_int_equal(live(world, A), 1);
	/* Gone and back without a fault is not from before. */
	walk(world, 1000, 50, 150, 0);
	walk(world, 1000, 0, 150, 0);
	assert_int_equal(live(world, PAGES_BEFORE), 50);
	assert_int_equal(live(world, PAGES_POPULATED), 99);
}

static void test_fault_under_way(void **state)
{
	struct world *world = *state;

	fault(world, 5, A);
	walk(world, 1000, 0, 0, 0);
	assert_int_equal(live(world, A), 0);
	walk(world, 1000, 5, 6, 0);
	assert_int_equal(live(world, A), 1);
	assert_int_equal(live(world, PAGES_POPULATED), 0);
	/* Not for ever. */
	fault(world, 6, A);
	walk(world, 1000, 0, 0, 0);
	walk(world, 1000, 0, 0, 0);
	walk(world, 1000, 6, 7, 0);
	assert_int_equal(live(world, A), 0);
	assert_int_equal(live(world, PAGES_POPULATED), 1);
}

static void test_walk_that_is_older(void **state)
{
	struct world *world = *state;

	pages_table_fault(&world->table, BASE + 7 * PAGE, A, false, true);
	grow_old(world);
	walk(world, 1000, 0, 0, 0);
	assert_int_equal(live(world, A), 1);
	walk(world, 1000, 0, 0, 0);
	assert_int_equal(live(world, A), 0);
}

static void test_companions(void **state)
{
	struct world *world = *state;

	fault(world, 512 + 3, A);
	walk(world, 2048, 512, 1024, PAGES_RUN_HUGE);
	assert_int_equal(live(world, A), 512);
	/* A mapping that begins at 20 is read in from there on. */
	fault(world, 1024 + 20, B);
	walk(world, 2048, 1024 + 20, 1024 + 60, PAGES_RUN_FILE);
	assert_int_equal(live(world, B), 16);
	assert_int_equal(live(world, PAGES_POPULATED), 24);
	/* Anonymous memory has no such neighbours. */
	fault(world, 1600, B);
	walk(world, 2048, 1600, 1608, 0);
	assert_int_equal(live(world, PAGES_POPULATED), 7);
	assert_int_equal(live(world, B), 1);
}

static void test_unmap_and_count(void **state)
{
	struct world *world = *state;

	for (uint64_t i = 0; i < 2000; i++)
		fault(world, i, A);
	assert_int_equal(pages_table_count(&world->table, BASE + 100 * PAGE, BASE + 1100 * PAGE),
			 1000);
	pages_table_unmap(&world->table, BASE + 100 * PAGE, BASE + 1100 * PAGE);
	assert_int_equal(live(world, A), 1000);
	assert_int_equal(pages_table_count(&world->table, BASE, BASE + 2000 * PAGE), 1000);
	pages_table_unmap(&world->table, BASE + 500 * PAGE, BASE + 500 * PAGE);
	assert_int_equal(live(world, A), 1000);
}

static void move(struct world *world, uint64_t from, uint64_t to, uint64_t pages)
{
	pages_table_move(&world->table, BASE + from * PAGE, BASE + to * PAGE, pages * PAGE);
}

static void test_move(void **state)
{
	struct world *world = *state;

	for (uint64_t i = 0; i < 1000; i++)
		fault(world, i, i & 1 ? A : B);
	fault(world, 5000, PAGES_FIRST_SITE); /* was there before, unseen that it went */
	grow_old(world);
	move(world, 100, 4700, 700);
	assert_int_equal(live(world, A), 500);
	assert_int_equal(live(world, B), 500);
	assert_int_equal(live(world, PAGES_FIRST_SITE), 0);
	assert_int_equal(world->totals[A].freed_blocks, 0);
	assert_int_equal(pages_table_count(&world->table, BASE, BASE + 1000 * PAGE), 300);
	assert_int_equal(pages_table_count(&world->table, BASE + 4700 * PAGE, BASE + 5400 * PAGE),
			 700);
	/* Whoever touches the new place after the move. */
	fault(world, 5400, A);
	/* A walk that did not see them at either place, and one that does. */
	walk(world, 6000, 0, 100, 0);
	assert_int_equal(live(world, A) + live(world, B), 100 + 700);
	walk(world, 6000, 4700, 5400, 0);
	assert_int_equal(live(world, A), 350);
	assert_int_equal(live(world, B), 350);
	assert_int_equal(live(world, PAGES_POPULATED), 0);
	/* Back, over what is left; nothing from nowhere. */
	move(world, 4700, 0, 700);
	move(world, 1 << 20, 1 << 21, 5000);
	move(world, 0, 512, 0);
	walk(world, 6000, 0, 700, 0);
	assert_int_equal(live(world, A), 350);
	grow_old(world);
	walk(world, 6000, 0, 0, 0);
	assert_int_equal(world->table.resident, 0);
	assert_int_equal(world->table.count, 0);
}

static void test_labels(void **state)
{
	struct world *world = *state;
	uint8_t labels[ABI_COHORTS];

	for (unsigned i = 0; i < ABI_COHORTS; i++)
		labels[i] = i;
	world->control.cohort_now = 17; /* in the row of 1 */
	fault(world, 1, A);
	labels[17] = 1;
	pages_table_relabel(&world->table, labels);
	world->control.cohort_row[17] = 9;
	world->control.cohort_now = 20;
	walk(world, 100, 0, 0, 0);
	assert_int_equal(live(world, A), 0);
	assert_int_equal(world->cohorts[A].rows[1].freed_blocks, 1);
}

/* Any faults and walks: the rows are what is there, and each page is in one. */
static void test_many(void **state)
{
	enum {
		PAGES = 4096
	};
	struct world *world = *state;
	uint8_t there[PAGES] = {0};
	unsigned seed = 1;

	for (unsigned round = 0; round < 400; round++) {
		struct pages_run runs[PAGES];
		uint64_t resident = 0, sum = 0;
		size_t count = 0;

		for (unsigned i = 0; i < 300; i++) {
			unsigned page = (seed = seed * 1664525 + 1013904223) >> 8 & (PAGES - 1);

			if (seed & 4)
				fault(world, page, 3 + (seed >> 3) % 20);
			there[page] = (seed & 4) || (seed & 24) == 8;
		}
		for (unsigned i = 0; i < PAGES; i++) {
			if (!there[i])
				continue;
			resident++;
			if (count && runs[count - 1].end == BASE + i * PAGE)
				runs[count - 1].end += PAGE;
			else
				runs[count++] = (struct pages_run){BASE + i * PAGE,
								   BASE + (i + 1) * PAGE, 0};
		}
		pages_table_walked(&world->table, BASE, BASE + PAGES * PAGE, runs, count);
		world->control.cohort_now = 1 + round % 200;
		for (unsigned site = 0; site < SITES; site++)
			sum += live(world, site);
		assert_int_equal(sum, resident);
		assert_int_equal(world->table.resident, resident);
		assert_int_equal(pages_table_count(&world->table, BASE, BASE + PAGES * PAGE),
				 resident);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_faults_and_walks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_before_and_populated, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fault_under_way, setup, teardown),
		cmocka_unit_test_setup_teardown(test_walk_that_is_older, setup, teardown),
		cmocka_unit_test_setup_teardown(test_companions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unmap_and_count, setup, teardown),
		cmocka_unit_test_setup_teardown(test_move, setup, teardown),
		cmocka_unit_test_setup_teardown(test_labels, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
