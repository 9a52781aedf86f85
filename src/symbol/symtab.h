/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A sorted table from addresses to names; what ELF files, kallsyms and perf maps are read into.
 * A name counts inside [start, start + size) only; a symbol without a size counts at its very
 * address only. Of several that cover an address the one that starts last is the answer; of those
 * with one start the best name: a function before an untyped label, exported before local, fewer
 * leading underscores, shorter, then by the alphabet, so that the choice is the same in every run.
 */
#ifndef MEMTOP_SYMBOL_SYMTAB_H
#define MEMTOP_SYMBOL_SYMTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symtab;

struct symtab_entry {
	uint64_t start;
	const char *name; /* borrowed: lives as long as what it was added from */
	uint32_t size;
	uint16_t rank;	/* lower is better */
	uint16_t group; /* the owner's own: a kernel module's number */
	uint32_t order; /* set by symtab_add() */
};

#define SYMTAB_RANK_LOCAL 1
#define SYMTAB_RANK_LABEL 2 /* not typed as a function */

struct symtab *symtab_new(void);
void symtab_free(struct symtab *symtab);

/* In any order; a size above 4 GiB is cut. Names beyond symtab's own bound are refused. */
bool symtab_add(struct symtab *symtab, const struct symtab_entry *entry);
/* Once, after the last symtab_add() and before the first find; a later entry of the same start
 * replaces an earlier one where `last_wins` (a JIT that used the address again). */
void symtab_sort(struct symtab *symtab, bool last_wins);

size_t symtab_count(const struct symtab *symtab);
/* What covers `address`, or NULL. */
const struct symtab_entry *symtab_find(const struct symtab *symtab, uint64_t address);
/* What starts at exactly `address`, or NULL. */
const struct symtab_entry *symtab_at(const struct symtab *symtab, uint64_t address);
/* `name` itself where it is one of those that start at `address`, or NULL. */
const struct symtab_entry *symtab_named(const struct symtab *symtab, uint64_t address,
					const char *name);
size_t symtab_bytes(const struct symtab *symtab);

/* For tables whose source gives no sizes: each entry, in sorted order, ends where the next starts,
 * at most `longest` bytes on. */
void symtab_close_gaps(struct symtab *symtab, uint32_t longest);

#endif
