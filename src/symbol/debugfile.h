/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the debug file of an ELF file is: by build-id, then by .gnu_debuglink, under --debug-dir,
 * the target's /usr/lib/debug and memtop's own; last by debuginfod (fetch.h). A file counts only if
 * its build-id is the same (by debuglink without a build-id: its CRC).
 */
#ifndef MEMTOP_SYMBOL_DEBUGFILE_H
#define MEMTOP_SYMBOL_DEBUGFILE_H

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>

#define DEBUG_ID_MAX 64 /* bytes of a build-id */

struct fetcher;
struct targetfs;

struct debug_finder {
	const struct targetfs *fs;
	const char *debug_dir;	 /* NULL = none */
	const char *path;	 /* of the ELF file, as the target sees it */
	struct fetcher *fetcher; /* NULL = no network */
};

/* A descriptor, -ENOENT, or -EAGAIN while it is being fetched from the network. */
int debug_find(const struct debug_finder *finder, Elf *elf);
/* The same for the file with this build-id; `name` is the path that dwz gave it; may be NULL. */
int debug_find_by_id(const struct debug_finder *finder, const void *id, size_t size,
		     const char *name);

/* Whether the file has this build-id. */
bool debug_file_is(int fd, const void *id, size_t size);

#endif
