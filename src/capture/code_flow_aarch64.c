/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Instructions are words, so their boundaries need no disassembler. A `br` is a jump through the
 * linker's table if its register was loaded from a page that adrp named, a switch if the register
 * was just computed by an addition; anything else may lead out of the function.
 */
#include "capture/code_flow.h"

#include <stdbool.h>
#include <string.h>

#define NO_REGISTER 32u

/* What is known of registers, as far as it tells jumps apart. */
struct known {
	unsigned page_register, slot_register, computed;
	uint64_t page, slot;
};

static uint64_t signed_field(uint32_t word, unsigned shift, unsigned bits)
{
	uint64_t value = word >> shift & ((1u << bits) - 1);

	return value & 1ull << (bits - 1) ? value - (1ull << bits) : value;
}

static void remember(struct known *known, uint32_t word, uint64_t address)
{
	unsigned to = word & 31, base = word >> 5 & 31;

	known->computed = NO_REGISTER;
	if ((word & 0x9f000000) == 0x90000000) { /* adrp */
		uint64_t pages = signed_field(word, 5, 19) << 2 | (word >> 29 & 3);

		known->page_register = to;
		known->page = (address & ~4095ull) + (pages << 12);
	} else if ((word & 0xffc00000) == 0xf9400000 && base == known->page_register) {
		known->slot_register = to; /* ldr x, [page, #offset] */
		known->slot = known->page + (uint64_t)(word >> 10 & 0xfff) * 8;
	} else if ((word & 0x7f200000) == 0x0b200000 || (word & 0x7f200000) == 0x0b000000) {
		known->computed = to; /* add, extended or shifted register */
	}
}

static bool classify(const struct known *known, uint32_t word, uint64_t address, struct flow *ret)
{
	unsigned reg = word >> 5 & 31;

	*ret = (struct flow){.address = address};
	if ((word & 0xfffffc1f) == 0xd65f0000 || (word & 0xfffffbff) == 0xd65f0bff) {
		ret->kind = FLOW_RETURN; /* ret, retaa, retab */
	} else if ((word & 0x7c000000) == 0x14000000) {
		ret->kind = word >> 31 ? FLOW_CALL : FLOW_JUMP;
		ret->target = address + (signed_field(word, 0, 26) << 2);
	} else if ((word & 0xff000010) == 0x54000000 || (word & 0x7e000000) == 0x34000000) {
		ret->kind = FLOW_BRANCH; /* b.cond, cbz, cbnz */
		ret->target = address + (signed_field(word, 5, 19) << 2);
	} else if ((word & 0x7e000000) == 0x36000000) {
		ret->kind = FLOW_BRANCH; /* tbz, tbnz */
		ret->target = address + (signed_field(word, 5, 14) << 2);
	} else if ((word & 0xfffffc1f) == 0xd63f0000) {
		ret->kind = reg == known->slot_register ? FLOW_CALL_SLOT : FLOW_CALL;
		ret->target = reg == known->slot_register ? known->slot : 0;
	} else if ((word & 0xfffffc1f) == 0xd61f0000) {
		ret->kind = reg == known->slot_register ? FLOW_JUMP_SLOT :
			    reg == known->computed	? FLOW_SWITCH :
							  FLOW_POINTER;
		ret->target = reg == known->slot_register ? known->slot : 0;
	} else {
		return (word & 0xfe000000) == 0xd6000000 && (ret->kind = FLOW_POINTER, true);
	}
	return true;
}

int code_flow_aarch64(const uint8_t *code, size_t size, uint64_t address, flow_visitor *visit,
		      void *context)
{
	struct known known = {NO_REGISTER, NO_REGISTER, NO_REGISTER, 0, 0};

	for (size_t at = 0; at + 4 <= size; at += 4) {
		struct flow flow;
		uint32_t word;
		int status;

		memcpy(&word, code + at, sizeof(word));
		if (classify(&known, word, address + at, &flow)) {
			status = visit(context, &flow);
			if (status)
				return status;
		}
		/* The add of a table's stub stands between the load and the jump. */
		remember(&known, word, address + at);
	}
	return 0;
}
