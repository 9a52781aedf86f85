/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Functions that pass memory through to their caller: operator new, STL allocators, strdup,
 * g_malloc … Their frames stay in a stack but are folded away where it is shown. One table, by
 * name.
 */
#ifndef MEMTOP_SYMBOL_WRAPPERS_H
#define MEMTOP_SYMBOL_WRAPPERS_H

#include <stdbool.h>

/* `symbol` demangled, as demangle() gives it; NULL is none. */
bool wrapper_is(const char *symbol);

#endif
