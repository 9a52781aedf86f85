/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where a function returns, for those that no return probe may stand on, and what it is made of.
 *
 * A function returns at its `ret` instructions, at those of the parts that the compiler put
 * elsewhere, and at those of the functions that it ends in by a jump (or at that jump, where the
 * result is known by then). All of them are found, or it
 * is said why not: a call whose return is not seen would be lost.
 *
 * A probe is placed only on an instruction that a whole function, disassembled from its first byte
 * to its last, has there: one in the middle of an instruction would change what the target does.
 */
#ifndef MEMTOP_CAPTURE_PROBE_EXITS_H
#define MEMTOP_CAPTURE_PROBE_EXITS_H

#include "capture/elfcode.h"

/* An instruction by which the function returns; `place` is where it is in the file. */
struct probe_exit {
	uint64_t place; /* address; an offset once it is in a probe_point */
	/* Not a return, but a jump to a function that gives its first argument back: memset(). */
	bool first_argument;
	bool single_step; /* the kernel does not emulate that instruction */
};

struct probe_exits {
	struct probe_exit *data;
	size_t count, capacity;
};

/*
 * Is the return of that function seen anyway? Asked by its address in the file, or by its name
 * (address 0) where it is in another one.
 */
typedef bool probe_is_seen(void *context, uint64_t address, const char *name);

/* 0 and at least one exit, unless all of them are seen anyway; else -errno and why not. */
int probe_exits_find(const struct elf_code *code, uint64_t entry, probe_is_seen *is_seen,
		     void *context, struct probe_exits *ret, char *error, size_t size);
void probe_exits_deinit(struct probe_exits *exits);

/* Is the function nothing but a jump to one for which `is_seen` is true? */
bool probe_is_thunk(const struct elf_code *code, uint64_t entry, probe_is_seen *is_seen,
		    void *context);
/* Does it call one, or jump to one, before it does anything else but compute? */
bool probe_begins_with(const struct elf_code *code, uint64_t entry, probe_is_seen *is_seen,
		       void *context);
/* Does it call one, or a function that does? */
bool probe_reaches(const struct elf_code *code, uint64_t entry, probe_is_seen *is_seen,
		   void *context);

#endif
