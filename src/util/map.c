/* SPDX-License-Identifier: GPL-2.0-only */
/* Open addressing, linear probing; removal shifts back (Knuth, TAOCP 6.4, algorithm R). */
#include "util/map.h"

#include "util/alloc.h"

#include <stdlib.h>
#include <string.h>

static size_t home(const struct map *map, uint64_t key)
{
	key ^= key >> 32;
	key *= 0x9E3779B97F4A7C15ull;
	return (key >> 32) & (map->capacity - 1);
}

static struct map_slot *find(const struct map *map, uint64_t key)
{
	size_t i = home(map, key);

	while (map->slots[i].key && map->slots[i].key != key)
		i = (i + 1) & (map->capacity - 1);
	return &map->slots[i];
}

void map_deinit(struct map *map)
{
	free(map->slots);
	memset(map, 0, sizeof(*map));
}

static void grow(struct map *map)
{
	struct map bigger = {.capacity = map->capacity ? map->capacity * 2 : 64,
			     .count = map->count};

	bigger.slots = xcalloc(bigger.capacity, sizeof(*bigger.slots));
	for (size_t i = 0; i < map->capacity; i++)
		if (map->slots[i].key)
			*find(&bigger, map->slots[i].key) = map->slots[i];
	free(map->slots);
	*map = bigger;
}

void map_set(struct map *map, uint64_t key, uint64_t value)
{
	struct map_slot *slot;

	if (map->count * 4 >= map->capacity * 3)
		grow(map);
	slot = find(map, key);
	if (!slot->key) {
		slot->key = key;
		map->count++;
	}
	slot->value = value;
}

bool map_get(const struct map *map, uint64_t key, uint64_t *ret)
{
	const struct map_slot *slot;

	if (!map->count)
		return false;
	slot = find(map, key);
	if (!slot->key)
		return false;
	*ret = slot->value;
	return true;
}

bool map_remove(struct map *map, uint64_t key)
{
	size_t mask = map->capacity - 1;
	struct map_slot *slot;
	size_t hole, i;

	if (!map->count)
		return false;
	slot = find(map, key);
	if (!slot->key)
		return false;
	hole = i = slot - map->slots;
	for (;;) {
		size_t wanted;

		i = (i + 1) & mask;
		if (!map->slots[i].key)
			break;
		wanted = home(map, map->slots[i].key);
		if (((i - wanted) & mask) < ((i - hole) & mask))
			continue;
		map->slots[hole] = map->slots[i];
		hole = i;
	}
	map->slots[hole].key = 0;
	map->count--;
	return true;
}

void map_clear(struct map *map)
{
	if (map->capacity)
		memset(map->slots, 0, map->capacity * sizeof(*map->slots));
	map->count = 0;
}
