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
#include "stack_record.h"
#include "steps.h"

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
	PATHS = 200,
	LEAST_STEPS = 5,
	MOST_STEPS = 60,
	TWINS = 40,
	TWIN_STEPS = 12,
	ALTERNATE_STACK = 1 << 20
};

extern step_fn *const steps_a[], *const steps_b[], *const steps_c[], *const steps_cxx[];
extern step_fn *const throwing_steps_cxx[];
extern step_fn *const signal_steps_a[], *const signal_steps_b[], *const signal_steps_c[];

static struct stack_record records[STACK_RECORDS_MAX];
static unsigned record_count;
static struct path paths[PATHS];
static unsigned rounds;
static __thread struct shadow shadow;
static __thread const struct path *signal_path;
static __thread unsigned signal_at;

struct shadow *shadow_here(void)
{
	return &shadow;
}

int stack_probe(unsigned number);

__attribute__((noinline)) int stack_probe(unsigned number)
{
	__asm__ volatile("" : : "r"(number) : "memory");
	return (int)number;
}

static __attribute__((noinline)) int take(bool async)
{
	unsigned number = __atomic_fetch_add(&record_count, 1, __ATOMIC_RELAXED);
	struct stack_record *record;

	if (number >= STACK_RECORDS_MAX)
		return 0;
	record = &records[number];
	record->count = (uint32_t)backtrace((void **)record->frames, STACK_FRAMES_MAX);
	record->async = async;
	if (!async) {
		record->shadow_count = shadow.depth;
		for (unsigned i = 0; i < shadow.depth && i < STACK_FRAMES_MAX; i++)
			record->shadow[i] = (uint64_t)shadow.addresses[shadow.depth - 1 - i];
	}
	return stack_probe(number) + 1;
}

static int observe(const struct path *path, unsigned at)
{
	return take(false) + (int)at + (int)path->length;
}

static void on_signal(int number)
{
	const struct path *path = signal_path;
	unsigned at = signal_at;

	(void)number;
	shadow_push(__builtin_return_address(0));
	path_next(path, at);
	shadow_pop();
}

void path_by_signal(const struct path *path, unsigned at, int number)
{
	signal_path = path;
	signal_at = at;
	shadow_push(__builtin_return_address(0));
	raise(number);
	shadow_pop();
}

static void on_timer(int number)
{
	(void)number;
	take(true);
}

static uint32_t random_next(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

static unsigned add_steps(step_fn *const *list, step_fn **to)
{
	unsigned count = 0;

	while (list[count]) {
		to[count] = list[count];
		count++;
	}
	return count;
}

/* Paths of one layout, so that only their return addresses tell them apart. */
static void make_twins(step_fn *const *steps, unsigned groups, uint32_t *state)
{
	for (unsigned i = PATHS - TWINS; i < PATHS; i++) {
		paths[i].length = TWIN_STEPS;
		for (unsigned s = 0; s < TWIN_STEPS; s++)
			paths[i].steps[s] = steps[random_next(state) % groups * STEP_SHAPES];
	}
}

/*
 * Every other path goes through signal handlers too. `throwing`: through catch blocks; not where a
 * timer may interrupt the throw, whose last instructions no frame information describes (the
 * target's own backtrace() crashes on them).
 */
static void make_paths(bool throwing)
{
	step_fn *const *const lists[] = {steps_a, steps_b, steps_c, steps_cxx};
	step_fn *const *const signals[] = {signal_steps_a, signal_steps_b, signal_steps_c};
	unsigned count = 0, without_signals;
	uint32_t state = 12345;
	step_fn *all[512];

	for (unsigned i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		count += add_steps(lists[i], all + count);
	if (throwing)
		count += add_steps(throwing_steps_cxx, all + count);
	without_signals = count;
	for (unsigned i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		count += add_steps(signals[i], all + count);
	for (unsigned i = 0; i < PATHS; i++) {
		unsigned choice = i % 2 ? count : without_signals;

		paths[i].observe = observe;
		paths[i].length =
			LEAST_STEPS + random_next(&state) % (MOST_STEPS - LEAST_STEPS + 1);
		for (unsigned s = 0; s < paths[i].length; s++)
			paths[i].steps[s] = all[random_next(&state) % choice];
	}
	make_twins(steps_a, (unsigned)add_steps(steps_a, all) / STEP_SHAPES, &state);
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
	make_paths(!async);
	set_handler(SIGUSR1, on_signal, SA_NODEFER);
	set_handler(SIGUSR2, on_signal, SA_NODEFER | SA_ONSTACK);
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
