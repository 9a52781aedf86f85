/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The cases of the books that need an allocator of their own: one that a signal handler may call at
 * any moment and that may be left at any moment, and whose functions call each other, as
 * allocators' functions do. Blocks of one size are given out again, by a stack that is changed by
 * single instructions; the interrupted and the handler use different sizes.
 *
 * The ledger of the other cases takes locks, which a handler must not: here each site counts by
 * itself. What they counted is written at each stop as {"sites": [...]}, in the ledger's form.
 */
#include "books.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define REGION_BYTES (256u << 20)
#define HEADER_BYTES 16
#define CLASSES	     64

void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *block, size_t size);
void *reallocarray(void *block, size_t count, size_t size);
void *memalign(size_t alignment, size_t size);
void *aligned_alloc(size_t alignment, size_t size);
int posix_memalign(void **ret, size_t alignment, size_t size);
void free(void *block);

/* --- the allocator */

static char region[REGION_BYTES] __attribute__((aligned(16)));
static _Atomic size_t region_used;
static _Atomic(void *) spare[CLASSES];

static void *carve(size_t size)
{
	size_t at;

	size = (size + HEADER_BYTES + 15) & ~(size_t)15;
	if (size > REGION_BYTES)
		return NULL;
	at = atomic_fetch_add(&region_used, size);
	return at + size > REGION_BYTES ? NULL : region + at + HEADER_BYTES;
}

/* How this thread's next call of malloc() ends the thread, or NULL. */
static __thread void (*end_inside)(void);

SITE void *malloc(size_t size)
{
	void (*end)(void) = end_inside;
	size_t class = size / 16;
	void *block = NULL;

	end_inside = NULL;
	if (end)
		end();
	/* One block of each class waits to be given out again. */
	if (class < CLASSES)
		block = atomic_exchange(&spare[class], NULL);
	if (!block)
		block = carve(class < CLASSES ? class * 16 + 15 : size);
	if (block)
		((size_t *)block)[-1] = size;
	return block;
}

static void give(void *block)
{
	size_t size = block ? ((size_t *)block)[-1] : SIZE_MAX;

	if (size / 16 < CLASSES)
		atomic_store(&spare[size / 16], block);
}

SITE void free(void *block)
{
	give(block);
}

/* Takes stack, as allocators that have configuration to read do. */
SITE void *calloc(size_t count, size_t size)
{
	char scratch[3000];
	void *block;

	__asm__ volatile("" ::"r"(scratch) : "memory");
	block = count && size > SIZE_MAX / count ? NULL : malloc(count * size);
	if (block)
		memset(block, 0, count * size);
	__asm__ volatile("" ::"r"(scratch) : "memory");
	return block;
}

/* Where this thread's next realloc is left, before or after it frees the old block; or NULL. */
static __thread sigjmp_buf *leave_to;
static __thread bool leave_freed;

static void leave_realloc(bool freed)
{
	sigjmp_buf *to = leave_to;

	if (!to || freed != leave_freed)
		return;
	leave_to = NULL;
	siglongjmp(*to, 1);
}

static void *resize(void *block, size_t size, void (*release)(void *block))
{
	size_t old = block ? ((size_t *)block)[-1] : 0;
	void *moved;

	if (size > REGION_BYTES)
		return NULL;
	moved = malloc(size);
	leave_realloc(false);
	if (moved && block) {
		memcpy(moved, block, old < size ? old : size);
		release(block);
	}
	leave_realloc(true);
	return moved;
}

SITE void *realloc(void *block, size_t size)
{
	return resize(block, size, free);
}

/* Frees the old block in a way that nobody sees. */
SITE void *reallocarray(void *block, size_t count, size_t size)
{
	return resize(block, count * size, give);
}

SITE void *memalign(size_t alignment, size_t size)
{
	(void)alignment; /* 16 is all that this one can */
	return malloc(size);
}

SITE void *aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

SITE int posix_memalign(void **ret, size_t alignment, size_t size)
{
	void *block = aligned_alloc(alignment, size);

	if (!block)
		return ENOMEM;
	*ret = block;
	return 0;
}

/* --- sites that count by themselves */

struct own_site {
	const char *name;
	_Atomic(void *) address;
	_Atomic uint64_t allocated_bytes, allocated_blocks, freed_bytes, freed_blocks;
};

static struct own_site sites[] = {
	{.name = "interrupted"}, {.name = "handler"}, {.name = "nested"},
	{.name = "left"},	 {.name = "dead"},    {.name = "newer"},
};
enum {
	SITE_INTERRUPTED,
	SITE_HANDLER,
	SITE_NESTED,
	SITE_LEFT,
	SITE_DEAD,
	SITE_NEWER,
	SITE_COUNT
};

static void count_taken(unsigned site, void *block, void *address, size_t bytes)
{
	if (!block)
		books_die("out of memory");
	sites[site].address = address;
	atomic_fetch_add(&sites[site].allocated_bytes, bytes);
	atomic_fetch_add(&sites[site].allocated_blocks, 1);
}

static void count_freed(unsigned site, size_t bytes)
{
	atomic_fetch_add(&sites[site].freed_bytes, bytes);
	atomic_fetch_add(&sites[site].freed_blocks, 1);
}

static size_t put_site(char *text, size_t size, const struct own_site *site)
{
	unsigned long long got = site->allocated_bytes, got_blocks = site->allocated_blocks;
	unsigned long long gone = site->freed_bytes, gone_blocks = site->freed_blocks;

	return snprintf(
		text, size,
		"{\"site\":\"%s\",\"kind\":\"own\",\"return_address\":\"%p\",\"since_ready\":{"
		"\"allocated_bytes\":%llu,\"allocated_blocks\":%llu,\"freed_bytes\":%llu,"
		"\"freed_blocks\":%llu,\"live_bytes\":%llu,\"live_blocks\":%llu}},",
		site->name, site->address, got, got_blocks, gone, gone_blocks, got - gone,
		got_blocks - gone_blocks);
}

static void stop(const char *name, unsigned long long left)
{
	static char members[4096];
	size_t at = snprintf(members, sizeof(members), "\"left\":%llu,\"own_sites\":[", left);

	for (unsigned i = 0; i < SITE_COUNT; i++)
		if (sites[i].address)
			at += put_site(members + at, sizeof(members) - at, &sites[i]);
	snprintf(members + at, sizeof(members) - at, "null],\n");
	books_stop_with(name, members);
}

/* --- nesting: each function counts once, with what it was asked for */

static void nested(void)
{
	void *blocks[6] = {NULL}, *address;

	books_ready();
	for (unsigned i = 0; i < 2000; i++) {
		blocks[0] = svc_malloc(10);
		blocks[1] = svc_calloc(3, 7);
		blocks[2] = svc_posix_memalign(16, 33);
		blocks[3] = svc_aligned_alloc(16, 48);
		blocks[4] = svc_realloc(svc_malloc(5), 300);
		blocks[5] = svc_realloc(NULL, 70);
		if (ledger_call_realloc(blocks[4], SIZE_MAX / 2, &address))
			books_die("more than there is");
		if (i % 100)
			for (unsigned j = 0; j < 6; j++)
				svc_free(blocks[j]);
	}
	books_stop("done");
}

/* --- a signal handler that allocates, frees and keeps */

#define HANDLER_KEEPS 512
#define HANDLER_BYTES 200

static void *handler_blocks[HANDLER_KEEPS];
static unsigned handler_held;
static bool handler_gives;
static volatile unsigned long handler_runs;

static SITE void handler_takes(void)
{
	void *address, *block = ledger_call_malloc(HANDLER_BYTES, &address);

	handler_blocks[handler_held++] = block;
	count_taken(SITE_HANDLER, block, address, HANDLER_BYTES);
}

static SITE void handler_takes_nested(void)
{
	void *address, *block = ledger_call_aligned_alloc(16, HANDLER_BYTES + 100, &address);

	count_taken(SITE_NESTED, block, address, HANDLER_BYTES + 100);
	free(block);
	count_freed(SITE_NESTED, HANDLER_BYTES + 100);
}

static void on_signal(int number)
{
	(void)number;
	handler_runs++;
	if (handler_held == HANDLER_KEEPS || !handler_held)
		handler_gives = handler_held;
	if (handler_gives) {
		free(handler_blocks[--handler_held]);
		count_freed(SITE_HANDLER, HANDLER_BYTES);
	} else {
		handler_takes();
	}
	handler_takes_nested();
}

static SITE void interrupted_round(void)
{
	void *address, *block = ledger_call_malloc(24, &address);

	count_taken(SITE_INTERRUPTED, block, address, 24);
	free(block);
	count_freed(SITE_INTERRUPTED, 24);
}

/* As often as the processor can take it: most signals arrive in the middle of an allocator's call.
 */
static void start_timer(void (*handler)(int), int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags | SA_RESTART};
	struct itimerval every = {.it_interval = {.tv_usec = 50}, .it_value = {.tv_usec = 50}};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
}

static void stop_timer(void)
{
	setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
	signal(SIGALRM, SIG_IGN);
}

static void churn_under_signals(unsigned long runs)
{
	for (unsigned long rounds = 0; handler_runs < runs; rounds++)
		interrupted_round();
}

static void signals(void)
{
	books_ready();
	start_timer(on_signal, 0);
	churn_under_signals(20000);
	stop_timer();
	stop("done", 0);
}

/* The handler's stack is one of its own, lower than the interrupted one. */
static void signals_on_another_stack(void)
{
	stack_t own = {.ss_size = 1 << 16};

	own.ss_sp = books_array(own.ss_size, 1);
	if ((char *)&own < (char *)own.ss_sp)
		books_die("the other stack is not below");
	sigaltstack(&own, NULL);
	books_ready();
	start_timer(on_signal, SA_ONSTACK);
	churn_under_signals(10000);
	stop_timer();
	stop("done", 0);
}

/* --- a call that is left by siglongjmp */

static sigjmp_buf left_to;
static volatile sig_atomic_t left_armed;
static volatile unsigned long left_count;

static void on_leave(int number)
{
	(void)number;
	if (left_armed) {
		left_armed = 0;
		left_count++;
		siglongjmp(left_to, 1);
	}
}

static SITE void *left_round(void **ret_address)
{
	void *block;

	left_armed = 1;
	block = ledger_call_malloc(24, ret_address);
	left_armed = 0;
	return block;
}

/* Leaves a call that lies in what is to be this frame's untouched middle. */
static SITE void churn_over_what_was_left(unsigned rounds)
{
	char untouched[8192];

	__asm__ volatile("" ::"r"(untouched) : "memory");
	for (unsigned i = 0; i < rounds; i++)
		interrupted_round();
	__asm__ volatile("" ::"r"(untouched) : "memory");
}

static void leave_calls(unsigned long count)
{
	void *address, *block;

	start_timer(on_leave, SA_NODEFER);
	while (left_count < count) {
		if (sigsetjmp(left_to, 1))
			continue;
		block = left_round(&address);
		count_taken(SITE_LEFT, block, address, 24);
		free(block);
		count_freed(SITE_LEFT, 24);
	}
	stop_timer();
}

static void left_calls(void)
{
	books_ready();
	leave_calls(3000);
	stop("left", left_count);
	for (unsigned i = 0; i < 1000; i++)
		interrupted_round();
	stop("again", left_count);
	for (unsigned i = 0; i < 20; i++) {
		leave_calls(left_count + 1);
		churn_over_what_was_left(1000);
	}
	stop("over", left_count);
}

/* --- a realloc that is left by siglongjmp: its old block is as it was, or gone */

#define LEFT_ROUNDS 100

struct left {
	void *block;
	bool array, freed;
};

static pthread_barrier_t left_barrier;
static void *left_newer[2 * LEFT_ROUNDS];

/* Deeper on the stack than what its caller calls next. */
static SITE void leave_a_realloc(const struct left *left)
{
	char deeper[1024];
	sigjmp_buf here;
	void *address;

	__asm__ volatile("" ::"r"(deeper) : "memory");
	if (sigsetjmp(here, 0))
		return;
	leave_to = &here;
	leave_freed = left->freed;
	if (left->array)
		ledger_call_reallocarray(left->block, 4, 200, &address);
	else
		ledger_call_realloc(left->block, 800, &address);
	books_die("the realloc was not left");
}

static SITE void *take_left(size_t size)
{
	void *address, *block = ledger_call_malloc(size, &address);

	count_taken(SITE_LEFT, block, address, size);
	return block;
}

static SITE void *take_newer(size_t size)
{
	void *address, *block = ledger_call_malloc(size, &address);

	count_taken(SITE_NEWER, block, address, size);
	return block;
}

/* One thread leaves, the other is given the address meanwhile: the newer block stays. */
static void leave_with_a_newer(unsigned index, bool array, bool leaver)
{
	struct left left = {.array = array, .freed = true};

	if (leaver) {
		left.block = take_left(100);
		leave_a_realloc(&left);
		count_freed(SITE_LEFT, 100);
	}
	pthread_barrier_wait(&left_barrier);
	if (!leaver)
		left_newer[index] = take_newer(104);
	pthread_barrier_wait(&left_barrier);
	if (leaver && left_newer[index] != left.block)
		books_die("the address was not given out again");
	if (leaver)
		interrupted_round();
}

/* The block is as it was: freed by the very thread, or kept. */
static void leave_untouched(bool give)
{
	struct left left = {.block = take_left(300)};

	leave_a_realloc(&left);
	if (give) {
		free(left.block);
		count_freed(SITE_LEFT, 300);
	}
	interrupted_round();
}

static void *left_thread(void *number)
{
	bool leaver = number == NULL;

	for (unsigned i = 0; i < LEFT_ROUNDS; i++) {
		leave_with_a_newer(2 * i, false, leaver);
		leave_with_a_newer(2 * i + 1, true, leaver);
		if (!leaver)
			continue;
		leave_untouched(true);
		leave_untouched(false);
	}
	return NULL;
}

static void left_reallocs(void)
{
	pthread_barrier_init(&left_barrier, NULL, 2);
	books_ready();
	books_threads(2, left_thread);
	stop("left", 4 * LEFT_ROUNDS);
	for (unsigned i = 0; i < 2 * LEFT_ROUNDS; i++) {
		free(left_newer[i]);
		count_freed(SITE_NEWER, 104);
	}
	stop("freed", 4 * LEFT_ROUNDS);
}

/* --- threads that end inside a call */

#define DEAD_THREADS 64

static void *dead_blocks[DEAD_THREADS];

static void end_by_exit(void)
{
	pthread_exit(NULL);
}

static void end_by_cancel(void)
{
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	pthread_cancel(pthread_self());
}

static void end_at_once(void)
{
	syscall(SYS_exit, 0);
}

static void *dead_thread(void *number)
{
	static void (*const ends[])(void) = {end_by_exit, end_by_cancel, end_at_once};
	uintptr_t index = (uintptr_t)number;
	void *address;

	dead_blocks[index] = ledger_call_malloc(100 + index, &address);
	count_taken(SITE_DEAD, dead_blocks[index], address, 100 + index);
	end_inside = ends[index % 3];
	if (index % 2)
		ledger_call_realloc(dead_blocks[index], 500, &address);
	else
		ledger_call_malloc(500, &address);
	books_die("the thread lives");
}

static void *exiting_thread(void *unused)
{
	(void)unused;
	pthread_exit(NULL);
}

static void dead_threads(void)
{
	books_threads(1, exiting_thread); /* loads the library that it takes */
	books_ready();
	books_threads(DEAD_THREADS, dead_thread);
	stop("dead", DEAD_THREADS);
	for (unsigned i = 0; i < DEAD_THREADS; i++) {
		free(dead_blocks[i]);
		count_freed(SITE_DEAD, 100 + i);
	}
	for (unsigned i = 0; i < 1000; i++)
		interrupted_round();
	stop("freed", DEAD_THREADS);
}

static const struct books_case cases[] = {
	{"dead_threads", dead_threads}, {"nested", nested},
	{"signals", signals},		{"signals_on_another_stack", signals_on_another_stack},
	{"left_calls", left_calls},	{"left_reallocs", left_reallocs},
};

int main(int argc, char **argv)
{
	return books_main(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
