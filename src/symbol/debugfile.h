/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the debug file of an ELF file is: by build-id, then by .gnu_debuglink, under --debug-dir,
 * the target's /usr/lib/debug and memtop's own; last by debuginfod, where DEBUGINFOD_URLS is set
 * and its library is installed. A file counts only if its build-id is the same (by debuglink
 * without a build-id: its CRC).
 */
#ifndef MEMTOP_SYMBOL_DEBUGFILE_H
#define MEMTOP_SYMBOL_DEBUGFILE_H

#include <libelf.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct targetfs;

struct debug_finder {
	const struct targetfs *fs;
	const char *debug_dir;	 /* NULL = none */
	const char *path;	 /* of the ELF file, as the target sees it */
	const atomic_bool *stop; /* give up waiting for the network */
};

/* A descriptor, or -ENOENT. */
int debug_find(const struct debug_finder *finder, Elf *elf);
/* The file with this build-id; `name` is the path that dwz gave it; may be
 * NULL. */
int debug_find_by_id(const struct debug_finder *finder, const void *id, size_t size,
		     const char *name);

#endif
