/* SPDX-License-Identifier: GPL-2.0-only */
#include "unit.h"
#include "unwind/extents.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static void test_first_fit_and_join(void **state)
{
	struct extents extents = {0};
	uint32_t a, b, c, d;

	(void)state;
	extents_give(&extents, 0, 100);
	assert_int_equal(extents_take(&extents, 30, &a), 0);
	assert_int_equal(extents_take(&extents, 30, &b), 0);
	assert_int_equal(extents_take(&extents, 40, &c), 0);
	assert_int_equal(extents_take(&extents, 1, &d), -ENOSPC);
	extents_give(&extents, a, 30);
	extents_give(&extents, c, 40);
	assert_int_equal(extents_take(&extents, 41, &d), -ENOSPC);
	extents_give(&extents, b, 30);
	assert_int_equal(extents.free.count, 1);
	assert_int_equal(extents_take(&extents, 100, &d), 0);
	assert_int_equal(d, 0);
	extents_deinit(&extents);
}

/* Against a map of single elements, by a fixed random walk. */
static void test_against_a_map(void **state)
{
	enum {
		SIZE = 512,
		HELD = 64,
		ROUNDS = 20000
	};
	struct {
		uint32_t first, count;
	} held[HELD] = {{0}};
	struct extents extents = {0};
	bool used[SIZE] = {false};
	uint32_t seed = 1;

	(void)state;
	extents_give(&extents, 0, SIZE);
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned slot, want;

		seed = seed * 1664525u + 1013904223u;
		slot = (seed >> 8) % HELD;
		want = (seed >> 16) % 40 + 1;
		if (held[slot].count) {
			memset(used + held[slot].first, 0, held[slot].count);
			extents_give(&extents, held[slot].first, held[slot].count);
			held[slot].count = 0;
		} else if (!extents_take(&extents, want, &held[slot].first)) {
			held[slot].count = want;
			for (unsigned i = 0; i < want; i++) {
				assert_false(used[held[slot].first + i]);
				used[held[slot].first + i] = true;
			}
		}
		for (size_t i = 1; i < extents.free.count; i++)
			assert_true(extents.free.data[i - 1].first +
					    extents.free.data[i - 1].count <
				    extents.free.data[i].first);
	}
	extents_deinit(&extents);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_fit_and_join),
		cmocka_unit_test(test_against_a_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
