/* SPDX-License-Identifier: GPL-2.0-only */
#include "core/modules.h"

#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

static uint32_t add(struct modules *modules, uint64_t start, uint64_t end, uint64_t from_ns,
		    const char *path)
{
	struct module module = {
		.start = start, .end = end, .from_ns = from_ns, .to_ns = UINT64_MAX, .path = path};

	return modules_add(modules, &module);
}

static const char *path_at(const struct modules *modules, uint64_t address, uint64_t time_ns)
{
	const struct module *module = modules_find(modules, address, time_ns);

	return module ? module->path : "";
}

static void test_empty(void **state)
{
	struct modules *modules = modules_new();

	(void)state;
	assert_int_equal(modules_count(modules), 0);
	assert_null(modules_get(modules, 0));
	assert_null(modules_find(modules, 0x1000, 1));
	modules_remove(modules, 1, 1);
	modules_free(modules);
	modules_free(NULL);
}

static void test_bounds(void **state)
{
	struct modules *modules = modules_new();
	char path[] = "/lib/libone.so";

	(void)state;
	assert_int_equal(add(modules, 0x2000, 0x3000, 10, path), 1);
	assert_int_equal(add(modules, 0x1000, 0x2000, 10, "/lib/libtwo.so"), 2);
	memset(path, 'x', sizeof(path) - 1); /* the path was copied */
	assert_string_equal(path_at(modules, 0x1fff, 10), "/lib/libtwo.so");
	assert_string_equal(path_at(modules, 0x2000, 10), "/lib/libone.so");
	assert_string_equal(path_at(modules, 0x2fff, UINT64_MAX - 1), "/lib/libone.so");
	assert_null(modules_find(modules, 0x3000, 10));
	assert_null(modules_find(modules, 0xfff, 10));
	assert_null(modules_find(modules, 0x2000, 9));
	assert_int_equal(modules_get(modules, 0)->start, 0x2000);
	modules_free(modules);
}

/* dlclose and dlopen of another library at the same address: the old name stays with its time. */
static void test_same_address(void **state)
{
	struct modules *modules = modules_new();
	const struct module *first;
	uint32_t id;

	(void)state;
	id = add(modules, 0x1000, 0x9000, 10, "/a.so");
	first = modules_get(modules, 0);
	modules_remove(modules, id, 20);
	add(modules, 0x1000, 0x4000, 30, "/b.so");
	modules_remove(modules, id, 99); /* closed once and for all */
	assert_ptr_equal(modules_get(modules, 0), first);
	assert_int_equal(first->to_ns, 20);
	assert_string_equal(path_at(modules, 0x2000, 10), "/a.so");
	assert_string_equal(path_at(modules, 0x2000, 19), "/a.so");
	assert_null(modules_find(modules, 0x2000, 20));
	assert_string_equal(path_at(modules, 0x2000, 30), "/b.so");
	assert_null(modules_find(modules, 0x5000, 30));
	assert_string_equal(path_at(modules, 0x8fff, 15), "/a.so");
	modules_free(modules);
}

/* A mapping over others closes what it covers, whether or not anyone said that they went. */
static void test_covered(void **state)
{
	struct modules *modules = modules_new();

	(void)state;
	add(modules, 0x1000, 0x2000, 1, "/a.so");
	add(modules, 0x2000, 0x3000, 1, "/b.so");
	add(modules, 0x3000, 0x4000, 1, "/c.so");
	add(modules, 0x1800, 0x3000, 5, "/d.so");
	assert_string_equal(path_at(modules, 0x1900, 5), "/d.so");
	assert_string_equal(path_at(modules, 0x1900, 4), "/a.so");
	assert_string_equal(path_at(modules, 0x2900, 4), "/b.so");
	assert_null(modules_find(modules, 0x1100, 5));
	assert_string_equal(path_at(modules, 0x3000, 5), "/c.so");
	assert_int_equal(modules_get(modules, 2)->to_ns, UINT64_MAX);
	modules_free(modules);
}

/* Against a linear search over everything. */
static void test_many(void **state)
{
	struct modules *modules = modules_new();
	uint64_t random = 88172645463325252ull;
	char path[32];

	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		uint64_t start;

		random ^= random << 13, random ^= random >> 7, random ^= random << 17;
		start = (random % 4096) << 12;
		snprintf(path, sizeof(path), "/lib%u.so", i);
		add(modules, start, start + ((1 + (random >> 32) % 8) << 12), i, path);
		if (i % 3 == 0)
			modules_remove(modules, 1 + (random >> 20) % (i + 1), i);
	}
	for (unsigned i = 0; i < 20000; i++) {
		const struct module *expected = NULL;
		uint64_t address, time_ns;

		random ^= random << 13, random ^= random >> 7, random ^= random << 17;
		address = random % (4100 << 12);
		time_ns = (random >> 32) % 3100;
		for (size_t j = 0; j < modules_count(modules); j++) {
			const struct module *row = modules_get(modules, j);

			if (address >= row->start && address < row->end &&
			    time_ns >= row->from_ns && time_ns < row->to_ns) {
				assert_null(expected);
				expected = row;
			}
		}
		assert_ptr_equal(modules_find(modules, address, time_ns), expected);
	}
	modules_free(modules);
}

static void test_texts(void **state)
{
	struct module module = {
		.path = "/usr/lib/libc.so.6", .build_id = {0x00, 0xc0, 0xff}, .build_id_size = 3};
	char text[2 * BUILD_ID_MAX + 1];

	(void)state;
	module_build_id_text(&module, text);
	assert_string_equal(text, "00c0ff");
	assert_string_equal(module_basename(&module), "libc.so.6");
	module.build_id_size = 0;
	module.path = "[vdso]";
	module_build_id_text(&module, text);
	assert_string_equal(text, "");
	assert_string_equal(module_basename(&module), "[vdso]");
}

static void test_follow(void **state)
{
	struct modules *modules = modules_new(), *copy = modules_new();
	struct module module = {.start = 0x1000, .end = 0x3000, .path = "/a", .to_ns = UINT64_MAX};

	(void)state;
	modules_follow(copy, modules);
	assert_int_equal(modules_count(copy), 0);
	modules_add(modules, &module);
	modules_follow(copy, modules);
	assert_string_equal(modules_find(copy, 0x1000, 5)->path, "/a");
	module.path = "/b";
	module.from_ns = 10;
	modules_add(modules, &module);
	assert_string_equal(modules_find(copy, 0x1000, 20)->path, "/a");
	modules_follow(copy, modules);
	assert_string_equal(modules_find(copy, 0x1000, 5)->path, "/a");
	assert_string_equal(modules_find(copy, 0x1000, 20)->path, "/b");
	modules_remove(modules, 2, 30);
	modules_follow(copy, modules);
	assert_int_equal(modules_count(copy), 2);
	assert_null(modules_find(copy, 0x1000, 30));
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(modules_get(copy, i)->id, modules_get(modules, i)->id);
		assert_int_equal(modules_get(copy, i)->to_ns, modules_get(modules, i)->to_ns);
	}
	modules_free(modules);
	assert_string_equal(modules_get(copy, 1)->path, "/b");
	modules_free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),	     cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_same_address), cmocka_unit_test(test_covered),
		cmocka_unit_test(test_many),	     cmocka_unit_test(test_texts),
		cmocka_unit_test(test_follow),
	};

	return cmocka_run_group_tests_name("modules", tests, NULL, NULL);
}
