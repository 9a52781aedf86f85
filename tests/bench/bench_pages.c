/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a page fault costs a process that is not watched, one that another is watched beside, and
 * the watched one itself, by either kind of events; interleaved rounds, the best of each (the
 * machine may have other work), in ns a fault.
 */
#include "capture/pages_level.h"
#include "core/modules.h"
#include "capture/procmaps.h"
#include "unwind/unwinder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGES  8192
#define PAGE   4096
#define ROUNDS 31
#define DEPTH  15

struct toucher {
	pid_t pid;
	int ask, answer;
};

static double touch(char *memory)
{
	struct timespec start, end;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (int i = 0; i < PAGES; i++)
		((volatile char *)memory)[i * PAGE] = 1;
	clock_gettime(CLOCK_MONOTONIC, &end);
	return (end.tv_sec - start.tv_sec) * 1e9 + (end.tv_nsec - start.tv_nsec);
}

/* As deep as a service's stacks are. */
__attribute__((noipa)) static double touch_deep(char *memory, int depth)
{
	double ns = depth ? touch_deep(memory, depth - 1) : touch(memory);

	__asm__ volatile("" ::: "memory");
	return ns;
}

static void serve(int ask, int answer)
{
	char byte;

	while (read(ask, &byte, 1) == 1) {
		char *memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		double ns = touch_deep(memory, DEPTH) / PAGES;

		munmap(memory, PAGES * PAGE);
		if (write(answer, &ns, sizeof(ns)) != sizeof(ns))
			break;
	}
	_exit(0);
}

static void start(struct toucher *toucher)
{
	int ask[2], answer[2];

	if (pipe(ask) || pipe(answer))
		exit(1);
	toucher->pid = fork();
	if (!toucher->pid) {
		close(ask[1]);
		close(answer[0]);
		serve(ask[0], answer[1]);
	}
	close(ask[0]);
	close(answer[1]);
	toucher->ask = ask[1];
	toucher->answer = answer[0];
}

static double run(const struct toucher *toucher)
{
	double ns;

	if (write(toucher->ask, "", 1) != 1 || read(toucher->answer, &ns, sizeof(ns)) != sizeof(ns))
		exit(1);
	return ns;
}

static double best(const double *values)
{
	double least = values[0];

	for (int i = 1; i < ROUNDS; i++)
		if (values[i] < least)
			least = values[i];
	return least;
}

struct watch {
	struct unwinder *unwinder;
	struct modules *modules;
	struct pages_level *level;
};

static void watch_open(struct watch *watch, pid_t pid, enum pages_events events)
{
	struct procmaps maps;
	char error[256];

	watch->unwinder = table_unwinder_new(pid, 64 << 20);
	watch->modules = modules_new();
	if (!procmaps_read(pid, &maps)) {
		procmaps_update_modules(watch->modules, &maps, pid, 1);
		procmaps_deinit(&maps);
	}
	watch->unwinder->ops->update(watch->unwinder, watch->modules);
	if (pages_level_open(pid, events, watch->unwinder, &watch->level, error, sizeof(error))) {
		fprintf(stderr, "bench_pages: %s\n", error);
		exit(1);
	}
	watch->unwinder->ops->work(watch->unwinder, 1000);
}

static void watch_close(struct watch *watch)
{
	pages_level_close(watch->level);
	unwinder_close(watch->unwinder);
	modules_free(watch->modules);
}

int main(void)
{
	static const struct {
		const char *name;
		enum pages_events events;
	} rows[] = {
		{"exception's tracepoints", PAGES_EVENTS_EXCEPTION},
		{"counter of faults", PAGES_EVENTS_COUNTER},
	};
	struct toucher own = {0}, other = {0};

	start(&own);
	start(&other);
	run(&own);
	run(&other);
	printf("%-26s %10s %10s %10s\n", "ns a fault, by", "nobody", "beside", "watched");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		double bare[ROUNDS], beside[ROUNDS], watched[ROUNDS];

		for (int round = 0; round < ROUNDS; round++) {
			struct watch watch;

			bare[round] = run(&own);
			watch_open(&watch, own.pid, rows[i].events);
			run(&own); /* its stack is known from then on */
			watched[round] = run(&own);
			beside[round] = run(&other);
			watch_close(&watch);
		}
		printf("%-26s %10.0f %10.0f %10.0f\n", rows[i].name, best(bare), best(beside),
		       best(watched));
	}
	close(own.ask);
	close(other.ask);
	while (wait(NULL) > 0)
		;
	return 0;
}
