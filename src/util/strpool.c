/* SPDX-License-Identifier: GPL-2.0-only */
#include "util/strpool.h"

#include "util/alloc.h"
#include "util/map.h"
#include "util/vec.h"

#include <stdint.h>
#include <string.h>

struct entry {
	char *text;
	size_t next; /* index + 1 of the next entry with the same hash; 0 = none */
};

struct strpool {
	VEC(struct entry) entries;
	struct map by_hash; /* hash -> index + 1 of the first entry */
	size_t bytes;
};

struct strpool *strpool_new(void)
{
	return xcalloc(1, sizeof(struct strpool));
}

void strpool_free(struct strpool *pool)
{
	struct entry *entry;

	if (!pool)
		return;
	vec_for_each(entry, &pool->entries)
		free(entry->text);
	vec_deinit(&pool->entries);
	map_deinit(&pool->by_hash);
	free(pool);
}

static uint64_t hash_text(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325ull; /* FNV-1a */

	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		hash = (hash ^ *c) * 0x100000001b3ull;
	return hash ? hash : 1;
}

const char *strpool_add(struct strpool *pool, const char *text)
{
	uint64_t hash = hash_text(text);
	uint64_t first = 0;
	struct entry *entry;

	map_get(&pool->by_hash, hash, &first);
	for (size_t i = first; i; i = pool->entries.data[i - 1].next)
		if (!strcmp(pool->entries.data[i - 1].text, text))
			return pool->entries.data[i - 1].text;
	entry = vec_push(&pool->entries);
	entry->text = xstrdup(text);
	entry->next = first;
	pool->bytes += strlen(text) + 1;
	map_set(&pool->by_hash, hash, pool->entries.count);
	return entry->text;
}

size_t strpool_bytes(const struct strpool *pool)
{
	return pool->bytes;
}
