/* SPDX-License-Identifier: GPL-2.0-only */
#include "core/forecast.h"

#include "tests/unit/unit.h"

#include <math.h>

#define MB 1048576.0

static uint64_t random_state = 88172645463325252ull;

static double noise(double size)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return ((random_state >> 11) / 9007199254740992.0 - 0.5) * 2 * size;
}

/* Headroom that shrinks by `rate`; the last point is now. */
static size_t fill(struct point *points, size_t count, double spacing_s, double now, double rate,
		   double jitter)
{
	for (size_t i = 0; i < count; i++) {
		double t = -spacing_s * (count - 1 - i);

		points[i] = (struct point){t, now - rate * t + (i + 1 < count ? noise(jitter) : 0)};
	}
	return count;
}

static struct forecast make(double span_s, double now, double rate, double jitter)
{
	struct point minute[16], recent[16];
	size_t minutes = fill(minute, 16, span_s / 15, now, rate, jitter);
	size_t recents = fill(recent, 16, fmin(span_s, 15) / 15, now, rate, jitter);

	return forecast_make(minute, minutes, recent, recents, 40960);
}

static void test_interval(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 200; seed++) {
		struct forecast forecast = make(60, 1000 * MB, 5 * MB, 2 * MB);

		assert_true(forecast.low_s <= 200 && forecast.high_s >= 200);
		assert_true(forecast.low_s > 160 && forecast.high_s < 250);
		assert_true(fabs(forecast.rate_bytes_per_s / (5 * MB) - 1) < 0.1);
	}
}

static void test_exact(void **state)
{
	struct forecast forecast = make(60, 1000 * MB, 5 * MB, 0);

	(void)state;
	assert_true(fabs(forecast.low_s - 200 / 1.02) < 0.01);
	assert_true(fabs(forecast.high_s - 200 / 0.98) < 0.01);
	forecast = make(60, 0, 5 * MB, 0);
	assert_true(forecast.low_s == 0 && forecast.high_s == 0);
}

static void assert_none(struct forecast forecast)
{
	assert_true(isnan(forecast.low_s) && isnan(forecast.high_s));
}

static void test_none(void **state)
{
	(void)state;
	assert_none(make(20, 1000 * MB, 5 * MB, 0));	   /* too short a time */
	assert_none(make(60, 1000 * MB, 0, 0));		   /* does not shrink */
	assert_none(make(60, 1000 * MB, -5 * MB, 0));	   /* grows */
	assert_none(make(60, 1000 * MB, 30000, 0));	   /* below the floor */
	assert_none(make(60, 1000 * MB, 100000, 50 * MB)); /* lost in the noise */
	assert_none(make(60, 1e13, 41500, 0));		   /* years away */
	assert_none(forecast_make(NULL, 0, NULL, 0, 0));
}

/* What speeds up lately widens the interval towards the earlier end. */
static void test_accelerating(void **state)
{
	struct point minute[16], recent[16];
	struct forecast forecast;

	(void)state;
	fill(minute, 16, 4, 1000 * MB, 5 * MB, 0);
	fill(recent, 16, 1, 1000 * MB, 10 * MB, 0);
	forecast = forecast_make(minute, 16, recent, 16, 40960);
	assert_true(fabs(forecast.low_s - 100) < 0.01);
	assert_true(forecast.high_s > 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interval),
		cmocka_unit_test(test_exact),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_accelerating),
	};

	return cmocka_run_group_tests_name("forecast", tests, NULL, NULL);
}
