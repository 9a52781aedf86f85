/*
 * The feature cache: fills over the service's first minute, then stays full. One block of
 * descriptors, one entry and one key string for each remembered frame; the oldest is replaced.
 */
#include "perception.h"
#include "ledger.h"

#include <stdio.h>
#include <string.h>

#define ENTRY_BYTES (48 * 1024)
#define KEY_BYTES   32

struct cache_entry {
	char *key;	      /* owned */
	unsigned char *block; /* owned, ENTRY_BYTES */
};

struct feature_cache {
	pthread_mutex_t lock;
	size_t next; /* the slot to fill or replace */
	struct cache_entry *entries[CACHE_ENTRIES];
};

SITE struct feature_cache *feature_cache_new(void)
{
	struct feature_cache *cache = svc_calloc(1, sizeof(*cache));

	pthread_mutex_init(&cache->lock, NULL);
	return cache;
}

SITE static char *cache_key(unsigned int camera, uint64_t frame_number)
{
	char *key = svc_malloc(KEY_BYTES);

	snprintf(key, KEY_BYTES, "%u/%llu", camera, (unsigned long long)frame_number);
	return key;
}

SITE static struct cache_entry *cache_entry_new(unsigned int camera, uint64_t frame_number)
{
	struct cache_entry *entry = svc_malloc(sizeof(*entry));

	entry->key = cache_key(camera, frame_number);
	return entry;
}

static void cache_entry_free(struct cache_entry *entry)
{
	if (!entry)
		return;
	svc_free(entry->block);
	svc_free(entry->key);
	svc_free(entry);
}

SITE void feature_cache_put(struct feature_cache *cache, unsigned int camera, uint64_t frame_number)
{
	struct cache_entry *entry = cache_entry_new(camera, frame_number), *old;

	entry->block = svc_malloc(ENTRY_BYTES);
	memset(entry->block, (int)frame_number & 0xff, ENTRY_BYTES);
	pthread_mutex_lock(&cache->lock);
	old = cache->entries[cache->next];
	cache->entries[cache->next] = entry;
	cache->next = (cache->next + 1) % CACHE_ENTRIES;
	pthread_mutex_unlock(&cache->lock);
	cache_entry_free(old);
}

bool feature_cache_has(struct feature_cache *cache, unsigned int camera, uint64_t frame_number)
{
	char *key = cache_key(camera, frame_number);
	bool found = false;

	pthread_mutex_lock(&cache->lock);
	for (size_t i = 0; i < CACHE_ENTRIES && !found; i++)
		found = cache->entries[i] && !strcmp(cache->entries[i]->key, key);
	pthread_mutex_unlock(&cache->lock);
	svc_free(key);
	return found;
}
