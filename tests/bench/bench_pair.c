/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a malloc and its free cost a target with memtop's programs, against bare traps: empty
 * programs at the same instructions, the least that any tracer by probes can cost.
 *
 * A child does the pairs, in slices, and takes the time of the slice that is slower than only a
 * quarter of them: what else runs on the machine hits the others. Variants take turns within each
 * round; ratios are taken within a round; medians are over rounds. The last columns are what the
 * programs themselves take, from the kernel's run-time statistics (which cost time of their own, so
 * they are taken apart).
 *
 * usage: bench_pair [ROUNDS [PAIRS]]
 */
#include "capture/allocators.h"
#include "capture/heap.h"
#include "unwind/unwinder.h"
#include "util/alloc.h"

#include <bpf/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_ROUNDS  101
#define LIVE_BLOCKS 1000000u
#define SLICES	    40

enum workload {
	HOT_10,
	HOT_20,
	HOT_40,
	CHURN,
	WORKLOADS
};

static const char *const workload_names[WORKLOADS] = {
	[HOT_10] = "depth 10",
	[HOT_20] = "depth 20",
	[HOT_40] = "depth 40",
	[CHURN] = "1 M live",
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "bench_pair: %s\n", what);
	exit(1);
}

/* --- the target */

static void *volatile sink;
static void **live;

__attribute__((noipa)) static void hot(unsigned pairs)
{
	for (unsigned i = 0; i < pairs; i++) {
		sink = malloc(32 + i % 64);
		free(sink);
	}
}

__attribute__((noipa)) static unsigned deep(unsigned depth, unsigned pairs)
{
	unsigned frames = 1;

	if (depth)
		frames += deep(depth - 1, pairs);
	else
		hot(pairs);
	__asm__ volatile("" : "+r"(frames)); /* keeps it from becoming a loop */
	return frames;
}

__attribute__((noipa)) static void churn(unsigned pairs)
{
	static unsigned state = 1;

	for (unsigned i = 0; i < pairs; i++) {
		void **slot;

		state = state * 1664525u + 1013904223u;
		slot = &live[(uint64_t)state * LIVE_BLOCKS >> 32];
		free(*slot);
		*slot = malloc(48);
	}
}

static void work(enum workload workload, unsigned pairs)
{
	static const unsigned depths[] = {[HOT_10] = 10, [HOT_20] = 20, [HOT_40] = 40};

	if (workload == CHURN)
		churn(pairs);
	else
		deep(depths[workload], pairs);
}

struct order {
	unsigned workload, pairs;
};

static int compare(const void *a, const void *b)
{
	double difference = *(const double *)a - *(const double *)b;

	return difference < 0 ? -1 : difference > 0;
}

/* Nanoseconds for a pair. */
static double take_time(enum workload workload, unsigned pairs)
{
	double slices[SLICES];

	work(workload, pairs / SLICES);
	for (unsigned i = 0; i < SLICES; i++) {
		uint64_t start = now_ns();

		work(workload, pairs / SLICES);
		slices[i] = (double)(now_ns() - start) / (pairs / SLICES);
	}
	qsort(slices, SLICES, sizeof(*slices), compare);
	return slices[SLICES / 4];
}

/* Fills the live blocks only once they are watched. */
static _Noreturn void be_target(int in, int out)
{
	struct order order;

	live = xcalloc(LIVE_BLOCKS, sizeof(*live));
	while (read(in, &order, sizeof(order)) == sizeof(order)) {
		double took;

		if (order.workload == CHURN)
			for (unsigned i = 0; i < LIVE_BLOCKS && !live[i]; i++)
				live[i] = malloc(48);
		took = take_time(order.workload, order.pairs);
		if (write(out, &took, sizeof(took)) != sizeof(took))
			break;
	}
	_exit(0);
}

struct target {
	pid_t pid;
	int in, out;
};

static void start_target(struct target *target)
{
	int to[2], from[2];

	if (pipe(to) || pipe(from))
		die("pipe");
	target->pid = fork();
	if (!target->pid) {
		close(to[1]);
		be_target(to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	target->in = to[1];
	target->out = from[0];
}

/* Nanoseconds for a pair. */
static double order(const struct target *target, enum workload workload, unsigned pairs)
{
	struct order order = {.workload = workload, .pairs = pairs};
	double took;

	if (write(target->in, &order, sizeof(order)) != sizeof(order) ||
	    read(target->out, &took, sizeof(took)) != sizeof(took))
		die("the target has died");
	return took;
}

/* --- the variants */

enum variant {
	UNPROBED,
	BARE_SESSION,
	MEMTOP_SESSION,
	BARE_MULTI,
	MEMTOP_MULTI,
	VARIANTS
};

static const char *const variant_names[VARIANTS] = {
	[UNPROBED] = "unprobed",
	[BARE_SESSION] = "bare, session",
	[MEMTOP_SESSION] = "memtop, session",
	[BARE_MULTI] = "bare, multi",
	[MEMTOP_MULTI] = "memtop, multi",
};

/* Of memtop's variants, the bare one. */
static enum variant bare_of(enum variant variant)
{
	return variant == MEMTOP_MULTI ? BARE_MULTI : BARE_SESSION;
}

struct bench {
	struct target target;
	struct probe allocating[64], freeing[64], malloc_only, free_only;
	struct heap_probes probes;
	struct probe_points points;
	struct modules *modules;
	struct unwinder *unwinder;
	struct heap *heap;
	int links[8];
	size_t link_count;
	double ns[WORKLOADS][VARIANTS][MAX_ROUNDS];
	double program_ns[WORKLOADS][VARIANTS][MAX_ROUNDS];
};

static void find_points(struct bench *bench)
{
	struct procmaps maps;
	char error[256] = "the target's maps";

	if (procmaps_read(bench->target.pid, &maps) ||
	    allocators_find(bench->target.pid, &maps, &bench->points, error, sizeof(error)))
		die(error);
	bench->modules = modules_new();
	bench->unwinder = table_unwinder_new(bench->target.pid, 64ull << 20);
	procmaps_update_modules(bench->modules, &maps, bench->target.pid, now_ns());
	bench->unwinder->ops->update(bench->unwinder, bench->modules);
	procmaps_deinit(&maps);
	bench->probes.allocating = bench->allocating;
	bench->probes.freeing = bench->freeing;
	for (size_t i = 0; i < bench->points.count && i < 64; i++) {
		const struct probe_point *point = &bench->points.data[i];
		struct probe probe = {.path = point->path,
				      .offset = point->probe_offset,
				      .cookie = point->function->kind};

		if (!strcmp(point->function->name, "malloc"))
			bench->malloc_only = probe;
		if (!strcmp(point->function->name, "free"))
			bench->free_only = probe;
		if (point->function->shape == SHAPE_FREE)
			bench->freeing[bench->probes.freeing_count++] = probe;
		else
			bench->allocating[bench->probes.allocating_count++] = probe;
	}
}

static void attach_empty(struct bench *bench, enum probe_kind kind, bool returns,
			 const struct probe *probe)
{
	int program = probe_load_empty(kind);

	if (program < 0 || probes_attach(program, kind, returns, bench->target.pid, probe, 1,
					 bench->links, &bench->link_count))
		die("cannot attach an empty program");
	close(program);
}

static void attach_heap(struct bench *bench, enum probe_kind kind)
{
	struct ledger_sizes sizes = {.buckets = 1u << 19, .sites = 16384, .threads = 256};
	char error[256];

	if (heap_open(bench->target.pid, kind, &bench->probes, &sizes, bench->unwinder, now_ns(),
		      &bench->heap, error, sizeof(error)))
		die(error);
	while (bench->unwinder->ops->work(bench->unwinder, 1000))
		;
	if (heap_attach(bench->heap))
		die("cannot attach");
}

static void attach(struct bench *bench, enum variant variant)
{
	switch (variant) {
	case BARE_SESSION:
		attach_empty(bench, PROBE_SESSION, false, &bench->malloc_only);
		attach_empty(bench, PROBE_MULTI, false, &bench->free_only);
		break;
	case BARE_MULTI:
		attach_empty(bench, PROBE_MULTI, true, &bench->malloc_only);
		attach_empty(bench, PROBE_MULTI, false, &bench->malloc_only);
		attach_empty(bench, PROBE_MULTI, false, &bench->free_only);
		break;
	case MEMTOP_SESSION:
		attach_heap(bench, PROBE_SESSION);
		break;
	case MEMTOP_MULTI:
		attach_heap(bench, PROBE_MULTI);
		break;
	default:
		break;
	}
}

static void detach(struct bench *bench)
{
	heap_close(bench->heap);
	bench->heap = NULL;
	probes_detach(bench->links, &bench->link_count);
}

/* Nanoseconds in memtop's programs for a pair, the kernel's measuring of them included. */
static double measure_programs(struct bench *bench, enum workload workload, unsigned pairs)
{
	struct heap_statistics before, after;
	int statistics = bpf_enable_stats(BPF_STATS_RUN_TIME);

	heap_read_statistics(bench->heap, &before);
	order(&bench->target, workload, pairs);
	heap_read_statistics(bench->heap, &after);
	close(statistics);
	return (double)(after.run_time_ns - before.run_time_ns) /
	       (after.freeing_runs - before.freeing_runs);
}

static void run_variant(struct bench *bench, enum variant variant, unsigned round, unsigned pairs)
{
	attach(bench, variant);
	for (unsigned i = 0; i < WORKLOADS; i++) {
		bench->ns[i][variant][round] = order(&bench->target, i, pairs);
		if (bench->heap)
			bench->program_ns[i][variant][round] = measure_programs(bench, i, pairs);
	}
	detach(bench);
}

static double median(const double *numbers, unsigned count)
{
	double sorted[MAX_ROUNDS];

	memcpy(sorted, numbers, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), compare);
	return sorted[count / 2];
}

static void report(const struct bench *bench, unsigned rounds)
{
	double ratios[MAX_ROUNDS];

	printf("%-12s %-18s %10s %10s %14s\n", "workload", "variant", "ns/pair", "to bare",
	       "programs, ns");
	for (unsigned i = 0; i < WORKLOADS; i++)
		for (unsigned j = 0; j < VARIANTS; j++) {
			for (unsigned k = 0; k < rounds; k++)
				ratios[k] = bench->ns[i][j][k] / bench->ns[i][bare_of(j)][k];
			printf("%-12s %-18s %10.0f %10.3f", workload_names[i], variant_names[j],
			       median(bench->ns[i][j], rounds), median(ratios, rounds));
			if (bench->program_ns[i][j][0] > 0)
				printf(" %14.0f", median(bench->program_ns[i][j], rounds));
			putchar('\n');
		}
}

int main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 11;
	unsigned pairs = argc > 2 ? strtoul(argv[2], NULL, 10) : 20000;
	struct bench *bench = xcalloc(1, sizeof(*bench));

	if (!rounds || rounds > MAX_ROUNDS || pairs < 10 * SLICES)
		die("usage: bench_pair [ROUNDS [PAIRS]]");
	start_target(&bench->target);
	find_points(bench);
	for (unsigned round = 0; round < rounds; round++)
		for (unsigned i = 0; i < VARIANTS; i++)
			run_variant(bench, (i + round) % VARIANTS, round, pairs);
	report(bench, rounds);
	close(bench->target.in);
	waitpid(bench->target.pid, NULL, 0);
	probe_points_deinit(&bench->points);
	unwinder_close(bench->unwinder);
	modules_free(bench->modules);
	free(bench);
	return 0;
}
