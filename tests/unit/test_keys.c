/* SPDX-License-Identifier: GPL-2.0-only */
#include "tests/unit/unit.h"

#include "ui/keys.h"
#include "ui/term.h"

#include <string.h>

/* A key means one thing, and every action that has a name in the help has a key. */
static void test_table(void **state)
{
	bool bound[ACTION_COUNT] = {false};

	(void)state;
	for (size_t i = 0; i < key_binding_count; i++) {
		const struct key_binding *binding = &key_bindings[i];

		assert_true(binding->keys[0] != 0);
		assert_true((binding->help == NULL) == (binding->name == NULL));
		bound[binding->action] = true;
		for (size_t k = 0; k < 5; k++)
			if (binding->keys[k])
				assert_int_equal(keys_find(binding->keys[k]), binding->action);
	}
	for (int action = ACTION_NONE + 1; action < ACTION_COUNT; action++)
		assert_true(bound[action]);
	assert_int_equal(keys_find(KEYS_NONE), ACTION_NONE);
	assert_int_equal(keys_find('K'), ACTION_NONE); /* nothing kills */
}

static void test_line(void **state)
{
	char line[512];
	size_t last = 0;

	(void)state;
	for (unsigned width = 20; width < 250; width++) {
		keys_line(line, sizeof(line), width);
		assert_true(strlen(line) <= width);
		assert_true(strlen(line) >= last);
		last = strlen(line);
		assert_non_null(strstr(line, "?Help"));
		assert_non_null(strstr(line, "q:quit"));
	}
	assert_string_equal(keys_line(line, sizeof(line), 60),
			    "?Help Enter:unfold Space:freeze m:mark s:sort q:quit");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_table),
					   cmocka_unit_test(test_line)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
