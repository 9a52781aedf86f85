/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ns per captured stack, over a program that does nothing, by depth.
 *
 *     bench_stacks WITHOUT_FRAME_POINTERS WITH_FRAME_POINTERS [ROUNDS]
 *
 * Variants take turns within a round; medians over the rounds. bpf_get_stack() runs on the second
 * target: on the first it has nothing to follow.
 */
#include <memtop/abi.h> /* of what the skeleton holds */

#include "bench_stacks.skel.h"
#include "tests/unwind/target.h"
#include "unwind/publisher.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	CALLS = 20000,
	ROUNDS = 15,
	ROUNDS_MAX = 101,
	DEPTHS = 3,
	LIMIT = 64 << 20
};

static const unsigned depths[DEPTHS] = {10, 20, 40};

struct variant {
	const char *name;
	const char *figure; /* NULL = none */
	struct target *target;
	const struct bpf_program *program;
	double ns[DEPTHS][ROUNDS_MAX];
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *values, unsigned count)
{
	qsort(values, count, sizeof(*values), compare);
	return values[count / 2];
}

static double measure(struct target *target, unsigned depth, unsigned calls)
{
	char line[64];

	fprintf(target->in, "%u %u\n", depth, calls);
	fflush(target->in);
	return fgets(line, sizeof(line), target->out) ? atof(line) : -1;
}

static int run_round(struct variant *variant, unsigned round)
{
	struct bpf_link *link = target_attach(variant->target, variant->program);

	if (!link)
		return -errno;
	for (unsigned d = 0; d < DEPTHS; d++) {
		measure(variant->target, depths[d], CALLS / 10);
		variant->ns[d][round] = measure(variant->target, depths[d], CALLS);
	}
	bpf_link__destroy(link);
	return 0;
}

static void report(struct variant *variants, unsigned count, unsigned rounds)
{
	printf("%-36s", "ns per capture at depth");
	for (unsigned d = 0; d < DEPTHS; d++)
		printf(" %7u", depths[d]);
	printf("\n");
	for (unsigned v = 0; v < count; v++) {
		/* Each over the empty program on its own target, the two that stand first. */
		const struct variant *empty = &variants[variants[v].target != variants[0].target];
		double medians[DEPTHS];

		if (!variants[v].name)
			continue;
		printf("%-36s", variants[v].name);
		for (unsigned d = 0; d < DEPTHS; d++) {
			double over[ROUNDS_MAX];

			for (unsigned r = 0; r < rounds; r++)
				over[r] = variants[v].ns[d][r] - empty->ns[d][r];
			printf(" %7.0f", median(over, rounds));
			medians[d] = median(over, rounds);
		}
		printf("\n");
		/* For tests/bench/bench.py. */
		for (unsigned d = 0; variants[v].figure && d < DEPTHS; d++)
			printf("= stack.%s.%u.ns %.1f\n", variants[v].figure, depths[d],
			       medians[d]);
	}
}

static int publish(struct publisher *publisher, struct bench_stacks_bpf *skeleton)
{
	struct timespec start, end;
	struct publisher_status status;
	int error;

	error = publisher_size_maps(publisher, skeleton->obj);
	if (!error)
		error = bench_stacks_bpf__load(skeleton);
	if (!error)
		error = publisher_open(publisher, skeleton->obj);
	if (error)
		return error;
	clock_gettime(CLOCK_MONOTONIC, &start);
	while (publisher_step(publisher))
		;
	publisher_publish(publisher);
	clock_gettime(CLOCK_MONOTONIC, &end);
	publisher_read_status(publisher, &status);
	printf("%u tables of %" PRIu64 " bytes in %.1f ms\n", status.tables_ready,
	       status.bytes_used,
	       (double)(end.tv_sec - start.tv_sec) * 1e3 +
		       (double)(end.tv_nsec - start.tv_nsec) / 1e6);
	return 0;
}

int main(int argc, char **argv)
{
	struct bench_stacks_bpf *skeleton = bench_stacks_bpf__open();
	unsigned rounds = argc > 3 ? (unsigned)atoi(argv[3]) : ROUNDS;
	struct target without = {0}, with = {0};
	struct publisher *publisher;
	int error;

	if (argc < 3 || !skeleton || rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: bench_stacks WITHOUT WITH [ROUNDS]\n");
		return 2;
	}
	error = target_start(argv[1], (char *[]){argv[1], NULL}, &without);
	if (!error)
		error = target_start(argv[2], (char *[]){argv[2], NULL}, &with);
	publisher = publisher_new(without.pid, LIMIT);
	if (!error) {
		target_mappings(&without, publisher);
		target_mappings(&with, NULL);
		error = publish(publisher, skeleton);
	}
	if (!error) {
		struct variant variants[] = {
			{.target = &without, .program = skeleton->progs.empty},
			{.target = &with, .program = skeleton->progs.empty},
			{.name = "return address alone",
			 .target = &without,
			 .program = skeleton->progs.return_address},
			{.name = "full walk",
			 .figure = "walk",
			 .target = &without,
			 .program = skeleton->progs.walk},
			{.name = "verified by the cache",
			 .figure = "verified",
			 .target = &without,
			 .program = skeleton->progs.verified},
			{.name = "bpf_get_stack, with frame pointers",
			 .figure = "get_stack",
			 .target = &with,
			 .program = skeleton->progs.frame_pointers},
		};
		unsigned count = sizeof(variants) / sizeof(*variants);

		for (unsigned r = 0; !error && r < rounds; r++)
			for (unsigned v = 0; !error && v < count; v++)
				error = run_round(&variants[(v + r) % count], r);
		if (!error)
			report(variants, count, rounds);
	}
	if (error)
		fprintf(stderr, "bench_stacks: %s\n", strerror(-error));
	bench_stacks_bpf__destroy(skeleton);
	publisher_free(publisher);
	target_end(&without);
	target_end(&with);
	return error ? 1 : 0;
}
