/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Symbol tables that come as text, one symbol a line: /proc/kallsyms and the perf maps of JITs.
 * Both are read into memory whole; the names of the table point into that text.
 */
#ifndef MEMTOP_SYMBOL_TEXTMAP_H
#define MEMTOP_SYMBOL_TEXTMAP_H

#include "symbol/symtab.h"

#define TEXTMAP_MAX_BYTES ((size_t)64 << 20)

struct textmap {
	char *text; /* owned */
	size_t size;
	struct symtab *symtab; /* owned */
	uint64_t base;	       /* kallsyms: where the kernel's text starts; else 0 */
};

/*
 * All of a regular or proc file, at most TEXTMAP_MAX_BYTES, ended by a NUL. 0 or -errno (-EFBIG).
 * The caller frees *ret.
 */
int textmap_read(int fd, char **ret, size_t *ret_size);

/* Take `text` over. An address of zero in kallsyms is one that the kernel hides: no symbol. */
void textmap_parse_kallsyms(struct textmap *map, char *text, size_t size);
/* Lines "START SIZE NAME", hexadecimal; what is not one is passed over. */
void textmap_parse_perf(struct textmap *map, char *text, size_t size);
void textmap_deinit(struct textmap *map);

/* Kernel module of a symbol: "[name]", or "[kernel]". Valid as long as the map. */
const char *textmap_kernel_module(const struct symtab_entry *entry);
bool textmap_kernel_is_text(const struct symtab_entry *entry);

#endif
