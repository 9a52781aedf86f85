/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A library that brings an allocator of its own, under jemalloc's names: blocks are cut from a
 * piece of memory and never used again. plugin_run() grows each block once, by the allocator's
 * realloc.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_BYTES (16u << 20)

void *je_malloc(size_t size);
void *je_realloc(void *old, size_t size);
void je_free(void *block);
void plugin_run(void **kept, unsigned count, size_t size);
void plugin_drop(void **kept, unsigned count);

static char memory[MEMORY_BYTES] __attribute__((aligned(16)));
static size_t used;
static volatile size_t given_back;

__attribute__((noinline)) void *je_malloc(size_t size)
{
	size_t whole = (size + 31) & ~(size_t)15;
	char *block = memory + used + 16;

	if (whole > MEMORY_BYTES - used)
		return NULL;
	used += whole;
	memcpy(block - 16, &size, sizeof(size));
	return block;
}

__attribute__((noinline)) void je_free(void *block)
{
	given_back += block != NULL;
}

__attribute__((noinline)) void *je_realloc(void *old, size_t size)
{
	char *block = je_malloc(size);
	size_t before = 0;

	if (!block || !old)
		return block;
	memcpy(&before, (char *)old - 16, sizeof(before));
	memcpy(block, old, before < size ? before : size);
	je_free(old);
	return block;
}

static __attribute__((noinline)) void *own_keep(size_t size)
{
	void *block = je_realloc(je_malloc(size / 2), size);

	__asm__ volatile("" : "+r"(block) : : "memory");
	return block;
}

void plugin_run(void **kept, unsigned count, size_t size)
{
	for (unsigned i = 0; i < count; i++)
		kept[i] = own_keep(size);
}

void plugin_drop(void **kept, unsigned count)
{
	while (count)
		je_free(kept[--count]);
}
