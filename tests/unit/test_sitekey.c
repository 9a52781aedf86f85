/* SPDX-License-Identifier: GPL-2.0-only */
#include "core/sitekey.h"

#include "tests/unit/unit.h"

static struct modules *load(uint64_t base, bool with_id)
{
	struct modules *modules = modules_new();
	struct module module = {.start = base + 0x1000,
				.end = base + 0x9000,
				.bias = base,
				.path = "/opt/libdecode.so",
				.build_id = {0x9f, 0x3c, 0x1a},
				.build_id_size = with_id ? 3 : 0,
				.to_ns = UINT64_MAX};

	modules_add(modules, &module);
	return modules;
}

static uint64_t key_at(uint64_t base, bool with_id, enum abi_kind kind, uint64_t offset)
{
	struct modules *modules = load(base, with_id);
	uint64_t addresses[] = {base + offset, base + 0x2222};
	uint64_t key = sitekey(modules, 5, kind, addresses, 2);

	modules_free(modules);
	return key;
}

static void test_same_anywhere(void **state)
{
	(void)state;
	assert_int_equal(key_at(0x7f0000000000, true, ABI_KIND_MALLOC, 0x1234),
			 key_at(0x550000000000, true, ABI_KIND_MALLOC, 0x1234));
	assert_int_equal(key_at(0x7f0000000000, false, ABI_KIND_MALLOC, 0x1234),
			 key_at(0x550000000000, false, ABI_KIND_MALLOC, 0x1234));
}

static void test_differs(void **state)
{
	uint64_t key = key_at(0, true, ABI_KIND_MALLOC, 0x1234);

	(void)state;
	assert_int_not_equal(key, key_at(0, true, ABI_KIND_CALLOC, 0x1234));
	assert_int_not_equal(key, key_at(0, true, ABI_KIND_MALLOC, 0x1235));
	assert_int_not_equal(key, key_at(0, false, ABI_KIND_MALLOC, 0x1234));
	assert_int_not_equal(key, 0);
}

static void test_time_and_unknown(void **state)
{
	struct modules *modules = load(0, true);
	uint64_t address = 0x2000;
	uint64_t before, after;

	(void)state;
	before = sitekey(modules, 5, ABI_KIND_MALLOC, &address, 1);
	modules_remove(modules, 1, 10);
	after = sitekey(modules, 10, ABI_KIND_MALLOC, &address, 1);
	assert_int_not_equal(before, after);
	assert_int_equal(before, sitekey(modules, 9, ABI_KIND_MALLOC, &address, 1));
	assert_int_equal(after, sitekey(NULL, 9, ABI_KIND_MALLOC, &address, 1));
	assert_int_not_equal(sitekey(NULL, 9, ABI_KIND_MALLOC, &address, 0), 0);
	modules_free(modules);
}

/* Recordings and batch output hold keys: the same input must hash the same in every version. */
static void test_golden(void **state)
{
	(void)state;
	assert_int_equal(key_at(0x7f0000000000, true, ABI_KIND_MALLOC, 0x1234),
			 0x6beaa7631a6595baull);
	assert_int_equal(key_at(0x7f0000000000, false, ABI_KIND_MALLOC, 0x1234),
			 0xcfa6134841cbe99aull);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_anywhere),
		cmocka_unit_test(test_differs),
		cmocka_unit_test(test_time_and_unknown),
		cmocka_unit_test(test_golden),
	};

	return cmocka_run_group_tests_name("sitekey", tests, NULL, NULL);
}
