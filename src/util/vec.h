/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A growing array of any type: VEC(struct point) points = {0}; *vec_push(&points) = p;
 * Elements move when it grows: keep indexes, not pointers.
 */
#ifndef MEMTOP_UTIL_VEC_H
#define MEMTOP_UTIL_VEC_H

#include "util/alloc.h"

#include <stdlib.h>

#define VEC(type)                       \
	struct {                        \
		type *data;             \
		size_t count, capacity; \
	}

/* Room for `n` elements in all. */
#define vec_reserve(vec, n)                                                                     \
	do {                                                                                    \
		size_t vec_want = (n);                                                          \
		if (vec_want > (vec)->capacity) {                                               \
			size_t vec_capacity = (vec)->capacity ? (vec)->capacity * 2 : 16;       \
			if (vec_capacity < vec_want)                                            \
				vec_capacity = vec_want;                                        \
			(vec)->data =                                                           \
				xreallocarray((vec)->data, vec_capacity, sizeof(*(vec)->data)); \
			(vec)->capacity = vec_capacity;                                         \
		}                                                                               \
	} while (0)

/* A pointer to one more element, whose content is undefined. */
#define vec_push(vec)                                 \
	({                                            \
		vec_reserve((vec), (vec)->count + 1); \
		&(vec)->data[(vec)->count++];         \
	})

#define vec_for_each(item, vec) \
	for ((item) = (vec)->data; (item) < (vec)->data + (vec)->count; (item)++)

#define vec_deinit(vec)                             \
	do {                                        \
		free((vec)->data);                  \
		(vec)->data = NULL;                 \
		(vec)->count = (vec)->capacity = 0; \
	} while (0)

#endif
