/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The allocators' functions in a target: which it has, where, and how their calls are to be seen.
 *
 * A name is bound as the dynamic linker binds it: the first file in look-up order that exports it.
 * So the executable comes before what was preloaded, and that before the libraries; an allocator
 * that replaces malloc is found, and so is one that replaces a part of the functions. Files that
 * are mapped but in no list of the linker (another name space of dlmopen) have scopes of their own:
 * theirs count too, as do allocators that a file keeps to itself (hidden, or behind a prefix). A
 * static executable is searched in its full symbol table.
 *
 * A function that is made of another one that is watched needs no probe of its own: not the names
 * that jump to malloc, nor an operator new that calls it.
 */
#ifndef MEMTOP_CAPTURE_ALLOCATORS_H
#define MEMTOP_CAPTURE_ALLOCATORS_H

#include "capture/allocator_table.h"
#include "capture/probe_exits.h"
#include "capture/procmaps.h"
#include "core/functions.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* How the end of a call is seen. */
enum probe_return {
	PROBE_RETURN_NONE,    /* it frees, and needs none */
	PROBE_RETURN_TRAPPED, /* by a return probe */
	PROBE_RETURN_EXITS,   /* by probes on its own return instructions */
};

struct probe_point {
	const struct allocator_function *function; /* NULL: described by the user */
	char *name;				   /* as the file, or the user, calls it; owned */
	uint64_t cookie;			   /* ABI_COOKIE_* */
	bool frees;				   /* or gives back in bulk: it has no result */
	enum probe_return returns;
	struct probe_exit *exits; /* their places are offsets in the file; owned */
	size_t exit_count;
	char *path;	       /* memtop and the kernel can open the file by it; owned */
	uint64_t entry_offset; /* of the function's first instruction, in the file */
	uint64_t probe_offset; /* of the instruction that the probe stands on */
	bool single_step;      /* the kernel does not emulate that one */
	uint64_t address;      /* of the entry in the target, where the file is mapped first */
	uint64_t device, inode;
};

/* In the order of the table, the user's behind. Names of one function are one point. */
struct probe_points {
	struct probe_point *data;
	size_t count, capacity;
	char note[256]; /* what else the user has to know; empty = nothing */
};

struct allocators_options {
	const char *const *prefixes; /* of allocators, besides the known ones */
	size_t prefix_count;
	const struct function_description *functions;
	size_t function_count;
	bool functions_may_miss;	       /* then it is in the note, else an error */
	char *(*demangle)(const char *symbol); /* without parameters; NULL = names as they are */
	bool no_return_probes;
};

/*
 * 0 with at least one point that allocates and one that frees; else one line in `error`:
 *   -ENOENT   no allocator found (a static program without symbols, say)
 *   -ENOTSUP  a program of another word size or machine, or it has a function that cannot be
 * watched as is asked for -EINVAL   a function that the user described is not there, or more than
 * one is -errno    its memory or files cannot be read `options` may be NULL.
 */
int allocators_find(pid_t pid, const struct procmaps *maps,
		    const struct allocators_options *options, struct probe_points *ret, char *error,
		    size_t size);
void probe_points_deinit(struct probe_points *points);

#endif
