/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel emulates on x86-64 (arch/x86/kernel/uprobes.c, branch_setup_insn() and
 * push_setup_insn()): push of a register with no prefix or REX.B alone; nop (0x90, whatever prefix
 * but REX.B, which makes it an xchg); jmp, call and jcc relative, without an operand-size prefix.
 * endbr64 is none of them. Multi-byte nops are emulated by recent kernels only: they are passed
 * over, as they change nothing.
 */
#include "capture/probe_site.h"

#include <capstone/capstone.h>

/* Beyond this a function does not begin any more. */
#define MAX_PREFIX_INSNS 16

static bool is_emulated(const cs_insn *insn)
{
	const cs_x86 *x86 = &insn->detail->x86;
	uint8_t opcode = x86->opcode[0];

	if (opcode >= 0x50 && opcode <= 0x57)
		return insn->size == 1 || (insn->size == 2 && x86->rex == 0x41);
	if (insn->id == X86_INS_NOP && opcode == 0x90)
		return true;
	for (unsigned i = 0; i < insn->size; i++) {
		/* Capstone 4 does not keep all prefixes apart: look at the bytes themselves. */
		if (insn->bytes[i] == 0x66)
			return false;
		if (insn->bytes[i] == opcode)
			break;
	}
	if (opcode == 0x0f)
		return x86->opcode[1] >= 0x80 && x86->opcode[1] <= 0x8f;
	return opcode == 0xe8 || opcode == 0xe9 || opcode == 0xeb ||
	       (opcode >= 0x70 && opcode <= 0x7f);
}

static bool leaves_straight_line(csh handle, const cs_insn *insn)
{
	static const unsigned groups[] = {CS_GRP_JUMP, CS_GRP_CALL, CS_GRP_RET, CS_GRP_INT,
					  CS_GRP_IRET};

	for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++)
		if (cs_insn_group(handle, insn, groups[i]))
			return true;
	return insn->id == X86_INS_SYSCALL || insn->id == X86_INS_HLT || insn->id == X86_INS_UD2;
}

#define ROLE_STACK 7

/* Number of the argument that a register holds, of which it may be a part; ROLE_STACK for rsp. */
static unsigned role_of_register(unsigned reg)
{
	switch (reg) {
	case X86_REG_RDI:
	case X86_REG_EDI:
	case X86_REG_DI:
	case X86_REG_DIL:
		return 1;
	case X86_REG_RSI:
	case X86_REG_ESI:
	case X86_REG_SI:
	case X86_REG_SIL:
		return 2;
	case X86_REG_RDX:
	case X86_REG_EDX:
	case X86_REG_DX:
	case X86_REG_DL:
	case X86_REG_DH:
		return 3;
	case X86_REG_RCX:
	case X86_REG_ECX:
	case X86_REG_CX:
	case X86_REG_CL:
	case X86_REG_CH:
		return 4;
	case X86_REG_R8:
	case X86_REG_R8D:
	case X86_REG_R8W:
	case X86_REG_R8B:
		return 5;
	case X86_REG_R9:
	case X86_REG_R9D:
	case X86_REG_R9W:
	case X86_REG_R9B:
		return 6;
	case X86_REG_RSP:
	case X86_REG_ESP:
	case X86_REG_SP:
	case X86_REG_SPL:
		return ROLE_STACK;
	default:
		return 0;
	}
}

/* An argument, the stack pointer, or what lies at it changes. */
static bool spoils(csh handle, const cs_insn *insn, unsigned arguments)
{
	cs_regs read, written;
	uint8_t read_count, write_count;

	/* Capstone 4 does not tell that these move rsp. */
	if (insn->id == X86_INS_ENTER || insn->id == X86_INS_LEAVE)
		return true;
	if (cs_regs_access(handle, insn, read, &read_count, written, &write_count) != CS_ERR_OK)
		return true;
	for (unsigned i = 0; i < write_count; i++) {
		unsigned role = role_of_register(written[i]);

		if (role == ROLE_STACK || (role && role <= arguments))
			return true;
	}
	for (unsigned i = 0; i < insn->detail->x86.op_count; i++) {
		const cs_x86_op *op = &insn->detail->x86.operands[i];

		if (op->type == X86_OP_MEM && (op->access & CS_AC_WRITE) &&
		    role_of_register(op->mem.base) == ROLE_STACK)
			return true;
	}
	return false;
}

/* Some direct branch of the function leads to (0, offset]. */
static bool is_branched_to(csh handle, const uint8_t *code, size_t size, uint64_t offset)
{
	cs_insn *insn = cs_malloc(handle);
	uint64_t address = 0;
	bool found = false;

	while (!found && size) {
		const cs_x86_op *op;

		if (!cs_disasm_iter(handle, &code, &size, &address, insn)) {
			/* Data among the code: take up again behind it. */
			code++;
			size--;
			address++;
			continue;
		}
		op = &insn->detail->x86.operands[0];
		found = cs_insn_group(handle, insn, CS_GRP_JUMP) &&
			insn->detail->x86.op_count == 1 && op->type == X86_OP_IMM && op->imm > 0 &&
			(uint64_t)op->imm <= offset;
	}
	cs_free(insn, 1);
	return found;
}

static bool find_emulated(csh handle, const uint8_t *code, size_t size, unsigned arguments,
			  uint64_t *ret)
{
	cs_insn *insn = cs_malloc(handle);
	uint64_t address = 0;
	bool found = false;

	for (unsigned i = 0; i < MAX_PREFIX_INSNS; i++) {
		if (!cs_disasm_iter(handle, &code, &size, &address, insn))
			break;
		found = is_emulated(insn);
		if (found)
			*ret = insn->address;
		if (found || leaves_straight_line(handle, insn) || spoils(handle, insn, arguments))
			break;
	}
	cs_free(insn, 1);
	return found;
}

void probe_site_choose_x86_64(const uint8_t *code, size_t size, unsigned arguments,
			      struct probe_site *ret)
{
	uint64_t offset = 0;
	csh handle;

	*ret = (struct probe_site){.single_step = true};
	if (cs_open(CS_ARCH_X86, CS_MODE_64, &handle) != CS_ERR_OK)
		return;
	cs_option(handle, CS_OPT_DETAIL, CS_OPT_ON);
	if (find_emulated(handle, code, size, arguments, &offset) &&
	    (!offset || !is_branched_to(handle, code, size, offset)))
		*ret = (struct probe_site){.offset = offset};
	cs_close(&handle);
}
