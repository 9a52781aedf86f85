/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A target that knows its stacks: threads walk random paths of 5 to 60 steps and at their end write
 * down what backtrace() says and what their shadow stack says, then call stack_probe(number).
 *
 *     stack_target THREADS ROUNDS [async]
 *
 * Prints the address of stack_probe, waits for a byte on standard input, runs, and writes the
 * records. "async": a timer's signals take stacks too, wherever they interrupt.
 */
#include "paths.h"
#include "stack_record.h"

#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum {
	ALTERNATE_STACK = 1 << 20
};

static struct stack_record records[STACK_RECORDS_MAX];
static unsigned record_count;
static unsigned rounds;

int stack_probe(unsigned number);

__attribute__((noinline)) int stack_probe(unsigned number)
{
	__asm__ volatile("" : : "r"(number) : "memory");
	return (int)number;
}

static __attribute__((noinline)) int take(bool async)
{
	unsigned number = __atomic_fetch_add(&record_count, 1, __ATOMIC_RELAXED);
	const struct shadow *shadow = shadow_here();
	struct stack_record *record;

	if (number >= STACK_RECORDS_MAX)
		return 0;
	record = &records[number];
	record->count = (uint32_t)backtrace((void **)record->frames, STACK_FRAMES_MAX);
	record->async = async;
	if (!async) {
		record->shadow_count = shadow->depth;
		for (unsigned i = 0; i < shadow->depth && i < STACK_FRAMES_MAX; i++)
			record->shadow[i] = (uint64_t)shadow->addresses[shadow->depth - 1 - i];
	}
	return stack_probe(number) + 1;
}

static int observe(const struct path *path, unsigned at)
{
	return take(false) + (int)at + (int)path->length;
}

static void on_timer(int number)
{
	(void)number;
	take(true);
}

static void *run(void *argument)
{
	stack_t alternate = {.ss_sp = malloc(ALTERNATE_STACK), .ss_size = ALTERNATE_STACK};
	unsigned first = (unsigned)(uintptr_t)argument;

	sigaltstack(&alternate, NULL);
	for (unsigned round = 0; round < rounds; round++)
		for (unsigned i = 0; i < PATHS; i++)
			path_next(&paths[(first + i) % PATHS], 0);
	alternate.ss_flags = SS_DISABLE;
	sigaltstack(&alternate, NULL);
	free(alternate.ss_sp);
	return NULL;
}

static void set_handler(int number, void (*handler)(int), int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags};

	sigaction(number, &action, NULL);
}

static void set_timer(long microseconds)
{
	struct itimerval timer = {{0, microseconds}, {0, microseconds}};

	setitimer(ITIMER_REAL, &timer, NULL);
}

int main(int argc, char **argv)
{
	unsigned threads = argc > 1 ? (unsigned)atoi(argv[1]) : 1;
	bool async = argc > 3 && !strcmp(argv[3], "async");
	pthread_t ids[64];
	void *warm[4];

	rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
	if (threads > 64)
		threads = 64;
	backtrace(warm, 4);
	paths_make(observe, !async);
	set_handler(SIGUSR1, path_on_signal, SA_NODEFER);
	set_handler(SIGUSR2, path_on_signal, SA_NODEFER | SA_ONSTACK);
	set_handler(SIGALRM, on_timer, SA_RESTART);
	printf("%lx\n", (unsigned long)(uintptr_t)stack_probe);
	fflush(stdout);
	if (getchar() == EOF)
		return 1;
	if (async)
		set_timer(150);
	for (unsigned i = 0; i < threads; i++)
		pthread_create(&ids[i], NULL, run, (void *)(uintptr_t)(i * 25));
	run(NULL);
	for (unsigned i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	set_timer(0);
	if (record_count > STACK_RECORDS_MAX)
		record_count = STACK_RECORDS_MAX;
	fwrite(records, sizeof(*records), record_count, stdout);
	return fflush(stdout) ? 1 : 0;
}
