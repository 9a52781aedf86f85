/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where code leaves the straight line: the returns, jumps and calls of a piece of machine code, in
 * the order of their addresses. One file for each architecture.
 */
#ifndef MEMTOP_CAPTURE_CODE_FLOW_H
#define MEMTOP_CAPTURE_CODE_FLOW_H

#include <stddef.h>
#include <stdint.h>

enum flow_kind {
	FLOW_RETURN,
	FLOW_JUMP,	/* to `target` */
	FLOW_BRANCH,	/* to `target`, under a condition */
	FLOW_JUMP_SLOT, /* to where the word at `target` points: through a table of the linker */
	FLOW_CALL,
	FLOW_CALL_SLOT,
	FLOW_SWITCH,  /* to one of several places of the same function */
	FLOW_POINTER, /* to somewhere that cannot be told: a call through a pointer as last jump */
};

struct flow {
	enum flow_kind kind;
	uint64_t address; /* of the instruction */
	uint64_t target;
};

/* Returns 0 to go on, or what code_flow() is to return. */
typedef int flow_visitor(void *context, const struct flow *flow);

/*
 * `code` is what lies at `address`; it starts at an instruction. 0 at its end, what the visitor
 * returned, -EILSEQ at bytes that are no instruction, -ENOTSUP for another machine (EM_*).
 */
int code_flow(unsigned machine, const uint8_t *code, size_t size, uint64_t address,
	      flow_visitor *visit, void *context);

/* The machines: private to the files of this module. */
int code_flow_x86_64(const uint8_t *code, size_t size, uint64_t address, flow_visitor *visit,
		     void *context);
int code_flow_aarch64(const uint8_t *code, size_t size, uint64_t address, flow_visitor *visit,
		      void *context);

#endif
