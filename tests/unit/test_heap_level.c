/* SPDX-License-Identifier: GPL-2.0-only */
#include "tests/unit/unit.h"

#include "capture/heap_level.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MB (1ull << 20)

static const struct heap_level_room plenty = {.headroom_bytes = 64ull << 30};

static unsigned choose(struct heap_level_target target, struct heap_level_room room)
{
	struct ledger_sizes sizes;
	char error[256] = "";

	assert_int_equal(heap_level_choose_sizes(&target, &room, &sizes, error, sizeof(error)), 0);
	assert_string_equal(error, "");
	assert_true((sizes.buckets & (sizes.buckets - 1)) == 0);
	assert_true((sizes.sites & (sizes.sites - 1)) == 0);
	assert_true((sizes.threads & (sizes.threads - 1)) == 0);
	return sizes.buckets;
}

static void by_anonymous_memory(void **state)
{
	(void)state;
	/* A slot for each 64 bytes, within bounds. */
	assert_int_equal(choose((struct heap_level_target){.anon_bytes = 1 * MB}, plenty), 1 << 18);
	assert_int_equal(choose((struct heap_level_target){.anon_bytes = 256 * MB}, plenty),
			 1 << 20);
	assert_int_equal(choose((struct heap_level_target){.anon_bytes = 90000 * MB}, plenty),
			 1 << 21);
}

static void within_a_part_of_the_room(void **state)
{
	const struct heap_level_target target = {.anon_bytes = 4096 * MB};
	struct heap_level_room room = {.headroom_bytes = 2000 * MB};
	struct ledger_sizes sizes;
	char error[256];

	(void)state;
	assert_int_equal(heap_level_choose_sizes(&target, &room, &sizes, error, sizeof(error)), 0);
	assert_true(ledger_bytes(&sizes) <= 100 * MB);
	assert_true(ledger_bytes(&sizes) > 50 * MB);
	/* Other tables take their part of it. */
	room.others_bytes = 60 * MB;
	assert_int_equal(heap_level_choose_sizes(&target, &room, &sizes, error, sizeof(error)), 0);
	assert_true(ledger_bytes(&sizes) <= 40 * MB);
	/* Where nothing is left there is still a small one, and no underflow. */
	room.others_bytes = 5000 * MB;
	assert_int_equal(heap_level_choose_sizes(&target, &room, &sizes, error, sizeof(error)), 0);
	assert_true(ledger_bytes(&sizes) < 10 * MB);
}

static void an_unknown_limit_is_a_modest_one(void **state)
{
	const struct heap_level_target target = {.anon_bytes = 90000 * MB};
	const struct heap_level_room room = {.headroom_bytes = UINT64_MAX};
	struct ledger_sizes sizes;
	char error[256];

	(void)state;
	assert_int_equal(heap_level_choose_sizes(&target, &room, &sizes, error, sizeof(error)), 0);
	assert_true(ledger_bytes(&sizes) <= 256 * MB);
}

static void by_number(void **state)
{
	(void)state;
	/* At most three quarters of the slots are counted on. */
	assert_int_equal(choose((struct heap_level_target){.max_blocks = 1000}, plenty), 1 << 12);
	assert_int_equal(choose((struct heap_level_target){.max_blocks = 12288}, plenty), 1 << 12);
	assert_int_equal(choose((struct heap_level_target){.max_blocks = 12289}, plenty), 1 << 13);
	assert_int_equal(choose((struct heap_level_target){.max_blocks = 100000000}, plenty),
			 1 << 25);
	/* The target's size does not matter then. */
	assert_int_equal(
		choose((struct heap_level_target){.max_blocks = 100000, .anon_bytes = 90000 * MB},
		       plenty),
		1 << 16);
}

static void too_many_are_refused(void **state)
{
	const struct heap_level_target target = {.max_blocks = 50000000};
	const struct heap_level_room room = {.headroom_bytes = 1000 * MB};
	struct heap_level_target fitting = {0};
	struct ledger_sizes sizes;
	char error[256] = "", *said;

	(void)state;
	assert_int_equal(heap_level_choose_sizes(&target, &room, &sizes, error, sizeof(error)),
			 -ENOMEM);
	said = strstr(error, ": ");
	assert_non_null(said);
	assert_non_null(strstr(error, "--max-blocks 50000000"));
	fitting.max_blocks = strtoull(said + 2, NULL, 10);
	assert_true(fitting.max_blocks >= 1000000);
	/* What is said to fit does, and one more does not. */
	assert_int_equal(heap_level_choose_sizes(&fitting, &room, &sizes, error, sizeof(error)), 0);
	assert_true(ledger_bytes(&sizes) <= 250 * MB);
	fitting.max_blocks++;
	assert_int_equal(heap_level_choose_sizes(&fitting, &room, &sizes, error, sizeof(error)),
			 -ENOMEM);
}

static const struct probe *only(const struct heap_probes *probes, enum heap_role role)
{
	assert_int_equal(probes->counts[role], 1);
	return probes->probes[role];
}

/* What the kernel single-steps is told to the programs, which count it; all else is not. */
static void steps_are_in_the_cookies(void **state)
{
	struct probe_exit exits[] = {{.place = 0x30, .single_step = true},
				     {.place = 0x40, .first_argument = true}};
	const struct allocator_function bulk = {.name = "mallctl", .flags = ALLOCATOR_BULK};
	char path[] = "/lib/allocator";
	struct probe_point data[] = {
		{.path = path,
		 .probe_offset = 1,
		 .cookie = ABI_KIND_MALLOC,
		 .returns = PROBE_RETURN_TRAPPED},
		{.path = path, .probe_offset = 2, .frees = true},
		{.path = path, .probe_offset = 3, .frees = true, .single_step = true},
		{.path = path,
		 .probe_offset = 4,
		 .cookie = ABI_KIND_NEW | ABI_COOKIE_AT_RETURN,
		 .returns = PROBE_RETURN_EXITS,
		 .exits = exits,
		 .exit_count = 2},
		{.path = path,
		 .probe_offset = 5,
		 .cookie = ABI_BULK_NAMED,
		 .frees = true,
		 .function = &bulk,
		 .single_step = true},
	};
	const struct probe_points points = {.data = data, .count = 5};
	struct heap_probes probes;

	(void)state;
	heap_level_probes(&points, &probes);
	assert_int_equal(only(&probes, HEAP_ALLOCATES)->cookie, ABI_KIND_MALLOC);
	assert_int_equal(only(&probes, HEAP_FREES)->offset, 2);
	assert_int_equal(only(&probes, HEAP_FREES)->cookie, 0);
	assert_int_equal(only(&probes, HEAP_RELEASES)->offset, 3);
	assert_int_equal(only(&probes, HEAP_RELEASES)->cookie, ABI_COOKIE_STEPPED);
	assert_int_equal(only(&probes, HEAP_ENTERS)->cookie,
			 ABI_KIND_NEW | ABI_COOKIE_AT_RETURN | ABI_COOKIE_STEPS_RETURN);
	assert_int_equal(probes.counts[HEAP_LEAVES], 2);
	assert_int_equal(probes.probes[HEAP_LEAVES][0].cookie, ABI_COOKIE_STEPPED);
	assert_int_equal(probes.probes[HEAP_LEAVES][1].cookie, ABI_COOKIE_FIRST_ARGUMENT);
	/* Its programs tell by the whole cookie what it is. */
	assert_int_equal(only(&probes, HEAP_BULK)->cookie, ABI_BULK_NAMED);
	heap_level_probes_deinit(&probes);
}

static double event_ns(struct heap_statistics now)
{
	const struct trap_costs traps = {.entry_ns = 700,
					 .entry_return_ns = 1200,
					 .single_step_ns = 9000,
					 .statistics_ns = 50};
	const struct heap_statistics before = {
		.session_runs = 7, .leaving_runs = 9, .run_time_ns = 1000};
	double ns;

	now.session_runs += 7;
	now.leaving_runs += 9;
	now.run_time_ns += 1000;
	assert_true(cost_of_event(&traps, &before, &now, 200, &ns));
	assert_false(cost_of_event(&traps, &before, &now, 201, &ns));
	return ns;
}

/* 100 calls that allocate and 100 that free, each run of a program 100 ns, by each kind of probes.
 */
static void what_an_event_costs(void **state)
{
	(void)state;
	/* A session runs twice a call; there and at a free the clock is read once a run. */
	assert_float_equal(event_ns((struct heap_statistics){.session_runs = 200,
							     .freeing_runs = 100,
							     .run_time_ns = 300 * 150}),
			   (1200 + 200 + 700 + 100) / 2.0, 1e-6);
	assert_float_equal(event_ns((struct heap_statistics){.entering_runs = 100,
							     .returning_runs = 100,
							     .freeing_runs = 100,
							     .run_time_ns = 300 * 150}),
			   (1200 + 200 + 700 + 100) / 2.0, 1e-6);
	/* Return instructions have a trap as an entry has; if they are stepped, that is added. */
	assert_float_equal(event_ns((struct heap_statistics){.entering_runs = 100,
							     .leaving_runs = 100,
							     .freeing_runs = 100,
							     .run_time_ns = 300 * 150}),
			   (1400 + 200 + 700 + 100) / 2.0, 1e-6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_anonymous_memory),
		cmocka_unit_test(within_a_part_of_the_room),
		cmocka_unit_test(an_unknown_limit_is_a_modest_one),
		cmocka_unit_test(by_number),
		cmocka_unit_test(too_many_are_refused),
		cmocka_unit_test(steps_are_in_the_cookies),
		cmocka_unit_test(what_an_event_costs),
	};

	return cmocka_run_group_tests_name("heap_level", tests, NULL, NULL);
}
