/* SPDX-License-Identifier: GPL-2.0-only */
#include "symbol/symtab.h"

#include "tests/unit/unit.h"

static void add(struct symtab *symtab, uint64_t start, uint32_t size, unsigned rank,
		const char *name)
{
	const struct symtab_entry entry = {
		.start = start, .size = size, .rank = rank, .name = name};

	assert_true(symtab_add(symtab, &entry));
}

static const char *name_at(const struct symtab *symtab, uint64_t address)
{
	const struct symtab_entry *entry = symtab_find(symtab, address);

	return entry ? entry->name : "";
}

static void test_inside_its_size_only(void **state)
{
	struct symtab *symtab = symtab_new();

	(void)state;
	add(symtab, 0x200, 0x10, 0, "second");
	add(symtab, 0x100, 0x10, 0, "first");
	add(symtab, 0x300, 0, 0, "label");
	symtab_sort(symtab, false);
	assert_string_equal(name_at(symtab, 0xff), "");
	assert_string_equal(name_at(symtab, 0x100), "first");
	assert_string_equal(name_at(symtab, 0x10f), "first");
	assert_string_equal(name_at(symtab, 0x110), "");
	assert_string_equal(name_at(symtab, 0x20f), "second");
	assert_string_equal(name_at(symtab, 0x300), "");
	assert_string_equal(symtab_at(symtab, 0x300)->name, "label");
	assert_null(symtab_at(symtab, 0x301));
	assert_null(symtab_at(symtab, 0x50));
	symtab_free(symtab);
}

static void test_inner_symbol_of_nested_ones(void **state)
{
	struct symtab *symtab = symtab_new();

	(void)state;
	add(symtab, 0x100, 0x100, 0, "outer");
	add(symtab, 0x140, 0x10, 0, "inner");
	add(symtab, 0x150, 0, 0, "label");
	symtab_sort(symtab, false);
	assert_string_equal(name_at(symtab, 0x13f), "outer");
	assert_string_equal(name_at(symtab, 0x148), "inner");
	assert_string_equal(name_at(symtab, 0x150), "outer");
	assert_string_equal(name_at(symtab, 0x1ff), "outer");
	assert_string_equal(name_at(symtab, 0x200), "");
	symtab_free(symtab);
}

/* Whatever the order in which they are added. */
static void test_best_of_aliases(void **state)
{
	static const struct {
		const char *name;
		unsigned rank;
		uint32_t size;
	} aliases[] = {
		{"malloc", 0, 8},
		{"__libc_malloc", 0, 8},
		{"a", SYMTAB_RANK_LOCAL, 8},
		{"b", SYMTAB_RANK_LABEL, 8},
		{"mallocs", 0, 8},
		{"x", 0, 0},
		{"_malloc", 0, 8},
	};
	const size_t count = sizeof(aliases) / sizeof(*aliases);

	(void)state;
	for (size_t first = 0; first < count; first++) {
		struct symtab *symtab = symtab_new();

		for (size_t i = 0; i < count; i++) {
			size_t at = (first + i) % count;

			add(symtab, 0x100, aliases[at].size, aliases[at].rank, aliases[at].name);
		}
		symtab_sort(symtab, false);
		assert_string_equal(name_at(symtab, 0x104), "malloc");
		assert_string_equal(symtab_at(symtab, 0x100)->name, "malloc");
		symtab_free(symtab);
	}
}

static void test_one_alias_by_name(void **state)
{
	struct symtab *symtab = symtab_new();

	(void)state;
	add(symtab, 0x100, 8, 0, "scalbn");
	add(symtab, 0x100, 8, 0, "ldexp");
	add(symtab, 0x100, 8, SYMTAB_RANK_LOCAL, "__ldexp");
	add(symtab, 0x200, 8, 0, "other");
	symtab_sort(symtab, false);
	assert_string_equal(symtab_named(symtab, 0x100, "scalbn")->name, "scalbn");
	assert_string_equal(symtab_named(symtab, 0x100, "__ldexp")->name, "__ldexp");
	assert_null(symtab_named(symtab, 0x100, "other"));
	assert_null(symtab_named(symtab, 0x101, "ldexp"));
	assert_null(symtab_named(symtab, 0x50, "ldexp"));
	symtab_free(symtab);
}

static void test_later_entry_replaces(void **state)
{
	struct symtab *symtab = symtab_new();

	(void)state;
	for (unsigned i = 0; i < 70000; i++)
		add(symtab, 0x100, 8, 0, "old");
	add(symtab, 0x100, 8, 0, "new");
	symtab_sort(symtab, true);
	assert_int_equal(symtab_count(symtab), 1);
	assert_string_equal(name_at(symtab, 0x100), "new");
	symtab_free(symtab);
}

static void test_gaps_are_closed(void **state)
{
	struct symtab *symtab = symtab_new();

	(void)state;
	add(symtab, 0x1000, 0, 0, "a");
	add(symtab, 0x1000, 0, 0, "alias");
	add(symtab, 0x1040, 0, 0, "b");
	symtab_sort(symtab, false);
	symtab_close_gaps(symtab, 0x100);
	assert_string_equal(name_at(symtab, 0x103f), "a");
	assert_string_equal(name_at(symtab, 0x113f), "b");
	assert_string_equal(name_at(symtab, 0x1140), "");
	symtab_free(symtab);
}

static void test_ends_of_the_address_space(void **state)
{
	struct symtab *symtab = symtab_new();

	(void)state;
	symtab_sort(symtab, false);
	assert_null(symtab_find(symtab, 0));
	assert_null(symtab_at(symtab, 0));
	symtab_free(symtab);
	symtab = symtab_new();
	add(symtab, UINT64_MAX - 4, 100, 0, "last");
	add(symtab, 0, UINT32_MAX, 0, "first");
	symtab_sort(symtab, false);
	assert_string_equal(name_at(symtab, 0), "first");
	assert_string_equal(name_at(symtab, UINT64_MAX - 1), "last");
	symtab_free(symtab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inside_its_size_only),
		cmocka_unit_test(test_inner_symbol_of_nested_ones),
		cmocka_unit_test(test_best_of_aliases),
		cmocka_unit_test(test_one_alias_by_name),
		cmocka_unit_test(test_later_entry_replaces),
		cmocka_unit_test(test_gaps_are_closed),
		cmocka_unit_test(test_ends_of_the_address_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
