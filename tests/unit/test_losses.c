/* SPDX-License-Identifier: GPL-2.0-only */
#include "core/losses.h"

#include "tests/unit/unit.h"

#include <ctype.h>
#include <string.h>

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ABI_LOSS_COUNT; i++) {
		const struct loss *loss = &losses[i];

		assert_true(!loss->name == (i > ABI_LOSS_RELEASED_IN_BULK));
		if (!loss->name)
			continue;
		assert_true(loss->sides && loss->sides < 1u << SIDE_COUNT);
		assert_true(strlen(loss->meaning) > 20 && strlen(loss->remedy) > 20);
		for (const char *c = loss->name; *c; c++)
			assert_true(islower((unsigned char)*c) || *c == '_');
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(loss->name, losses[j].name);
	}
	assert_string_equal(losses[ABI_LOSS_LIVE_TABLE_FULL].name, "live_table_full");
	assert_string_equal(losses[ABI_LOSS_RETURN_MISSED].name, "return_missed");
}

static void test_total(void **state)
{
	uint64_t counts[ABI_LOSS_COUNT] = {0};

	(void)state;
	assert_int_equal(losses_total(counts), 0);
	counts[ABI_LOSS_STACK_TRUNCATED] = 1000;
	assert_int_equal(losses_total(counts), 0);
	counts[ABI_LOSS_EVENT_LOST] = 3;
	counts[ABI_LOSS_COUNT - 1] =
		4; /* a reason that this version has no name for still counts */
	assert_int_equal(losses_total(counts), 7);
}

static void test_sides(void **state)
{
	uint64_t counts[ABI_LOSS_COUNT] = {0};

	(void)state;
	counts[ABI_LOSS_KERNEL_EVENT_MISSED] = 5;
	counts[ABI_LOSS_STACK_TRUNCATED] = 1000;
	assert_int_equal(losses_of_side(counts, SIDE_USER), 0);
	assert_int_equal(losses_of_side(counts, SIDE_KERNEL), 5);
	counts[ABI_LOSS_RETURN_MISSED] = 2;
	counts[ABI_LOSS_LIVE_TABLE_FULL] = 10;
	assert_int_equal(losses_of_side(counts, SIDE_USER), 12);
	assert_int_equal(losses_of_side(counts, SIDE_KERNEL), 15);
	counts[ABI_LOSS_COUNT - 1] = 100;
	assert_int_equal(losses_of_side(counts, SIDE_USER), 112);
	assert_int_equal(losses_of_side(counts, SIDE_KERNEL), 115);
	assert_int_equal(losses_total(counts), 117);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_total),
		cmocka_unit_test(test_sides),
	};

	return cmocka_run_group_tests_name("losses", tests, NULL, NULL);
}
