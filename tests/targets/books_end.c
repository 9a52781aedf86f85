/* SPDX-License-Identifier: GPL-2.0-only */
/* The cases of the books with threads and processes that end, each in its own way. */
#include "books.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* --- 17: threads that are cancelled, whose handlers and destructors free what they held */

#define CANCELLED 100
#define HELD	  20

static pthread_key_t cancelled_key;
static pthread_barrier_t cancelled_barrier;

static void free_array(void *blocks)
{
	books_free_all(blocks, HELD);
}

static void free_block(void *block)
{
	svc_free(block);
}

static void *cancelled_thread(void *number)
{
	void *blocks[HELD];

	for (unsigned i = 0; i < HELD; i++)
		blocks[i] = svc_malloc(10 + i);
	pthread_setspecific(cancelled_key, svc_calloc(3, 1 + (uintptr_t)number % 50));
	pthread_cleanup_push(free_array, blocks);
	pthread_barrier_wait(&cancelled_barrier);
	for (;;) {
		blocks[0] = svc_realloc(blocks[0], 600); /* on the way to where it is cancelled */
		pause();
	}
	pthread_cleanup_pop(1);
	return NULL;
}

void books_cancelled(void)
{
	pthread_t threads[CANCELLED];

	pthread_key_create(&cancelled_key, free_block);
	pthread_barrier_init(&cancelled_barrier, NULL, CANCELLED + 1);
	books_ready();
	for (unsigned round = 0; round < 5; round++) {
		for (uintptr_t i = 0; i < CANCELLED; i++)
			if (pthread_create(&threads[i], NULL, cancelled_thread, (void *)i))
				books_die("cannot start a thread");
		pthread_barrier_wait(&cancelled_barrier);
		for (unsigned i = 0; i < CANCELLED; i++)
			pthread_cancel(threads[i]);
		for (unsigned i = 0; i < CANCELLED; i++)
			pthread_join(threads[i], NULL);
	}
	books_stop("cancelled");
}

/* --- 22: ends of the process, as $BOOKS_END says */

static int *volatile nowhere;

static void end_by_fault(void)
{
	*nowhere = 1;
}

static void end_by_abort(void)
{
	abort();
}

static void end_by_exit(void)
{
	exit(7);
}

static void end_at_once(void)
{
	_exit(8);
}

/* Until the kernel ends it. */
static void end_by_memory(void)
{
	for (;;)
		memset(books_array(1 << 20, 1), 1, 1 << 20);
}

static void *end_in_another_thread(void *unused)
{
	(void)unused;
	end_by_fault();
	return NULL;
}

static void end_by_thread(void)
{
	books_threads(1, end_in_another_thread);
}

void books_ends(void)
{
	static const struct {
		const char *name;
		void (*end)(void);
	} ends[] = {
		{"fault", end_by_fault}, {"thread", end_by_thread}, {"abort", end_by_abort},
		{"exit", end_by_exit},	 {"_exit", end_at_once},    {"memory", end_by_memory},
	};
	const char *how = getenv("BOOKS_END");
	void *blocks[300];

	books_ready();
	for (unsigned i = 0; i < 300; i++)
		blocks[i] = svc_malloc(100 + i);
	books_free_all(blocks, 100);
	books_stop("held");
	for (unsigned i = 0; how && i < sizeof(ends) / sizeof(*ends); i++)
		if (!strcmp(ends[i].name, how))
			ends[i].end();
	for (;;)
		pause(); /* to be killed */
}
