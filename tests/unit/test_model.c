/* SPDX-License-Identifier: GPL-2.0-only */
/* The picture over time: books, marks, generations, parts of RSS, forecast. Verdicts have their own
 * test. */
#include "core/model.h"

#include "tests/unit/simulated.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MB 1048576ull

static void grow_1mb_s(struct simulated *simulated, size_t site, double now_s, double step_s)
{
	(void)now_s;
	for (unsigned i = simulated_born(&simulated->sites[site], 100, step_s); i; i--)
		simulated_allocate(simulated, site, MB / 100, 1e9);
}

static void rest(struct simulated *simulated, size_t site, double now_s, double step_s)
{
	(void)now_s;
	(void)step_s;
	if (!simulated->samples[site].totals.allocated_blocks)
		simulated_allocate(simulated, site, 5 * MB, 1e9);
}

static const struct picture *tick(struct model *model, struct simulated *simulated, double seconds)
{
	simulated_run(simulated, seconds);
	model_update(model, &simulated->source, simulated_read(simulated));
	return model_picture(model);
}

static int setup(void **state)
{
	struct simulated *simulated = malloc(sizeof(*simulated));

	simulated_init(simulated, 3);
	simulated_add(simulated, grow_1mb_s);
	simulated_add(simulated, rest);
	*state = simulated;
	return 0;
}

static int teardown(void **state)
{
	simulated_deinit(*state);
	free(*state);
	return 0;
}

static void test_first_tick(void **state)
{
	struct simulated *simulated = *state;
	struct model *model = model_new();
	const struct picture *picture = tick(model, simulated, 0.2);

	assert_int_equal(picture->tick, 1);
	assert_true(fabs(picture->elapsed_s - 0.2) < 1e-6);
	assert_int_equal(picture->site_count, 2);
	assert_int_equal(picture->sites[0].delta_bytes, 0);
	assert_int_equal(picture->sites[1].delta_bytes, 0);
	assert_int_equal(picture->sites[1].totals.allocated_bytes, 5 * MB);
	assert_true(isnan(picture->sites[0].rate_bytes_per_s));
	assert_true(isnan(picture->forecast.low_s));
	assert_true(isnan(picture->names_percent));
	assert_int_equal(picture->judgment.verdict, VERDICT_WARMING_UP);
	assert_int_equal(picture->top_site, 0);
	assert_true(isnan(picture->top_share));
	assert_int_equal(picture->history_count, 1);
	assert_string_equal(picture->mark.name, "attach");
	assert_false(picture->accounting.known);
	model_free(model);
	model_free(NULL);
}

static void test_deltas_and_rates(void **state)
{
	struct simulated *simulated = *state;
	struct model *model = model_new();
	const struct picture *picture = NULL;
	uint64_t first = 0;

	for (unsigned i = 0; i < 20; i++) {
		picture = tick(model, simulated, i ? 0.9 + 0.2 * simulated_chance(simulated) : 0.2);
		if (!i)
			first = totals_live_bytes(&picture->sites[0].totals);
	}
	assert_int_equal(picture->sites[0].delta_bytes,
			 totals_live_bytes(&picture->sites[0].totals) - first);
	assert_int_equal(picture->sites[0].delta_blocks,
			 picture->sites[0].delta_bytes / (int64_t)(MB / 100));
	assert_int_equal(picture->sites[1].delta_bytes, 0);
	assert_true(fabs(picture->sites[0].rate_bytes_per_s / MB - 1) < 0.02);
	assert_true(fabs(picture->sites[0].rate_blocks_per_s - 100) < 2);
	assert_true(fabs(picture->sites[0].allocations_per_s - 100) < 5);
	assert_true(picture->sites[1].rate_bytes_per_s == 0);
	assert_int_equal(picture->sides[SIDE_USER].delta_bytes, picture->sites[0].delta_bytes);
	assert_int_equal(totals_live_bytes(&picture->sides[SIDE_USER].totals),
			 totals_live_bytes(&picture->sites[0].totals) + 5 * MB);
	assert_true(fabs(picture->sides[SIDE_USER].allocations_per_s - 100) < 5);
	assert_true(picture->sides[SIDE_USER].frees_per_s == 0);
	assert_int_equal(picture->growth.rss_bytes, picture->sites[0].delta_bytes);
	assert_int_equal(picture->growth.user_bytes, picture->sites[0].delta_bytes);
	assert_true(picture->accounting.explained_percent == 100);
	assert_int_equal(picture->top_site, 1);
	assert_true(picture->top_share == 1);
	model_free(model);
}

/* A site born after the mark counts from 0, a later mark makes all count anew. */
static void test_marks(void **state)
{
	struct simulated *simulated = *state;
	struct model *model = model_new();
	const struct picture *picture;

	model_mark(model, "before the first tick"); /* there is nothing to mark */
	tick(model, simulated, 1);
	simulated_add(simulated, grow_1mb_s);
	picture = tick(model, simulated, 2);
	assert_int_equal(picture->sites[2].delta_bytes,
			 totals_live_bytes(&picture->sites[2].totals));
	assert_true(fabs(picture->sites[2].rate_bytes_per_s / MB - 1) < 0.1);
	model_mark(model, "lap3");
	assert_string_equal(picture->mark.name, "lap3");
	picture = tick(model, simulated, 1);
	assert_true(picture->growth.elapsed_s > 0.99 && picture->growth.elapsed_s < 1.01);
	for (unsigned i = 0; i < 3; i += 2)
		assert_true(llabs(picture->sites[i].delta_bytes - (int64_t)MB) < (int64_t)MB / 50);
	model_mark(model, "a name that is far too long for a mark");
	assert_string_equal(picture->mark.name, "a name that is ");
	model_mark(model, NULL);
	assert_string_equal(picture->mark.name, "mark 3");
	model_free(model);
}

static void test_generation(void **state)
{
	struct simulated *simulated = *state;
	struct model *model = model_new();
	const struct picture *picture;

	for (unsigned i = 0; i < 15; i++)
		tick(model, simulated, 1);
	model_mark(model, "lap");
	simulated->generation++;
	memset(simulated->samples, 0, sizeof(simulated->samples));
	simulated->site_count = 1;
	simulated->sites[0].info.id = 7;
	simulated->sites[0].count = 0;
	simulated->attached_s = simulated->now_s;
	picture = tick(model, simulated, 0.5);
	assert_int_equal(picture->tick, 16);
	assert_true(picture->elapsed_s > 15);
	assert_int_equal(picture->generation, 2);
	assert_int_equal(picture->site_count, 1);
	assert_int_equal(picture->sites[0].info->id, 7);
	assert_int_equal(picture->sites[0].delta_bytes, 0);
	assert_true(isnan(picture->sites[0].rate_bytes_per_s));
	assert_int_equal(picture->sites[0].judgment.verdict, VERDICT_WARMING_UP);
	assert_string_equal(picture->mark.name, "attach");
	assert_int_equal(picture->history_count, 16); /* the graph goes on */
	assert_true(picture->growth.elapsed_s == 0);
	model_free(model);
}

static void test_unmatched(void **state)
{
	struct simulated *simulated = *state;
	struct model *model = model_new();
	const struct picture *picture = NULL;

	simulated->sites[0].info.flags = SITE_UNMATCHED;
	simulated->sites[0].info.side = SIDE_KERNEL;
	for (unsigned i = 0; i < 40; i++)
		picture = tick(model, simulated, 1);
	assert_int_equal(picture->sites[0].judgment.verdict, VERDICT_UNKNOWN);
	assert_int_equal(picture->sides[SIDE_KERNEL].totals.allocated_bytes, 0);
	assert_int_equal(picture->top_site, 0);
	model_free(model);
}

/* It grows most, and is counted; but nothing is said of it, and it leads nothing. */
static void test_reclaimable(void **state)
{
	struct simulated *simulated = *state;
	struct model *model = model_new();
	const struct picture *picture = NULL;
	const struct site_stats *site;

	simulated->sites[0].info.flags = SITE_RECLAIMABLE;
	simulated->sites[0].info.side = SIDE_KERNEL;
	simulated->snapshot.side_known[SIDE_KERNEL] = true;
	for (unsigned i = 0; i < 40; i++)
		picture = tick(model, simulated, 1);
	site = &picture->sites[0];
	assert_true(site->delta_bytes > (int64_t)MB);
	assert_true(site->judgment.rate_bytes_per_s > 65536);
	assert_int_equal(site->judgment.verdict, VERDICT_STEADY);
	assert_int_equal(picture->sides[SIDE_KERNEL].delta_bytes, site->delta_bytes);
	assert_int_not_equal(picture->judgment.verdict, VERDICT_LEAKING);
	assert_int_equal(picture->top_site, 0);
	model_free(model);
}

/* Each byte of the kernel side is of one kind; other sides and unmatched caches have none. */
static void test_kernel_kinds(void **state)
{
	struct simulated *simulated = *state;
	struct model *model = model_new();
	const struct picture *picture = NULL;
	static const enum abi_kind kinds[] = {ABI_KIND_MALLOC, ABI_KIND_PAGE, ABI_KIND_PAGE,
					      ABI_KIND_VMALLOC, ABI_KIND_SLAB};
	struct totals sum = {0};

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (i >= simulated->site_count)
			simulated_add(simulated, rest);
		simulated->sites[i].info.kind = kinds[i];
		simulated->sites[i].info.side = i ? SIDE_KERNEL : SIDE_USER;
	}
	simulated->sites[4].info.flags = SITE_UNMATCHED;
	simulated->snapshot.side_known[SIDE_KERNEL] = true;
	simulated->snapshot.kernel_kind_known[1] = true;
	simulated->snapshot.kernel_kind_why[3] = "because";
	for (unsigned i = 0; i < 3; i++)
		picture = tick(model, simulated, 1);
	for (unsigned i = 0; i < KERNEL_KINDS; i++)
		totals_add(&sum, &picture->kernel_kinds[i].totals);
	assert_memory_equal(&sum, &picture->sides[SIDE_KERNEL].totals, sizeof(sum));
	assert_int_equal(picture->kernel_kinds[0].totals.allocated_bytes, 0);
	assert_int_equal(picture->kernel_kinds[1].totals.allocated_bytes, 10 * MB);
	assert_int_equal(picture->kernel_kinds[2].totals.allocated_bytes, 5 * MB);
	assert_true(picture->kernel_kinds[1].known);
	assert_false(picture->kernel_kinds[3].known);
	assert_string_equal(picture->kernel_kind_why[3], "because");
	model_free(model);
}

static uint64_t sum_of(const struct accounting *parts)
{
	return parts->heap_live_bytes + parts->slack_or_before_bytes + parts->anon_maps_bytes +
	       parts->stacks_bytes + parts->file_bytes + parts->shmem_bytes +
	       parts->unexplained_bytes;
}

/* Whatever the numbers are, and however they contradict each other. */
static void test_parts_add_up(void **state)
{
	struct simulated *simulated = *state;

	for (unsigned round = 0; round < 500; round++) {
		struct model *model = model_new();

		for (unsigned i = 0; i < 3; i++) {
			struct snapshot snapshot = *simulated_read(simulated);
			struct memory *memory = &snapshot.memory;
			uint64_t *numbers[] = {&memory->rss_bytes,	   &memory->anon_bytes,
					       &memory->file_bytes,	   &memory->shmem_bytes,
					       &memory->heap_mapped_bytes, &memory->anon_maps_bytes,
					       &memory->stacks_bytes};
			const struct picture *picture;

			for (unsigned j = 0; j < sizeof(numbers) / sizeof(numbers[0]); j++)
				*numbers[j] = (uint64_t)(simulated_chance(simulated) * 20 * MB);
			memory->parts_known = true;
			simulated_run(simulated, 0.05);
			snapshot.time_ns += i * 1000000000ull;
			model_update(model, &simulated->source, &snapshot);
			picture = model_picture(model);
			assert_int_equal(sum_of(&picture->accounting), memory->rss_bytes);
			assert_true(isnan(picture->accounting.explained_percent) ||
				    (picture->accounting.explained_percent >= 0 &&
				     picture->accounting.explained_percent <= 100));
		}
		model_free(model);
	}
}

static void test_parts(void **state)
{
	struct simulated *simulated = *state;
	struct model *model = model_new();
	struct memory *memory = &simulated->snapshot.memory;
	const struct accounting *parts;

	simulated->base_rss_bytes = 100 * MB;
	memory->parts_known = true;
	memory->file_bytes = 10 * MB;
	memory->stacks_bytes = 2 * MB;
	memory->heap_mapped_bytes = 60 * MB;
	memory->anon_maps_bytes = 20 * MB;
	parts = &tick(model, simulated, 0.1)->accounting;
	assert_true(parts->known);
	assert_true(parts->live_known);
	assert_int_equal(parts->file_bytes, 10 * MB);
	assert_int_equal(parts->heap_live_bytes,
			 totals_live_bytes(&model_picture(model)->sides[SIDE_USER].totals));
	assert_int_equal(parts->slack_or_before_bytes, 60 * MB - parts->heap_live_bytes);
	assert_int_equal(parts->anon_maps_bytes, 20 * MB);

	/* The heap grows while the walk stays as it was: the growth is the heap's. */
	for (unsigned i = 0; i < 10; i++)
		tick(model, simulated, 1);
	assert_int_equal(parts->slack_or_before_bytes, 60 * MB - 5 * MB - 10 * (MB / 100));
	assert_true(parts->explained_percent > 99);
	model_free(model);
}

/* Of pages and of RSS alone it is not known what of the heap is live. */
static void test_parts_without_blocks(void **state)
{
	static const struct {
		enum level level;
		bool user_known;
	} rows[] = {{LEVEL_PAGES, true}, {LEVEL_PAGES, false}, {LEVEL_RSS, false}};
	struct simulated *simulated = *state;
	struct memory *memory = &simulated->snapshot.memory;

	simulated->base_rss_bytes = 100 * MB;
	memory->parts_known = true;
	memory->heap_mapped_bytes = 60 * MB;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct model *model = model_new();
		const struct accounting *parts;

		simulated->snapshot.level = rows[i].level;
		simulated->snapshot.side_known[SIDE_USER] = rows[i].user_known;
		parts = &tick(model, simulated, 0.1)->accounting;
		assert_true(parts->known);
		assert_false(parts->live_known);
		assert_int_equal(parts->heap_live_bytes, 0);
		assert_int_equal(parts->slack_or_before_bytes, 60 * MB);
		model_free(model);
	}
}

/* The walk that tells RSS's parts comes after the mark: what grew before it has an owner too. */
static void test_late_walk(void **state)
{
	struct simulated *simulated = *state;
	struct model *model = model_new();
	struct memory *memory = &simulated->snapshot.memory;
	const struct picture *picture = NULL;

	simulated->base_rss_bytes = 100 * MB;
	for (unsigned i = 0; i < 20; i++) {
		if (i == 15) {
			memory->parts_known = true;
			memory->heap_mapped_bytes = 120 * MB;
		}
		picture = tick(model, simulated, 1);
		if (i >= 15)
			assert_true(picture->accounting.explained_percent > 99);
	}
	assert_true(llabs(picture->growth.user_bytes - picture->growth.rss_bytes) <= (int64_t)MB);
	model_free(model);
}

/* A book that goes on over a generation's begin is no burst of calls. */
static void test_rates_after_a_new_generation(void **state)
{
	struct simulated *simulated = *state;
	struct model *model = model_new();
	double before = 0;

	simulated->snapshot.side_known[SIDE_KERNEL] = true;
	for (unsigned i = 0; i < 60; i++)
		before = tick(model, simulated, 1)->sides[SIDE_USER].allocations_per_s;
	simulated->generation++;
	for (unsigned i = 0; i < 3; i++) {
		double now = tick(model, simulated, 1)->sides[SIDE_USER].allocations_per_s;

		assert_true(isnan(now) || now < 2 * before + 1);
	}
	assert_int_equal(model_picture(model)->sides[SIDE_KERNEL].rate_bytes_per_s, 0);
	model_free(model);
}

/* The last tick of a process that has gone shows what it was. */
static void test_end(void **state)
{
	struct simulated *simulated = *state;
	struct model *model = model_new();
	struct snapshot snapshot;
	const struct picture *picture;
	uint64_t rss;

	for (unsigned i = 0; i < 5; i++)
		tick(model, simulated, 1);
	picture = model_picture(model);
	rss = picture->memory.rss_bytes;
	snapshot = *simulated_read(simulated);
	snapshot.time_ns += 1000000000;
	snapshot.target.status = TARGET_KILLED;
	snapshot.memory = (struct memory){0};
	model_update(model, &simulated->source, &snapshot);
	assert_int_equal(picture->target.status, TARGET_KILLED);
	assert_true(rss > 0 && picture->memory.rss_bytes == rss);
	assert_true(picture->growth.rss_bytes >= 0);
	model_free(model);
}

static void test_forecast(void **state)
{
	struct simulated *simulated = *state;
	struct model *model = model_new();
	struct charge *charge = &simulated->snapshot.charge;
	const struct picture *picture = NULL;

	charge->source = LIMIT_CGROUP;
	charge->limit_bytes = 1000 * MB;
	for (unsigned i = 0; i < 60; i++) {
		charge->used_bytes = 500 * MB + i * 2 * MB;
		charge->headroom_bytes = charge->limit_bytes - charge->used_bytes;
		picture = tick(model, simulated, 1);
		if (i < 25)
			assert_true(isnan(picture->forecast.low_s));
	}
	assert_true(picture->forecast.low_s < 191 && picture->forecast.high_s > 191);
	assert_true(picture->forecast.high_s - picture->forecast.low_s < 20);
	assert_int_equal(picture->history[picture->history_count - 1].charged_bytes, 618 * MB);

	charge->limit_bytes += 500 * MB; /* another limit: what was is no forecast any more */
	charge->headroom_bytes += 500 * MB;
	picture = tick(model, simulated, 1);
	assert_true(isnan(picture->forecast.low_s));
	picture = tick(model, simulated, 1);
	assert_true(isnan(picture->forecast.low_s));
	model_free(model);
}

static void test_rss_level(void **state)
{
	struct simulated *simulated = *state;
	struct model *model = model_new();
	const struct picture *picture = NULL;

	simulated->site_count = 0;
	simulated->snapshot.side_known[SIDE_USER] = false;
	simulated->snapshot.level = LEVEL_RSS;
	for (unsigned i = 0; i < 60; i++) {
		simulated->base_rss_bytes += 2 * MB;
		picture = tick(model, simulated, 1);
		if (i > 12)
			assert_int_equal(picture->judgment.verdict, VERDICT_GROWING);
	}
	assert_true(fabs(picture->rss_rate_bytes_per_s / (2 * MB) - 1) < 0.01);
	assert_true(isnan(picture->accounting.explained_percent));
	for (unsigned i = 0; i < 600; i++)
		picture = tick(model, simulated, 1);
	assert_int_equal(picture->judgment.verdict, VERDICT_STEADY);
	model_free(model);
}

/* RSS grows and no site does: nobody may be blamed, and the growth not be hidden. */
static void test_unexplained(void **state)
{
	struct simulated *simulated = *state;
	struct model *model = model_new();
	const struct picture *picture = NULL;

	simulated->sites[0].rule = rest;
	for (unsigned i = 0; i < 60; i++) {
		simulated->base_rss_bytes += 2 * MB;
		picture = tick(model, simulated, 1);
	}
	assert_int_equal(picture->judgment.verdict, VERDICT_UNEXPLAINED);
	assert_true(picture->judgment.explained_percent < 10);
	model_free(model);
}

static void test_no_cohorts(void **state)
{
	struct simulated *simulated = *state;
	struct model *model = model_new();
	const struct picture *picture = NULL;

	simulated->no_cohorts = true;
	for (unsigned i = 0; i < 100; i++) {
		picture = tick(model, simulated, 1);
		assert_int_not_equal(picture->sites[0].judgment.verdict, VERDICT_LEAKING);
		assert_true(isnan(picture->sites[0].kept_ratio));
	}
	assert_int_equal(picture->sites[0].judgment.verdict, VERDICT_GROWING);
	model_free(model);
}

/* The same instant twice, and a clock that stands still, change nothing and break nothing. */
static void test_time_stands_still(void **state)
{
	struct simulated *simulated = *state;
	struct model *model = model_new();
	const struct picture *picture = NULL;

	for (unsigned i = 0; i < 30; i++) {
		tick(model, simulated, 1);
		model_update(model, &simulated->source, simulated_read(simulated));
		picture = model_picture(model);
		if (i)
			assert_true(isfinite(picture->sites[0].rate_bytes_per_s));
	}
	assert_true(fabs(picture->sites[0].rate_bytes_per_s / MB - 1) < 0.02);
	assert_true(fabs(picture->sites[0].allocations_per_s - 100) < 5);
	assert_int_equal(picture->history_count, 30);
	model_free(model);
}

static void test_losses_and_copy(void **state)
{
	struct simulated *simulated = *state;
	struct model *model = model_new();
	const struct picture *picture;
	struct picture *copy;
	int64_t delta;

	simulated->snapshot.losses[ABI_LOSS_STACK_TRUNCATED] = 50;
	simulated->snapshot.losses[ABI_LOSS_RETURN_MISSED] = 2;
	model_set_names_percent(model, 98.5);
	tick(model, simulated, 1);
	picture = tick(model, simulated, 1);
	assert_int_equal(picture->losses_total, 2);
	assert_int_equal(picture->losses[ABI_LOSS_STACK_TRUNCATED], 50);
	assert_true(picture->names_percent == 98.5);
	delta = picture->sites[0].delta_bytes;
	copy = picture_copy(picture);
	tick(model, simulated, 5);
	assert_int_equal(copy->tick, 2);
	assert_int_equal(copy->sites[0].delta_bytes, delta);
	assert_int_not_equal(picture->sites[0].delta_bytes, delta);
	assert_int_equal(copy->history_count, 2);
	assert_ptr_not_equal(copy->history, picture->history);
	picture_free(copy);
	picture_free(NULL);
	model_free(model);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_first_tick),
		TEST(test_deltas_and_rates),
		TEST(test_marks),
		TEST(test_generation),
		TEST(test_unmatched),
		TEST(test_reclaimable),
		TEST(test_kernel_kinds),
		TEST(test_parts_add_up),
		TEST(test_parts),
		TEST(test_late_walk),
		TEST(test_rates_after_a_new_generation),
		TEST(test_end),
		TEST(test_forecast),
		TEST(test_rss_level),
		TEST(test_parts_without_blocks),
		TEST(test_unexplained),
		TEST(test_no_cohorts),
		TEST(test_time_stands_still),
		TEST(test_losses_and_copy),
	};

	return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
