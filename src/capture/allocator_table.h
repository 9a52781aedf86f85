/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Functions that give out and take back memory: their names and what their arguments mean.
 *
 * The families differ in their prefix alone for the most part, so a row of the common ones stands
 * for the name itself and for the name behind each prefix.
 */
#ifndef MEMTOP_CAPTURE_ALLOCATOR_TABLE_H
#define MEMTOP_CAPTURE_ALLOCATOR_TABLE_H

#include <memtop/abi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the arguments mean; the result is the block unless told otherwise. */
enum allocator_shape {
	SHAPE_SIZE0,		  /* (size) */
	SHAPE_SIZE1,		  /* (any, size) */
	SHAPE_COUNT_SIZE,	  /* (count, size) */
	SHAPE_ANY_COUNT_SIZE,	  /* (any, count, size) */
	SHAPE_POSIX_MEMALIGN,	  /* (where the block goes, alignment, size), result 0 */
	SHAPE_OLD_SIZE,		  /* (old, size) */
	SHAPE_ANY_OLD_SIZE,	  /* (any, old, size) */
	SHAPE_OLD_COUNT_SIZE,	  /* (old, count, size) */
	SHAPE_ANY_OLD_COUNT_SIZE, /* (any, old, count, size) */
	SHAPE_FREE,		  /* (old), no result */
	SHAPE_BULK,		  /* whatever they are */
	SHAPE_BULK_NAMED,	  /* (name) */
	SHAPE_BULK_LOOKUP,	  /* (name, where its numbers go) */
	SHAPE_BULK_NUMBERED,	  /* (numbers, how many) */
	SHAPE_COUNT,
};

enum allocator_flag {
	ALLOCATOR_FAMILY = 1u << 0,   /* there behind prefixes, too */
	ALLOCATOR_OPERATOR = 1u << 1, /* of C++: made of another function unless it is proved not */
	ALLOCATOR_THROWS = 1u << 2,   /* no return probe may stand on it */
	ALLOCATOR_OWN_NAME = 1u << 3, /* nobody else's: counts without being exported, too */
	ALLOCATOR_BULK = 1u << 4,     /* gives back many blocks that nobody names */
};

struct allocator_function {
	const char *name;
	enum allocator_shape shape;
	enum abi_kind kind; /* ABI_KIND_NONE: it only frees */
	unsigned flags;
};

/* Does it free a block that it is told? */
static inline bool allocator_frees(const struct allocator_function *function)
{
	return function->kind == ABI_KIND_NONE && !(function->flags & ALLOCATOR_BULK);
}

/* Functions that free come first, as they are to be watched first. */
extern const struct allocator_function allocator_functions[];
extern const size_t allocator_function_count;
/* Prefixes of families. */
extern const char *const allocator_prefixes[];
extern const size_t allocator_prefix_count;

/* How many of the first arguments a shape is read from. */
unsigned allocator_arguments(enum allocator_shape shape);
/* The cookie of its probe (ABI_COOKIE_*). */
uint64_t allocator_cookie(const struct allocator_function *function);

#endif
