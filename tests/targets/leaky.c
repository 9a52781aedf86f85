/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A command that leaks as it is told, word by word:
 *
 * one:N two:N  forgets a block of N bytes, at a site of its own
 * free:N       takes a block and gives it back
 * file:NAME    writes its process id there
 * print:TEXT   to standard output, a line; `read` copies one from standard input
 * fork:N       a child that forgets N bytes and ends
 * exec         goes on as another program: itself, with the rest of the words
 * wait         until SIGUSR1 comes
 * raise:N      a signal; exit:N ends
 *
 * LEAKY_EARLY=N in the environment: a constructor forgets N bytes ten times.
 *
 * Built with OWN_MALLOC it has an allocator of its own that gives out anything, without the room.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SITE __attribute__((noinline, noipa))

#ifdef OWN_MALLOC
#define REGION_BYTES (1u << 20)

static char region[REGION_BYTES] __attribute__((aligned(16)));
static size_t used;

SITE void *malloc(size_t size)
{
	size_t room = size < 4096 ? (size + 15) & ~(size_t)15 : 4096;

	if (used + room > REGION_BYTES)
		return NULL;
	used += room;
	return region + used - room;
}

SITE void free(void *block)
{
	__asm__ volatile("" : : "r"(block));
}

SITE void *calloc(size_t count, size_t size)
{
	return malloc(count * size);
}

SITE void *realloc(void *block, size_t size)
{
	void *next = malloc(size);

	if (next && block)
		memcpy(next, block, size < 4096 ? size : 4096);
	return next;
}
#endif

/* Where they are kept, so that nothing is optimised away. */
static void *volatile kept;

SITE static void forget_early(size_t size)
{
	kept = malloc(size);
}

SITE static void forget_one(size_t size)
{
	kept = malloc(size);
}

SITE static void forget_two(size_t size)
{
	kept = malloc(size);
}

__attribute__((constructor)) static void begin(void)
{
	const char *early = getenv("LEAKY_EARLY");

	for (int i = 0; early && i < 10; i++)
		forget_early(strtoul(early, NULL, 10));
}

static void note_pid(const char *path)
{
	char text[32], temporary[512];
	int length = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	FILE *file;

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	file = fopen(temporary, "w");
	if (!file || fwrite(text, 1, (size_t)length, file) != (size_t)length || fclose(file) ||
	    rename(temporary, path))
		_exit(50);
}

static void say(const char *text, size_t length)
{
	if (write(STDOUT_FILENO, text, length) < 0 || write(STDOUT_FILENO, "\n", 1) < 0)
		_exit(51);
}

static void copy_line(void)
{
	char byte;

	while (read(STDIN_FILENO, &byte, 1) == 1 && byte != '\n')
		if (write(STDOUT_FILENO, &byte, 1) < 0)
			_exit(52);
}

static void fork_child(size_t size)
{
	pid_t child = fork();

	if (!child) {
		forget_one(size);
		_exit(0);
	}
	waitpid(child, NULL, 0);
}

static volatile sig_atomic_t signaled;

static void take_signal(int number)
{
	signaled = number;
}

static void wait_signal(void)
{
	sigset_t block, before;

	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, &before);
	signal(SIGUSR1, take_signal);
	while (!signaled)
		sigsuspend(&before);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static int take_word(const char *word)
{
	const char *colon = strchr(word, ':');
	const char *text = colon ? colon + 1 : "";
	size_t number = strtoul(text, NULL, 10), length = colon ? (size_t)(colon - word) : 0;

	if (!strncmp(word, "one:", 4))
		forget_one(number);
	else if (!strncmp(word, "two:", 4))
		forget_two(number);
	else if (!strncmp(word, "free:", 5))
		free(malloc(number));
	else if (!strncmp(word, "file:", 5))
		note_pid(text);
	else if (!strncmp(word, "print:", 6))
		say(text, strlen(text));
	else if (!strncmp(word, "fork:", 5))
		fork_child(number);
	else if (!strncmp(word, "raise:", 6))
		raise((int)number);
	else if (!strcmp(word, "read"))
		copy_line();
	else if (!strcmp(word, "wait"))
		wait_signal();
	else if (!strncmp(word, "exit:", 5))
		_exit((int)number);
	else
		fprintf(stderr, "leaky: what is %.*s?\n", (int)length, word);
	return 0;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "exec")) {
			argv[i] = argv[0];
			execv("/proc/self/exe", argv + i);
			return 53;
		}
		take_word(argv[i]);
	}
	_exit(0);
}
