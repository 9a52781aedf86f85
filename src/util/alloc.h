/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory that is there or memtop ends: these never return NULL. On exhaustion the handler set by
 * alloc_on_failure() runs (it restores the terminal), then a line goes to stderr and memtop exits
 * with code 4.
 */
#ifndef MEMTOP_UTIL_ALLOC_H
#define MEMTOP_UTIL_ALLOC_H

#include <stddef.h>

void alloc_on_failure(void (*handler)(void));

void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *xreallocarray(void *old, size_t count, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *text) __attribute__((malloc, returns_nonnull));
char *xstrndup(const char *text, size_t length) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *format, ...)
	__attribute__((malloc, returns_nonnull, format(printf, 1, 2)));

#endif
