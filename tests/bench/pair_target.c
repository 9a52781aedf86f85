/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The target of benchmarks: pairs of malloc() and free(), in the shape that it is told.
 *
 * Reads lines "SHAPE A B PAIRS" and answers each with the nanoseconds a pair took:
 *
 *     hot DEPTH 0 PAIRS       from so many frames down
 *     churn LIVE 0 PAIRS      frees a random one of LIVE blocks and takes another
 *     refill LIVE 0 PAIRS     frees those blocks and takes as many: a watcher has seen them all
 *     paths N 0 PAIRS         from N call paths in turn
 *     mixed SPINS 0 PAIRS     with so many turns of an empty loop after each
 *     new SPINS 0 PAIRS       the same by the operators new and delete that are there
 *     keep N 0 1              takes a block from each of N call paths and keeps it
 *     threads N PATHS PAIRS   PAIRS in each of N threads, from PATHS call paths in turn
 *
 * The time is CPU time: of threads the mean, else that of the slice that is slower than only a
 * quarter of them, since what else runs on the machine still takes caches away from the others.
 * With the argument `forever` it goes on by itself: it waits for each line "RATE", does RATE pairs
 * a second until the next one comes, and says how many it has done.
 */
#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SLICES	    40
#define PATH_LEVELS 18
#define MAX_THREADS 256

static void *volatile sink;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Of the calling thread, traps included: what else runs on the machine takes none of it. */
static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* --- shapes; frames are kept by noipa and by work after each call */

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

static void **live;
static unsigned live_capacity, live_count;

static void fill(unsigned count)
{
	if (count > live_capacity) {
		live = reallocarray(live, count, sizeof(*live));
		if (!live)
			exit(1);
		for (; live_capacity < count; live_capacity++)
			live[live_capacity] = malloc(48);
	}
	live_count = count;
}

static void refill(unsigned count)
{
	fill(count);
	for (unsigned i = 0; i < count; i++)
		free(live[i]);
	for (unsigned i = 0; i < count; i++)
		live[i] = malloc(48);
}

__attribute__((noipa)) static void churn(unsigned pairs)
{
	static unsigned state = 1;

	for (unsigned i = 0; i < pairs; i++) {
		void **slot;

		state = state * 1664525u + 1013904223u;
		slot = &live[(uint64_t)state * live_count >> 32];
		free(*slot);
		*slot = malloc(48);
	}
}

static bool keeping;

__attribute__((noipa)) static void one_pair(void)
{
	void *volatile block = malloc(64);

	if (!keeping)
		free(block);
}

/* A path is the sequence of the two calls that the bits of its number choose. */
__attribute__((noipa)) static unsigned follow(unsigned level, uint64_t path)
{
	unsigned frames = 1;

	if (!level)
		one_pair();
	else if (path & 1)
		frames += follow(level - 1, path >> 1);
	else
		frames -= follow(level - 1, path >> 1);
	__asm__ volatile("" : "+r"(frames));
	return frames;
}

static void follow_paths(unsigned levels, unsigned paths, unsigned pairs)
{
	for (unsigned i = 0; i < pairs; i++)
		follow(levels, i % paths);
}

/* A pair and as much other work as a program does for one. */
__attribute__((noipa)) static void mixed(unsigned spins, unsigned pairs)
{
	for (unsigned i = 0; i < pairs; i++) {
		one_pair();
		for (unsigned j = 0; j < spins; j++)
			__asm__ volatile("" : : "r"(j) : "memory");
	}
}

/* Of C++, which this is not: whatever allocator it runs with has them, or does not. */
static void *(*operator_new)(size_t);
static void (*operator_delete)(void *);

static bool find_operators(void)
{
	*(void **)&operator_new = dlsym(RTLD_DEFAULT, "_Znwm");
	*(void **)&operator_delete = dlsym(RTLD_DEFAULT, "_ZdlPv");
	return operator_new && operator_delete;
}

__attribute__((noipa)) static void mixed_new(unsigned spins, unsigned pairs)
{
	for (unsigned i = 0; i < pairs; i++) {
		operator_delete(operator_new(64));
		for (unsigned j = 0; j < spins; j++)
			__asm__ volatile("" : : "r"(j) : "memory");
	}
}

/* --- timing */

struct request {
	char shape[16];
	unsigned a, b, pairs;
};

static void work(const struct request *request, unsigned pairs)
{
	if (!strcmp(request->shape, "hot"))
		deep(request->a, pairs);
	else if (!strcmp(request->shape, "churn"))
		churn(pairs);
	else if (!strcmp(request->shape, "mixed"))
		mixed(request->a, pairs);
	else if (!strcmp(request->shape, "new"))
		mixed_new(request->a, pairs);
	else
		follow_paths(PATH_LEVELS, request->a, pairs);
}

static int compare(const void *a, const void *b)
{
	double difference = *(const double *)a - *(const double *)b;

	return difference < 0 ? -1 : difference > 0;
}

static double time_slices(const struct request *request)
{
	unsigned pairs = request->pairs / SLICES ? request->pairs / SLICES : 1;
	double slices[SLICES];

	work(request, pairs);
	for (unsigned i = 0; i < SLICES; i++) {
		uint64_t start = cpu_ns();

		work(request, pairs);
		slices[i] = (double)(cpu_ns() - start) / pairs;
	}
	qsort(slices, SLICES, sizeof(*slices), compare);
	return slices[SLICES / 4];
}

struct crew {
	pthread_barrier_t start;
	unsigned levels, paths, pairs;
	uint64_t ns; /* of all threads */
};

static void *be_thread(void *argument)
{
	struct crew *crew = argument;
	uint64_t start;

	follow_paths(crew->levels, crew->paths, crew->pairs / 10);
	pthread_barrier_wait(&crew->start);
	start = cpu_ns();
	follow_paths(crew->levels, crew->paths, crew->pairs);
	__atomic_fetch_add(&crew->ns, cpu_ns() - start, __ATOMIC_RELAXED);
	return NULL;
}

static double time_threads(const struct request *request)
{
	unsigned count = request->a < MAX_THREADS ? request->a : MAX_THREADS;
	struct crew crew = {.levels = 10, .paths = request->b, .pairs = request->pairs};
	pthread_t threads[MAX_THREADS];

	pthread_barrier_init(&crew.start, NULL, count);
	for (unsigned i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, be_thread, &crew))
			exit(1);
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&crew.start);
	return (double)crew.ns / ((double)count * request->pairs);
}

static int answer(const char *line)
{
	struct request request;

	if (sscanf(line, "%15s %u %u %u", request.shape, &request.a, &request.b, &request.pairs) !=
		    4 ||
	    !request.pairs)
		return -1;
	if (!strcmp(request.shape, "threads")) {
		if (!request.a || !request.b)
			return -1;
		printf("%.1f\n", time_threads(&request));
		return 0;
	}
	if (strcmp(request.shape, "hot") && !request.a)
		return -1;
	if (!strcmp(request.shape, "new") && !find_operators())
		return -1;
	if (!strcmp(request.shape, "refill")) {
		refill(request.a);
		puts("0");
		return 0;
	}
	if (!strcmp(request.shape, "keep")) {
		keeping = true;
		follow_paths(PATH_LEVELS, request.a, request.a);
		keeping = false;
		puts("0");
		return 0;
	}
	if (!strcmp(request.shape, "churn"))
		fill(request.a);
	printf("%.1f\n", time_slices(&request));
	return 0;
}

/* --- by itself, at a rate */

static void run_at(uint64_t rate, uint64_t *done)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	uint64_t start = now_ns(), here = 0;

	for (;;) {
		uint64_t due = (now_ns() - start) / 1000 * rate / 1000000;

		if (poll(&input, 1, here < due ? 0 : 1))
			break;
		/* A piece at a time: the next line does not wait for what could not be done. */
		for (unsigned i = 0; i < 200 && here < due; i++, here++)
			deep(10, 1);
	}
	*done += here;
}

static void run_forever(void)
{
	uint64_t done = 0;
	char line[64];
	ssize_t got;

	while ((got = read(STDIN_FILENO, line, sizeof(line) - 1)) > 0) {
		line[got] = '\0';
		printf("%llu\n", (unsigned long long)done);
		fflush(stdout);
		run_at(strtoull(line, NULL, 10), &done);
	}
}

int main(int argc, char **argv)
{
	char line[128];

	if (argc > 1 && !strcmp(argv[1], "forever")) {
		run_forever();
		return 0;
	}
	while (fgets(line, sizeof(line), stdin)) {
		if (answer(line)) {
			fprintf(stderr, "pair_target: cannot do: %s", line);
			return 2;
		}
		fflush(stdout);
	}
	return 0;
}
