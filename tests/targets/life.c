/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A process with a life: what happens to real ones, at will. Says "ready" when it begins. The first
 * argument is the life:
 *
 * plain    allocates a little, for ever
 * threads  many threads a second that begin, allocate and end
 * exec     runs itself anew at SIGUSR1
 * fork     children that allocate, and posix_spawn
 * dlopen   loads the library of the second argument at SIGUSR1 and calls its leak_in_library()
 * storm    a few calls of malloc, and from SIGUSR1 on a million a second
 * hog      takes memory and touches it, until it is killed
 * fat      the same at once, so that it takes a while to go, and says "fat"
 */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCH 20

extern char **environ;

static void take(size_t size)
{
	void *volatile block = malloc(size);

	(void)block;
}

static void nap(int ms)
{
	struct timespec time = {ms / 1000, ms % 1000 * 1000000L};

	nanosleep(&time, NULL);
}

static void *short_thread(void *argument)
{
	free(malloc(100));
	return argument;
}

static void live_threads(char **argv)
{
	pthread_t threads[BATCH];

	(void)argv;
	for (;;) {
		for (int i = 0; i < BATCH; i++)
			if (pthread_create(threads + i, NULL, short_thread, NULL))
				exit(1);
		for (int i = 0; i < BATCH; i++)
			pthread_join(threads[i], NULL);
		nap(2);
	}
}

static sigset_t asked(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	return set;
}

static void live_exec(char **argv)
{
	const struct timespec time = {0, 10000000};
	sigset_t set = asked();

	for (int i = 0; i < 100; i++)
		take(1000);
	while (sigtimedwait(&set, NULL, &time) < 0)
		take(10);
	execv("/proc/self/exe", argv);
	exit(1);
}

static void live_fork(char **argv)
{
	char *command[] = {"true", NULL};
	pid_t child;

	(void)argv;
	for (;;) {
		child = fork();
		if (!child) {
			for (int i = 0; i < 50; i++)
				take(500);
			_exit(0);
		}
		waitpid(child, NULL, 0);
		take(64);
		if (!posix_spawnp(&child, "true", NULL, NULL, command, environ))
			waitpid(child, NULL, 0);
		nap(5);
	}
}

static void live_dlopen(char **argv)
{
	sigset_t set = asked();
	void (*leak)(void);
	void *library;
	int number;

	sigwait(&set, &number);
	library = dlopen(argv[2], RTLD_NOW);
	*(void **)&leak = library ? dlsym(library, "leak_in_library") : NULL;
	while (leak) {
		leak();
		nap(5);
	}
	exit(1);
}

static void live_storm(char **argv)
{
	const struct timespec time = {0, 10000000};
	sigset_t set = asked();

	(void)argv;
	while (sigtimedwait(&set, NULL, &time) < 0)
		free(malloc(32));
	for (;;) {
		void *volatile block = malloc(32);

		free(block);
	}
}

static void live_hog(char **argv)
{
	(void)argv;
	for (;;) {
		char *block = malloc(1 << 20);

		if (block)
			memset(block, 1, 1 << 20);
		nap(10);
	}
}

static void live_fat(char **argv)
{
	size_t size = (size_t)600 << 20;
	char *memory = aligned_alloc(4096, size);

	(void)argv;
	if (!memory)
		exit(1);
	madvise(memory, size, MADV_NOHUGEPAGE);
	memset(memory, 1, size);
	if (write(STDOUT_FILENO, "fat\n", 4) < 0)
		exit(1);
	for (;;) {
		take(64);
		nap(1);
	}
}

static void live_plain(char **argv)
{
	(void)argv;
	for (;;) {
		take(64);
		nap(5);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*live)(char **argv);
	} lives[] = {
		{"plain", live_plain}, {"threads", live_threads}, {"exec", live_exec},
		{"fork", live_fork},   {"dlopen", live_dlopen},	  {"storm", live_storm},
		{"hog", live_hog},     {"fat", live_fat},
	};
	sigset_t set = asked();

	sigprocmask(SIG_BLOCK, &set, NULL);
	if (write(STDOUT_FILENO, "ready\n", 6) < 0)
		return 1;
	for (size_t i = 0; argc > 1 && i < sizeof(lives) / sizeof(lives[0]); i++)
		if (!strcmp(argv[1], lives[i].name))
			lives[i].live(argv);
	fprintf(stderr, "usage: life plain|threads|exec|fork|dlopen LIBRARY|storm|hog|fat\n");
	return 1;
}
