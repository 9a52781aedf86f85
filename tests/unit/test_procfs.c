/* SPDX-License-Identifier: GPL-2.0-only */
#include "tests/unit/unit.h"

#include "capture/procfs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void stat_survives_any_comm(void **state)
{
	static const char line[] =
		"42 (a) S 7 (\n) R 1 42 42 0 -1 4194304 100 0 0 0 11 12 0 0 20 0 5 0 196957 3133440 "
		"407 18446744073709551615 94806905978880 94806905998761 140734162817840 140734 0 0";
	struct procstat stat;

	(void)state;
	assert_int_equal(procstat_parse(line, &stat), 0);
	assert_int_equal(stat.pid, 42);
	assert_string_equal(stat.comm, "a) S 7 (\n");
	assert_int_equal(stat.state, 'R');
	assert_int_equal(stat.flags, 4194304);
	assert_int_equal(stat.threads, 5);
	assert_int_equal(stat.start_time, 196957);
	assert_int_equal(stat.start_code, 94806905978880);
	assert_int_equal(stat.start_stack, 140734162817840);
	assert_int_equal(stat.stack_pointer, 140734);
}

static void stat_refuses_garbage(void **state)
{
	static const char *const lines[] = {"",	      "42",	      "42 (a",	   "42 )a(",
					    "42 (a)", "42 (a) R 1 2", "42 (a) R x"};
	struct procstat stat;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		assert_int_equal(procstat_parse(lines[i], &stat), -EINVAL);
}

static void stat_of_self(void **state)
{
	struct procstat stat;

	(void)state;
	assert_int_equal(procstat_read(getpid(), &stat), 0);
	assert_int_equal(stat.pid, getpid());
	assert_int_equal(stat.state, 'R');
	assert_int_equal(stat.threads, 1);
	assert_true(stat.start_time > 0);
	assert_int_equal(procstat_read(0x7ffffffe, &stat), -ESRCH);
}

static void numbers_by_whole_word(void **state)
{
	static const char text[] =
		"VmRSS_x: 1 kB\nVmRSS:\t  17 kB\nThreads:\t3\nfile 12\n\nempty:\n";
	uint64_t value = 0;

	(void)state;
	assert_true(proctext_number(text, "VmRSS", &value));
	assert_int_equal(value, 17 * 1024);
	assert_true(proctext_number(text, "Threads", &value));
	assert_int_equal(value, 3);
	assert_true(proctext_number(text, "file", &value));
	assert_int_equal(value, 12);
	assert_false(proctext_number(text, "Vm", &value));
	assert_false(proctext_number(text, "empty", &value));
	assert_false(proctext_number("", "file", &value));
}

static void long_files_are_whole(void **state)
{
	char name[] = "/tmp/test_procfs.XXXXXX";
	int fd = mkstemp(name);
	char *content = malloc(100000), *text;
	size_t size;

	(void)state;
	memset(content, 'x', 100000);
	assert_int_equal(write(fd, content, 100000), 100000);
	assert_int_equal(procfs_read_path(name, &text, &size), 0);
	assert_int_equal(size, 100000);
	assert_memory_equal(text, content, size);
	assert_int_equal(text[size], '\0');
	unlink(name);
	close(fd);
	free(content);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stat_survives_any_comm), cmocka_unit_test(stat_refuses_garbage),
		cmocka_unit_test(stat_of_self),		  cmocka_unit_test(numbers_by_whole_word),
		cmocka_unit_test(long_files_are_whole),
	};

	return cmocka_run_group_tests_name("procfs", tests, NULL, NULL);
}
