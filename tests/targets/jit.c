/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small JIT compiler: two functions in anonymous memory, with frame pointers and without frame
 * information, the outer of which calls the inner, which allocates. Says "ready", and for each line
 * of input allocates COUNT times and says the stack below malloc as it must be seen: return
 * addresses into inner, outer and main's caller of them.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	COUNT = 100,
	SIZE = 40
};

typedef void *jit_fn(size_t size);

static void *kept[COUNT * 100];
static unsigned kept_count;
static uint8_t *code;
static size_t inner_return, outer_return, outer_start, code_end;

#if defined(__x86_64__)
static size_t emit(size_t at, const void *bytes, size_t size)
{
	memcpy(code + at, bytes, size);
	return at + size;
}

/* push %rbp; mov %rsp,%rbp; movabs $callee,%rax; call *%rax; (returns here) pop %rbp; ret */
static size_t emit_function(size_t at, const void *callee, size_t *return_offset)
{
	at = emit(at, "\x55\x48\x89\xe5\x48\xb8", 6);
	at = emit(at, &callee, sizeof(callee));
	at = emit(at, "\xff\xd0", 2);
	*return_offset = at;
	return emit(at, "\x5d\xc3", 2);
}
#else
/* stp x29,x30,[sp,#-16]!; mov x29,sp; ldr x9,callee; blr x9; ldp x29,x30,[sp],#16; ret; callee */
static size_t emit_function(size_t at, const void *callee, size_t *return_offset)
{
	static const uint32_t instructions[] = {0xa9bf7bfd, 0x910003fd, 0x58000089,
						0xd63f0120, 0xa8c17bfd, 0xd65f03c0};

	memcpy(code + at, instructions, sizeof(instructions));
	memcpy(code + at + sizeof(instructions), &callee, sizeof(callee));
	*return_offset = at + 16;
	return at + sizeof(instructions) + sizeof(callee);
}
#endif

static int compile(void)
{
	code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (code == MAP_FAILED)
		return -1;
	outer_start = emit_function(0, (const void *)(uintptr_t)malloc, &inner_return);
	code_end = emit_function(outer_start, code, &outer_return);
	__builtin___clear_cache((char *)code, (char *)code + code_end);
	return mprotect(code, 4096, PROT_READ | PROT_EXEC);
}

static int write_map(void)
{
	char path[64];
	FILE *map;

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	map = fopen(path, "w");
	if (!map)
		return -1;
	fprintf(map, "%lx %zx jit_inner\n%lx %zx jit_outer\n", (unsigned long)(uintptr_t)code,
		outer_start, (unsigned long)(uintptr_t)(code + outer_start),
		code_end - outer_start);
	return fclose(map);
}

static __attribute__((noinline)) void run_compiled(void)
{
	jit_fn *outer = (jit_fn *)(uintptr_t)(code + outer_start);

	for (unsigned i = 0; i < COUNT && kept_count < COUNT * 100; i++)
		kept[kept_count++] = outer(SIZE);
	__asm__ volatile("" : : : "memory");
}

int main(void)
{
	static char in_buffer[256], out_buffer[256], line[16];

	setvbuf(stdin, in_buffer, _IOFBF, sizeof(in_buffer));
	setvbuf(stdout, out_buffer, _IOFBF, sizeof(out_buffer));
	if (compile() || write_map())
		return 1;
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		run_compiled();
		printf("%lx %lx\n", (unsigned long)(uintptr_t)(code + inner_return),
		       (unsigned long)(uintptr_t)(code + outer_return));
		fflush(stdout);
	}
	return 0;
}
