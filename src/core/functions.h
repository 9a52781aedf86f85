/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How users describe functions of their own that give memory out or take it back:
 *
 *	FramePool::acquire:alloc(2)	its second argument is the size, the result the block
 *	pool_get:alloc(1*2)		a product of two
 *	Slab::take:alloc(=4096)		blocks of one size
 *	FramePool::release:free(2)	its second argument is the block
 *	grow:realloc(1,2)		the block, and its new size
 *
 * Arguments are counted from 1, in the order in which they are passed: a method's object is the
 * first. The name may be preceded by its module ("libpool.so:pool_get"); "module+0x1234" is a
 * function without a name, by its address in the file.
 */
#ifndef MEMTOP_CORE_FUNCTIONS_H
#define MEMTOP_CORE_FUNCTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FUNCTION_NAME_MAX    512
#define FUNCTION_MODULE_MAX  128
#define FUNCTION_NO_ARGUMENT 15u

enum function_use {
	FUNCTION_ALLOC,
	FUNCTION_FREE,
	FUNCTION_REALLOC,
};

struct function_description {
	const char *text;		  /* as it was given; borrowed */
	char module[FUNCTION_MODULE_MAX]; /* last part of its path; "" = any */
	char name[FUNCTION_NAME_MAX];	  /* "" = by address */
	uint64_t address;		  /* in the file */
	enum function_use use;
	/* Numbers of arguments from 0, FUNCTION_NO_ARGUMENT = none. */
	unsigned size_argument, count_argument, block_argument;
	uint64_t constant_bytes; /* where the size is no argument */
	bool may_miss;		 /* by who took it in: programs without it are watched too */
};

/* 0, or -EINVAL and why. */
int function_parse(const char *text, struct function_description *ret, char *error, size_t size);
/* What its probe's cookie is (ABI_COOKIE_*). */
uint64_t function_cookie(const struct function_description *function);
/* How many of the first arguments its probe reads. */
unsigned function_arguments(const struct function_description *function);

#endif
