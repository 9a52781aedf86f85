/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the stack walk has to know of arm64. Frame records are the rule there: the chain of frame
 * pointers is believed where there is no table.
 */
#ifndef MEMTOP_UNWIND_ARM64_BPF_H
#define MEMTOP_UNWIND_ARM64_BPF_H

#include "types.bpf.h"

#include <memtop/unwind_abi.h>

/* A call leaves its return address in the link register, with a signature in the bits above. */
#define ENTRY_CFA(sp)	  (sp)
#define ENTRY_SP(cfa)	  (cfa)
#define RETURN_STRIP(pc)  ((pc) & ((1ull << UNWIND_CACHE_ADDRESS_BITS) - 1))
#define FP_CHAIN_TRUSTED  1
#define RULE_FP_LOST	  UNWIND_ARM64_FP_LOST
#define RULE_FP_MAX	  UNWIND_ARM64_FP_MAX
#define RULE_FP_AT_FP	  (~0u)
#define RULES_ARE_PLAIN	  0 /* where the return address is differs by rule */
#define rule_cfa_words(r) (unwind_arm64_cfa(r) * 2)
#define rule_cfa_bytes(r) ((u64)unwind_arm64_cfa(r) * 16)
#define rule_fp_words(r)  unwind_arm64_fp(r)

static __always_inline u32 rule_ra_words(u32 rule)
{
	switch (unwind_arm64_ra(rule)) {
	case UNWIND_ARM64_RA_AFTER_FP:
		return unwind_arm64_fp(rule) - 1;
	case UNWIND_ARM64_RA_BELOW_CFA:
		return 1;
	case UNWIND_ARM64_RA_AT_16:
		return 2;
	default:
		return 0;
	}
}

static __always_inline int is_return_address(u64 pc)
{
	u32 code;

	if (pc & 3 || bpf_probe_read_user(&code, sizeof(code), (void *)(pc - sizeof(code))))
		return 0;
	/* bl; blr and its signed forms */
	return code >> 26 == 0x25 || (code & 0xfefff000) == 0xd63f0000;
}

/* The kernel leaves a frame record for the interrupted code: the chain of them goes on there. */
#define SIGNAL_RULE	     UNWIND_UNSUPPORTED
#define is_signal_return(pc) 0

#endif
