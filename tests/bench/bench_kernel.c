/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel side costs: the time of a pair of pipe() and close() of both ends, in this
 * process while another is watched (foreign events) and while this one is (own events), over the
 * time with nothing attached. Rounds are interleaved and medians taken. The number of events of a
 * pair is what the book counted for it.
 */
#include "capture/kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 9
#define PAIRS  20000

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

/* Nanoseconds for one pair. */
static double measure(void)
{
	double start = now_ns();

	for (int i = 0; i < PAIRS; i++) {
		int ends[2];

		if (pipe(ends)) {
			perror("bench_kernel: pipe");
			exit(1);
		}
		close(ends[0]);
		close(ends[1]);
	}
	return (now_ns() - start) / PAIRS;
}

static int by_value(const void *a, const void *b)
{
	double difference = *(const double *)a - *(const double *)b;

	return (difference > 0) - (difference < 0);
}

static double median(double values[ROUNDS])
{
	qsort(values, ROUNDS, sizeof(*values), by_value);
	return values[ROUNDS / 2];
}

/* Allocations and frees of a pair. */
static double events_of_a_pair(struct kernel_side *side)
{
	const struct ledger *ledger = kernel_side_ledger(side);
	double events = 0;

	for (size_t i = 0; i < ledger_site_count(ledger); i++) {
		struct totals totals;

		ledger_totals(ledger, ledger_site_slot(ledger, i), &totals);
		events += totals.allocated_blocks + totals.freed_blocks;
	}
	return events / PAIRS;
}

static double measure_watched(pid_t pid, double *events)
{
	struct kernel_side *side;
	char error[256];
	double pair;

	if (kernel_side_open(pid, NULL, &side, error, sizeof(error))) {
		fprintf(stderr, "bench_kernel: %s\n", error);
		exit(3);
	}
	pair = measure();
	if (events)
		*events = events_of_a_pair(side);
	kernel_side_close(side);
	return pair;
}

int main(void)
{
	double bare[ROUNDS], foreign[ROUNDS], own[ROUNDS], events = 0;
	double foreign_ns, own_ns, bare_ns;

	for (int i = 0; i < ROUNDS; i++) {
		bare[i] = measure();
		foreign[i] = measure_watched(getppid(), NULL);
		own[i] = measure_watched(getpid(), &events);
	}
	bare_ns = median(bare);
	foreign_ns = median(foreign) - bare_ns;
	own_ns = median(own) - bare_ns;
	printf("pipe and close, nothing attached   %8.0f ns\n", bare_ns);
	printf("  watching another process         %+8.0f ns\n", foreign_ns);
	printf("  watching this one                %+8.0f ns\n", own_ns);
	printf("events of a pair                   %8.1f\n", events);
	printf("foreign event                      %8.1f ns\n", foreign_ns / events);
	printf("own event (half are frees)         %8.1f ns\n", own_ns / events);
	return 0;
}
