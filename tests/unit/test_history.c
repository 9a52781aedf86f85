/* SPDX-License-Identifier: GPL-2.0-only */
#include "core/ages.h"
#include "core/history.h"

#include "tests/unit/unit.h"

#include <math.h>
#include <string.h>

#define SECOND 1000000000ull

static void check_order(const struct history *history)
{
	assert_in_range(history->count, 1, HISTORY_POINTS);
	for (size_t i = 1; i < history->count; i++)
		assert_true(history->points[i].time_ns > history->points[i - 1].time_ns);
}

/* A day of ticks: bounded, ordered, even, with the first and the newest point in it. */
static void test_history_bounded(void **state)
{
	static struct history history;
	uint64_t random = 88172645463325252ull, time_ns = 5 * SECOND, widest = 0;

	(void)state;
	memset(&history, 0, sizeof(history));
	for (unsigned i = 0; i < 86400; i++) {
		struct history_point point = {.time_ns = time_ns, .rss_bytes = i};

		history_add(&history, &point);
		assert_int_equal(history.points[history.count - 1].time_ns, time_ns);
		assert_int_equal(history.points[history.count - 1].rss_bytes, i);
		if (i % 997 == 0)
			check_order(&history);
		random ^= random << 13, random ^= random >> 7, random ^= random << 17;
		time_ns += SECOND / 2 + random % SECOND;
	}
	check_order(&history);
	assert_int_equal(history.points[0].time_ns, 5 * SECOND);
	assert_true(history.count > HISTORY_POINTS / 3);
	for (size_t i = 1; i < history.count; i++)
		if (history.points[i].time_ns - history.points[i - 1].time_ns > widest)
			widest = history.points[i].time_ns - history.points[i - 1].time_ns;
	assert_true(widest < 86400 * SECOND / (HISTORY_POINTS / 4));
}

static void test_history_same_time(void **state)
{
	static struct history history;
	struct history_point point = {.time_ns = 10, .rss_bytes = 1};

	(void)state;
	memset(&history, 0, sizeof(history));
	history_add(&history, &point);
	point.rss_bytes = 2;
	history_add(&history, &point);
	assert_int_equal(history.count, 1);
	assert_int_equal(history.points[0].rss_bytes, 2);
	point.time_ns = 20;
	history_add(&history, &point);
	point.time_ns = 5; /* a clock that steps back must not break the order */
	history_add(&history, &point);
	check_order(&history);
}

static void test_track_windows(void **state)
{
	struct timeline timeline = {0};
	struct track track = {0};
	struct point points[TRACK_WINDOW];
	uint64_t now = 0;
	size_t count;

	(void)state;
	count = track_window(&track, &timeline, SCALE_RECENT, SECOND, 0, 7, points);
	assert_int_equal(count, 1);
	assert_true(points[0].value == 7 && points[0].time_s == 0);
	for (unsigned i = 0; i < 1000; i++) {
		now = (100 + i) * SECOND;
		timeline_advance(&timeline, now);
		track_push(&track, &timeline, 3.0 * i);
	}
	for (unsigned scale = 0; scale < SCALE_COUNT; scale++) {
		static const double spans[SCALE_COUNT] = {14, 56, 430};
		struct fit fit;

		count = track_window(&track, &timeline, scale, now, 0, 3.0 * 999, points);
		fit = trend_fit(points, count);
		assert_true(count >= TRACK_POINTS);
		assert_true(fabs(fit.slope - 3) < 1e-6);
		assert_true(fit.error < 1e-6);
		assert_true(fit.span_s >= spans[scale]);
	}
	count = track_window(&track, &timeline, SCALE_RECENT, now, now - 5 * SECOND, 0, points);
	assert_int_equal(count, 6);
	count = track_window(&track, &timeline, SCALE_RECENT, now, now, 0, points);
	assert_int_equal(count, 2); /* always what a slope needs */
}

static void test_shapes(void **state)
{
	struct point line[12], fills[12], saw[12], step[12];
	double level, time_s, thirds[3];

	(void)state;
	for (unsigned i = 0; i < 12; i++) {
		double t = i * 5.0 - 55;

		line[i] = (struct point){t, 100 + 10.0 * i};
		fills[i] = (struct point){t, 1000 * (1 - exp(-(i / 3.0)))};
		saw[i] = (struct point){t, i % 4 * 100.0};
		step[i] = (struct point){t, i < 6 ? 50 : 850};
	}
	assert_true(trend_steady(line, 12));
	assert_false(trend_slowing(line, 12, &level));
	assert_int_equal(trend_falls(line, 12, 50, &level), 0);
	assert_false(trend_step(line, 12, 50, &level, &time_s));
	trend_thirds(line, 12, thirds);
	assert_true(fabs(thirds[1] - 110.0 / 3) < 1e-9);

	assert_true(trend_slowing(fills, 12, &level));
	assert_true(fabs(level - 1000) < 50);
	assert_false(trend_steady(fills, 12));

	assert_int_equal(trend_falls(saw, 12, 200, &level), 2);
	assert_true(level == 0);
	assert_int_equal(trend_falls(saw, 12, 400, &level), 0);

	assert_true(trend_step(step, 12, 400, &level, &time_s));
	assert_true(level == 800 && time_s < -25 && time_s > -30);
	assert_false(trend_step(step, 12, 900, &level, &time_s));
	assert_false(trend_steady(step, 12));
	assert_false(trend_steady(line, 0));
	assert_false(trend_slowing(line, 1, &level));
	assert_true(isnan(trend_fit(line, 1).slope));
}

static void add_row(struct cohorts *cohorts, double from_s, double to_s, uint64_t made,
		    uint64_t freed)
{
	cohorts->rows[cohorts->count++] = (struct cohort_row){
		.born_from_ns = (uint64_t)(from_s * 1e9),
		.born_to_ns = (uint64_t)(to_s * 1e9),
		.totals = {made * 100, made, freed * 100, freed},
	};
}

static void test_ages(void **state)
{
	struct cohorts cohorts = {0};
	struct ages ages;

	(void)state;
	ages = ages_of(&cohorts, 100 * SECOND);
	assert_true(isnan(ages.oldest_s) && isnan(ages.kept_ratio) && isnan(ages.median_life_s));

	/* 1 in 7 kept at every age, the others gone within the youngest row. */
	add_row(&cohorts, 0, 60, 7000, 6000);
	add_row(&cohorts, 60, 90, 3500, 3000);
	add_row(&cohorts, 90, 99, 1050, 900);
	add_row(&cohorts, 99, 100, 117, 95);
	ages = ages_of(&cohorts, 100 * SECOND);
	assert_true(fabs(ages.kept_ratio - 1.0 / 7) < 1e-9);
	assert_true(ages.oldest_s == 40);
	assert_true(ages.median_life_s < 0.4);
	assert_true(ages.old_s == 5);
	assert_int_equal(ages.old_blocks, 1500);
	assert_int_equal(ages.old_bytes, 150000);
	assert_false(ages.decaying);

	/* Freed, but late: kept while young, gone when old. */
	cohorts.count = 0;
	add_row(&cohorts, 0, 60, 1000, 1000);
	add_row(&cohorts, 60, 90, 1000, 100);
	add_row(&cohorts, 90, 100, 300, 0);
	ages = ages_of(&cohorts, 100 * SECOND);
	assert_true(ages.oldest_s == 10);
	assert_true(ages.median_life_s == 40); /* half of none: at most where the row begins */
	assert_true(isnan(ages.kept_ratio));
	assert_true(ages.oldest_kept == 0);

	/* Nothing ever freed: old begins at 5 s. */
	cohorts.count = 0;
	add_row(&cohorts, 80, 94, 10, 0);
	add_row(&cohorts, 94, 100, 10, 0);
	ages = ages_of(&cohorts, 100 * SECOND);
	assert_true(ages.kept_ratio == 1 && isnan(ages.median_life_s) && ages.old_blocks == 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_history_bounded),
		cmocka_unit_test(test_history_same_time),
		cmocka_unit_test(test_track_windows),
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_ages),
	};

	return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}
