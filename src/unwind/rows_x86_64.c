/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rules of x86-64. The return address lies below the CFA in any frame but that of a signal, whose
 * registers the C library's trampoline describes by expressions on the kernel's ucontext.
 */
#include "unwind/rows_arch.h"

#include "unwind/cursor.h"

#include <elf.h>

enum {
	RBP = 6,
	RSP = 7,
	WORD = 8,
	OP_DEREF = 0x06,
	OP_BREG_RBP = 0x70 + RBP,
	OP_BREG_RSP = 0x70 + RSP,
};

/* "Register + offset" and no more, or with a dereference after it. */
static bool is_memory(const uint8_t *expression, size_t size, uint8_t op, bool deref,
		      int64_t *ret_offset)
{
	struct cursor cursor = {expression, expression + size, false};

	if (cursor_byte(&cursor) != op)
		return false;
	*ret_offset = cursor_sleb(&cursor);
	if (deref && cursor_byte(&cursor) != OP_DEREF)
		return false;
	return !cursor.bad && !cursor_left(&cursor);
}

static bool register_memory(const struct frame_rule *rule, uint8_t op, int64_t *ret_offset)
{
	return rule->how == FRAME_EXPRESSION &&
	       is_memory(rule->expression, rule->size, op, false, ret_offset);
}

/* A multiple of the word, at most `most` words; 0 if not. */
static uint32_t words(int64_t bytes, uint32_t most)
{
	if (bytes <= 0 || bytes % WORD || bytes / WORD > most)
		return 0;
	return (uint32_t)(bytes / WORD);
}

/* The trampoline that a signal handler returns to: sp, pc and rbp are in the ucontext at rsp. */
static uint32_t signal_rule(const struct frame_state *state)
{
	int64_t sp, pc, fp, kept;

	if (!state->cfa_is_expression ||
	    !is_memory(state->cfa_expression, state->cfa_size, OP_BREG_RSP, true, &sp) ||
	    !register_memory(&state->registers[FRAME_RA], OP_BREG_RSP, &pc) ||
	    !register_memory(&state->registers[FRAME_FP], OP_BREG_RSP, &fp))
		return UNWIND_UNSUPPORTED;
	if (state->registers[FRAME_SP].how != FRAME_DEFAULT &&
	    (!register_memory(&state->registers[FRAME_SP], OP_BREG_RSP, &kept) || kept != sp))
		return UNWIND_UNSUPPORTED;
	if (pc != sp + WORD || !words(sp, UNWIND_X86_CFA_MAX) || !words(fp, UNWIND_X86_FP_MAX))
		return UNWIND_UNSUPPORTED;
	return unwind_x86_rule(UNWIND_SIGNAL, sp / WORD, fp / WORD);
}

/*
 * A procedure linkage table: CFA = rsp + 8 + ((rip & 15) >= n) << 3, as the linkers write it: from
 * byte n of an entry on, its index has been pushed.
 */
static uint32_t plt_threshold(const struct frame_state *state)
{
	static const uint8_t pattern[] = {0x77, 0x08, 0x80, 0x00, 0x3f, 0x1a,
					  0x30, 0x2a, 0x33, 0x24, 0x22};
	enum {
		THRESHOLD = 6
	};
	uint32_t threshold = 0;

	if (state->cfa_size != sizeof(pattern))
		return 0;
	for (size_t i = 0; i < sizeof(pattern); i++) {
		uint32_t over = (uint32_t)state->cfa_expression[i] - pattern[i];

		if (i == THRESHOLD)
			threshold = over;
		else if (over)
			return 0;
	}
	return threshold < 16 ? threshold : 0;
}

static uint32_t fp_field(const struct frame_rule *rule, enum unwind_type type)
{
	uint32_t saved;
	int64_t offset;

	switch (rule->how) {
	case FRAME_DEFAULT:
	case FRAME_SAME:
		return 0;
	case FRAME_OFFSET:
		saved = words(-rule->offset, UNWIND_X86_FP_MAX);
		return saved ? saved : UNWIND_X86_FP_LOST;
	case FRAME_EXPRESSION:
		if (type == UNWIND_DRAP && register_memory(rule, OP_BREG_RBP, &offset) && !offset)
			return UNWIND_X86_FP_AT_FP;
		return UNWIND_X86_FP_LOST;
	default:
		return UNWIND_X86_FP_LOST;
	}
}

static uint32_t x86_64_rule(const struct frame_state *state, bool signal_frame)
{
	const struct frame_rule *ra = &state->registers[FRAME_RA];
	enum unwind_type type;
	uint32_t cfa = 0;
	int64_t offset;

	if (ra->how == FRAME_UNDEFINED)
		return UNWIND_END;
	if (signal_frame)
		return signal_rule(state);
	if (ra->how != FRAME_OFFSET || ra->offset != -WORD ||
	    state->registers[FRAME_SP].how != FRAME_DEFAULT)
		return UNWIND_UNSUPPORTED;
	if (state->cfa_is_expression) {
		type = UNWIND_PLT;
		cfa = plt_threshold(state);
		if (!cfa &&
		    is_memory(state->cfa_expression, state->cfa_size, OP_BREG_RBP, true, &offset)) {
			type = UNWIND_DRAP;
			cfa = words(-offset, UNWIND_X86_CFA_MAX);
		}
	} else {
		type = state->cfa_register == RSP ? UNWIND_SP : UNWIND_FP;
		if (state->cfa_register == RSP || state->cfa_register == RBP)
			cfa = words(state->cfa_offset, UNWIND_X86_CFA_MAX);
	}
	if (!cfa)
		return UNWIND_UNSUPPORTED;
	return unwind_x86_rule(type, cfa, fp_field(&state->registers[FRAME_FP], type));
}

const struct rows_arch rows_x86_64 = {
	.machine = EM_X86_64,
	.fp = RBP,
	.sp = RSP,
	.rule = x86_64_rule,
};
