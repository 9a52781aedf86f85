/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The allocator's functions: which there are, and where the target has them.
 *
 * A name is bound as the dynamic linker binds it: the first file in look-up order that exports it.
 * So the executable comes before what was preloaded, and that before the libraries; an allocator
 * that replaces malloc is found, and so is one that replaces a part of the functions. Files that
 * are mapped but in no list of the linker (another name space of dlmopen) have scopes of their own:
 * theirs count too. A static executable is searched in its full symbol table.
 */
#ifndef MEMTOP_CAPTURE_ALLOCATORS_H
#define MEMTOP_CAPTURE_ALLOCATORS_H

#include "capture/procmaps.h"

#include <memtop/abi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What the arguments mean; the result is the block unless told otherwise. */
enum allocator_shape {
	SHAPE_SIZE0,	      /* (size) */
	SHAPE_CALLOC,	      /* (count, size) */
	SHAPE_ALIGN_SIZE,     /* (alignment, size) */
	SHAPE_POSIX_MEMALIGN, /* (where the block goes, alignment, size), result 0 */
	SHAPE_REALLOC,	      /* (old, size) */
	SHAPE_REALLOCARRAY,   /* (old, count, size) */
	SHAPE_FREE,	      /* (old), no result */
};

struct allocator_function {
	const char *name;
	enum allocator_shape shape;
	enum abi_kind kind; /* ABI_KIND_NONE: it only frees */
	unsigned arguments; /* that are read */
};

/* Functions that free come first, as they are to be watched first. */
extern const struct allocator_function allocator_functions[];
extern const size_t allocator_function_count;

struct probe_point {
	const struct allocator_function *function;
	char *path;	       /* memtop and the kernel can open the file by it; owned */
	uint64_t entry_offset; /* of the function's first instruction, in the file */
	uint64_t probe_offset; /* of the instruction that the probe stands on */
	bool single_step;      /* the kernel does not emulate that one */
	uint64_t address;      /* of the entry in the target, where the file is mapped first */
	uint64_t device, inode;
};

/* In the order of the table. Names of one function are one point. */
struct probe_points {
	struct probe_point *data;
	size_t count, capacity;
};

/*
 * 0 with at least one point that allocates and one that frees; else one line in `error`:
 *   -ENOENT   no allocator found (a static program without symbols, say)
 *   -ENOTSUP  a program of another word size or machine
 *   -errno    its memory or files cannot be read
 */
int allocators_find(pid_t pid, const struct procmaps *maps, struct probe_points *ret, char *error,
		    size_t size);
void probe_points_deinit(struct probe_points *points);

#endif
