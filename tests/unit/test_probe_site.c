/* SPDX-License-Identifier: GPL-2.0-only */
#include "tests/unit/unit.h"

#include "capture/probe_site.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#define STEPPED UINT64_MAX

static uint64_t choose(const char *code, size_t size, unsigned arguments)
{
	struct probe_site site;

	assert_int_equal(
		probe_site_choose(EM_X86_64, (const uint8_t *)code, size, arguments, &site), 0);
	if (site.single_step)
		assert_int_equal(site.offset, 0);
	return site.single_step ? STEPPED : site.offset;
}

/* One case: bytes, arguments that must be intact, the offset expected. */
#define check(code, arguments, expected) \
	assert_int_equal(choose(code, sizeof(code) - 1, arguments), expected)

static void push_at_entry(void **state)
{
	(void)state;
	check("\x41\x54\x55\x53\x48\x89\xfb\xc3", 1, 0); /* push %r12 */
	check("\x55\xc3", 3, 0);			 /* push %rbp */
	check("\x66\x55\xc3", 1, STEPPED);		 /* push %bp */
	check("\x48\x55\xc3", 1, STEPPED);		 /* push %rbp with REX.W */
	check("\xff\x37\xc3", 1, STEPPED);		 /* push (%rdi) */
}

static void branch_after_test(void **state)
{
	(void)state;
	/* test %rdi,%rdi; je near; push %rbp: as free of glibc 2.36 */
	check("\x48\x85\xff\x0f\x84\xbf\x00\x00\x00\x55\xc3", 1, 3);
	/* cmpb $0,x(%rip); je short: as memalign */
	check("\x80\x3d\x71\x0e\x14\x00\x00\x74\x05\xe9\x00\x00\x00\x00\xc3", 2, 7);
	/* cmpb $0,x(%rip); push %r12: as posix_memalign */
	check("\x80\x3d\x01\x02\x14\x00\x00\x41\x54\x49\x89\xd4\xc3", 3, 7);
	/* endbr64; push %rbp */
	check("\xf3\x0f\x1e\xfa\x55\xc3", 1, 4);
	/* endbr64; jmp rel32; call rel32 */
	check("\xf3\x0f\x1e\xfa\xe9\x00\x01\x00\x00", 1, 4);
	check("\xf3\x0f\x1e\xfa\xe8\x00\x01\x00\x00\xc3", 1, 4);
	/* 16-bit operand jumps differ between vendors: not emulated, and nothing after them */
	check("\x66\xe9\x00\x01\x55\xc3", 1, STEPPED);
}

static void nops(void **state)
{
	(void)state;
	check("\x90\x55\xc3", 1, 0);
	check("\x66\x90\x55\xc3", 1, 0);
	check("\x0f\x1f\x44\x00\x00\x55\xc3", 1, 5); /* the long one is passed over */
	check("\x41\x90\xc3", 1, STEPPED);	     /* xchg %eax,%r8d */
}

static void arguments_are_kept(void **state)
{
	(void)state;
	/* mov %rsi,%rax; mul %rdx; mov %rax,%rsi; jo: as reallocarray; mul changes rdx */
	check("\x48\x89\xf0\x48\xf7\xe2\x48\x89\xc6\x70\x05\xe9\x00\x01\x00\x00", 3, STEPPED);
	/* mov %rdi,%rax; push: a copy does no harm */
	check("\x48\x89\xf8\x55\xc3", 1, 3);
	/* parts of a register are the register: xor %edi,%edi; mov $1,%sil; mov $1,%dh */
	check("\x31\xff\x55\xc3", 1, STEPPED);
	check("\x40\xb6\x01\x55\xc3", 2, STEPPED);
	check("\xb6\x01\x55\xc3", 3, STEPPED);
	/* the same, where the argument is not read */
	check("\x40\xb6\x01\x55\xc3", 1, 3);
	check("\xb6\x01\x55\xc3", 2, 2);
}

static void return_address_stays(void **state)
{
	(void)state;
	check("\x48\x83\xec\x08\x55\xc3", 1, STEPPED); /* sub $8,%rsp; push */
	check("\x48\x89\x3c\x24\x55\xc3", 1, STEPPED); /* mov %rdi,(%rsp); push */
	check("\xc8\x10\x00\x00\x55\xc3", 1, STEPPED); /* enter; push */
	check("\x9c\x55\xc3", 1, STEPPED);	       /* pushf; push */
	check("\x58\x55\xc3", 1, STEPPED);	       /* pop; push */
	check("\xc9\x55\xc3", 1, STEPPED);	       /* leave; push */
	check("\x48\x94\x55\xc3", 1, STEPPED);	       /* xchg %rax,%rsp; push */
	check("\x48\x89\x7c\x24\xf8\x0f\x84\x00\x01\x00\x00", 1,
	      STEPPED);				 /* red zone: too clever */
	check("\x48\x8b\x04\x24\x55\xc3", 1, 4); /* mov (%rsp),%rax; push: it reads */
}

static void straight_line_only(void **state)
{
	(void)state;
	check("\xff\x25\x00\x00\x00\x00\x55\xc3", 1, STEPPED); /* jmp *x(%rip); push */
	check("\xff\x15\x00\x00\x00\x00\x55\xc3", 1, STEPPED); /* call *x(%rip); push */
	check("\xe3\x02\x55\xc3", 1, STEPPED);		       /* jrcxz is not emulated */
	check("\xc3\x55", 1, STEPPED);
	check("\x0f\x05\x55\xc3", 1, STEPPED); /* syscall */
	check("\x0f\x0b\x55\xc3", 1, STEPPED); /* ud2 */
	check("\x06\x06", 1, STEPPED);	       /* no instruction */
	check("", 1, STEPPED);
	check("\x48", 1, STEPPED);
}

static void loops_are_seen(void **state)
{
	(void)state;
	/* test %rdi,%rdi; je +2; dec %rax; jmp to the je */
	check("\x48\x85\xff\x74\x05\x48\xff\xc8\xeb\xf9\xc3", 1, STEPPED);
	/* ... to the end of what is skipped, from behind a byte that is no instruction */
	check("\x48\x85\xff\x74\x02\x06\xeb\xfb\xc3", 1, STEPPED);
	/* ... to the entry: a probe there would be hit again as well */
	check("\x48\x85\xff\x74\x05\x48\xff\xc8\xeb\xf6\xc3", 1, 3);
	/* ... behind the probe */
	check("\x48\x85\xff\x74\x05\x48\xff\xc8\xeb\xfb\xc3", 1, 3);
}

static void long_prefix_ends(void **state)
{
	char code[128];

	(void)state;
	/* 40 times mov %rdi,%rax, then push: too far away to be looked for */
	for (size_t i = 0; i < 120; i += 3)
		memcpy(code + i, "\x48\x89\xf8", 3);
	code[120] = 0x55;
	assert_int_equal(choose(code, 121, 1), STEPPED);
}

static void arm_entry(void **state)
{
	static const struct {
		uint32_t word;
		bool single_step;
	} cases[] = {
		{0xd503233f, true},  /* paciasp */
		{0xa9bf7bfd, true},  /* stp x29, x30, [sp, #-16]! */
		{0x14000010, false}, /* b */
		{0x94000010, false}, /* bl */
		{0xb4000040, false}, /* cbz x0 */
		{0x54000040, false}, /* b.eq */
		{0x90000000, false}, /* adrp */
		{0xd503201f, true},  /* nop */
	};
	struct probe_site site;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(
			probe_site_choose(EM_AARCH64, (const uint8_t *)&cases[i].word, 4, 1, &site),
			0);
		assert_int_equal(site.offset, 0);
		assert_int_equal(site.single_step, cases[i].single_step);
	}
	assert_int_equal(probe_site_choose(EM_386, (const uint8_t *)"\x55", 1, 1, &site), -ENOTSUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(push_at_entry),
		cmocka_unit_test(branch_after_test),
		cmocka_unit_test(nops),
		cmocka_unit_test(arguments_are_kept),
		cmocka_unit_test(return_address_stays),
		cmocka_unit_test(straight_line_only),
		cmocka_unit_test(loops_are_seen),
		cmocka_unit_test(long_prefix_ends),
		cmocka_unit_test(arm_entry),
	};

	return cmocka_run_group_tests_name("probe_site", tests, NULL, NULL);
}
