/* SPDX-License-Identifier: GPL-2.0-only */
#include "symbol/demangle.h"

#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_names(void **state)
{
	static const struct {
		const char *mangled, *name;
	} rows[] = {
		{"malloc", "malloc"},
		{"", ""},
		{"_start", "_start"},
		{"_Z", "_Z"},
		{"_Zebra", "_Zebra"},
		{"_Znwm", "operator new"},
		{"_Znam", "operator new[]"},
		{"_ZN6vision5buildEi", "vision::build"},
		{"_ZNK6vision3BoxIiE4areaEi", "vision::Box<int>::area"},
		{"_ZNSt6vectorIiSaIiEE9push_backERKi",
		 "std::vector<int, std::allocator<int> >::push_back"},
		{"_ZN12_GLOBAL__N_16hiddenEv", "(anonymous namespace)::hidden"},
		{"_ZlsRSoRK3Foo", "operator<<"},
		{"_Z3foov.cold", "foo"},
		/* Rust, its older form and its newer one */
		{"_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad"},
		{"_RNvC6_123foo3bar", "123foo::bar"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char *name = demangle(rows[i].mangled);

		assert_string_equal(name, rows[i].name);
		free(name);
	}
}

/* g<a, p<a, a>, p<p<a, a>, p<a, a> >, …>: each argument is twice as long as the one before it. */
static char *doubling(char *ret, size_t capacity, unsigned levels)
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	size_t length = (size_t)snprintf(ret, capacity, "_Z1gI1a1pIS0_S0_E");

	assert_true(levels + 2 < sizeof(digits) - 1);
	for (unsigned i = 2; i < levels + 2; i++)
		length += (size_t)snprintf(ret + length, capacity - length, "S1_IS%c_S%c_E",
					   digits[i], digits[i]);
	snprintf(ret + length, capacity - length, "Evv");
	return demangle(ret);
}

static void test_output_is_bounded(void **state)
{
	char mangled[1000];
	char *name;

	(void)state;
	name = doubling(mangled, sizeof(mangled), 2);
	assert_string_equal(name, "g<a, p<a, a>, p<p<a, a>, p<a, a> >, "
				  "p<p<p<a, a>, p<a, a> >, p<p<a, a>, p<a, a> > > >");
	free(name);
	name = doubling(mangled, sizeof(mangled), 33);
	assert_string_equal(name, mangled);
	free(name);
}

static void test_long_and_deep_names(void **state)
{
	const size_t size = 1 << 20;
	char *mangled = malloc(size + 1);
	char *name;

	(void)state;
	assert_non_null(mangled);
	memset(mangled, 'P', size);
	mangled[size] = '\0';
	memcpy(mangled, "_Z1f", 4);
	name = demangle(mangled);
	assert_int_equal(strlen(name), size);
	free(name);
	mangled[4000] = '\0';
	name = demangle(mangled);
	assert_non_null(name);
	free(name);
	free(mangled);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_output_is_bounded),
		cmocka_unit_test(test_long_and_deep_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
