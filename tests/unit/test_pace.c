/* SPDX-License-Identifier: GPL-2.0-only */
/* How long reads of mappings wait for each other. */
#include "unit.h"

#include "capture/pace.h"

#define MS 1000000ull

static void test_hundredfold(void **state)
{
	struct pace pace = {0};

	(void)state;
	assert_true(pace_is_due(&pace, 0));
	pace_take(&pace, 5000 * MS, 40 * MS, 60000);
	assert_false(pace_is_due(&pace, 8999 * MS));
	assert_true(pace_is_due(&pace, 9000 * MS));
	/* One that nothing was read for costs nothing. */
	pace_take(&pace, 9000 * MS, 0, 0);
	assert_true(pace_is_due(&pace, 9000 * MS));
}

/* A machine that stood still for a second during a read of 200 mappings: 1.1 ms are the most. */
static void test_standing_still(void **state)
{
	struct pace pace = {0};

	(void)state;
	pace_take(&pace, 0, 1000 * MS, 200);
	assert_false(pace_is_due(&pace, 109 * MS));
	assert_true(pace_is_due(&pace, 110 * MS));
}

static void test_not_for_ever(void **state)
{
	struct pace pace = {0};

	(void)state;
	pace_take(&pace, 1000 * MS, 5000 * MS, 10000000);
	assert_false(pace_is_due(&pace, 60999 * MS));
	assert_true(pace_is_due(&pace, 61000 * MS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hundredfold),
		cmocka_unit_test(test_standing_still),
		cmocka_unit_test(test_not_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
