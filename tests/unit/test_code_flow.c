/* SPDX-License-Identifier: GPL-2.0-only */
/* Where code leaves its straight line, on both machines, and bytes that are no code at all. */
#include "tests/unit/unit.h"

#include "capture/code_flow.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BASE 0x1000

struct seen {
	struct flow flows[8];
	unsigned count;
};

static int keep(void *context, const struct flow *flow)
{
	struct seen *seen = context;

	if (seen->count < 8)
		seen->flows[seen->count++] = *flow;
	return 0;
}

static int look(unsigned machine, const void *code, size_t size, struct seen *ret)
{
	memset(ret, 0, sizeof(*ret));
	return code_flow(machine, code, size, BASE, keep, ret);
}

/* The first flow of some bytes. */
static void first(unsigned machine, const void *code, size_t size, enum flow_kind kind, uint64_t at,
		  uint64_t target)
{
	struct seen seen;

	assert_int_equal(look(machine, code, size, &seen), 0);
	assert_true(seen.count > 0);
	assert_int_equal(seen.flows[0].kind, kind);
	assert_int_equal(seen.flows[0].address, BASE + at);
	assert_int_equal(seen.flows[0].target, target);
}

#define x86(code, kind, at, target) first(EM_X86_64, code, sizeof(code) - 1, kind, at, target)

static void on_x86_64(void **state)
{
	(void)state;
	x86("\xc3", FLOW_RETURN, 0, 0);
	x86("\xf3\xc3", FLOW_RETURN, 0, 0);
	x86("\xc2\x08\x00", FLOW_RETURN, 0, 0);
	x86("\x55\xe9\x00\x01\x00\x00", FLOW_JUMP, 1, BASE + 6 + 0x100);
	x86("\xeb\xfe", FLOW_JUMP, 0, BASE);
	x86("\x0f\x84\x10\x00\x00\x00", FLOW_BRANCH, 0, BASE + 6 + 0x10);
	x86("\xe8\x10\x00\x00\x00", FLOW_CALL, 0, BASE + 5 + 0x10);
	/* endbr64; bnd jmp *0x10(%rip): a stub of a table */
	x86("\xf3\x0f\x1e\xfa\xf2\xff\x25\x10\x00\x00\x00", FLOW_JUMP_SLOT, 4, BASE + 11 + 0x10);
	x86("\xff\x15\x10\x00\x00\x00", FLOW_CALL_SLOT, 0, BASE + 6 + 0x10);
	/* jmp *%rax; jmp *8(%rdi): anywhere */
	x86("\xff\xe0", FLOW_POINTER, 0, 0);
	x86("\xff\x67\x08", FLOW_POINTER, 0, 0);
	/* notrack jmp *%rax; add %rdx,%rax, jmp *%rax; jmp *table(,%rax,8): switches */
	x86("\x3e\xff\xe0", FLOW_SWITCH, 0, 0);
	x86("\x48\x01\xd0\xff\xe0", FLOW_SWITCH, 3, 0);
	x86("\xff\x24\xc5\x00\x10\x40\x00", FLOW_SWITCH, 0, 0);
}

static void arm(const uint32_t *words, size_t count, enum flow_kind kind, uint64_t at,
		uint64_t target)
{
	first(EM_AARCH64, words, count * 4, kind, at, target);
}

static void on_aarch64(void **state)
{
	(void)state;
	arm((uint32_t[]){0xd65f03c0}, 1, FLOW_RETURN, 0, 0);
	arm((uint32_t[]){0xd65f0bff}, 1, FLOW_RETURN, 0, 0); /* retaa */
	arm((uint32_t[]){0xd503201f, 0x14000002}, 2, FLOW_JUMP, 4, BASE + 4 + 8);
	arm((uint32_t[]){0x17ffffff}, 1, FLOW_JUMP, 0, BASE - 4);
	arm((uint32_t[]){0x94000002}, 1, FLOW_CALL, 0, BASE + 8);
	arm((uint32_t[]){0x54000040}, 1, FLOW_BRANCH, 0, BASE + 8);
	arm((uint32_t[]){0xb4000040}, 1, FLOW_BRANCH, 0, BASE + 8); /* cbz */
	arm((uint32_t[]){0x36000040}, 1, FLOW_BRANCH, 0, BASE + 8); /* tbz */
	/* adrp x16, 1 page; ldr x17, [x16, #16]; add x16, x16, #16; br x17 */
	arm((uint32_t[]){0xb0000010, 0xf9400a11, 0x91004210, 0xd61f0220}, 4, FLOW_JUMP_SLOT, 12,
	    0x2010);
	arm((uint32_t[]){0xd61f0200}, 1, FLOW_POINTER, 0, 0);		 /* br x16 */
	arm((uint32_t[]){0x8b000020, 0xd61f0000}, 2, FLOW_SWITCH, 4, 0); /* add x0, x1, x0 */
}

static void what_is_no_code(void **state)
{
	static const uint8_t undefined[] = {0x55, 0x06, 0x07, 0xff};
	unsigned seed = 1;
	uint8_t bytes[64];
	struct seen seen;

	(void)state;
	assert_int_equal(look(EM_X86_64, undefined, sizeof(undefined), &seen), -EILSEQ);
	assert_int_equal(look(EM_X86_64, "", 0, &seen), 0);
	assert_int_equal(look(EM_386, "\xc3", 1, &seen), -ENOTSUP);
	for (unsigned round = 0; round < 20000; round++) {
		for (size_t i = 0; i < sizeof(bytes); i++) {
			seed = seed * 1664525u + 1013904223u;
			bytes[i] = (uint8_t)(seed >> 24);
		}
		look(EM_X86_64, bytes, 1 + round % sizeof(bytes), &seen);
		look(EM_AARCH64, bytes, 1 + round % sizeof(bytes), &seen);
		for (unsigned i = 0; i < seen.count; i++)
			assert_true(seen.flows[i].address - BASE < sizeof(bytes));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_x86_64),
		cmocka_unit_test(on_aarch64),
		cmocka_unit_test(what_is_no_code),
	};

	return cmocka_run_group_tests_name("code_flow", tests, NULL, NULL);
}
