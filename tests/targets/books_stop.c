/* SPDX-License-Identifier: GPL-2.0-only */
#include "books.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *ledger_file;

void books_die(const char *what)
{
	dprintf(STDERR_FILENO, "books: %s\n", what);
	_exit(1);
}

void books_stop_with(const char *name, const char *members)
{
	char line[64];
	int length = snprintf(line, sizeof(line), "%s\n", name);

	if (ledger_write(ledger_file, members))
		books_die("cannot write the ledger");
	if (write(STDOUT_FILENO, line, length) != length || read(STDIN_FILENO, line, 64) <= 0)
		_exit(2); /* nobody is there any more */
}

void books_stop(const char *name)
{
	books_stop_with(name, "");
}

void books_ready(void)
{
	ledger_mark_ready();
	books_stop("ready");
}

void *books_array(size_t count, size_t size)
{
	void *array = mmap(NULL, count * size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (array == MAP_FAILED)
		books_die("out of memory");
	return array;
}

void books_threads(unsigned count, void *(*body)(void *number))
{
	pthread_t *threads = books_array(count, sizeof(*threads));

	for (uintptr_t i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, body, (void *)i))
			books_die("cannot start a thread");
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	munmap(threads, count * sizeof(*threads));
}

unsigned books_random(unsigned *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

void books_free_all(void **blocks, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (blocks[i])
			svc_free(blocks[i]);
		blocks[i] = NULL;
	}
}

int books_main(int argc, char **argv, const struct books_case *cases, size_t count)
{
	if (argc != 3)
		books_die("usage: books CASE LEDGER_FILE");
	ledger_file = argv[2];
	for (size_t i = 0; i < count; i++) {
		if (strcmp(cases[i].name, argv[1]))
			continue;
		cases[i].run();
		return 0;
	}
	books_die("no such case");
}
