/* SPDX-License-Identifier: GPL-2.0-only */
/* What the stack walk has to know of x86-64. */
#ifndef MEMTOP_UNWIND_X86_BPF_H
#define MEMTOP_UNWIND_X86_BPF_H

#include "types.bpf.h"

#include <memtop/unwind_abi.h>

/* A call left its return address in the word below. */
#define ENTRY_CFA(sp)	  ((sp) + 8)
#define ENTRY_SP(cfa)	  ((cfa)-8)
#define RETURN_STRIP(pc)  (pc)
#define FP_CHAIN_TRUSTED  0
#define RULE_FP_LOST	  UNWIND_X86_FP_LOST
#define RULE_FP_MAX	  UNWIND_X86_FP_MAX
#define RULE_FP_AT_FP	  UNWIND_X86_FP_AT_FP
#define RULES_ARE_PLAIN	  1 /* the return address is below the CFA */
#define rule_cfa_words(r) unwind_x86_cfa(r)
#define rule_cfa_bytes(r) ((u64)unwind_x86_cfa(r) * 8)
#define rule_fp_words(r)  unwind_x86_fp(r)
/* How many words below the CFA the return address is; 0: not on the stack. */
#define rule_ra_words(r) 1u

/* A return address that a frame pointer led to: is there a call before it? */
static __always_inline int is_return_address(u64 pc)
{
	u8 code[8];

	if (bpf_probe_read_user(code, sizeof(code), (void *)(pc - sizeof(code))))
		return 0;
	/* call rel32; call of a register or memory (ff /2) in its lengths */
	return code[3] == 0xe8 || (code[6] == 0xff && (code[7] & 0x38) == 0x10) ||
	       (code[5] == 0xff && (code[6] & 0x38) == 0x10) ||
	       (code[4] == 0xff && (code[5] & 0x38) == 0x10) ||
	       (code[2] == 0xff && (code[3] & 0x38) == 0x10) ||
	       (code[1] == 0xff && (code[2] & 0x38) == 0x10);
}

/*
 * Where a signal handler returns to: is it the code of a C library that does not describe it?
 * mov $15, %rax; syscall (rt_sigreturn). The kernel's struct ucontext is at the stack pointer then.
 */
#define SIGNAL_RULE unwind_x86_rule(UNWIND_SIGNAL, 20, 15)

static __always_inline int is_signal_return(u64 pc)
{
	struct {
		u64 start;
		u8 end;
	} code;

	return !bpf_probe_read_user(&code, 9, (void *)pc) && code.start == 0x0f0000000fc0c748ull &&
	       code.end == 0x05;
}

#endif
