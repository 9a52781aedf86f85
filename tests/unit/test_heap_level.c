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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_anonymous_memory),
		cmocka_unit_test(within_a_part_of_the_room),
		cmocka_unit_test(an_unknown_limit_is_a_modest_one),
		cmocka_unit_test(by_number),
		cmocka_unit_test(too_many_are_refused),
	};

	return cmocka_run_group_tests_name("heap_level", tests, NULL, NULL);
}
