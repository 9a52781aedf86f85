/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The search of allocators.c, for its own files: the files that the target has mapped, and what was
 * found in them. allocator_objects.c puts them in order, allocators.c looks for the table's names,
 * allocator_functions.c for those that the user described.
 */
#ifndef MEMTOP_CAPTURE_ALLOCATOR_SEARCH_H
#define MEMTOP_CAPTURE_ALLOCATOR_SEARCH_H

#include "capture/allocators.h"
#include "capture/elfcode.h"
#include "capture/elfsyms.h"
#include "util/vec.h"

/* A mapped file, known by the first of its mappings that is executable. */
struct object {
	const struct mapping *mapping;
	uint64_t start, end; /* from its first mapping to its last */
	unsigned order;	     /* in the linker's list, from 1; 0 = not in it */
	int fd;		     /* -1 = not open */
	struct elf_image image;
	struct elf_code *code;		/* NULL until it is needed */
	struct elf_functions functions; /* of the table, that count here */
	uint64_t bias;
};

/* A name that is looked for: a row of the table, alone or behind a prefix. */
struct wanted {
	char *text;
	const struct allocator_function *function;
	const char *prefix; /* NULL = none */
};

struct search {
	pid_t pid;
	const struct procmaps *maps;
	const struct allocators_options *options;
	VEC(struct wanted) wanted;
	const char **names; /* the same as elf_functions_find() takes them */
	bool *bound;	    /* in the linker's scope, by name */
	VEC(struct object) objects;
	struct probe_points *points;
	bool is_static, indirect, foreign;
	int open_error, memory_fd;
	char *error;
	size_t size;
};

/* --- allocator_objects.c --- */

/* The files in look-up order. 0 or -errno. */
int search_collect(struct search *search);
void search_deinit(struct search *search);
/* Opens the file and reads what it is; false if it is none of ours. */
bool object_open(struct search *search, struct object *object);
struct elf_code *object_code(struct object *object);
/* The object that is mapped at an address of the target; NULL if none. */
struct object *object_at(struct search *search, uint64_t address);
/* Where an IFUNC of the object led to in the target; 0 if that cannot be told. */
uint64_t object_chosen(struct search *search, struct object *object, uint64_t resolver,
		       const char *name);

/* --- allocators.c --- */

/*
 * A point of the function at `address` in the object's file, without its exits; NULL if there is
 * one already, or if it is not code of the target.
 */
struct probe_point *point_add(struct search *search, struct object *object, uint64_t address,
			      unsigned arguments);
const struct probe_point *point_find(const struct search *search, const struct object *object,
				     uint64_t address);
/* Finds the exits of a point; 0, or -errno and why in `error`. */
int point_find_exits(struct search *search, struct object *object, struct probe_point *point,
		     char *error, size_t size);

/* --- allocator_functions.c --- */

/* Adds the points of the functions that the user described. 0, or -errno and why. */
int search_functions(struct search *search);

#endif
