/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A jump through a register or a table is a switch if it is marked so (notrack, which is how
 * compilers say it), if it is indexed, or if the register was just computed by an addition or
 * loaded by an index; anything else may lead out of the function.
 */
#include "capture/code_flow.h"

#include <capstone/capstone.h>
#include <errno.h>

static bool has_prefix(const cs_insn *insn, uint8_t prefix)
{
	for (unsigned i = 0; i + 1 < insn->size && i < 4; i++) {
		if (insn->bytes[i] == prefix)
			return true;
		/* Legacy prefixes and REX come before the opcode. */
		if (insn->bytes[i] != 0xf2 && insn->bytes[i] != 0xf3 && insn->bytes[i] != 0x3e &&
		    (insn->bytes[i] & 0xf0) != 0x40)
			break;
	}
	return false;
}

/* What the last instruction did, as far as it tells a switch. */
struct last {
	unsigned computed; /* the register that it set by an addition, or from an indexed table */
};

static void remember(struct last *last, const cs_insn *insn)
{
	const cs_x86 *x86 = &insn->detail->x86;
	const cs_x86_op *from = &x86->operands[1];

	last->computed = X86_REG_INVALID;
	if (x86->op_count != 2 || x86->operands[0].type != X86_OP_REG)
		return;
	if (insn->id == X86_INS_ADD ||
	    (insn->id == X86_INS_MOV && from->type == X86_OP_MEM && from->mem.index))
		last->computed = x86->operands[0].reg;
}

static enum flow_kind indirect_kind(const cs_insn *insn, bool call, const struct last *last,
				    uint64_t *target)
{
	const cs_x86_op *op = &insn->detail->x86.operands[0];

	*target = 0;
	if (op->type == X86_OP_MEM && op->mem.base == X86_REG_RIP) {
		*target = insn->address + insn->size + (uint64_t)op->mem.disp;
		return call ? FLOW_CALL_SLOT : FLOW_JUMP_SLOT;
	}
	if (call)
		return FLOW_CALL;
	if (has_prefix(insn, 0x3e) ||
	    (op->type == X86_OP_MEM && op->mem.index != X86_REG_INVALID) ||
	    (op->type == X86_OP_REG && op->reg == last->computed))
		return FLOW_SWITCH;
	return FLOW_POINTER;
}

/* False if the instruction is none that leaves the straight line. */
static bool classify(csh handle, const cs_insn *insn, const struct last *last, struct flow *ret)
{
	const cs_x86_op *op = &insn->detail->x86.operands[0];
	bool call = cs_insn_group(handle, insn, CS_GRP_CALL);

	ret->address = insn->address;
	ret->target = 0;
	if (cs_insn_group(handle, insn, CS_GRP_RET)) {
		ret->kind = FLOW_RETURN;
		return true;
	}
	if ((!call && !cs_insn_group(handle, insn, CS_GRP_JUMP)) ||
	    insn->detail->x86.op_count != 1 || insn->id == X86_INS_XBEGIN)
		return false;
	if (op->type == X86_OP_IMM) {
		ret->kind = call ? FLOW_CALL : insn->id == X86_INS_JMP ? FLOW_JUMP : FLOW_BRANCH;
		ret->target = (uint64_t)op->imm;
	} else {
		ret->kind = indirect_kind(insn, call, last, &ret->target);
	}
	return true;
}

int code_flow_x86_64(const uint8_t *code, size_t size, uint64_t address, flow_visitor *visit,
		     void *context)
{
	struct last last = {X86_REG_INVALID};
	struct flow flow;
	int status = 0;
	cs_insn *insn;
	csh handle;

	if (cs_open(CS_ARCH_X86, CS_MODE_64, &handle) != CS_ERR_OK)
		return -ENOTSUP;
	cs_option(handle, CS_OPT_DETAIL, CS_OPT_ON);
	insn = cs_malloc(handle);
	while (!status && size) {
		if (!cs_disasm_iter(handle, &code, &size, &address, insn)) {
			status = -EILSEQ;
			break;
		}
		if (classify(handle, insn, &last, &flow))
			status = visit(context, &flow);
		remember(&last, insn);
	}
	cs_free(insn, 1);
	cs_close(&handle);
	return status;
}
