/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Blocks that go with their heap, by one call: mimalloc's heaps (built with HEAPS), or jemalloc's
 * arenas. At each stop the ledger tells how many blocks were given out and given back one by one,
 * how many such calls there were, and how many addresses were given out again after them.
 */
#include "books.h"

#include <stdio.h>
#include <string.h>

#define BLOCKS 1000
#define BYTES  200

static unsigned long taken, given, calls, again;
static void *blocks[BLOCKS];

static void tell(const char *name)
{
	char members[128];

	snprintf(members, sizeof(members),
		 "\"taken\":%lu,\"given\":%lu,\"calls\":%lu,\"again\":%lu,\n", taken, given, calls,
		 again);
	books_stop_with(name, members);
}

static int compare(const void *a, const void *b)
{
	const char *left = *(void *const *)a, *right = *(void *const *)b;

	return (left > right) - (left < right);
}

/* Is the address one of those that went in bulk? Each is found once. */
static void look_for(void *block)
{
	for (unsigned i = 0; i < BLOCKS; i++)
		if (!compare(&blocks[i], &block)) {
			blocks[i] = NULL;
			again++;
			return;
		}
}

#ifdef HEAPS
#include <mimalloc.h>

static void fill(mi_heap_t *heap)
{
	for (unsigned i = 0; i < BLOCKS; i++) {
		blocks[i] = mi_heap_malloc(heap, BYTES);
		taken++;
	}
}

static void bulk(void)
{
	mi_heap_t *first = mi_heap_new(), *second = mi_heap_new();

	books_ready();
	fill(first);
	tell("held");
	mi_heap_destroy(first);
	calls++;
	tell("released");
	for (unsigned i = 0; i < BLOCKS; i++) {
		look_for(mi_heap_malloc(second, BYTES));
		taken++;
	}
	tell("again");
	/* Its blocks live on, elsewhere. */
	fill(second);
	mi_heap_delete(second);
	for (unsigned i = 0; i < BLOCKS; i++) {
		mi_free(blocks[i]);
		given++;
	}
	tell("given");
}
#else
#include <jemalloc/jemalloc.h>

static unsigned new_arena(void)
{
	unsigned arena;
	size_t size = sizeof(arena);

	if (mallctl("arenas.create", &arena, &size, NULL, 0))
		books_die("no new arena");
	return arena;
}

static void fill(unsigned arena)
{
	for (unsigned i = 0; i < BLOCKS; i++) {
		blocks[i] = mallocx(BYTES, MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE);
		taken++;
	}
}

static void by_name(const char *what, unsigned arena)
{
	char name[32];

	snprintf(name, sizeof(name), "arena.%u.%s", arena, what);
	if (mallctl(name, NULL, NULL, NULL, 0))
		books_die(name);
}

static void by_numbers(size_t *numbers, unsigned arena)
{
	numbers[1] = arena;
	if (mallctlbymib(numbers, 3, NULL, NULL, NULL, 0))
		books_die("mallctlbymib");
}

static void look_up(const char *name, size_t *numbers)
{
	size_t count = 3;

	if (mallctlnametomib(name, numbers, &count) || count != 3)
		books_die(name);
}

static void bulk(void)
{
	unsigned arenas[] = {new_arena(), new_arena(), new_arena()};
	size_t reset[3], destroy[3], purge[3];

	books_ready();
	fill(arenas[0]);
	tell("held");
	by_name("purge", arenas[0]);
	by_name("reset", arenas[0]);
	calls++;
	tell("released");
	for (unsigned i = 0; i < BLOCKS; i++) {
		look_for(mallocx(BYTES, MALLOCX_ARENA(arenas[0]) | MALLOCX_TCACHE_NONE));
		taken++;
	}
	tell("again");
	look_up("arena.0.reset", purge);
	look_up("arena.0.purge", purge); /* the place has another meaning now */
	by_numbers(purge, arenas[1]);
	look_up("arena.0.reset", reset);
	look_up("arena.0.destroy", destroy);
	by_numbers(reset, arenas[1]);
	by_numbers(purge, arenas[2]);
	memcpy(purge, reset, sizeof(reset));
	by_numbers(purge, arenas[2]);
	by_numbers(destroy, arenas[1]);
	calls += 3;
	by_name("destroy", arenas[2]);
	calls++;
	fill(arenas[0]);
	for (unsigned i = 0; i < BLOCKS; i++) {
		dallocx(blocks[i], MALLOCX_TCACHE_NONE);
		given++;
	}
	tell("given");
}
#endif

int main(int argc, char **argv)
{
	static const struct books_case cases[] = {{"bulk", bulk}};

	return books_main(argc, argv, cases, 1);
}
