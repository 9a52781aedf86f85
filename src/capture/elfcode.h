/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The code of an ELF file: which addresses belong to one function, its bytes, and to which names
 * the slots lead through which it jumps into other files. Addresses are the file's own.
 *
 * Where functions begin and end is taken from the symbols that have a size, and from the search
 * table of the unwind information, which stripped files have as well. Nothing in the file is
 * trusted.
 */
#ifndef MEMTOP_CAPTURE_ELFCODE_H
#define MEMTOP_CAPTURE_ELFCODE_H

#include "capture/elfimage.h"

struct elf_code;

/* `fd` stays the caller's and has to stay open. -ENOEXEC: no ELF file. */
int elf_code_open(int fd, struct elf_code **ret);
void elf_code_close(struct elf_code *code);

unsigned elf_code_machine(const struct elf_code *code);
/* The function, or the part of one, around an address; false if that is not known. */
bool elf_code_extent(const struct elf_code *code, uint64_t address, uint64_t *start, uint64_t *end);
/* Up to `size` bytes that lie at `address`; how many were there. */
size_t elf_code_read(const struct elf_code *code, uint64_t address, uint8_t *ret, size_t size);

/* Whose address the linker writes into the slot, or its choice; NULL if nobody's with a name. */
const char *elf_code_import(const struct elf_code *code, uint64_t slot);
/* Where the file itself defines a function; 0 if it does not, or chooses it at run time. */
uint64_t elf_code_definition(const struct elf_code *code, const char *name);
/* The slot for what the resolver (of an IFUNC) at `resolver` chooses; 0 if there is none. */
uint64_t elf_code_chosen_slot(const struct elf_code *code, uint64_t resolver);
/* The slot of a name that is imported; 0 if it is not. */
uint64_t elf_code_import_slot(const struct elf_code *code, const char *name);

#endif
