/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the row compiler asks an architecture: which DWARF registers to follow, and the rule that
 * expresses a state of them.
 */
#ifndef MEMTOP_UNWIND_ROWS_ARCH_H
#define MEMTOP_UNWIND_ROWS_ARCH_H

#include <memtop/unwind_abi.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum frame_how {
	FRAME_DEFAULT = 0,  /* nothing said */
	FRAME_SAME,	    /* as in the callee */
	FRAME_UNDEFINED,    /* not to be had */
	FRAME_OFFSET,	    /* at CFA + offset */
	FRAME_VALUE_OFFSET, /* is CFA + offset */
	FRAME_REGISTER,	    /* in another register */
	FRAME_EXPRESSION,   /* where the expression says */
	FRAME_VALUE_EXPRESSION,
};

struct frame_rule {
	enum frame_how how;
	int64_t offset;
	const uint8_t *expression; /* borrowed from the section */
	size_t size;
};

/* The registers that are followed. */
enum frame_register {
	FRAME_FP,
	FRAME_SP,
	FRAME_RA,
	FRAME_REGISTERS,
};

struct frame_state {
	bool cfa_is_expression;
	uint64_t cfa_register;
	int64_t cfa_offset;
	const uint8_t *cfa_expression; /* borrowed from the section */
	size_t cfa_size;
	struct frame_rule registers[FRAME_REGISTERS];
	bool signed_return_address; /* arm64: the return address carries a signature */
};

struct rows_arch {
	uint16_t machine;
	unsigned fp, sp; /* DWARF numbers; the return address' column is the CIE's */
	uint32_t (*rule)(const struct frame_state *state, bool signal_frame);
};

extern const struct rows_arch rows_x86_64;
extern const struct rows_arch rows_aarch64;

#endif
