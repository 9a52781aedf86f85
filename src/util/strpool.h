/* SPDX-License-Identifier: GPL-2.0-only */
/* A pool of strings: each content once, at an address that stays until the pool is freed. */
#ifndef MEMTOP_UTIL_STRPOOL_H
#define MEMTOP_UTIL_STRPOOL_H

#include <stddef.h>

struct strpool;

struct strpool *strpool_new(void);
void strpool_free(struct strpool *pool);
const char *strpool_add(struct strpool *pool, const char *text);
size_t strpool_bytes(const struct strpool *pool);

#endif
