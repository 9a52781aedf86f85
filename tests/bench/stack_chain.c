/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A target for measuring captures: reads lines "DEPTH COUNT", calls bench_probe() COUNT times from
 * so many frames down and answers with the nanoseconds of CPU time a call took.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Begins with an instruction that the kernel emulates. */
void bench_probe(void);
#if defined(__x86_64__)
__asm__(".globl bench_probe\n.type bench_probe,@function\nbench_probe:\n.cfi_startproc\n"
	"nop\nret\n.cfi_endproc\n.size bench_probe,.-bench_probe\n");
#else
__asm__(".globl bench_probe\n.type bench_probe,%function\nbench_probe:\n.cfi_startproc\n"
	"nop\nret\n.cfi_endproc\n.size bench_probe,.-bench_probe\n");
#endif

typedef uint64_t chain_fn(unsigned left, uint64_t count);
extern chain_fn *const chain[];

static __attribute__((noinline)) uint64_t innermost(uint64_t count)
{
	struct timespec start, end;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
	for (uint64_t i = 0; i < count; i++)
		bench_probe();
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
	return (uint64_t)(end.tv_sec - start.tv_sec) * 1000000000u + (uint64_t)end.tv_nsec -
	       (uint64_t)start.tv_nsec;
}

/* Frames of a few registers and locals, as code has them. */
#define LINK(n)                                                                          \
	static __attribute__((noinline)) uint64_t link##n(unsigned left, uint64_t count) \
	{                                                                                \
		uint64_t a = left * 3 + n, b = count ^ n, c = a * b, result;             \
		char local[16 + (n) % 5 * 8];                                            \
                                                                                         \
		__asm__ volatile("" : : "r"(local) : "memory");                          \
		result = left ? chain[left - 1](left - 1, count) : innermost(count);     \
		__asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c));                        \
		return result + (a == b && b == c && a == 12345678901);                  \
	}

#define TEN(n)     \
	LINK(n##0) \
	LINK(n##1) \
	LINK(n##2) LINK(n##3) LINK(n##4) LINK(n##5) LINK(n##6) LINK(n##7) LINK(n##8) LINK(n##9)
#define NAMES(n)                                                                            \
	link##n##0, link##n##1, link##n##2, link##n##3, link##n##4, link##n##5, link##n##6, \
		link##n##7, link##n##8, link##n##9
TEN(1)
TEN(2)
TEN(3)
TEN(4)

chain_fn *const chain[] = {NAMES(1), NAMES(2), NAMES(3), NAMES(4)};

int main(void)
{
	unsigned depth;
	uint64_t count;

	printf("%lx\n", (unsigned long)(uintptr_t)bench_probe);
	fflush(stdout);
	while (scanf("%u %lu", &depth, &count) == 2) {
		/* main, its two callers and innermost() are frames too. */
		unsigned left = depth > 5 && depth <= 44 ? depth - 5 : 0;
		uint64_t ns = chain[left](left, count);

		printf("%.3f\n", (double)ns / (double)count);
		fflush(stdout);
	}
	return 0;
}
