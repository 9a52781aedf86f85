/* SPDX-License-Identifier: GPL-2.0-only */
/* The row compiler on hand-made sections, good and damaged. */
#include "unit.h"
#include "unwind/rows.h"

#include <dwarf.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	SECTION = 0x1000,
	BASE = 0x10000
};

struct section {
	uint8_t bytes[4096];
	size_t size;
	size_t cie;
};

static void put(struct section *s, uint64_t value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		s->bytes[s->size++] = (uint8_t)(value >> (8 * i));
}

static void put_bytes(struct section *s, const void *bytes, size_t size)
{
	memcpy(s->bytes + s->size, bytes, size);
	s->size += size;
}

/* Writes the length of the entry that began at `start`. */
static void close_entry(struct section *s, size_t start)
{
	uint32_t length;

	while ((s->size - start) % 8)
		put(s, DW_CFA_nop, 1);
	length = (uint32_t)(s->size - start - 4);
	memcpy(s->bytes + start, &length, 4);
}

/* As compilers write it: CFA = rsp + 8, return address at CFA - 8. */
static void add_cie(struct section *s, const char *augmentation)
{
	static const uint8_t program[] = {DW_CFA_def_cfa, 7, 8, DW_CFA_offset | 16, 1};

	s->cie = s->size;
	put(s, 0, 4);
	put(s, 0, 4);
	put(s, 1, 1);
	put_bytes(s, augmentation, strlen(augmentation) + 1);
	put(s, 1, 1);	 /* code alignment */
	put(s, 0x78, 1); /* data alignment: -8 */
	put(s, 16, 1);
	put(s, 1, 1); /* augmentation data: the encoding */
	put(s, DW_EH_PE_pcrel | DW_EH_PE_sdata4, 1);
	put_bytes(s, program, sizeof(program));
	close_entry(s, s->cie);
}

static void add_fde(struct section *s, uint64_t start, uint32_t bytes, const uint8_t *program,
		    size_t size)
{
	size_t at = s->size;

	put(s, 0, 4);
	put(s, s->size - s->cie, 4);
	put(s, start - (SECTION + s->size), 4);
	put(s, bytes, 4);
	put(s, 0, 1);
	put_bytes(s, program, size);
	close_entry(s, at);
}

static int compile(const struct section *s, struct rows *ret)
{
	/* A copy of the exact size, so that a sanitizer sees a read beyond it. */
	uint8_t *copy = malloc(s->size + !s->size);
	struct rows_input input = {
		.data = copy,
		.size = s->size,
		.address = SECTION,
		.base = BASE,
		.machine = EM_X86_64,
	};
	int error;

	memcpy(copy, s->bytes, s->size);
	error = rows_compile(&input, ret);
	free(copy);
	return error;
}

#define FDE(section, start, bytes, ...)                                           \
	do {                                                                      \
		static const uint8_t fde_program[] = {__VA_ARGS__};               \
		add_fde(section, start, bytes, fde_program, sizeof(fde_program)); \
	} while (0)

static void test_prologue(void **state)
{
	struct section s = {0};
	struct rows rows;

	(void)state;
	add_cie(&s, "zR");
	/* push %rbp; mov %rsp,%rbp; ... leave; ret */
	FDE(&s, BASE + 0x100, 0x40, DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16,
	    DW_CFA_offset | 6, 2, DW_CFA_advance_loc | 3, DW_CFA_def_cfa_register, 6,
	    DW_CFA_advance_loc1, 0x3b, DW_CFA_def_cfa, 7, 8, DW_CFA_restore | 6);
	assert_int_equal(compile(&s, &rows), 0);
	assert_int_equal(rows_find(&rows, 0xff), UNWIND_NONE);
	assert_int_equal(rows_find(&rows, 0x100), unwind_x86_rule(UNWIND_SP, 1, 0));
	assert_int_equal(rows_find(&rows, 0x101), unwind_x86_rule(UNWIND_SP, 2, 2));
	assert_int_equal(rows_find(&rows, 0x104), unwind_x86_rule(UNWIND_FP, 2, 2));
	assert_int_equal(rows_find(&rows, 0x13e), unwind_x86_rule(UNWIND_FP, 2, 2));
	assert_int_equal(rows_find(&rows, 0x13f), unwind_x86_rule(UNWIND_SP, 1, 0));
	assert_int_equal(rows_find(&rows, 0x140), UNWIND_NONE);
	assert_int_equal(rows.count, 5);
	rows_deinit(&rows);
}

static void test_neighbours_merge_and_sort(void **state)
{
	struct section s = {0};
	struct rows rows;

	(void)state;
	add_cie(&s, "zR");
	FDE(&s, BASE + 0x30, 0x10, DW_CFA_nop);
	FDE(&s, BASE + 0x20, 0x10, DW_CFA_nop);
	FDE(&s, BASE + 0x10, 0x8, DW_CFA_nop);
	assert_int_equal(compile(&s, &rows), 0);
	assert_int_equal(rows.functions, 3);
	assert_int_equal(rows.count, 4);
	assert_int_equal(rows.data[0].pc, 0x10);
	assert_int_equal(rows_find(&rows, 0x17), unwind_x86_rule(UNWIND_SP, 1, 0));
	assert_int_equal(rows_find(&rows, 0x18), UNWIND_NONE);
	assert_int_equal(rows_find(&rows, 0x20), unwind_x86_rule(UNWIND_SP, 1, 0));
	assert_int_equal(rows_find(&rows, 0x3f), unwind_x86_rule(UNWIND_SP, 1, 0));
	assert_int_equal(rows_find(&rows, 0x40), UNWIND_NONE);
	rows_deinit(&rows);
}

static void test_realigned_stack(void **state)
{
	struct section s = {0};
	struct rows rows;

	(void)state;
	add_cie(&s, "zR");
	FDE(&s, BASE, 0x20, DW_CFA_def_cfa, 10, 0, DW_CFA_advance_loc | 8, DW_CFA_expression, 6, 2,
	    DW_OP_breg6, 0, DW_CFA_advance_loc | 8, DW_CFA_def_cfa_expression, 3, DW_OP_breg6, 0x78,
	    DW_OP_deref);
	assert_int_equal(compile(&s, &rows), 0);
	assert_int_equal(rows_find(&rows, 0), UNWIND_UNSUPPORTED);
	assert_int_equal(rows_find(&rows, 0x10),
			 unwind_x86_rule(UNWIND_DRAP, 1, UNWIND_X86_FP_AT_FP));
	assert_int_equal(rows.unsupported, 2);
	rows_deinit(&rows);
}

static void test_plt_and_end_and_lost(void **state)
{
	struct section s = {0};
	struct rows rows;

	(void)state;
	add_cie(&s, "zR");
	FDE(&s, BASE, 0x10, DW_CFA_def_cfa_expression, 11, DW_OP_breg7, 8, DW_OP_breg16, 0,
	    DW_OP_lit15, DW_OP_and, DW_OP_lit11, DW_OP_ge, DW_OP_lit3, DW_OP_shl, DW_OP_plus);
	FDE(&s, BASE + 0x10, 0x10, DW_CFA_undefined, 16);
	FDE(&s, BASE + 0x20, 0x10, DW_CFA_register, 6, 3);
	FDE(&s, BASE + 0x30, 0x10, DW_CFA_val_expression, 16, 2, DW_OP_breg7, 0);
	assert_int_equal(compile(&s, &rows), 0);
	assert_int_equal(rows_find(&rows, 0), unwind_x86_rule(UNWIND_PLT, 11, 0));
	assert_int_equal(rows_find(&rows, 0x10), UNWIND_END);
	assert_int_equal(rows_find(&rows, 0x20), unwind_x86_rule(UNWIND_SP, 1, UNWIND_X86_FP_LOST));
	assert_int_equal(rows_find(&rows, 0x30), UNWIND_UNSUPPORTED);
	rows_deinit(&rows);
}

static void test_fill(void **state)
{
	const uint32_t plain = unwind_x86_rule(UNWIND_SP, 1, 0);
	const uint32_t pushed = unwind_x86_rule(UNWIND_SP, 2, 0);
	struct section s = {0}, more = {0};
	struct rows rows, other;

	(void)state;
	add_cie(&s, "zR");
	FDE(&s, BASE + 0x10, 0x10, DW_CFA_nop);
	FDE(&s, BASE + 0x40, 0x10, DW_CFA_nop);
	add_cie(&more, "zR");
	FDE(&more, BASE, 0x18, DW_CFA_def_cfa_offset, 16);
	FDE(&more, BASE + 0x30, 0x10, DW_CFA_nop);
	FDE(&more, BASE + 0x60, 0x10, DW_CFA_def_cfa_offset, 16);
	assert_int_equal(compile(&s, &rows), 0);
	assert_int_equal(compile(&more, &other), 0);
	rows_fill(&rows, &other);
	assert_int_equal(rows_find(&rows, 0), pushed);
	assert_int_equal(rows_find(&rows, 0xf), pushed);
	assert_int_equal(rows_find(&rows, 0x10), plain);
	assert_int_equal(rows_find(&rows, 0x1f), plain);
	assert_int_equal(rows_find(&rows, 0x20), UNWIND_NONE);
	assert_int_equal(rows_find(&rows, 0x30), plain);
	assert_int_equal(rows_find(&rows, 0x4f), plain);
	assert_int_equal(rows_find(&rows, 0x50), UNWIND_NONE);
	assert_int_equal(rows_find(&rows, 0x60), pushed);
	assert_int_equal(rows_find(&rows, 0x70), UNWIND_NONE);
	/* The neighbours at 0x30 and 0x40 have one rule. */
	assert_int_equal(rows.count, 7);
	assert_int_equal(rows.functions, 5);
	rows_deinit(&rows);
	rows_deinit(&other);
}

static void test_signal_trampoline(void **state)
{
	struct section s = {0};
	struct rows rows;

	(void)state;
	add_cie(&s, "zRS");
	FDE(&s, BASE, 0x10, DW_CFA_def_cfa_expression, 4, DW_OP_breg7, 0xa0, 1, DW_OP_deref,
	    DW_CFA_expression, 6, 3, DW_OP_breg7, 0xf8, 0, DW_CFA_expression, 16, 3, DW_OP_breg7,
	    0xa8, 1);
	FDE(&s, BASE + 0x10, 0x10, DW_CFA_nop);
	assert_int_equal(compile(&s, &rows), 0);
	assert_int_equal(rows_find(&rows, 0), unwind_x86_rule(UNWIND_SIGNAL, 20, 15));
	assert_int_equal(rows_find(&rows, 0x10), UNWIND_UNSUPPORTED);
	rows_deinit(&rows);
}

static void test_damaged_function_keeps_the_others(void **state)
{
	struct section s = {0};
	struct rows rows;

	(void)state;
	add_cie(&s, "zR");
	FDE(&s, BASE, 0x10, DW_CFA_advance_loc | 4, 0x3f);
	FDE(&s, BASE + 0x10, 0x10, DW_CFA_restore_state);
	FDE(&s, BASE + 0x20, 0x10, DW_CFA_nop);
	assert_int_equal(compile(&s, &rows), 0);
	assert_int_equal(rows.damaged, 2);
	assert_int_equal(rows_find(&rows, 0), unwind_x86_rule(UNWIND_SP, 1, 0));
	assert_int_equal(rows_find(&rows, 4), UNWIND_UNSUPPORTED);
	assert_int_equal(rows_find(&rows, 0x10), UNWIND_UNSUPPORTED);
	assert_int_equal(rows_find(&rows, 0x20), unwind_x86_rule(UNWIND_SP, 1, 0));
	rows_deinit(&rows);
}

static void test_every_cut_is_survived(void **state)
{
	struct section s = {0};

	(void)state;
	add_cie(&s, "zR");
	FDE(&s, BASE, 0x40, DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16, DW_CFA_offset | 6,
	    2);
	FDE(&s, BASE + 0x40, 0x40, DW_CFA_remember_state, DW_CFA_advance_loc4, 1, 0, 0, 0,
	    DW_CFA_restore_state);
	while (s.size--) {
		struct rows rows;
		int error = compile(&s, &rows);

		assert_true(error == 0 || error == -EINVAL);
		assert_true(rows.functions < 2);
		rows_deinit(&rows);
	}
}

static void test_strange_input(void **state)
{
	struct rows_input input = {.data = "", .size = 0, .machine = EM_SPARC};
	struct section s = {0};
	struct rows rows;

	(void)state;
	assert_int_equal(rows_compile(&input, &rows), -ENOTSUP);
	input.machine = EM_X86_64;
	assert_int_equal(rows_compile(&input, &rows), -EINVAL);
	/* An FDE that names itself, or nothing, as its CIE. */
	FDE(&s, BASE, 0x10, DW_CFA_nop);
	s.cie = 0x800;
	FDE(&s, BASE, 0x10, DW_CFA_nop);
	assert_int_equal(compile(&s, &rows), -EINVAL);
	assert_int_equal(rows.damaged, 2);
	rows_deinit(&rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prologue),
		cmocka_unit_test(test_neighbours_merge_and_sort),
		cmocka_unit_test(test_realigned_stack),
		cmocka_unit_test(test_plt_and_end_and_lost),
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_signal_trampoline),
		cmocka_unit_test(test_damaged_function_keeps_the_others),
		cmocka_unit_test(test_every_cut_is_survived),
		cmocka_unit_test(test_strange_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
