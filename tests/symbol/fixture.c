/* SPDX-License-Identifier: GPL-2.0-only */
/* Inlined calls, static functions and a call at the end of one that never returns. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern int library_entry(int value);
volatile int sink;

static inline __attribute__((always_inline)) int innermost(int value)
{
	sink += value;
	return sink * 3;
}

static inline __attribute__((always_inline)) int middle(int value)
{
	int total = 0;

	for (int i = 0; i < value; i++) {
		int part = innermost(i);

		total += part;
	}
	return total;
}

static __attribute__((noinline)) int physical(int value)
{
	int first = middle(value);

	return first + innermost(value + 1);
}

/* The call is its last instruction: the return address belongs to what follows. */
static __attribute__((noinline, noreturn)) void ends(void)
{
	sink = 7;
	abort();
}

__attribute__((noinline)) int follows(int value)
{
	return physical(value) + library_entry(value);
}

int main(int argc, char **argv)
{
	(void)argv;
	printf("ready %d\n", follows(argc));
	fflush(stdout);
	if (argc > 100)
		ends();
	for (;;)
		pause();
}
