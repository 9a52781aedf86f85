/* SPDX-License-Identifier: GPL-2.0-only */
#include "export/suppress.h"

#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void test_patterns(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool matches;
	} rows[] = {
		{"one", "one", true},
		{"one", "forget_one_more", true},
		{"one", "on", false},
		{"one", "", false},
		{"ONE", "one", false},
		{"^one", "one_more", true},
		{"^one", "forget_one", false},
		{"one$", "forget_one", true},
		{"one$", "one_more", false},
		{"one$", "one_one", true},
		{"^one$", "one", true},
		{"^one$", "one_one", false},
		{"a*c", "xabbcx", true},
		{"a*c", "xcbax", false},
		{"^a*c$", "abc", true},
		{"^a*c$", "abcd", false},
		{"^a*bc$", "abcbc", true},
		{"a*a", "a", false},
		{"a**a", "aa", true},
		{"*a*", "bab", true},
		{"^*a", "bba", true},
		{"a*$", "ab", true},
		{"a$b", "xa$bx", true},
		{"a^b", "xa^bx", true},
		{"operator new", "operator new", true},
		{"std::vector<*>::push_back", "std::vector<int, A<int> >::push_back", true},
		{"/lib*.so", "/usr/lib/libfoo.so.1", true},
		{"^/opt/", "/usr/opt/x", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (suppression_matches(rows[i].pattern, rows[i].text) != rows[i].matches)
			fail_msg("%s on %s: not %d", rows[i].pattern, rows[i].text,
				 rows[i].matches);
}

/* Many asterisks against a long text that nearly fits: no more than a walk through it. */
static void test_wild(void **state)
{
	static char pattern[8192], text[65536];

	(void)state;
	for (size_t i = 0; i + 2 < sizeof(pattern); i += 2)
		memcpy(pattern + i, "*a", 2);
	pattern[sizeof(pattern) - 2] = 'b';
	memset(text, 'a', sizeof(text) - 1);
	for (int i = 0; i < 100; i++)
		assert_false(suppression_matches(pattern, text));
}

static int read_text(const char *text, size_t length, struct suppressions *ret, char *error)
{
	char path[] = "/tmp/memtop-suppress-XXXXXX";
	int fd = mkstemp(path), status;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, length), length);
	close(fd);
	status = suppressions_read(path, ret, error, 256);
	unlink(path);
	return status;
}

static void test_files(void **state)
{
	static const char good[] = "# known\n\n\tleak:one two \r\n #x\nleak:^b*$\nleak:last";
	struct suppressions read;
	char error[256];

	(void)state;
	assert_int_equal(read_text(good, strlen(good), &read, error), 0);
	assert_int_equal(read.count, 3);
	assert_string_equal(read.data[0].pattern, "one two");
	assert_int_equal(read.data[0].line, 3);
	assert_string_equal(read.data[1].pattern, "^b*$");
	assert_int_equal(read.data[2].line, 6);
	suppressions_deinit(&read);
	assert_int_equal(read_text("", 0, &read, error), 0);
	assert_int_equal(read.count, 0);
	suppressions_deinit(&read);
	assert_true(read_text("leak:a\nleak:*", 13, &read, error) < 0);
	assert_non_null(strstr(error, ":2: "));
	suppressions_deinit(&read);
	assert_true(read_text("leak:a\0b", 8, &read, error) < 0);
	suppressions_deinit(&read);
	assert_true(suppressions_read("/no/such/file", &read, error, sizeof(error)) < 0);
	suppressions_deinit(&read);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_wild),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests_name("suppress", tests, NULL, NULL);
}
