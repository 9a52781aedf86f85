/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a tick costs the model, by the number of sites: median and worst of the ticks after the
 * first. Most sites are small, as in real targets; some are large and some grow.
 */
#include "core/model.h"
#include "core/source.h"
#include "util/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TICKS 120

struct fake {
	struct source source;
	struct site_info *infos;
	struct site_sample *samples;
	size_t count;
	uint64_t now_ns, random;
};

static int give_cohorts(struct source *source, size_t index, struct cohorts *ret)
{
	struct fake *fake = (struct fake *)source;
	const struct totals *totals = &fake->samples[index].totals;

	ret->count = ABI_COHORT_ROWS;
	for (unsigned i = 0; i < ABI_COHORT_ROWS; i++) {
		ret->rows[i].born_from_ns = fake->now_ns / 16 * i;
		ret->rows[i].born_to_ns = fake->now_ns / 16 * (i + 1);
		ret->rows[i].totals.allocated_blocks = totals->allocated_blocks / 16;
		ret->rows[i].totals.freed_blocks = totals->freed_blocks / 16;
	}
	return 0;
}

static const struct source_ops ops = {.cohorts = give_cohorts};

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static void churn(struct fake *fake)
{
	for (size_t i = 0; i < fake->count; i++) {
		struct totals *totals = &fake->samples[i].totals;
		uint64_t size = i % 50 ? 200 : 200000;

		fake->random = fake->random * 6364136223846793005ull + 1442695040888963407ull;
		totals->allocated_blocks += 20;
		totals->allocated_bytes += 20 * size;
		totals->freed_blocks = totals->allocated_blocks - (fake->random >> 60);
		totals->freed_bytes = totals->freed_blocks * size;
		if (i % 100 == 0) {
			totals->freed_blocks /= 2;
			totals->freed_bytes /= 2;
		}
	}
}

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static void bench(size_t count)
{
	struct fake fake = {.source.ops = &ops, .count = count, .random = 1};
	struct snapshot snapshot = {.generation = 1, .side_known = {[SIDE_USER] = true}};
	struct model *model = model_new();
	double costs[TICKS];

	fake.infos = xcalloc(count, sizeof(*fake.infos));
	fake.samples = xcalloc(count, sizeof(*fake.samples));
	for (size_t i = 0; i < count; i++) {
		fake.infos[i].id = i + 1;
		fake.samples[i].info = &fake.infos[i];
	}
	snapshot.memory.rss_bytes = 900ull << 20;
	snapshot.site_count = count;
	snapshot.sites = fake.samples;
	for (unsigned i = 0; i < TICKS; i++) {
		double start;

		churn(&fake);
		fake.now_ns = snapshot.time_ns = (1000 + i) * 1000000000ull;
		snapshot.attached_ns = 1000000000000ull;
		start = now_us();
		model_update(model, &fake.source, &snapshot);
		costs[i] = now_us() - start;
	}
	printf("%6zu sites: first tick %6.0f us", count, costs[0]);
	qsort(costs + 1, TICKS - 1, sizeof(*costs), compare);
	printf(", median %6.0f us, worst %6.0f us\n", costs[TICKS / 2], costs[TICKS - 1]);
	model_free(model);
	free(fake.infos);
	free(fake.samples);
}

int main(void)
{
	bench(100);
	bench(1000);
	bench(10000);
	bench(50000);
	return 0;
}
