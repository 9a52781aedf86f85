/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Targets that a return probe may end: one whose filter of system calls ends it at a call that it
 * does not know, and one whose signal handler allocates on another stack, that lies higher, while
 * the interrupted thread is in malloc.
 */
#include "books.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#define BLOCKS 2000

/* All that the program and its C library call from here on. */
static void guard(void)
{
	static const unsigned allowed[] = {
		SYS_read,	SYS_write,     SYS_openat, SYS_close,	   SYS_brk,
		SYS_mmap,	SYS_munmap,    SYS_mremap, SYS_futex,	   SYS_renameat,
		SYS_exit_group, SYS_getrandom, SYS_lseek,  SYS_newfstatat, SYS_unlinkat,
		SYS_madvise,	SYS_mprotect,
#ifdef SYS_rename
		SYS_rename,	SYS_unlink,
#endif
	};
	enum {
		COUNT = sizeof(allowed) / sizeof(*allowed)
	};
	struct sock_filter code[COUNT + 3];
	struct sock_fprog program = {.filter = code, .len = COUNT + 3};

	code[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					       offsetof(struct seccomp_data, nr));
	for (unsigned i = 0; i < COUNT; i++)
		code[1 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i],
							   COUNT - i, 0);
	code[COUNT + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	code[COUNT + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		books_die("cannot set a filter of system calls");
}

static void take_and_give(void)
{
	static void *blocks[BLOCKS];

	for (unsigned i = 0; i < BLOCKS; i++)
		blocks[i] = svc_malloc(i);
	for (unsigned i = 0; i < BLOCKS; i++)
		blocks[i] = svc_realloc(blocks[i], 2 * i + 1);
	books_stop("held");
	books_free_all(blocks, BLOCKS);
	books_stop("freed");
}

static void filtered(void)
{
	guard();
	books_ready();
	take_and_give();
}

/* The filter comes when it is watched already. */
static void filtered_later(void)
{
	books_ready();
	guard();
	take_and_give();
}

/* Nothing but read() and write() from here on: the ledger stays that of `ready`. */
static void strict(void)
{
	static void *blocks[BLOCKS];
	char line[64];

	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	mallopt(M_TOP_PAD, 1 << 22);
	free(malloc(1000));
	books_ready();
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
		books_die("cannot be strict");
	for (unsigned i = 0; i < BLOCKS; i++)
		blocks[i] = malloc(24);
	if (write(STDOUT_FILENO, "held\n", 5) == 5 && read(STDIN_FILENO, line, sizeof(line)) > 0)
		for (unsigned i = 0; i < BLOCKS; i++)
			free(blocks[i]);
	if (write(STDOUT_FILENO, "freed\n", 6) == 6 && read(STDIN_FILENO, line, sizeof(line)) > 0)
		syscall(SYS_exit, 0);
	syscall(SYS_exit, 1);
}

#ifdef OWN_ALLOCATOR
/* --- an allocator that a handler may interrupt: it sends itself the signal in the middle */

static char region[64 << 20] __attribute__((aligned(16)));
static size_t used;
static volatile sig_atomic_t in_handler, interrupts;

void *malloc(size_t size);
void free(void *block);

static void *carve(size_t size)
{
	size_t at = __atomic_fetch_add(&used, (size + 31) & ~(size_t)15, __ATOMIC_RELAXED);

	return at + size + 16 > sizeof(region) ? NULL : region + at;
}

SITE void *malloc(size_t size)
{
	void *block = carve(size);

	/* In flight, with its frame on the thread's own stack. */
	if (interrupts && !in_handler)
		raise(SIGUSR1);
	return block;
}

SITE void free(void *block)
{
	__asm__ volatile("" ::"r"(block) : "memory");
}

static void handler(int signal)
{
	(void)signal;
	in_handler = 1;
	free(malloc(40));
	in_handler = 0;
}

/* The thread's stack lies below the handler's. */
static ucontext_t outer, lower;

static void on_the_lower_stack(void)
{
	interrupts = 1;
	for (unsigned i = 0; i < 100; i++)
		free(malloc(i));
	interrupts = 0;
	swapcontext(&lower, &outer);
}

static void other_stack(void)
{
	const size_t size = 1 << 18;
	char *both =
		mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t above = {.ss_sp = both + size, .ss_size = size};
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};

	if (both == MAP_FAILED || sigaltstack(&above, NULL) || sigaction(SIGUSR1, &action, NULL))
		books_die("no stack for signals");
	getcontext(&lower);
	lower.uc_stack.ss_sp = both;
	lower.uc_stack.ss_size = size;
	makecontext(&lower, on_the_lower_stack, 0);
	books_ready();
	swapcontext(&outer, &lower);
	books_stop("done");
}
#else
static void other_stack(void)
{
	books_die("built without its allocator");
}
#endif

int main(int argc, char **argv)
{
	static const struct books_case cases[] = {{"filtered", filtered},
						  {"filtered_later", filtered_later},
						  {"strict", strict},
						  {"other_stack", other_stack}};

	return books_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
