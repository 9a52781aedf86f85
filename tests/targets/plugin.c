/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A library that keeps what it allocates, built several times with another KEEP (a name of the same
 * length each time), so that the same addresses are another function. With HEAPS it gives a heap of
 * mimalloc back in bulk, too.
 */
#include <stdlib.h>
#ifdef HEAPS
#include <mimalloc.h>
#endif

void plugin_run(void **kept, unsigned count, size_t size);
void plugin_drop(void **kept, unsigned count);

static __attribute__((noinline)) void *KEEP(size_t size)
{
	void *block = malloc(size);

	__asm__ volatile("" : "+r"(block) : : "memory");
	return block;
}

void plugin_run(void **kept, unsigned count, size_t size)
{
	for (unsigned i = 0; i < count; i++)
		kept[i] = KEEP(size);
}

/* By the free() that it is bound to, which need not be the program's. */
void plugin_drop(void **kept, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		free(kept[i]);
#ifdef HEAPS
	mi_heap_destroy(mi_heap_new());
#endif
}
