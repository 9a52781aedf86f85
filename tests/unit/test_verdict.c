/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Verdicts over time, on simulated targets: each scenario runs with many seeds and jittered ticks,
 * from the attach on. Two promises count most: a leak is called one in time, and nothing honest is
 * ever called one.
 */
#include "core/model.h"
#include "core/verdict.h"

#include "tests/unit/simulated.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <stdio.h>

#define KB    1024ull
#define MB    (1024 * KB)
#define SEEDS 12
#define NEVER 1e9

static double exponential(struct simulated *simulated, double mean)
{
	return -mean * log(1 - simulated_chance(simulated));
}

/* Six cameras, 30 frames a second each; every seventh frame of one size is never freed. */
static void leak_one_in_seven(struct simulated *simulated, size_t site, double now_s, double step_s)
{
	(void)now_s;
	for (unsigned i = simulated_born(&simulated->sites[site], 180, step_s); i; i--) {
		bool bad = simulated_chance(simulated) < 1.0 / 7;

		simulated_allocate(simulated, site, bad ? 200 * KB : 300 * KB,
				   bad ? NEVER : 0.02 + 0.02 * simulated_chance(simulated));
	}
}

static void leak_later(struct simulated *simulated, size_t site, double now_s, double step_s)
{
	for (unsigned i = simulated_born(&simulated->sites[site], 180, step_s); i; i--) {
		bool bad = now_s > 100 && simulated_chance(simulated) < 1.0 / 7;

		simulated_allocate(simulated, site, 200 * KB, bad ? NEVER : 0.03);
	}
}

static void leak_all(struct simulated *simulated, size_t site, double now_s, double step_s)
{
	(void)now_s;
	for (unsigned i = simulated_born(&simulated->sites[site], 100, step_s); i; i--)
		simulated_allocate(simulated, site, 20 * KB, NEVER);
}

static void leak_slowly(struct simulated *simulated, size_t site, double now_s, double step_s)
{
	(void)now_s;
	for (unsigned i = simulated_born(&simulated->sites[site], 400, step_s); i; i--)
		simulated_allocate(simulated, site, 5 * KB,
				   simulated_chance(simulated) < 1.0 / 20 ?
					   NEVER :
					   exponential(simulated, 0.05));
}

/* Fills for a minute, then replaces its oldest entry. */
static void cache(struct simulated *simulated, size_t site, double now_s, double step_s)
{
	(void)now_s;
	for (unsigned i = simulated_born(&simulated->sites[site], 4, step_s); i; i--) {
		if (simulated->sites[site].count == 240)
			simulated_free_oldest(simulated, site);
		simulated_allocate(simulated, site, 48 * KB, NEVER);
	}
}

static void big_cache(struct simulated *simulated, size_t site, double now_s, double step_s)
{
	(void)now_s;
	for (unsigned i = simulated_born(&simulated->sites[site], 10, step_s); i; i--) {
		if (simulated->sites[site].count == 600)
			simulated_free_oldest(simulated, site);
		simulated_allocate(simulated, site, 50 * KB, NEVER);
	}
}

/* Ever fewer misses: 40 MB in the end. */
static void saturating_cache(struct simulated *simulated, size_t site, double now_s, double step_s)
{
	for (unsigned i = simulated_born(&simulated->sites[site], 40 * exp(-now_s / 40), step_s); i;
	     i--)
		simulated_allocate(simulated, site, 25 * KB, NEVER);
}

static void sawtooth(struct simulated *simulated, size_t site, double now_s, double step_s)
{
	if (fmod(now_s, 15) < step_s)
		while (simulated->sites[site].count > 10)
			simulated_free_oldest(simulated, site);
	for (unsigned i = simulated_born(&simulated->sites[site], 20, step_s); i; i--)
		simulated_allocate(simulated, site, 100 * KB, NEVER);
}

static void burst(struct simulated *simulated, size_t site, double now_s, double step_s)
{
	(void)step_s;
	if (now_s > 40 && simulated->sites[site].count < 800)
		for (unsigned i = 0; i < 100; i++)
			simulated_allocate(simulated, site, 100 * KB, NEVER);
}

/* Freed in order, but more slowly than allocated. */
static void queue(struct simulated *simulated, size_t site, double now_s, double step_s)
{
	(void)now_s;
	for (unsigned i = simulated_born(&simulated->sites[site], 40, step_s); i; i--) {
		simulated_allocate(simulated, site, 50 * KB, NEVER);
		if (simulated_chance(simulated) < 0.7)
			simulated_free_oldest(simulated, site);
	}
}

/* Taken and given back, never above what it began with. */
static void pool(struct simulated *simulated, size_t site, double now_s, double step_s)
{
	(void)now_s;
	(void)step_s;
	while (simulated->sites[site].count < 64)
		simulated_allocate(simulated, site, 64 * KB, NEVER);
}

static void scratch(struct simulated *simulated, size_t site, double now_s, double step_s)
{
	(void)now_s;
	for (unsigned i = simulated_born(&simulated->sites[site], 500, step_s); i; i--)
		simulated_allocate(simulated, site,
				   (uint64_t)(4 * KB * (1 + 8 * simulated_chance(simulated))),
				   exponential(simulated, 0.2));
}

/* realloc to twice the size whenever it is full, at 1 MB/s. */
static void vector(struct simulated *simulated, size_t site, double now_s, double step_s)
{
	uint64_t used = (uint64_t)(now_s * MB), room = 64 * KB;

	(void)step_s;
	while (room < used)
		room *= 2;
	if (simulated->sites[site].count && simulated->sites[site].blocks[0].bytes >= room)
		return;
	simulated_allocate(simulated, site, room, NEVER);
	if (simulated->sites[site].count > 1)
		simulated_free_oldest(simulated, site);
}

/* realloc by a little, often: grows steadily, but it is one block. */
static void growing_buffer(struct simulated *simulated, size_t site, double now_s, double step_s)
{
	for (unsigned i = simulated_born(&simulated->sites[site], 10, step_s); i; i--) {
		simulated_allocate(simulated, site, (uint64_t)(now_s * MB) + 1, NEVER);
		if (simulated->sites[site].count > 1)
			simulated_free_oldest(simulated, site);
	}
}

/* Blocks live 20 s: after the attach that looks like growth for as long. */
static void long_lives(struct simulated *simulated, size_t site, double now_s, double step_s)
{
	(void)now_s;
	for (unsigned i = simulated_born(&simulated->sites[site], 30, step_s); i; i--)
		simulated_allocate(simulated, site, 50 * KB, 15 + 10 * simulated_chance(simulated));
}

/* Each camera holds a frame of some size until its next one. */
static void frames(struct simulated *simulated, size_t site, double now_s, double step_s)
{
	(void)now_s;
	for (unsigned i = simulated_born(&simulated->sites[site], 180, step_s); i; i--) {
		uint64_t size = (uint64_t)((200 + 2000 * simulated_chance(simulated)) * KB);

		simulated_allocate(simulated, site, size, NEVER);
		if (simulated->sites[site].count > 6)
			simulated_free_oldest(simulated, site);
	}
}

/* Attached to a cache that is full: each new entry replaces one from before the attach. */
static void full_cache(struct simulated *simulated, size_t site, double now_s, double step_s)
{
	size_t before = simulated->sites[site].count;

	cache(simulated, site, now_s, step_s);
	simulated->base_rss_bytes -= (simulated->sites[site].count - before) * 48 * KB;
}

/* 80 pipes a second, each with a ring that the kernel keeps; not in RSS. */
static void pipes(struct simulated *simulated, size_t site, double now_s, double step_s)
{
	(void)now_s;
	for (unsigned i = simulated_born(&simulated->sites[site], 80, step_s); i; i--) {
		simulated_allocate(simulated, site, 640, NEVER);
		simulated->base_rss_bytes -= 640;
	}
}

/* Sockets of clients that come and stay for a few seconds. */
static void clients(struct simulated *simulated, size_t site, double now_s, double step_s)
{
	(void)now_s;
	for (unsigned i = simulated_born(&simulated->sites[site], 60, step_s); i; i--)
		simulated_allocate(simulated, site, 1 * KB, exponential(simulated, 1.5));
}

/* So many files are opened in the beginning, and kept. */
static void open_files(struct simulated *simulated, size_t site, double now_s, double step_s)
{
	(void)now_s;
	for (unsigned i = simulated_born(&simulated->sites[site], 100, step_s); i; i--)
		if (simulated->sites[site].count < 400)
			simulated_allocate(simulated, site, 256, NEVER);
}

struct scenario {
	const char *name;
	simulated_rule_fn *rule;
	bool leaks;
	double leaking_by_s; /* latest watch at which it must be called leaking; for ever after */
	double end_s;
	unsigned at_end; /* verdicts allowed from 85 % of the run on, a bit each; 0 = any */
	bool kernel;	 /* what the kernel holds */
};

#define OR(verdict) (1u << (verdict))

static const struct scenario scenarios[] = {
	{"leak, 1 in 7", leak_one_in_seven, true, 11.5, 90, OR(VERDICT_LEAKING), false},
	{"leak from 100 s on", leak_later, true, 125, 160, OR(VERDICT_LEAKING), false},
	{"leak of all", leak_all, true, 40, 90, OR(VERDICT_LEAKING), false},
	{"leak, slow, 1 in 20", leak_slowly, true, 210, 250, OR(VERDICT_LEAKING), false},
	{"cache", cache, false, 0, 180, OR(VERDICT_STEADY), false},
	{"big cache", big_cache, false, 0, 180, OR(VERDICT_STEADY), false},
	{"saturating cache", saturating_cache, false, 0, 200,
	 OR(VERDICT_FILLING) | OR(VERDICT_STEADY), false},
	{"sawtooth", sawtooth, false, 0, 150, OR(VERDICT_SAWTOOTH), false},
	{"burst", burst, false, 0, 90, OR(VERDICT_BURST), false},
	{"queue", queue, false, 0, 90, OR(VERDICT_GROWING), false},
	{"pool", pool, false, 0, 60, OR(VERDICT_STEADY), false},
	{"frames", frames, false, 0, 150, OR(VERDICT_STEADY), false},
	{"full cache", full_cache, false, 0, 150, OR(VERDICT_STEADY), false},
	{"scratch", scratch, false, 0, 60, OR(VERDICT_STEADY), false},
	{"vector", vector, false, 0, 150, 0, false},
	{"growing buffer", growing_buffer, false, 0, 90, OR(VERDICT_GROWING), false},
	{"long lives", long_lives, false, 0, 150, OR(VERDICT_STEADY), false},
	{"leaked pipes", pipes, true, 9.5, 60, OR(VERDICT_LEAKING), true},
	{"clients", clients, false, 0, 90, 0, true},
	{"open files", open_files, false, 0, 60, 0, true},
};

static void fail_at(const struct scenario *scenario, unsigned seed, double watch_s,
		    const struct judgment *judgment)
{
	char text[160];

	snprintf(text, sizeof(text), "%s, seed %u: verdict %u at %.1f s, due %.0f s",
		 scenario->name, seed, judgment->verdict, watch_s, judgment->due_s);
	fail_msg("%s", text);
}

static void check_tick(const struct scenario *scenario, unsigned seed, double watch_s,
		       const struct picture *picture)
{
	const struct judgment *judgment = &picture->sites[0].judgment;
	bool leaking = judgment->verdict == VERDICT_LEAKING;

	if (getenv("SHOW_VERDICTS") && !seed)
		printf("# %s %.0f: %u (due %.0f) whole %u kept %.3f rate %.0f\n", scenario->name,
		       watch_s, judgment->verdict, judgment->due_s, picture->judgment.verdict,
		       picture->sites[0].kept_ratio, picture->sites[0].rate_bytes_per_s);
	if (!scenario->leaks && (leaking || picture->judgment.verdict == VERDICT_LEAKING))
		fail_at(scenario, seed, watch_s, judgment);
	if (scenario->leaks && watch_s > scenario->leaking_by_s &&
	    (!leaking || picture->judgment.verdict != VERDICT_LEAKING))
		fail_at(scenario, seed, watch_s, judgment);
	if (scenario->at_end && watch_s > scenario->end_s * 0.85 &&
	    !(scenario->at_end & OR(judgment->verdict)))
		fail_at(scenario, seed, watch_s, judgment);
	if ((scenario->at_end & OR(VERDICT_STEADY)) && watch_s > scenario->end_s * 0.85 &&
	    picture->judgment.verdict != VERDICT_STEADY &&
	    !(scenario->at_end & OR(picture->judgment.verdict)))
		fail_at(scenario, seed, watch_s, &picture->judgment);
	if (watch_s < 8)
		assert_int_equal(judgment->verdict, VERDICT_WARMING_UP);
	if (judgment->verdict == VERDICT_WARMING_UP)
		assert_true(judgment->due_s > 0);
}

/* With honest traffic beside it, so that the site is one of several. */
static void play(const struct scenario *scenario, unsigned seed, double tick_s,
		 void (*check_end)(const struct picture *))
{
	struct simulated simulated;
	struct model *model = model_new();
	double first_s = NAN;

	simulated_init(&simulated, seed + 1);
	simulated_add(&simulated, scenario->rule);
	if (scenario->kernel)
		simulated.sites[0].info.side = SIDE_KERNEL;
	simulated.snapshot.side_known[SIDE_KERNEL] = scenario->kernel;
	simulated_add(&simulated, scratch);
	simulated_add(&simulated, pool);
	simulated_run(&simulated, 0.2);
	while (simulated.now_s - simulated.attached_s < scenario->end_s) {
		model_update(model, &simulated.source, simulated_read(&simulated));
		if (isnan(first_s))
			first_s = simulated.now_s;
		check_tick(scenario, seed, simulated.now_s - first_s, model_picture(model));
		for (size_t i = 1; i < simulated.site_count; i++)
			assert_int_not_equal(model_picture(model)->sites[i].judgment.verdict,
					     VERDICT_LEAKING);
		simulated_run(&simulated, tick_s * (0.85 + 0.3 * simulated_chance(&simulated)));
	}
	if (check_end)
		check_end(model_picture(model));
	model_free(model);
	simulated_deinit(&simulated);
}

static void test_scenarios(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
		for (unsigned seed = 0; seed < SEEDS; seed++)
			play(&scenarios[i], seed, 1, NULL);
}

/* A page of tables for every 512 that grow is far below; where they outgrow that it is above. */
static void test_page_tables(void **state)
{
	(void)state;
	assert_true(verdict_page_table_floor(4 * KB, 5120 * KB) == 40 * KB);
	assert_true(verdict_page_table_floor(56 * KB, 5120 * KB) == 56 * KB);
	assert_true(verdict_page_table_floor(4 * KB, NAN) == 4 * KB);
	assert_true(verdict_page_table_floor(4 * KB, -5120.0 * KB) == 4 * KB);
}

/* Honest sites stay honest however often one looks, and leaks are found. */
static void test_other_ticks(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		struct scenario scenario = scenarios[i];

		play(&scenario, SEEDS, 0.3, NULL);
		scenario.at_end = 0;
		scenario.leaking_by_s += 15;
		play(&scenario, SEEDS + 1, 3, NULL);
	}
}

static void check_leak(const struct picture *picture)
{
	const struct site_stats *site = &picture->sites[0];

	assert_true(fabs(site->judgment.one_in - 7) < 0.7);
	assert_true(fabs(site->kept_ratio - 1.0 / 7) < 0.015);
	assert_true(site->oldest_s > 20);
	assert_true(fabs(site->rate_bytes_per_s / (180.0 / 7 * 200 * KB) - 1) < 0.2);
	assert_true(fabs(site->allocations_per_s - 180) < 20);
	assert_true(fabs(picture->judgment.one_in - 7) < 0.7);
	assert_int_equal(picture->top_site, 1);
	assert_true(picture->top_share > 0.95);
	assert_true(picture->accounting.explained_percent > 95);
}

static void test_leak_facts(void **state)
{
	(void)state;
	play(&scenarios[0], 77, 1, check_leak);
}

static void check_burst(const struct picture *picture)
{
	const struct judgment *judgment = &picture->sites[0].judgment;
	double since_s = (judgment->since_unix_ns - 1700000000000000000ull) / 1e9 - 1000;

	assert_true(fabs(judgment->level_bytes / (double)(80 * MB) - 1) < 0.05);
	assert_true(fabs(since_s - 40) < 20);
	assert_int_equal(picture->judgment.verdict, VERDICT_BURST);
}

static void test_burst_facts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
		if (scenarios[i].rule == burst)
			play(&scenarios[i], 5, 1, check_burst);
}

static void test_floor(void **state)
{
	(void)state;
	assert_int_equal(verdict_floor(0), 4096);
	assert_int_equal(verdict_floor(10 * MB), 4096);
	assert_int_equal(verdict_floor(989750886), 40960); /* 943.9M */
	assert_true(verdict_floor(UINT64_MAX) > 1e14);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_floor),	    cmocka_unit_test(test_scenarios),
		cmocka_unit_test(test_page_tables), cmocka_unit_test(test_other_ticks),
		cmocka_unit_test(test_leak_facts),  cmocka_unit_test(test_burst_facts),
	};

	return cmocka_run_group_tests_name("verdict", tests, NULL, NULL);
}
