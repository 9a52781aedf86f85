/* SPDX-License-Identifier: GPL-2.0-only */
#include "tests/unit/simulated.h"

#include "util/alloc.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STEP_S	  0.05
#define ROW_RATIO 1.5 /* a row may be as wide as half its age */
#define ROW_S	  0.5

static int read_facts(struct source *source, uint64_t now_ns, struct snapshot *ret)
{
	(void)now_ns;
	*ret = *simulated_read((struct simulated *)source);
	return 0;
}

static int give_cohorts(struct source *source, size_t index, struct cohorts *ret)
{
	struct simulated *simulated = (struct simulated *)source;
	const struct simulated_site *site = &simulated->sites[index];

	if (simulated->no_cohorts)
		return -ENODATA;
	simulated->asked++;
	ret->count = site->row_count;
	for (unsigned i = 0; i < site->row_count; i++) {
		double to = i + 1 < site->row_count ? site->rows[i + 1].from_s : simulated->now_s;

		ret->rows[i].born_from_ns = (uint64_t)(site->rows[i].from_s * 1e9);
		ret->rows[i].born_to_ns = (uint64_t)(to * 1e9);
		ret->rows[i].totals = site->rows[i].totals;
	}
	return 0;
}

static void close_nothing(struct source *source)
{
	(void)source;
}

static const struct source_ops ops = {.read = read_facts,
				      .cohorts = give_cohorts,
				      .close = close_nothing};

void simulated_init(struct simulated *simulated, uint64_t seed)
{
	memset(simulated, 0, sizeof(*simulated));
	simulated->source.ops = &ops;
	simulated->random = seed * 0x9E3779B97F4A7C15ull + 1;
	simulated->now_s = simulated->attached_s = 1000;
	simulated->generation = 1;
	simulated->base_rss_bytes = 500ull << 20;
	simulated->snapshot.side_known[SIDE_USER] = true;
	simulated->snapshot.level = LEVEL_HEAP;
}

void simulated_deinit(struct simulated *simulated)
{
	for (size_t i = 0; i < SIMULATED_SITES; i++)
		free(simulated->sites[i].blocks);
}

size_t simulated_add(struct simulated *simulated, simulated_rule_fn *rule)
{
	struct simulated_site *site = &simulated->sites[simulated->site_count];

	memset(site, 0, sizeof(*site));
	site->rule = rule;
	site->info.id = simulated->site_count + 1;
	site->info.kind = ABI_KIND_MALLOC;
	return simulated->site_count++;
}

double simulated_chance(struct simulated *simulated)
{
	uint64_t *random = &simulated->random;

	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return (*random >> 11) / 9007199254740992.0;
}

unsigned simulated_born(struct simulated_site *site, double per_s, double step_s)
{
	double born = floor(site->carry += per_s * step_s);

	site->carry -= born;
	return (unsigned)born;
}

static void row_begin(struct simulated_site *site, double now_s)
{
	if (site->row_count && now_s - site->rows[site->row_count - 1].from_s < ROW_S)
		return;
	if (site->row_count == SIMULATED_ROWS) {
		/* Merge the youngest neighbours that are narrow for their age, else the oldest. */
		unsigned at = 0;

		for (unsigned i = site->row_count - 2; i; i--) {
			double wide = site->rows[i + 1].from_s - site->rows[i - 1].from_s;

			if (wide <= (now_s - site->rows[i + 1].from_s) * (ROW_RATIO - 1)) {
				at = i - 1;
				break;
			}
		}
		totals_add(&site->rows[at].totals, &site->rows[at + 1].totals);
		memmove(&site->rows[at + 1], &site->rows[at + 2],
			(site->row_count - at - 2) * sizeof(site->rows[0]));
		site->row_count--;
	}
	memset(&site->rows[site->row_count], 0, sizeof(site->rows[0]));
	site->rows[site->row_count++].from_s = now_s;
}

static struct totals *row_of(struct simulated_site *site, double born_s)
{
	unsigned row = site->row_count - 1;

	while (row && site->rows[row].from_s > born_s)
		row--;
	return &site->rows[row].totals;
}

void simulated_allocate(struct simulated *simulated, size_t index, uint64_t bytes, double life_s)
{
	struct simulated_site *site = &simulated->sites[index];
	struct totals block = {.allocated_bytes = bytes, .allocated_blocks = 1};

	if (site->count == site->capacity) {
		site->capacity = site->capacity ? site->capacity * 2 : 64;
		site->blocks = xreallocarray(site->blocks, site->capacity, sizeof(*site->blocks));
	}
	site->blocks[site->count++] =
		(struct simulated_block){simulated->now_s, simulated->now_s + life_s, bytes};
	totals_add(row_of(site, simulated->now_s), &block);
	totals_add(&simulated->samples[index].totals, &block);
}

static void block_free(struct simulated *simulated, size_t index, size_t at)
{
	struct simulated_site *site = &simulated->sites[index];
	struct totals block = {.freed_bytes = site->blocks[at].bytes, .freed_blocks = 1};

	totals_add(row_of(site, site->blocks[at].born_s), &block);
	totals_add(&simulated->samples[index].totals, &block);
}

void simulated_free_oldest(struct simulated *simulated, size_t index)
{
	struct simulated_site *site = &simulated->sites[index];

	if (!site->count)
		return;
	block_free(simulated, index, 0);
	memmove(site->blocks, site->blocks + 1, --site->count * sizeof(*site->blocks));
}

static void free_dead(struct simulated *simulated, size_t index)
{
	struct simulated_site *site = &simulated->sites[index];
	size_t kept = 0;

	for (size_t i = 0; i < site->count; i++)
		if (site->blocks[i].dies_s <= simulated->now_s)
			block_free(simulated, index, i);
		else
			site->blocks[kept++] = site->blocks[i];
	site->count = kept;
}

void simulated_run(struct simulated *simulated, double seconds)
{
	double end = simulated->now_s + seconds;

	while (simulated->now_s < end - 1e-9) {
		double step = fmin(STEP_S, end - simulated->now_s);

		simulated->now_s += step;
		for (size_t i = 0; i < simulated->site_count; i++) {
			row_begin(&simulated->sites[i], simulated->now_s);
			free_dead(simulated, i);
			simulated->sites[i].rule(simulated, i,
						 simulated->now_s - simulated->attached_s, step);
		}
	}
}

const struct snapshot *simulated_read(struct simulated *simulated)
{
	struct snapshot *snapshot = &simulated->snapshot;
	uint64_t live = 0;

	for (size_t i = 0; i < simulated->site_count; i++) {
		simulated->samples[i].info = &simulated->sites[i].info;
		live += totals_live_bytes(&simulated->samples[i].totals);
	}
	snapshot->time_ns = (uint64_t)(simulated->now_s * 1e9);
	snapshot->time_unix_ns = 1700000000000000000ull + snapshot->time_ns;
	snapshot->attached_ns = (uint64_t)(simulated->attached_s * 1e9);
	snapshot->generation = simulated->generation;
	snapshot->memory.rss_bytes = simulated->base_rss_bytes + live;
	snapshot->memory.anon_bytes = snapshot->memory.rss_bytes;
	snapshot->site_count = simulated->site_count;
	snapshot->sites = simulated->samples;
	return snapshot;
}
