/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rules of arm64. The return address is in the link register until the function saves it, mostly
 * in the word after the saved frame pointer. A signed return address is saved as it is; the walker
 * strips the signature.
 */
#include "unwind/rows_arch.h"

#include <elf.h>

#ifndef EM_AARCH64
#define EM_AARCH64 183
#endif

enum {
	X29 = 29,
	SP = 31,
	WORD = 8,
	STACK_ALIGNMENT = 16,
};

/* Words below the CFA where a register is saved; 0 if a row cannot say. */
static uint32_t saved_at(const struct frame_rule *rule)
{
	int64_t bytes = -rule->offset;

	if (rule->how != FRAME_OFFSET || bytes <= 0 || bytes % WORD ||
	    bytes / WORD > UNWIND_ARM64_FP_MAX)
		return 0;
	return (uint32_t)(bytes / WORD);
}

static bool unchanged(const struct frame_rule *rule)
{
	return rule->how == FRAME_DEFAULT || rule->how == FRAME_SAME;
}

static uint32_t aarch64_rule(const struct frame_state *state, bool signal_frame)
{
	const struct frame_rule *ra = &state->registers[FRAME_RA];
	const struct frame_rule *fp = &state->registers[FRAME_FP];
	uint32_t fp_field = unchanged(fp) ? 0 : saved_at(fp);
	uint32_t ra_words = saved_at(ra);
	enum unwind_arm64_ra where;

	if (ra->how == FRAME_UNDEFINED)
		return UNWIND_END;
	if (signal_frame || state->cfa_is_expression ||
	    state->registers[FRAME_SP].how != FRAME_DEFAULT ||
	    (state->cfa_register != SP && state->cfa_register != X29) || state->cfa_offset < 0 ||
	    state->cfa_offset % STACK_ALIGNMENT ||
	    state->cfa_offset / STACK_ALIGNMENT > UNWIND_ARM64_CFA_MAX)
		return UNWIND_UNSUPPORTED;
	if (!unchanged(fp) && !fp_field)
		fp_field = UNWIND_ARM64_FP_LOST;
	if (unchanged(ra))
		where = UNWIND_ARM64_RA_LINK;
	else if (ra_words && fp_field != UNWIND_ARM64_FP_LOST && ra_words + 1 == fp_field)
		where = UNWIND_ARM64_RA_AFTER_FP;
	else if (ra_words == 1)
		where = UNWIND_ARM64_RA_BELOW_CFA;
	else if (ra_words == 2)
		where = UNWIND_ARM64_RA_AT_16;
	else
		return UNWIND_UNSUPPORTED;
	return unwind_arm64_rule(state->cfa_register == SP ? UNWIND_SP : UNWIND_FP,
				 state->cfa_offset / STACK_ALIGNMENT, fp_field, where);
}

const struct rows_arch rows_aarch64 = {
	.machine = EM_AARCH64,
	.fp = X29,
	.sp = SP,
	.rule = aarch64_rule,
};
