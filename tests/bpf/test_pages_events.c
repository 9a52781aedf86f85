/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whichever events a kernel has page faults from: the pages of a child are its stack's, and the
 * rows are its RSS.
 */
#include "capture/clock.h"
#include "capture/memory.h"
#include "capture/pages_level.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE	4096ul
#define PAGES	3000ul
#define TICKS	3000
#define TICK_NS 20000000

static void serve(int ask, int answer)
{
	char byte;

	while (read(ask, &byte, 1) == 1) {
		char *memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		madvise(memory, PAGES * PAGE, MADV_NOHUGEPAGE);
		for (unsigned long i = 0; i < PAGES; i++)
			((volatile char *)memory)[i * PAGE] = 1;
		if (write(answer, &byte, 1) != 1)
			break;
	}
	_exit(0);
}

/* The most resident pages that one stack has. */
static uint64_t largest(struct pages_level *level)
{
	const struct ledger *ledger = pages_level_ledger(level);
	uint64_t most = 0;

	for (size_t i = 0; i < ledger_site_count(ledger); i++) {
		unsigned slot = ledger_site_slot(ledger, i);
		struct totals totals;

		if (slot < PAGES_FIRST_SITE)
			continue;
		ledger_totals(ledger, slot, &totals);
		if (totals_live_blocks(&totals) > most)
			most = totals_live_blocks(&totals);
	}
	return most;
}

static bool fits(struct pages_level *level, struct memory_reader *reader)
{
	struct memory memory;
	uint64_t bytes;

	pages_level_tick(level, monotonic_ns());
	if (memory_read(reader, false, &memory))
		return false;
	bytes = pages_level_bytes(level);
	return largest(level) >= PAGES && largest(level) < PAGES + 16 &&
	       bytes <= memory.rss_bytes * 1.01 && bytes >= memory.rss_bytes * 0.99;
}

static bool watch(enum pages_events events)
{
	const struct timespec pause = {.tv_nsec = TICK_NS};
	struct memory_reader *reader;
	struct pages_level *level;
	int ask[2], answer[2];
	bool good = false;
	char error[256], byte;
	pid_t child;

	if (pipe(ask) || pipe(answer))
		exit(1);
	child = fork();
	if (!child) {
		close(ask[1]);
		close(answer[0]);
		serve(ask[0], answer[1]);
	}
	close(ask[0]);
	close(answer[1]);
	if (pages_level_open(child, events, NULL, &level, error, sizeof(error))) {
		printf("# %s\n", error);
		exit(1);
	}
	reader = memory_open(child);
	if (write(ask[1], "", 1) != 1 || read(answer[0], &byte, 1) != 1)
		exit(1);
	for (int i = 0; i < TICKS && !good; i++) {
		good = fits(level, reader);
		nanosleep(&pause, NULL);
	}
	if (!good)
		printf("# %llu pages of one stack, %llu bytes in all\n",
		       (unsigned long long)largest(level),
		       (unsigned long long)pages_level_bytes(level));
	memory_close(reader);
	pages_level_close(level);
	close(ask[1]);
	close(answer[0]);
	waitpid(child, NULL, 0);
	return good;
}

/* Other architectures have no tracepoints of the exception. */
#if defined(__x86_64__)
#define FIRST PAGES_EVENTS_EXCEPTION
#else
#define FIRST PAGES_EVENTS_COUNTER
#endif

int main(void)
{
	static const char *const names[] = {"the exception's tracepoints", "the counter of faults",
					    "the best there is"};
	int failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("1..%d\n", PAGES_EVENTS_COUNT + 1 - FIRST);
	for (int events = FIRST; events <= PAGES_EVENTS_COUNT; events++) {
		bool good = watch(events);

		failed |= !good;
		printf("%s %d - pages by %s\n", good ? "ok" : "not ok", events + 1 - FIRST,
		       names[events]);
	}
	return failed;
}
