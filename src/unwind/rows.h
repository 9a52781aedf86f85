/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Call frame information (.eh_frame, .debug_frame) compiled to rows that BPF can use: pure, bytes
 * in, rows out. The format is that of DWARF 5, section 6.4, and of the Linux Standard Base for
 * .eh_frame.
 */
#ifndef MEMTOP_UNWIND_ROWS_H
#define MEMTOP_UNWIND_ROWS_H

#include <memtop/unwind_abi.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A module's frame section. Addresses are the file's own. */
struct rows_input {
	const void *data; /* borrowed */
	size_t size;
	uint64_t address;      /* of the section */
	uint64_t text_address; /* what text-relative pointers count from */
	uint64_t data_address; /* what data-relative pointers count from */
	uint64_t base;	       /* of row pc 0; what lies below or 4 GiB above is left out */
	uint16_t machine;      /* e_machine of the file */
	bool debug_frame;      /* .debug_frame, not .eh_frame */
};

struct rows {
	struct unwind_row *data; /* owned, sorted by pc, no two neighbours of one rule */
	size_t count;
	size_t functions;   /* FDEs taken */
	size_t damaged;	    /* CIEs and FDEs that were not understood */
	size_t changes;	    /* rule changes before neighbours were merged */
	size_t unsupported; /* of these, what a row cannot express */
};

/*
 * 0, -EINVAL if there is nothing to be understood in the section, -ENOTSUP for an architecture
 * without rules here. What is damaged is left out and counted.
 */
int rows_compile(const struct rows_input *input, struct rows *ret);
void rows_deinit(struct rows *rows);
/* Takes the rules of `other` where there are none. */
void rows_fill(struct rows *rows, const struct rows *other);

/* Rule in force at `pc`; UNWIND_NONE before the first row. */
uint32_t rows_find(const struct rows *rows, uint32_t pc);

#endif
