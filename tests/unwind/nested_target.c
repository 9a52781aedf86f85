/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A target that allocates while return probes are pending on its stack: its allocator's functions
 * raise signals, whose handlers allocate. It knows the stack of each of these allocations.
 *
 *     nested_target
 *
 * It does all cases once to say for each allocation "CASE KIND ADDRESSES" by backtrace(), which
 * ends at a return probe's trampoline and so cannot do it later; then "ready PROBED CALLOC", the
 * addresses of two functions for return probes that are somebody else's. For each line of input it
 * does all cases ROUNDS times and says "done".
 *
 * An interrupted frame is told one further, as memtop has it.
 */
#include <execinfo.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	ROUNDS = 50,
	FRAMES_MAX = 64,
	RECORDS_MAX = 256,
	REGION_BYTES = 32 << 20,
	ALTERNATE_STACK = 1 << 16,
};

#define APART __attribute__((noipa))

struct record {
	const char *name, *kind;
	int count;
	void *frames[FRAMES_MAX];
};

static struct record records[RECORDS_MAX];
static unsigned record_count;
static bool recording;
static const char *case_name;
static uint64_t restorer; /* where handlers return to */
static char region[REGION_BYTES] __attribute__((aligned(16)));
static size_t region_used;
static char alternate_stack[ALTERNATE_STACK];
static void *volatile sink;
static volatile unsigned raise_left; /* how many of the next calls raise a signal */
static volatile int raise_number;

/* frames[0] is in the function that this is a part of: its caller's is the next. */
__attribute__((always_inline)) static inline void note(const char *kind)
{
	struct record *record = &records[record_count];

	if (!recording || !case_name || record_count == RECORDS_MAX)
		return;
	record->name = case_name;
	record->kind = kind;
	record->count = backtrace(record->frames, FRAMES_MAX);
	record_count++;
}

static void *carve(size_t size)
{
	size_t at = region_used;

	region_used += (size + 31) & ~(size_t)15;
	if (region_used > sizeof(region))
		_exit(3);
	return region + at;
}

/* The allocator is at work; now and then a signal arrives. */
APART static void interrupt(void)
{
	if (!raise_left)
		return;
	raise_left--;
	raise(raise_number);
}

__attribute__((noipa)) void *malloc(size_t size)
{
	void *block = carve(size);

	note("malloc");
	interrupt();
	__asm__ volatile("");
	return block;
}

__attribute__((noipa)) void *realloc(void *old, size_t size)
{
	void *block = carve(size);

	(void)old;
	note("realloc");
	interrupt();
	__asm__ volatile("");
	return block;
}

/* Entered by a jump, with the return address of who jumped. */
APART static void *aligned(size_t alignment, size_t size)
{
	(void)alignment;
	void *block = carve(size);

	interrupt();
	__asm__ volatile("");
	return block;
}

__attribute__((noipa)) void *memalign(size_t alignment, size_t size)
{
	return aligned(alignment, size);
}

__attribute__((noipa)) void *aligned_alloc(size_t alignment, size_t size)
{
	note("aligned_alloc");
	return memalign(alignment, size);
}

void *calloc_body(size_t count, size_t size);

__attribute__((noipa, used)) void *calloc_body(size_t count, size_t size)
{
	void *block = carve(count * size);

	note("calloc");
	interrupt();
	__asm__ volatile("");
	return block;
}

/* memtop's probe stands on the second instruction: the kernel would single-step the first. */
#if defined(__x86_64__)
__asm__(".text\n.globl calloc\n.type calloc, @function\ncalloc:\n.cfi_startproc\n"
	"test %rdi, %rdi\nje 1f\n1: jmp calloc_body\n.cfi_endproc\n.size calloc, . - calloc\n");
#else
__attribute__((noipa)) void *calloc(size_t count, size_t size)
{
	return calloc_body(count, size);
}
#endif

/* Calls a function that is probed, which is a part of it. */
__attribute__((noipa)) int posix_memalign(void **ret, size_t alignment, size_t size)
{
	(void)alignment;
	note("posix_memalign");
	*ret = malloc(size);
	return 0;
}

__attribute__((noipa)) void free(void *block)
{
	(void)block;
}

static void on_signal(int number)
{
	(void)number;
	sink = malloc(10);
	sink = realloc(NULL, 20);
}

static void raising(unsigned count, int number)
{
	raise_left = count;
	raise_number = number;
}

APART static void in_malloc(void)
{
	raising(1, SIGUSR1);
	sink = malloc(30);
}

APART static void in_realloc_on_another_stack(void)
{
	raising(1, SIGUSR2);
	sink = realloc(NULL, 30);
}

/* The handler's own call is interrupted, too. */
APART static void in_both(void)
{
	raising(3, SIGUSR1);
	sink = realloc(NULL, 30);
}

APART static void in_a_jump(void)
{
	raising(1, SIGUSR1);
	sink = aligned_alloc(16, 30);
}

/* memtop does not take the inner call, so it cannot tell whom that returns to. */
APART static void in_a_part(void)
{
	void *block;

	raising(1, SIGUSR1);
	posix_memalign(&block, 16, 30);
	sink = block;
}

/* These two for return probes of others. */
APART static void probed(void)
{
	sink = malloc(40);
	__asm__ volatile("");
}

APART static void below_probed(void)
{
	raising(0, 0);
	probed();
	__asm__ volatile("");
}

APART static void of_another(void)
{
	raising(0, 0);
	sink = calloc(1, 50);
	__asm__ volatile("");
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{"malloc", in_malloc},	{"another_stack", in_realloc_on_another_stack},
	{"both", in_both},	{"jump", in_a_jump},
	{"part", in_a_part},	{"probed", below_probed},
	{"calloc", of_another},
};

APART static int deeper(unsigned depth, unsigned number)
{
	int frames = 1;

	if (depth)
		frames += deeper(depth - 1, number);
	else
		cases[number].run();
	__asm__ volatile("" : "+r"(frames));
	return frames;
}

APART static void run_all(unsigned rounds)
{
	for (unsigned round = 0; round < rounds; round++)
		for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
			case_name = cases[i].name;
			deeper(i % 3, i);
			case_name = NULL;
		}
}

static void set_handler(int number, int flags)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
	uint64_t kernel[4] = {0};

	sigaction(number, &action, NULL);
	syscall(SYS_rt_sigaction, number, NULL, kernel, 8);
	restorer = kernel[2];
}

static void tell(const struct record *record)
{
	printf("%s %s", record->name, record->kind);
	for (int i = 1; i < record->count; i++)
		printf(" %llx", (unsigned long long)(uintptr_t)record->frames[i] +
					((uintptr_t)record->frames[i - 1] == restorer));
	printf("\n");
}

int main(void)
{
	static char in_buffer[4096], out_buffer[65536], line[64];
	stack_t alternate = {.ss_sp = alternate_stack, .ss_size = sizeof(alternate_stack)};
	void *warm[4];

	setvbuf(stdin, in_buffer, _IOFBF, sizeof(in_buffer));
	setvbuf(stdout, out_buffer, _IOFBF, sizeof(out_buffer));
	backtrace(warm, 4);
	sigaltstack(&alternate, NULL);
	set_handler(SIGUSR1, SA_NODEFER);
	set_handler(SIGUSR2, SA_NODEFER | SA_ONSTACK);
	recording = true;
	/* volatile: all from one call. */
	for (volatile bool first = true;; first = false) {
		run_all(first ? 1 : ROUNDS);
		recording = false;
		if (first) {
			for (unsigned i = 0; i < record_count; i++)
				tell(&records[i]);
			printf("ready %p %p %u\n", (void *)(uintptr_t)probed,
			       (void *)(uintptr_t)calloc, ROUNDS);
		} else {
			printf("done\n");
		}
		fflush(stdout);
		if (!fgets(line, sizeof(line), stdin))
			return 0;
	}
}
