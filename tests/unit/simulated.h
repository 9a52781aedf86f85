/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A simulated target: sites whose blocks are born and die by a rule, books and cohorts kept as a
 * live source keeps them. Time is the test's; chance is a seeded generator.
 */
#ifndef MEMTOP_TESTS_SIMULATED_H
#define MEMTOP_TESTS_SIMULATED_H

#include "core/source.h"

#define SIMULATED_ROWS	(ABI_COHORT_ROWS)
#define SIMULATED_SITES 16

struct simulated;

/*
 * What a site does in the step that ends at `now_s`: calls simulated_allocate() and
 * simulated_free().
 */
typedef void simulated_rule_fn(struct simulated *simulated, size_t site, double now_s,
			       double step_s);

struct simulated_block {
	double born_s, dies_s;
	uint64_t bytes;
};

struct simulated_site {
	struct site_info info;
	simulated_rule_fn *rule;
	double carry; /* parts of blocks not born yet */
	struct simulated_block *blocks;
	size_t count, capacity;
	struct {
		double from_s;
		struct totals totals;
	} rows[SIMULATED_ROWS];
	unsigned row_count;
};

struct simulated {
	struct source source;
	uint64_t random;
	double now_s, attached_s;
	unsigned generation;
	uint64_t base_rss_bytes; /* beside live blocks */
	struct simulated_site sites[SIMULATED_SITES];
	size_t site_count;
	struct site_sample samples[SIMULATED_SITES];
	struct snapshot snapshot; /* what read() starts from: limit and the like */
	bool no_cohorts;
	unsigned asked; /* cohorts given since the start */
};

void simulated_init(struct simulated *simulated, uint64_t seed);
void simulated_deinit(struct simulated *simulated);
size_t simulated_add(struct simulated *simulated, simulated_rule_fn *rule);

double simulated_chance(struct simulated *simulated); /* [0, 1) */
/* Blocks born in this step at a rate; what is left over comes later. */
unsigned simulated_born(struct simulated_site *site, double per_s, double step_s);
void simulated_allocate(struct simulated *simulated, size_t site, uint64_t bytes, double life_s);
/* Frees the oldest block. */
void simulated_free_oldest(struct simulated *simulated, size_t site);

/* Runs for `seconds` in small steps, freeing what dies. */
void simulated_run(struct simulated *simulated, double seconds);
const struct snapshot *simulated_read(struct simulated *simulated);

#endif
