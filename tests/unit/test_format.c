/* SPDX-License-Identifier: GPL-2.0-only */
#include "core/format.h"

#include "tests/unit/unit.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define K 1024ull
#define M (1024 * K)
#define G (1024 * M)

static void test_bytes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{0, "0"},
		{1, "1"},
		{912, "912"},
		{1023, "1023"},
		{1024, "1.0K"},
		{4 * K, "4.0K"},
		{99 * K + 900, "99.9K"},
		{99 * K + 1000, "0.1M"},
		{419 * K, "0.4M"},
		{M - 1, "1.0M"},
		{461689600, "440.3M"},
		{999 * M + 900 * K, "999.9M"},
		{999 * M + 1000 * K, "1000M"},
		{1023 * M, "1023M"},
		{1023 * M + 973 * K, "1.00G"},
		{G - 1, "1.00G"},
		{2 * G, "2.00G"},
		{99 * G + 1020 * M, "100.0G"},
		{1023 * G + 1000 * M, "1.00T"},
		{5000 * G, "4.88T"},
		{UINT64_MAX, "16.00E"},
	};
	char text[FORMAT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(format_bytes(text, cases[i].bytes), cases[i].text);
}

/* No number may break a column or show as 1024 of its unit. */
static void test_bytes_columns(void **state)
{
	char text[FORMAT_SIZE];

	(void)state;
	for (unsigned shift = 0; shift < 64; shift++)
		for (int around = -70; around <= 70; around++) {
			uint64_t bytes = (1ull << shift) + around * ((1ull << shift) / 64 + 1);

			format_bytes(text, bytes);
			assert_in_range(strlen(text), 1, 6);
			assert_null(strstr(text, "1024"));
			assert_true(atof(text) > 0 || !bytes);
		}
}

static void test_signed(void **state)
{
	char text[FORMAT_SIZE];

	(void)state;
	assert_string_equal(format_megabytes(text, 461689600), "440.3");
	assert_string_equal(format_megabytes(text, 0), "0.0");
	assert_string_equal(format_megabytes(text, UINT64_MAX), "17592186044416.0");
	assert_string_equal(format_delta(text, 327573504), "+312.4M");
	assert_string_equal(format_delta(text, -4096), "-4.0K");
	assert_string_equal(format_delta(text, 0), "0");
	assert_string_equal(format_delta(text, 7), "+7");
	assert_string_equal(format_delta(text, INT64_MIN), "-8.00E");
	assert_string_equal(format_delta(text, INT64_MAX), "+8.00E");
}

static void test_rate(void **state)
{
	char text[FORMAT_SIZE];

	(void)state;
	assert_string_equal(format_rate(text, 5.09 * M, 0), "+5.09M/s");
	assert_string_equal(format_rate(text, 0.11 * M, 0), "+0.11M/s");
	assert_string_equal(format_rate(text, 50.94 * M, 0), "+50.9M/s");
	assert_string_equal(format_rate(text, 999.6 * M, 0), "+1000M/s");
	assert_string_equal(format_rate(text, -40960, 0), "-40.0K/s");
	assert_string_equal(format_rate(text, 40000, 40960), "0");
	assert_string_equal(format_rate(text, -40000, 40960), "0");
	assert_string_equal(format_rate(text, 40960, 40960), "+40.0K/s");
	assert_string_equal(format_rate(text, 12, 0), "+12/s");
	assert_string_equal(format_rate(text, 0.2, 0), "0");
	assert_string_equal(format_rate(text, -0.0, 0), "0");
	assert_string_equal(format_rate(text, NAN, 0), "-");
	assert_string_equal(format_rate(text, INFINITY, 0), "-");
	assert_true(strlen(format_rate(text, 1e300, 0)) < FORMAT_SIZE);
	assert_true(strlen(format_rate(text, -1e300, 0)) < FORMAT_SIZE);
}

static void test_count(void **state)
{
	char text[FORMAT_SIZE];

	(void)state;
	assert_string_equal(format_count(text, 0), "0");
	assert_string_equal(format_count(text, 999), "999");
	assert_string_equal(format_count(text, 2163), "2,163");
	assert_string_equal(format_count(text, 1000000), "1,000,000");
	assert_string_equal(format_count(text, 999999999999999999ull), "999,999,999,999,999,999");
	assert_true(strlen(format_count(text, UINT64_MAX)) < FORMAT_SIZE);
}

static void test_duration(void **state)
{
	static const struct {
		double seconds;
		const char *text;
	} cases[] = {
		{0, "0s"},	   {0.0001, "<1ms"},  {0.011, "11ms"},
		{0.0994, "99ms"},  {0.0996, "0.1s"},  {0.7, "0.7s"},
		{9.94, "9.9s"},	   {9.96, "10s"},     {59, "59s"},
		{59.6, "1m00s"},   {84, "1m24s"},     {3599.4, "59m59s"},
		{3599.6, "1h00m"}, {11100, "3h05m"},  {86369, "23h59m"},
		{86399, "1d00h"},  {187200, "2d04h"}, {100 * 86400.0, "100d"},
		{1e300, ">9999d"}, {NAN, "-"},	      {INFINITY, "-"},
		{-1, "-"},
	};
	char text[FORMAT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(format_duration(text, cases[i].seconds), cases[i].text);
}

static void test_percent(void **state)
{
	char text[FORMAT_SIZE];

	(void)state;
	assert_string_equal(format_percent(text, 2.1), "2.1%");
	assert_string_equal(format_percent(text, 0.01), "<0.1%");
	assert_string_equal(format_percent(text, 0), "0%");
	assert_string_equal(format_percent(text, 9.96), "10%");
	assert_string_equal(format_percent(text, 98.4), "98%");
	assert_string_equal(format_percent(text, 99.8), ">99%");
	assert_string_equal(format_percent(text, 100), "100%");
	assert_string_equal(format_percent(text, 250), "250%");
	assert_string_equal(format_percent(text, -3.2), "-3.2%");
	assert_string_equal(format_percent(text, NAN), "-");
	assert_true(strlen(format_percent(text, -1e300)) < FORMAT_SIZE);
}

static void test_kept(void **state)
{
	char text[FORMAT_SIZE];

	(void)state;
	assert_string_equal(format_kept(text, 1.0 / 7), "1 in 7");
	assert_string_equal(format_kept(text, 0.1435), "1 in 7");
	assert_string_equal(format_kept(text, 0.12), "12%");
	assert_string_equal(format_kept(text, 0.5), "1 in 2");
	assert_string_equal(format_kept(text, 0.7), "70%");
	assert_string_equal(format_kept(text, 0.04), "1 in 25");
	assert_string_equal(format_kept(text, 0.005), "0.5%");
	assert_string_equal(format_kept(text, 0.0001), "<0.1%");
	assert_string_equal(format_kept(text, 0), "none");
	assert_string_equal(format_kept(text, 0.9999), ">99%");
	assert_string_equal(format_kept(text, 1), "all");
	assert_string_equal(format_kept(text, NAN), "-");
}

static void test_clock(void **state)
{
	char text[FORMAT_SIZE];

	(void)state;
	assert_string_equal(format_clock(text, 43391000000000ull), "12:03:11");
}

static void test_names(void **state)
{
	enum level level;

	(void)state;
	for (int i = 0; i < VERDICT_COUNT; i++) {
		assert_true(verdict_token(i)[0] && verdict_word(i)[0]);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(verdict_token(i), verdict_token(j));
	}
	assert_string_equal(verdict_token(VERDICT_WARMING_UP), "warming-up");
	assert_string_equal(verdict_token(999), "unknown");
	assert_string_equal(kind_name(ABI_KIND_POSIX_MEMALIGN), "posix_memalign");
	assert_string_equal(kind_name(ABI_KIND_PAGE_FAULT), "page-fault");
	assert_string_equal(kind_name(50), "other");
	assert_string_equal(kind_name(9999), "other");
	assert_string_equal(side_name(SIDE_MAPS), "maps");
	assert_string_equal(target_status_name(TARGET_OOM_KILLED), "oom-killed");
	assert_string_equal(limit_source_name(LIMIT_CGROUP), "cgroup");
	assert_int_equal(level_parse("heap", &level), 0);
	assert_int_equal(level, LEVEL_HEAP);
	assert_string_equal(level_name(level), "heap");
	assert_int_equal(level_parse("heaps", &level), -EINVAL);
	assert_int_equal(level_parse("", &level), -EINVAL);
}

static void test_sentence(void **state)
{
	static const struct {
		struct judgment judgment;
		const char *text;
	} cases[] = {
		{{.verdict = VERDICT_LEAKING, .one_in = 7}, "LEAKING: 1 in 7 never freed"},
		{{.verdict = VERDICT_LEAKING, .one_in = NAN}, "LEAKING: never freed"},
		{{.verdict = VERDICT_LEAKING, .one_in = 1}, "LEAKING: never freed"},
		{{.verdict = VERDICT_GROWING}, "PILING UP: freed slower than allocated"},
		{{.verdict = VERDICT_FILLING, .level_bytes = 64 * M},
		 "FILLING: slowing, about 64M at the end"},
		{{.verdict = VERDICT_BURST,
		  .level_bytes = 80 * M,
		  .since_unix_ns = 43320000000000ull},
		 "STEPPED UP: +80M at 12:02, flat since"},
		{{.verdict = VERDICT_SAWTOOTH, .level_bytes = 40 * M},
		 "UP AND DOWN: always returns to 40M"},
		{{.verdict = VERDICT_STEADY}, "STEADY: nothing above 40K/s"},
		{{.verdict = VERDICT_WARMING_UP, .due_s = 70}, "TOO EARLY: due in 1m10s"},
		{{.verdict = VERDICT_WARMING_UP}, "TOO EARLY"},
		{{.verdict = VERDICT_UNEXPLAINED, .explained_percent = 12},
		 "CAN'T TELL: only 12% explained"},
		{{.verdict = VERDICT_UNKNOWN}, "UNKNOWN"},
	};
	char text[80], small[10];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(
			verdict_sentence(text, sizeof(text), &cases[i].judgment, 40 * K),
			cases[i].text);
	verdict_sentence(small, sizeof(small), &cases[0].judgment, 40 * K);
	assert_string_equal(small, "LEAKING: ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),	 cmocka_unit_test(test_bytes_columns),
		cmocka_unit_test(test_signed),	 cmocka_unit_test(test_rate),
		cmocka_unit_test(test_count),	 cmocka_unit_test(test_duration),
		cmocka_unit_test(test_percent),	 cmocka_unit_test(test_kept),
		cmocka_unit_test(test_clock),	 cmocka_unit_test(test_names),
		cmocka_unit_test(test_sentence),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests_name("format", tests, NULL, NULL);
}
