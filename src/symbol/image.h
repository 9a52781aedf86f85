/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One ELF file, opened for names. Two steps: image_open() reads what the file itself has (.symtab,
 * .dynsym, MiniDebugInfo): milliseconds. image_deepen() finds its debug file, adds that one's
 * symbols and opens DWARF: up to seconds, the worker's second turn.
 *
 * Nothing in the file is trusted: it is read through libelf's checks, sizes are bounded, names are
 * checked to end inside their string table. Used by one thread at a time.
 */
#ifndef MEMTOP_SYMBOL_IMAGE_H
#define MEMTOP_SYMBOL_IMAGE_H

#include "symbol/symtab.h"

#include <elfutils/libdw.h>
#include <libelf.h>
#include <stdbool.h>

struct image;
struct debug_finder;

/* Takes `fd` over, also on failure. -ENOEXEC: not an ELF file that can be read. */
int image_open(int fd, struct image **ret);
/* The same from memory (a vdso); takes `data` over, also on failure. */
int image_open_memory(void *data, size_t size, struct image **ret);
void image_close(struct image *image);

/* Size of its build-id, 0 if it has none; valid until the image is closed. */
size_t image_build_id(const struct image *image, const uint8_t **ret);

/* Debug file and DWARF; what is not there is not there. 0, once and for all; -EAGAIN: a file is
 * being fetched, nothing has changed yet. */
int image_deepen(struct image *image, const struct debug_finder *finder);

/* Best symbol that covers `address` (one of the ELF file's own), or NULL. */
const struct symtab_entry *image_symbol(const struct image *image, uint64_t address);
/* Symbol that starts at it. */
const struct symtab_entry *image_symbol_at(const struct image *image, uint64_t address);
/* Symbol of this name that starts at it. */
const struct symtab_entry *image_symbol_named(const struct image *image, uint64_t address,
					      const char *name);
/* DWARF and what to subtract from the file's addresses for it; NULL before image_deepen(), or if
 * there is none. */
Dwarf *image_dwarf(const struct image *image, uint64_t *ret_bias);
/* About how much memory it holds. */
size_t image_bytes(const struct image *image);

#endif
