/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * /proc/PID/maps: what is mapped where, and the executable part of it as core/modules.
 *
 * The kernel writes a file's name as it is, but for a newline, which becomes \012; no other escape
 * is made, a backslash is a backslash. A name that ends in " (deleted)" is taken for a file that
 * was unlinked (the kernel does not tell it from a file that is really called so).
 */
#ifndef MEMTOP_CAPTURE_PROCMAPS_H
#define MEMTOP_CAPTURE_PROCMAPS_H

#include "core/modules.h"
#include "core/unwinder.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mapping {
	uint64_t start, end;
	uint64_t offset;
	uint64_t device; /* as makedev() makes it; what maps says, which may differ from stat() */
	uint64_t inode;
	char perms[5];
	const char *path; /* "" if anonymous; owned by the procmaps */
	bool deleted;	  /* path is without the suffix */
};

/* All mappings in the order of their addresses. */
struct procmaps {
	char *text;
	struct mapping *data;
	size_t count, capacity;
};

/* -ESRCH: no such process, or it has no memory (any more). */
int procmaps_read(pid_t pid, struct procmaps *ret);
/* Takes over `text` (from malloc), which it changes. -EINVAL if a line is no mapping. */
int procmaps_parse(char *text, struct procmaps *ret);
void procmaps_deinit(struct procmaps *maps);

/* One line, changed in place and without its newline; false if it is no mapping. */
bool procmaps_parse_line(char *line, struct mapping *ret);

/* The mapping that holds `address`; NULL if none. */
const struct mapping *procmaps_find(const struct procmaps *maps, uint64_t address);

/*
 * A readable descriptor of the mapped file, whatever became of its name: through map_files, else
 * (without the capability for that) through the target's root. -errno; -ENOENT if the mapping has
 * no regular file.
 */
int procmaps_open_file(pid_t pid, const struct mapping *mapping);
/* The name under which another part of memtop, or the kernel, can open that file; caller frees. */
char *procmaps_file_path(pid_t pid, const struct mapping *mapping);

/*
 * Executable memory without a file, adjacent mappings as one, sorted: into ret, at most `cap`.
 * Returns how many.
 */
size_t procmaps_anonymous_code(const struct procmaps *maps, struct unwinder_range *ret, size_t cap);

/*
 * Brings `modules` in step with the executable mappings: new ones are added with their bias and
 * build-id, those gone are closed at `now_ns`. Anonymous executable memory (of JIT compilers) is
 * left out: it has no names, comes and goes, and the rows are kept for ever.
 * Returns the number of rows added and closed.
 */
int procmaps_update_modules(struct modules *modules, const struct procmaps *maps, pid_t pid,
			    uint64_t now_ns);

#endif
