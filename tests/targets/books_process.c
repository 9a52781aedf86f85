/* SPDX-License-Identifier: GPL-2.0-only */
/* The cases of the books with threads, children and libraries that come and go. */
#include "books.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- 15: threads that wait, with arenas of their own */

static pthread_barrier_t idle_barrier;

static void *idle_thread(void *number)
{
	(void)number;
	svc_free(svc_malloc(1000));
	pthread_barrier_wait(&idle_barrier);
	pthread_barrier_wait(&idle_barrier);
	return NULL;
}

static void *idle_control(void *unused)
{
	pthread_barrier_wait(&idle_barrier);
	books_stop("idle");
	pthread_barrier_wait(&idle_barrier);
	return unused;
}

static void *idle_any(void *number)
{
	return number ? idle_thread(number) : idle_control(NULL);
}

void books_idle_threads(void)
{
	pthread_barrier_init(&idle_barrier, NULL, 51);
	books_ready();
	books_threads(51, idle_any);
	books_stop("ended");
}

/* --- 16: children that free and take the same addresses */

static void run_child(void **blocks, size_t count)
{
	pid_t child = fork();

	if (child < 0)
		books_die("fork");
	if (!child) {
		books_free_all(blocks, count / 2);
		for (size_t i = 0; i < count; i++)
			blocks[i] = svc_malloc(200);
		_exit(0);
	}
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
}

static void run_command(void)
{
	pid_t child = vfork();

	if (child < 0)
		books_die("vfork");
	if (!child) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(127);
	}
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
}

void books_children(void)
{
	void **blocks = books_array(500, sizeof(*blocks));

	books_ready();
	for (unsigned round = 0; round < 5; round++) {
		for (size_t i = 0; i < 100; i++)
			blocks[round * 100 + i] = svc_malloc(200);
		run_child(blocks, 500);
		run_command();
	}
	books_stop("held");
	books_free_all(blocks, 500);
	books_stop("freed");
}

/* A child that lives on as it is, and one that another child left behind. */
static pid_t child_that_stays(bool through_another)
{
	int ends[2];
	pid_t child, stays;

	if (pipe(ends))
		books_die("pipe");
	child = fork();
	if (!child) {
		stays = through_another ? fork() : getpid();
		if (through_another && stays)
			_exit(0);
		stays = getpid();
		if (write(ends[1], &stays, sizeof(stays)) != sizeof(stays))
			_exit(1);
		for (;;)
			pause();
	}
	if (through_another)
		waitpid(child, NULL, 0);
	if (read(ends[0], &stays, sizeof(stays)) != sizeof(stays))
		books_die("a child has died");
	return stays;
}

void books_lasting_children(void)
{
	char members[96];
	pid_t first, second;
	void *block;

	books_ready();
	block = svc_malloc(100);
	first = child_that_stays(false);
	second = child_that_stays(true);
	snprintf(members, sizeof(members), "\"children\":[%d,%d],\n", first, second);
	books_stop_with("forked", members);
	svc_free(block);
	books_stop("freed");
	kill(first, SIGKILL);
	kill(second, SIGKILL);
}

/* --- 18: a library at the place of another one */

static void *load(const char *file)
{
	char path[4096];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 64);

	if (length <= 0)
		books_die("/proc/self/exe");
	path[length] = '\0';
	strcpy(strrchr(path, '/') + 1, file);
	return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

void books_plugins(void)
{
	static const char *const files[] = {"libbooks_first.so", "libbooks_second.so"};
	void **blocks = books_array(400, sizeof(*blocks));
	void *places[2];

	books_ready();
	for (unsigned i = 0; i < 2; i++) {
		void *library = load(files[i]);
		void *(*take)(const char *) =
			(void *(*)(const char *))dlsym(library, i ? "second_takes" : "first_takes");
		Dl_info info;

		if (!take || !dladdr((void *)take, &info))
			books_die(dlerror());
		places[i] = info.dli_fbase;
		for (unsigned j = 0; j < 200; j++)
			blocks[i * 200 + j] = take(files[i]);
		books_stop(i ? "second" : "first");
		dlclose(library);
	}
	if (places[0] != places[1])
		books_die("the second library came to another place");
	books_free_all(blocks, 400);
	books_stop("freed");
}

/* --- 23: threads born after the attach */

static void *late_thread(void *number)
{
	unsigned state = (uintptr_t)number;
	void *kept[20];

	for (unsigned i = 0; i < 20; i++)
		kept[i] = svc_malloc(books_random(&state) % 500);
	books_free_all(kept, 10);
	return NULL;
}

void books_late_threads(void)
{
	books_ready();
	for (unsigned i = 0; i < 100; i++)
		books_threads(8, late_thread);
	books_stop("done");
}

/* --- 24: many threads and call paths; what one takes, another frees */

#define CROSS_SLOTS  4096
#define CROSS_ROUNDS 5000

#define PATH(n)                                               \
	static SITE void *path_##n(size_t size)               \
	{                                                     \
		void *block = svc_malloc(size + n);           \
                                                              \
		__asm__ volatile("" : "+r"(block)::"memory"); \
		return block;                                 \
	}
#define TEN(X, n) X(n##0) X(n##1) X(n##2) X(n##3) X(n##4) X(n##5) X(n##6) X(n##7) X(n##8) X(n##9)
#define HUNDRED(X, n) \
	TEN(X, n##0)  \
	TEN(X, n##1)  \
	TEN(X, n##2)  \
	TEN(X, n##3) TEN(X, n##4) TEN(X, n##5) TEN(X, n##6) TEN(X, n##7) TEN(X, n##8) TEN(X, n##9)
#define NAME(n) path_##n,

HUNDRED(PATH, 1)
HUNDRED(PATH, 2)
static void *(*const paths[])(size_t) = {HUNDRED(NAME, 1) HUNDRED(NAME, 2)};

static void **cross_slots;

static void *cross_thread(void *number)
{
	unsigned state = (uintptr_t)number * 31 + 5;

	for (unsigned i = 0; i < CROSS_ROUNDS; i++) {
		void *block = paths[books_random(&state) % 200](books_random(&state) % 300);

		block = __atomic_exchange_n(&cross_slots[books_random(&state) % CROSS_SLOTS], block,
					    __ATOMIC_ACQ_REL);
		if (block)
			svc_free(block);
	}
	return NULL;
}

void books_cross(void)
{
	cross_slots = books_array(CROSS_SLOTS, sizeof(*cross_slots));
	books_ready();
	books_threads(32, cross_thread);
	books_stop("done");
	books_free_all(cross_slots, CROSS_SLOTS);
	books_stop("freed");
}
