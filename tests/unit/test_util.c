/* SPDX-License-Identifier: GPL-2.0-only */
#include "util/alloc.h"
#include "util/map.h"
#include "util/median.h"
#include "util/strpool.h"
#include "util/vec.h"

#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

static uint64_t next_random(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random;
}

static void test_map_empty(void **state)
{
	struct map map = {0};
	uint64_t value = 7;

	(void)state;
	assert_false(map_get(&map, 1, &value));
	assert_false(map_remove(&map, 1));
	assert_int_equal(value, 7);
	map_clear(&map);
	map_deinit(&map);
}

/* Few keys, so that they collide, against an array that cannot be wrong. */
static void test_map_random(void **state)
{
	enum {
		KEYS = 600
	};
	struct map map = {0};
	uint64_t truth[KEYS + 1] = {0}, random = 88172645463325252ull;
	size_t count = 0;

	(void)state;
	for (unsigned round = 0; round < 200000; round++) {
		uint64_t what = next_random(&random);
		uint64_t key = 1 + what % KEYS, value;

		/* Spread over high and low bits, as addresses and hashes are. */
		uint64_t spread = key % 2 ? key << 40 : key;

		assert_int_equal(map_get(&map, spread, &value), truth[key] != 0);
		if (truth[key])
			assert_int_equal(value, truth[key]);
		if ((what >> 32) % 3) {
			count += !truth[key];
			truth[key] = round + 1;
			map_set(&map, spread, round + 1);
		} else {
			count -= truth[key] != 0;
			assert_int_equal(map_remove(&map, spread), truth[key] != 0);
			truth[key] = 0;
		}
		assert_int_equal(map.count, count);
	}
	map_clear(&map);
	for (uint64_t key = 1; key <= KEYS; key++)
		assert_false(map_get(&map, key % 2 ? key << 40 : key, &random));
	map_deinit(&map);
}

static void test_strpool(void **state)
{
	struct strpool *pool = strpool_new();
	const char *kept[2000];
	char text[32];

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		snprintf(text, sizeof(text), "symbol_%u", i);
		kept[i] = strpool_add(pool, text);
		assert_ptr_not_equal(kept[i], text);
	}
	for (unsigned i = 0; i < 2000; i++) {
		snprintf(text, sizeof(text), "symbol_%u", i);
		assert_string_equal(kept[i], text);
		assert_ptr_equal(strpool_add(pool, text), kept[i]);
	}
	assert_string_equal(strpool_add(pool, ""), "");
	assert_int_equal(strpool_bytes(pool), 10 * 9 + 90 * 10 + 900 * 11 + 1000 * 12 + 1);
	strpool_free(pool);
	strpool_free(NULL);
}

static void test_vec(void **state)
{
	VEC(unsigned) numbers = {0};
	unsigned *number, expected = 0;

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		*vec_push(&numbers) = i;
	assert_int_equal(numbers.count, 1000);
	vec_for_each(number, &numbers)
		assert_int_equal(*number, expected++);
	assert_int_equal(expected, 1000);
	vec_reserve(&numbers, 5000);
	assert_in_range(numbers.capacity, 5000, 10000);
	assert_int_equal(numbers.data[999], 999);
	vec_deinit(&numbers);
	assert_null(numbers.data);
	assert_int_equal(numbers.capacity, 0);
}

static void test_alloc(void **state)
{
	char *text = xasprintf("%s-%d", "cam", 4);
	char *copy = xstrdup(text), *part = xstrndup(text, 3);
	char *nothing = xmalloc(0);
	unsigned *zeros = xcalloc(100, sizeof(*zeros));

	(void)state;
	assert_string_equal(text, "cam-4");
	assert_string_equal(copy, text);
	assert_string_equal(part, "cam");
	assert_non_null(nothing);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(zeros[i], 0);
	free(text);
	free(copy);
	free(part);
	free(nothing);
	free(zeros);
}

static void test_median(void **state)
{
	double one[] = {7}, two[] = {3, 9}, disturbed[] = {12, 11, 900, 13, 10};

	(void)state;
	assert_true(median(one, 1) == 7);
	assert_true(median(two, 2) == 9);
	assert_true(median(disturbed, 5) == 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_map_empty), cmocka_unit_test(test_map_random),
		cmocka_unit_test(test_strpool),	  cmocka_unit_test(test_vec),
		cmocka_unit_test(test_alloc),	  cmocka_unit_test(test_median),
	};

	return cmocka_run_group_tests_name("util", tests, NULL, NULL);
}
