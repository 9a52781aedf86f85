/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Source lines and inlined calls from DWARF. The index of a file's compile units is made on first
 * use, that of a unit's functions when an address first falls into it.
 */
#ifndef MEMTOP_SYMBOL_LINES_H
#define MEMTOP_SYMBOL_LINES_H

#include <elfutils/libdw.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lines;

/* One function that is being executed at the address. Strings are DWARF's own. */
struct line_frame {
	const char *name;   /* mangled where it has a linkage name; NULL = none */
	const char *file;   /* NULL = not known */
	const char *folder; /* what a relative `file` is in; NULL = not known */
	unsigned line;
	bool inlined;
	uint64_t start; /* of the part of the physical function (the last frame) that the address is
			 * in: a compiler may put its cold code elsewhere; else 0 */
};

/* `dwarf` is borrowed until lines_free(); *stop ends long walks. */
struct lines *lines_new(Dwarf *dwarf, const atomic_bool *stop);
void lines_free(struct lines *lines);

/*
 * Innermost first, at most `cap` (the physical function is always the last); 0 if DWARF knows
 * nothing of the address. With a line but no function the one frame has no name.
 */
size_t lines_find(struct lines *lines, uint64_t address, struct line_frame *ret, size_t cap);
size_t lines_bytes(const struct lines *lines);

#endif
