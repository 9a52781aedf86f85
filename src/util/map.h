/* SPDX-License-Identifier: GPL-2.0-only */
/* A hash map from a 64-bit key to a 64-bit value. Any key but 0. */
#ifndef MEMTOP_UTIL_MAP_H
#define MEMTOP_UTIL_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map {
	struct map_slot {
		uint64_t key, value;
	} * slots;
	size_t capacity; /* a power of two, or 0 */
	size_t count;
};

/* All zero is an empty map. */
void map_deinit(struct map *map);
void map_set(struct map *map, uint64_t key, uint64_t value);
bool map_get(const struct map *map, uint64_t key, uint64_t *ret);
bool map_remove(struct map *map, uint64_t key);
void map_clear(struct map *map);

#endif
