/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is called a leak of descriptors and buffers: simulated processes, looked at each two seconds
 * as the live source does it, judged each second by the model.
 */
#include "tests/unit/unit.h"

#include "capture/lives.h"
#include "core/format.h"
#include "core/holdings.h"
#include "core/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SECOND 1000000000ull
#define START  (1000 * SECOND)
#define NEVER  1e9
#define STEP_S 0.1
#define MIB    (1024 * 1024ull)

struct thing {
	uint64_t key, size;
	unsigned what;
	double dies_s;
};

struct process {
	struct lives lives;
	struct model *model;
	VEC(struct thing) things;
	uint64_t last_key;
	double carry;
	double now_s;
};

typedef void rule_fn(struct process *process);

static void add(struct process *process, unsigned what, uint64_t size, double life_s)
{
	*vec_push(&process->things) = (struct thing){.key = ++process->last_key,
						     .size = size,
						     .what = what,
						     .dies_s = process->now_s + life_s};
}

/* How many come in this step. */
static unsigned come(struct process *process, double per_s)
{
	unsigned whole;

	process->carry += per_s * STEP_S;
	whole = (unsigned)process->carry;
	process->carry -= whole;
	return whole;
}

static void live_on(struct process *process, rule_fn *rule)
{
	size_t kept = 0;

	process->now_s += STEP_S;
	for (size_t i = 0; i < process->things.count; i++)
		if (process->things.data[i].dies_s > process->now_s)
			process->things.data[kept++] = process->things.data[i];
	process->things.count = kept;
	rule(process);
}

static void look(struct process *process, uint64_t now_ns)
{
	lives_begin(&process->lives);
	for (size_t i = 0; i < process->things.count; i++)
		lives_see(&process->lives, process->things.data[i].key,
			  process->things.data[i].what, process->things.data[i].size);
	lives_end(&process->lives, now_ns);
}

static void give(struct process *process, struct holding_sample *row, struct cohorts *cohorts,
		 unsigned from, unsigned to)
{
	lives_cohorts(&process->lives, from, to, cohorts);
	row->known = true;
	row->value = lives_sum(&process->lives, from, to);
	row->totals = lives_totals(&process->lives, from, to);
	row->cohorts = cohorts;
}

static const struct picture *tick(struct process *process)
{
	static struct holding_sample rows[HOLDING_MOST];
	static struct cohorts cohorts[HOLDING_MOST];
	struct snapshot snapshot = {.time_ns = START + (uint64_t)(process->now_s * 1e9),
				    .time_unix_ns = START,
				    .attached_ns = START,
				    .generation = 1,
				    .memory = {.rss_bytes = 100 * MIB},
				    .holding_count = HOLDING_COUNT + 1,
				    .holdings = rows};

	for (unsigned what = HOLDING_FILES; what <= HOLDING_COUNT; what++)
		give(process, &rows[what], &cohorts[what], what, what + 1);
	give(process, &rows[HOLDING_FDS], &cohorts[HOLDING_FDS], HOLDING_FILES,
	     HOLDING_OTHER_FDS + 1);
	give(process, &rows[HOLDING_DMABUF_BYTES], &cohorts[HOLDING_DMABUF_BYTES], HOLDING_COUNT,
	     HOLDING_MOST);
	rows[HOLDING_COUNT].exporter = "udmabuf";
	model_update(process->model, NULL, &snapshot);
	return model_picture(process->model);
}

static void process_init(struct process *process)
{
	memset(process, 0, sizeof(*process));
	process->model = model_new();
	for (unsigned i = 0; i < 40; i++)
		add(process, HOLDING_FILES, 1, NEVER);
	look(process, START);
}

static void process_deinit(struct process *process)
{
	model_free(process->model);
	lives_deinit(&process->lives);
	vec_deinit(&process->things);
}

/* When a leak was first called, and of what; NAN if never in so many seconds. */
static double called_after(rule_fn *rule, double seconds, unsigned *what)
{
	struct process process;
	double called = NAN;

	process_init(&process);
	for (unsigned step = 1; step <= seconds / STEP_S && isnan(called); step++) {
		const struct picture *picture;

		live_on(&process, rule);
		if (step % 20 == 0)
			look(&process, START + (uint64_t)(process.now_s * 1e9));
		if (step % 10)
			continue;
		picture = tick(&process);
		if (picture->leaking_holding) {
			called = process.now_s;
			*what = picture->leaking_holding - 1;
		}
	}
	process_deinit(&process);
	return called;
}

static void leaks_memfds(struct process *process)
{
	for (unsigned i = come(process, 20); i; i--)
		add(process, HOLDING_MEMFDS, 1, NEVER);
}

static void leaks_slowly(struct process *process)
{
	for (unsigned i = come(process, 1); i; i--)
		add(process, HOLDING_SOCKETS, 1, NEVER);
}

static void leaks_some(struct process *process)
{
	for (unsigned i = come(process, 140); i; i--)
		add(process, HOLDING_PIPES, 1, process->last_key % 7 ? 2.5 : NEVER);
}

static void leaks_buffers(struct process *process)
{
	for (unsigned i = come(process, 1); i; i--)
		add(process, HOLDING_COUNT, 4 * MIB, NEVER);
}

static void leaks_are_called(void **state)
{
	unsigned what = 0;

	(void)state;
	assert_true(called_after(leaks_memfds, 45, &what) < 45);
	assert_int_equal(what, HOLDING_MEMFDS);
	assert_true(called_after(leaks_slowly, 400, &what) < 400);
	assert_int_equal(what, HOLDING_SOCKETS);
	assert_true(called_after(leaks_some, 120, &what) < 120);
	assert_int_equal(what, HOLDING_PIPES);
	/* By its exporter, not by the sum of all. */
	assert_true(called_after(leaks_buffers, 45, &what) < 45);
	assert_int_equal(what, HOLDING_COUNT);
}

static void opens_and_closes(struct process *process)
{
	for (unsigned i = come(process, 500); i; i--)
		add(process, HOLDING_PIPES, 1, 0.15 + (double)(process->last_key % 7));
}

static void fills_a_pool(struct process *process)
{
	for (unsigned i = come(process, 6); i && process->now_s < 25; i--)
		add(process, HOLDING_SOCKETS, 1, NEVER);
}

/* Clients come for a while, and go together. */
static void up_and_down(struct process *process)
{
	double left = 20 - fmod(process->now_s, 20);

	for (unsigned i = come(process, 30); i; i--)
		add(process, HOLDING_SOCKETS, 1, left);
}

/* A ring of frames in buffers that are replaced one by one. */
static void ring_of_buffers(struct process *process)
{
	for (unsigned i = come(process, 10); i; i--)
		add(process, HOLDING_COUNT, 8 * MIB, 3);
}

static void healthy_ones_are_not(void **state)
{
	static rule_fn *const rules[] = {opens_and_closes, fills_a_pool, up_and_down,
					 ring_of_buffers};
	unsigned what = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
		double called = called_after(rules[i], 700, &what);

		if (!isnan(called))
			print_error("rule %zu: %s called after %g s\n", i,
				    holding_kind_of(what)->name, called);
		assert_true(isnan(called));
	}
}

static void sums_rates_and_marks(void **state)
{
	const struct picture *picture = NULL;
	struct process process;

	(void)state;
	process_init(&process);
	for (unsigned step = 1; step <= 200; step++) {
		live_on(&process, leaks_memfds);
		if (step % 20 == 0)
			look(&process, START + (uint64_t)(process.now_s * 1e9));
		if (step % 10 == 0)
			picture = tick(&process);
	}
	assert_int_equal(picture->holdings[HOLDING_FDS].value, 440);
	assert_int_equal(picture->holdings[HOLDING_FILES].value, 40);
	/* From the first tick on, when none had been seen. */
	assert_int_equal(picture->holdings[HOLDING_MEMFDS].delta, 400);
	assert_int_equal(picture->holdings[HOLDING_MEMFDS].totals.allocated_blocks, 400);
	assert_int_equal(picture->holdings[HOLDING_FILES].totals.allocated_blocks, 0);
	assert_true(fabs(picture->holdings[HOLDING_MEMFDS].rate_per_s - 20) < 2);
	assert_true(fabs(picture->holdings[HOLDING_FILES].rate_per_s) < 1e-6);
	assert_string_equal(holding_name(picture, HOLDING_COUNT), "udmabuf");
	model_mark(process.model, "lap");
	picture = tick(&process);
	assert_int_equal(picture->holdings[HOLDING_MEMFDS].delta, 0);
	process_deinit(&process);
}

static void what_is_not_known_stays_so(void **state)
{
	struct holding_sample rows[HOLDING_MOST] = {{.why = "because"}};
	struct snapshot snapshot = {.time_ns = START, .generation = 1, .holdings = rows};
	struct model *model = model_new();
	const struct picture *picture;

	(void)state;
	/* More than there can be, and none at all. */
	snapshot.holding_count = 1000;
	model_update(model, NULL, &snapshot);
	picture = model_picture(model);
	assert_int_equal(picture->holding_count, HOLDING_MOST);
	assert_false(picture->holdings[0].known);
	assert_string_equal(picture->holdings[0].why, "because");
	assert_true(isnan(picture->holdings[0].rate_per_s));
	/* Known from now on: it grew by nothing yet. */
	rows[0] = (struct holding_sample){.known = true, .value = 5 * MIB};
	for (unsigned i = 1; i < 4; i++) {
		snapshot.time_ns = START + i * SECOND;
		model_update(model, NULL, &snapshot);
	}
	assert_int_equal(picture->holdings[0].delta, 0);
	assert_true(fabs(picture->holdings[0].rate_per_s) < 1e-6);
	snapshot.holding_count = 0;
	snapshot.time_ns = START + 5 * SECOND;
	model_update(model, NULL, &snapshot);
	assert_int_equal(picture->holding_count, 0);
	model_free(model);
}

static void formats(void **state)
{
	char text[FORMAT_SIZE];

	(void)state;
	assert_string_equal(holding_format_rate(text, HOLDING_FDS, 20.2), "+20/s");
	assert_string_equal(holding_format_rate(text, HOLDING_FDS, -0.44), "-0.4/s");
	assert_string_equal(holding_format_rate(text, HOLDING_FDS, 0.01), "0");
	assert_string_equal(holding_format_rate(text, HOLDING_FDS, NAN), "-");
	assert_string_equal(holding_format_delta(text, HOLDING_FDS, -1234), "-1,234");
	assert_string_equal(holding_format_delta(text, HOLDING_FDS, 0), "0");
	assert_string_equal(holding_format_delta(text, HOLDING_PSS, 4096), "+4.0K");
	assert_true(strlen(holding_format_delta(text, HOLDING_FDS, INT64_MIN)) < FORMAT_SIZE);
	assert_true(strlen(holding_format_rate(text, HOLDING_FDS, 1e300)) < FORMAT_SIZE);
	for (unsigned i = 0; i < HOLDING_COUNT; i++) {
		assert_non_null(holding_kinds[i].token);
		assert_non_null(holding_kinds[i].meaning);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaks_are_called),
		cmocka_unit_test(healthy_ones_are_not),
		cmocka_unit_test(sums_rates_and_marks),
		cmocka_unit_test(what_is_not_known_stays_so),
		cmocka_unit_test(formats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
