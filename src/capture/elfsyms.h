/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Functions of an ELF file by their names: where they are in it, and their code.
 */
#ifndef MEMTOP_CAPTURE_ELFSYMS_H
#define MEMTOP_CAPTURE_ELFSYMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which table to look into. */
enum elf_table {
	ELF_TABLE_DYNAMIC, /* .dynsym: what other files can bind to */
	ELF_TABLE_FULL,	   /* .symtab: what a static executable has, unless stripped */
};

struct elf_function {
	size_t name;	  /* index into the names that were asked for */
	uint64_t address; /* in the file's own addresses */
	uint64_t offset;  /* in the file */
	uint64_t size;	  /* 0 = not told */
	bool local;	  /* not global or weak */
	bool hidden;	  /* other files cannot bind to it, though it is no static function */
	bool indirect;	  /* chooses a function at run time (IFUNC): `address` is the chooser's */
};

struct elf_functions {
	struct elf_function *data;
	size_t count, capacity;
};

/*
 * The defined functions called one of `names`, in the order of the table; a name may be there more
 * than once (symbol versions). Local functions count where no other has the name. -ENOEXEC: no ELF
 * file; -ENODATA: it has no such table.
 */
int elf_functions_find(int fd, enum elf_table table, const char *const *names, size_t name_count,
		       struct elf_functions *ret);
/* The same by a look at each name: those for which `is_wanted` is true, numbered from 0. */
typedef bool elf_name_wanted(void *context, const char *name);
int elf_functions_match(int fd, enum elf_table table, elf_name_wanted *is_wanted, void *context,
			struct elf_functions *ret);
void elf_functions_deinit(struct elf_functions *functions);

#endif
