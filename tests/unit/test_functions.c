/* SPDX-License-Identifier: GPL-2.0-only */
#include "tests/unit/unit.h"

#include "core/functions.h"

#include <errno.h>
#include <memtop/abi.h>
#include <string.h>

#define NO FUNCTION_NO_ARGUMENT

static void good(void **state)
{
	static const struct {
		const char *text, *module, *name;
		uint64_t address;
		enum function_use use;
		unsigned size, count, block;
		uint64_t constant;
		unsigned arguments;
	} cases[] = {
		{"pool_get:alloc(1)", "", "pool_get", 0, FUNCTION_ALLOC, 0, NO, NO, 0, 1},
		{"A::b:alloc(2)", "", "A::b", 0, FUNCTION_ALLOC, 1, NO, NO, 0, 2},
		{"A::b:alloc(1*6)", "", "A::b", 0, FUNCTION_ALLOC, 5, 0, NO, 0, 6},
		{"A::b:alloc(=4K)", "", "A::b", 0, FUNCTION_ALLOC, NO, NO, NO, 4096, 0},
		{"x:alloc(=63G)", "", "x", 0, FUNCTION_ALLOC, NO, NO, NO, 63ull << 30, 0},
		{"x:free(2)", "", "x", 0, FUNCTION_FREE, NO, NO, 1, 0, 2},
		{"x:realloc(1,3)", "", "x", 0, FUNCTION_REALLOC, 2, NO, 0, 0, 3},
		{"libpool.so:A::b:free(1)", "libpool.so", "A::b", 0, FUNCTION_FREE, NO, NO, 0, 0,
		 1},
		{"::b:free(1)", "", "::b", 0, FUNCTION_FREE, NO, NO, 0, 0, 1},
		{"lib.so.1+0xaB0:free(1)", "lib.so.1", "", 0xab0, FUNCTION_FREE, NO, NO, 0, 0, 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct function_description f;
		char error[256] = "";

		assert_int_equal(function_parse(cases[i].text, &f, error, sizeof(error)), 0);
		assert_string_equal(f.module, cases[i].module);
		assert_string_equal(f.name, cases[i].name);
		assert_int_equal(f.address, cases[i].address);
		assert_int_equal(f.use, cases[i].use);
		assert_int_equal(f.size_argument, cases[i].size);
		assert_int_equal(f.count_argument, cases[i].count);
		assert_int_equal(f.block_argument, cases[i].block);
		assert_int_equal(f.constant_bytes, cases[i].constant);
		assert_int_equal(function_arguments(&f), cases[i].arguments);
	}
}

static void cookies(void **state)
{
	struct function_description f;
	char error[256];
	uint64_t cookie;

	(void)state;
	assert_int_equal(function_parse("x:alloc(=63G)", &f, error, sizeof(error)), 0);
	cookie = function_cookie(&f);
	assert_int_equal(cookie >> ABI_COOKIE_CONSTANT_SHIFT, 63ull << 30);
	assert_int_equal(cookie & ABI_COOKIE_KIND, ABI_KIND_FUNCTION);
	assert_true(cookie & ABI_COOKIE_AT_RETURN);
	assert_int_equal(cookie >> ABI_COOKIE_SIZE_SHIFT & 0xf, ABI_COOKIE_NO_ARGUMENT);
	assert_int_equal(function_parse("x:free(3)", &f, error, sizeof(error)), 0);
	cookie = function_cookie(&f);
	assert_int_equal(cookie & 0xff, ABI_KIND_NONE);
	assert_int_equal(cookie >> ABI_COOKIE_ADDRESS_SHIFT & 0xf, 2);
	assert_true(cookie & ABI_COOKIE_FUNCTION);
}

/* Every text up to its end is refused in one line, whatever it is. */
static void bad(void **state)
{
	static const char *const texts[] = {
		"",
		"x",
		":",
		"::",
		"x:",
		"(",
		"x:(",
		"x:alloc",
		"x:alloc(",
		"x:alloc()",
		"x:alloc(0)",
		"x:alloc(7)",
		"x:alloc(1))",
		"x:alloc(1*",
		"x:alloc(=",
		"x:alloc(=K)",
		"+0x1:free(1)",
		"m+0x:free(1)",
		"m+0xg:free(1)",
		"m+0x1 :free(1)",
		":x:free(1)",
		"a/b:x:free(1)",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct function_description f;
		char error[256] = "", small[8] = "";

		assert_int_equal(function_parse(texts[i], &f, error, sizeof(error)), -EINVAL);
		assert_int_equal(strncmp(error, "--function ", 11), 0);
		assert_null(strchr(error, '\n'));
		assert_int_equal(function_parse(texts[i], &f, small, sizeof(small)), -EINVAL);
		assert_true(strlen(small) < sizeof(small));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),
		cmocka_unit_test(cookies),
		cmocka_unit_test(bad),
	};

	return cmocka_run_group_tests_name("functions", tests, NULL, NULL);
}
