/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A target for a C library that has no frame information and nothing like backtrace(): each of its
 * functions notes its return address on a shadow stack. It allocates at the end of calls, on its
 * main thread and on another, in handlers of traps on the same stack and on another one, and in a
 * function that the C library calls.
 *
 * It does all once and says for each allocation where its stack leads, "out ADDRESS...", or if it
 * is the C library that calls one of the functions "in ADDRESS...", without the library's frames;
 * then "ready"; and again for each line of input, then "done".
 */
#define _GNU_SOURCE
#include <alloca.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

enum {
	SHADOW_MAX = 64,
	ALTERNATE_STACK = 1 << 16,
	DEPTH = 5,
};

#define APART	__attribute__((noipa))
#define ENTER() shadow_push((uintptr_t)__builtin_return_address(0))
#define LEAVE() (shadow.depth--)

static __thread struct {
	unsigned depth;
	uintptr_t addresses[SHADOW_MAX];
} shadow;
static bool telling;
static const char *way; /* "in" or "out" */
static void *volatile sink;

/* malloc, by a jump, and the address that it returns to. */
void *call_malloc(size_t size, void **ret_address);
#if defined(__x86_64__)
__asm__(".text\ncall_malloc:\n.cfi_startproc\n"
	"movq (%rsp), %rax\nmovq %rax, (%rsi)\njmp malloc@PLT\n.cfi_endproc\n");
#elif defined(__aarch64__)
__asm__(".text\ncall_malloc:\n.cfi_startproc\n"
	"str x30, [x1]\nb malloc\n.cfi_endproc\n");
#endif

static void shadow_push(uintptr_t address)
{
	shadow.addresses[shadow.depth++ % SHADOW_MAX] = address;
}

static void tell(uintptr_t address)
{
	if (!telling)
		return;
	printf("%s %lx", way, (unsigned long)address);
	for (unsigned i = shadow.depth; i-- > 0;)
		printf(" %lx", (unsigned long)shadow.addresses[i]);
	printf("\n");
}

APART static void take(size_t size)
{
	void *address;

	ENTER();
	sink = call_malloc(size, &address);
	tell((uintptr_t)address);
	free(sink);
	LEAVE();
}

APART static void deeper(unsigned depth)
{
	char *room = alloca(16 + depth * 24);

	ENTER();
	__asm__ volatile("" : : "r"(room) : "memory");
	if (depth)
		deeper(depth - 1);
	else
		take(20);
	LEAVE();
}

/* The C library's qsort() calls it. */
APART static int compare(const void *a, const void *b)
{
	ENTER();
	take(30);
	LEAVE();
	return *(const char *)a - *(const char *)b;
}

APART static void be_called_back(void)
{
	char pair[] = "ab";

	ENTER();
	way = "in";
	qsort(pair, 2, 1, compare);
	way = "out";
	LEAVE();
}

#if defined(__x86_64__)
/* The interrupted frame is told one further, as memtop has it. */
static void on_trap(int number, siginfo_t *info, void *context)
{
	const ucontext_t *interrupted = context;

	(void)number;
	(void)info;
	shadow_push(interrupted->uc_mcontext.gregs[REG_RIP] + 1);
	ENTER();
	take(40);
	LEAVE();
	LEAVE();
}

static void set_handler(int flags)
{
	struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | flags};

	sigaction(SIGTRAP, &action, NULL);
}

APART static void trap(void)
{
	ENTER();
	__asm__ volatile("int3");
	LEAVE();
}

APART static void be_interrupted(void)
{
	ENTER();
	set_handler(0);
	trap();
	set_handler(SA_ONSTACK);
	trap();
	LEAVE();
}
#else
APART static void be_interrupted(void)
{
}
#endif

APART static void *run(void *argument)
{
	ENTER();
	deeper(DEPTH);
	be_interrupted();
	LEAVE();
	return argument;
}

APART static void run_all(void)
{
	pthread_t thread;

	ENTER();
	run(NULL);
	be_called_back();
	pthread_create(&thread, NULL, run, NULL);
	pthread_join(thread, NULL);
	LEAVE();
}

int main(void)
{
	static char alternate_stack[ALTERNATE_STACK], line[64];
	stack_t alternate = {.ss_sp = alternate_stack, .ss_size = sizeof(alternate_stack)};

	ENTER();
	way = "out";
	sigaltstack(&alternate, NULL);
	telling = true;
	/* volatile: all from one call. */
	for (volatile bool first = true;; first = false) {
		run_all();
		telling = false;
		puts(first ? "ready" : "done");
		fflush(stdout);
		if (!fgets(line, sizeof(line), stdin))
			return 0;
	}
}
