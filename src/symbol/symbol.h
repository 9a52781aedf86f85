/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The resolver of a live target: module + offset at once, names as soon as a thread of its own has
 * found them in the target's files.
 *
 * A return address is looked up one byte before itself, so that a call at the end of a function
 * that does not return is the caller's; `offset` counts from the symbol's start to the address as
 * it is. Inlined frames have no start of their own: their offset is 0.
 *
 * Names are demangled without parameter lists, see demangle.h.
 */
#ifndef MEMTOP_SYMBOL_SYMBOL_H
#define MEMTOP_SYMBOL_SYMBOL_H

#include "core/resolver.h"

#include <sys/types.h>

/* `debug_dir` (copied) is searched for debug files first; NULL = only the usual places. 0 or
 * -errno. Answers outlive the target. */
int symbol_resolver_new(pid_t pid, const char *debug_dir, struct resolver **ret);

#endif
