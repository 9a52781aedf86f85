/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a malloc and its free cost a target with memtop's programs, against bare traps: empty
 * programs at the same instructions, the least that any tracer by probes can cost.
 *
 * Variants take turns within each round; ratios are taken within a round; medians are over rounds.
 * The last columns are what the programs themselves take, from the kernel's run-time statistics
 * (which cost time of their own, so they are taken apart).
 *
 *     bench_pair [ROUNDS [PAIRS]]
 *     bench_pair curves [ROUNDS [PAIRS]]   how the cost grows: depth, live blocks, sites, threads
 */
#include "tests/bench/probing.h"

#include "util/alloc.h"

#include <bpf/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_ROUNDS 101
#define MAX_SHAPES 40

struct shape {
	char name[32];
	const char *shape;
	unsigned a, b;
	unsigned pairs_per_mille; /* of those asked for */
	bool sessions_only;
};

static const struct shape table_shapes[] = {
	{"depth 10", "hot", 6, 0, 1000, false},	      {"depth 20", "hot", 16, 0, 1000, false},
	{"depth 40", "hot", 36, 0, 1000, false},      {"1k live", "churn", 1000, 0, 1000, true},
	{"1M live", "churn", 1000000, 0, 1000, true}, {"1 thread", "threads", 1, 200, 1000, true},
	{"2 threads", "threads", 2, 200, 500, true},  {"8 threads", "threads", 8, 200, 250, true},
};

struct bench {
	struct bench_target target;
	struct watcher *watcher;
	struct shape shapes[MAX_SHAPES];
	unsigned shape_count;
	enum watch_kind kinds[WATCH_KINDS];
	unsigned kind_count;
	double ns[MAX_SHAPES][WATCH_KINDS][MAX_ROUNDS];
	double program_ns[MAX_SHAPES][WATCH_KINDS][MAX_ROUNDS];
};

static double ask(struct bench *bench, const struct shape *shape, unsigned pairs)
{
	unsigned share = (uint64_t)pairs * shape->pairs_per_mille / 1000;

	return bench_target_ask(&bench->target, shape->shape, shape->a, shape->b,
				share ? share : 1);
}

/*
 * Once, unmeasured: the first shape of a kind that comes by certain stacks would pay for learning
 * them, and those after it for none. Each thread has to come by all of its paths.
 */
static void warm_up(struct bench *bench, const struct shape *shape, unsigned pairs)
{
	unsigned share = (uint64_t)pairs * shape->pairs_per_mille / 8000;

	bench_target_ask(&bench->target, shape->shape, shape->a, shape->b,
			 share > shape->b ? share : shape->b + 1);
}

/* Nanoseconds in memtop's programs for a pair, the kernel's measuring of them included. */
static double measure_programs(struct bench *bench, const struct shape *shape, unsigned pairs)
{
	const struct heap *heap = watcher_heap(bench->watcher);
	struct heap_statistics before, after;
	int statistics = bpf_enable_stats(BPF_STATS_RUN_TIME);
	uint64_t frees;

	heap_read_statistics(heap, &before);
	ask(bench, shape, pairs);
	heap_read_statistics(heap, &after);
	if (statistics >= 0)
		close(statistics);
	frees = after.freeing_runs - before.freeing_runs;
	return frees ? (double)(after.run_time_ns - before.run_time_ns) / frees : 0;
}

static bool left_out(const struct shape *shape, enum watch_kind kind)
{
	return shape->sessions_only && (kind == WATCH_BARE_MULTI || kind == WATCH_MULTI);
}

static void run_kind(struct bench *bench, enum watch_kind kind, unsigned round, unsigned pairs)
{
	watcher_attach(bench->watcher, kind);
	for (unsigned i = 0; i < bench->shape_count; i++) {
		const struct shape *shape = &bench->shapes[i];

		if (left_out(shape, kind))
			continue;
		/* Each book begins empty: these are the blocks that are to be live in it. */
		if (watcher_heap(bench->watcher) && !strcmp(shape->shape, "churn"))
			bench_target_ask(&bench->target, "refill", shape->a, 0, 1);
		warm_up(bench, shape, pairs);
		bench->ns[i][kind][round] = ask(bench, shape, pairs);
		if (watcher_heap(bench->watcher))
			bench->program_ns[i][kind][round] =
				measure_programs(bench, shape, pairs / 4);
	}
	watcher_detach(bench->watcher);
}

/* "depth 10" and "memtop, session" as depth_10 and memtop_session. */
static const char *as_word(const char *text, char *word)
{
	char *at = word;

	for (; *text; text++)
		if (*text == ' ')
			*at++ = '_';
		else if (*text != ',')
			*at++ = *text;
	*at = '\0';
	return word;
}

static void report_one(const struct bench *bench, unsigned i, enum watch_kind kind, unsigned rounds)
{
	char shape[64], watch[64];
	double ratios[MAX_ROUNDS];
	double ns = median_of(bench->ns[i][kind], rounds), ratio;

	for (unsigned k = 0; k < rounds; k++)
		ratios[k] = bench->ns[i][kind][k] / bench->ns[i][watch_bare_of(kind)][k];
	ratio = median_of(ratios, rounds);
	printf("%-14s %-18s %10.0f %10.3f", bench->shapes[i].name, watch_names[kind], ns, ratio);
	if (bench->program_ns[i][kind][0] > 0)
		printf(" %14.0f", median_of(bench->program_ns[i][kind], rounds));
	putchar('\n');
	as_word(bench->shapes[i].name, shape);
	as_word(watch_names[kind], watch);
	figure(ns, "pair.%s.%s.ns", shape, watch);
	figure(ratio, "pair.%s.%s.ratio", shape, watch);
	if (bench->program_ns[i][kind][0] > 0)
		figure(median_of(bench->program_ns[i][kind], rounds), "pair.%s.%s.programs_ns",
		       shape, watch);
}

static void report(const struct bench *bench, unsigned rounds)
{
	printf("%-14s %-18s %10s %10s %14s\n", "shape", "variant", "ns/pair", "to bare",
	       "programs, ns");
	for (unsigned i = 0; i < bench->shape_count; i++)
		for (unsigned j = 0; j < bench->kind_count; j++)
			if (!left_out(&bench->shapes[i], bench->kinds[j]))
				report_one(bench, i, bench->kinds[j], rounds);
}

static void add_shape(struct bench *bench, const char *curve, const char *shape, unsigned a,
		      unsigned b, unsigned per_mille, unsigned x)
{
	struct shape *new = &bench->shapes[bench->shape_count++];

	snprintf(new->name, sizeof(new->name), "%s %u", curve, x);
	new->shape = shape;
	new->a = a;
	new->b = b;
	new->pairs_per_mille = per_mille;
}

static void choose_curves(struct bench *bench)
{
	static const unsigned depths[] = {5, 10, 20, 30, 40, 60, 80, 100};
	unsigned cores = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);

	/* main, its callers, hot() and the outermost deep() are frames too. */
	for (unsigned i = 0; i < sizeof(depths) / sizeof(*depths); i++)
		add_shape(bench, "depth", "hot", depths[i] - 4, 0, 1000, depths[i]);
	for (unsigned live = 1000; live <= 10000000; live *= 10)
		add_shape(bench, "live", "churn", live, 0, 1000, live);
	for (unsigned sites = 10; sites <= 100000; sites *= 10)
		add_shape(bench, "sites", "paths", sites, 0, 3000, sites);
	for (unsigned threads = 1; threads <= 4 * cores && threads <= 256; threads *= 2)
		add_shape(bench, "threads", "threads", threads, 200, 1000 / threads, threads);
}

int main(int argc, char **argv)
{
	bool curves = argc > 1 && !strcmp(argv[1], "curves");
	unsigned rounds = argc > 1 + curves ? strtoul(argv[1 + curves], NULL, 10) : 11;
	unsigned pairs = argc > 2 + curves ? strtoul(argv[2 + curves], NULL, 10) : 20000;
	struct ledger_sizes sizes = {.buckets = 1u << 19, .sites = 16384, .threads = 1024};
	struct bench *bench = xcalloc(1, sizeof(*bench));

	if (!rounds || rounds > MAX_ROUNDS || pairs < 400)
		die("usage: bench_pair [curves] [ROUNDS [PAIRS]]");
	if (curves) {
		sizes = (struct ledger_sizes){
			.buckets = 1u << 22, .sites = 1u << 18, .threads = 1024};
		choose_curves(bench);
		bench->kinds[bench->kind_count++] = WATCH_NOTHING;
		bench->kinds[bench->kind_count++] = WATCH_BARE_SESSION;
		bench->kinds[bench->kind_count++] = WATCH_SESSION;
	} else {
		memcpy(bench->shapes, table_shapes, sizeof(table_shapes));
		bench->shape_count = sizeof(table_shapes) / sizeof(*table_shapes);
		for (unsigned i = 0; i < WATCH_KINDS; i++)
			bench->kinds[bench->kind_count++] = i;
	}
	bench_target_start(&bench->target);
	bench->watcher = watcher_new(bench->target.pid, &sizes, false);
	for (unsigned round = 0; round < rounds; round++)
		for (unsigned i = 0; i < bench->kind_count; i++)
			run_kind(bench, bench->kinds[(i + round) % bench->kind_count], round,
				 pairs);
	report(bench, rounds);
	watcher_free(bench->watcher);
	bench_target_end(&bench->target);
	free(bench);
	return 0;
}
