/* SPDX-License-Identifier: GPL-2.0-only */
/* The cohort clock, against a plain list of blocks with their true birth times. */
#include "capture/cohorts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND 1000000000ull
#define BLOCKS 200000

struct block {
	uint64_t born_ns;
	uint8_t cohort;
	bool live;
};

struct world {
	struct cohort_clock clock;
	struct block *blocks;
	unsigned count;
	int64_t rows[ABI_COHORT_ROWS]; /* live blocks counted in each row */
	uint64_t now_ns;
	unsigned seed;
	unsigned relabels;
};

static unsigned random_number(struct world *world)
{
	world->seed = world->seed * 1664525 + 1013904223;
	return world->seed >> 8;
}

static void setup(struct world *world, unsigned seed)
{
	memset(world, 0, sizeof(*world));
	world->seed = seed;
	world->now_ns = 1000 * SECOND;
	world->blocks = calloc(BLOCKS, sizeof(*world->blocks));
	cohort_clock_init(&world->clock, world->now_ns);
}

static void birth(struct world *world)
{
	struct block *block = &world->blocks[world->count++];

	*block = (struct block){world->now_ns, world->clock.now, true};
	world->rows[world->clock.row_of[block->cohort]]++;
}

static void death(struct world *world, struct block *block)
{
	world->rows[world->clock.row_of[block->cohort]]--;
	block->live = false;
}

/* What the ledger does with its table, here with the list. */
static void relabel(struct world *world)
{
	uint8_t labels[ABI_COHORTS];

	if (cohort_clock_free_count(&world->clock) >= 48)
		return;
	cohort_clock_relabel(&world->clock, world->now_ns - 5 * SECOND, labels);
	for (unsigned i = 0; i < world->count; i++)
		world->blocks[i].cohort = labels[world->blocks[i].cohort];
	cohort_clock_release(&world->clock, labels);
	world->relabels++;
}

static void advance(struct world *world, uint64_t step_ns)
{
	int from, to;

	world->now_ns += step_ns;
	assert_true(cohort_clock_advance(&world->clock, world->now_ns, &from, &to));
	if (from != COHORT_ROW_FREE) {
		world->rows[to] += world->rows[from];
		world->rows[from] = 0;
	}
	assert_int_equal(world->rows[world->clock.current], 0);
	relabel(world);
}

/* Every row holds just the live blocks born in its span. */
static void check_rows(struct world *world)
{
	uint8_t rows[ABI_COHORT_ROWS];
	unsigned count = cohort_clock_rows(&world->clock, rows);
	int64_t total = 0, live = 0;

	for (unsigned r = 0; r < count; r++) {
		const struct cohort_span *span = &world->clock.rows[rows[r]];
		bool current = rows[r] == world->clock.current;
		int64_t counted = world->rows[rows[r]], truth = 0;

		if (world->clock.draining != COHORT_ROW_FREE &&
		    rows[r] == world->clock.draining_into)
			counted += world->rows[world->clock.draining];
		for (unsigned i = 0; i < world->count; i++)
			truth += world->blocks[i].live &&
				 world->blocks[i].born_ns >= span->from_ns &&
				 (current || world->blocks[i].born_ns < span->to_ns);
		assert_int_equal(counted, truth);
		total += counted;
		if (r)
			assert_true(span->from_ns == world->clock.rows[rows[r - 1]].to_ns);
	}
	for (unsigned i = 0; i < world->count; i++)
		live += world->blocks[i].live;
	assert_int_equal(total, live);
}

static void test_rows_are_exact(void **state)
{
	struct world world;

	(void)state;
	for (unsigned seed = 1; seed <= 3; seed++) {
		setup(&world, seed);
		for (unsigned step = 0; step < 1500; step++) {
			for (unsigned i = 0; i < 20; i++)
				birth(&world);
			for (unsigned i = 0; i < 18; i++) {
				struct block *block =
					&world.blocks[random_number(&world) % world.count];

				if (block->live)
					death(&world, block);
			}
			advance(&world, SECOND / 2 + random_number(&world) % (SECOND / 10));
			if (step % 100 == 99)
				check_rows(&world);
		}
		/* Numbers had to be given back several times. */
		assert_true(world.relabels > 3);
		free(world.blocks);
	}
}

/* After ten hours there is still a boundary near every age: none is off by more than four times. */
static void test_rows_are_log_spaced(void **state)
{
	static const double ages[] = {2, 5, 10, 60, 600, 3600};
	struct world world;
	uint8_t rows[ABI_COHORT_ROWS];
	unsigned count;

	(void)state;
	setup(&world, 7);
	for (unsigned step = 0; step < 72000; step++)
		advance(&world, SECOND / 2);
	count = cohort_clock_rows(&world.clock, rows);
	for (size_t a = 0; a < sizeof(ages) / sizeof(*ages); a++) {
		double best = 1e18;

		for (unsigned r = 0; r + 1 < count; r++) {
			double age =
				(world.now_ns - world.clock.rows[rows[r]].to_ns) / (double)SECOND;

			if (age >= ages[a] && age < best)
				best = age;
		}
		assert_true(best <= ages[a] * 4);
	}
	free(world.blocks);
}

/* Without relabelling the numbers run out, and the clock says so instead of mixing cohorts. */
static void test_out_of_numbers(void **state)
{
	struct cohort_clock clock;
	uint64_t now_ns = SECOND;
	int from, to;

	(void)state;
	cohort_clock_init(&clock, now_ns);
	for (unsigned i = 0; i < ABI_COHORTS - 2; i++)
		assert_true(cohort_clock_advance(&clock, now_ns += SECOND, &from, &to));
	assert_int_equal(cohort_clock_free_count(&clock), 0);
	assert_false(cohort_clock_advance(&clock, now_ns += SECOND, &from, &to));
	assert_true(clock.now != 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_are_exact),
		cmocka_unit_test(test_rows_are_log_spaced),
		cmocka_unit_test(test_out_of_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
