/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The cases of the books that any allocator must stand. What a case holds it holds in arrays of its
 * own that are not the allocator's, and every call of the allocator is in the ledger, but for those
 * that are meant to fail.
 */
#include "books.h"

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define svc_align(kind, name, alignment, size)                                    \
	({                                                                        \
		size_t size_ = (size);                                            \
		void *address_;                                                   \
		void *block_ = ledger_call_##name((alignment), size_, &address_); \
                                                                                  \
		ledger_allocated(block_, size_, kind, address_, __func__);        \
		block_;                                                           \
	})

#define svc_paged(kind, name, size)                                        \
	({                                                                 \
		size_t size_ = (size);                                     \
		void *address_;                                            \
		void *block_ = ledger_call_##name(size_, &address_);       \
                                                                           \
		ledger_allocated(block_, size_, kind, address_, __func__); \
		block_;                                                    \
	})

#define svc_reallocarray(old, count, size)                                                        \
	({                                                                                        \
		void *old_ = (old);                                                               \
		size_t count_ = (count), size_ = (size);                                          \
		struct ledger_block taken_ = ledger_take(old_);                                   \
		void *address_;                                                                   \
		void *block_ = ledger_call_reallocarray(old_, count_, size_, &address_);          \
                                                                                                  \
		ledger_allocated(block_, count_ *size_, LEDGER_REALLOCARRAY, address_, __func__); \
		ledger_freed(&taken_);                                                            \
		block_;                                                                           \
	})

/* --- 1: a realloc that fails leaves the block as it was */

static void realloc_fails(void)
{
	void **blocks = books_array(100, sizeof(*blocks));
	void *address;

	books_ready();
	for (size_t i = 0; i < 100; i++)
		blocks[i] = svc_malloc(i * 37);
	for (size_t i = 0; i < 100; i++)
		if (ledger_call_realloc(blocks[i], SIZE_MAX / 2, &address) ||
		    ledger_call_reallocarray(blocks[i], SIZE_MAX / 2, 4, &address))
			books_die("half of the address space was to be had");
	books_stop("failed");
	books_free_all(blocks, 100);
	books_stop("freed");
}

/* --- 2: realloc to nothing */

static void realloc_zero(void)
{
	void **blocks = books_array(100, sizeof(*blocks));

	books_ready();
	for (size_t i = 0; i < 100; i++) {
		void *old = svc_malloc(100 + i), *address;
		struct ledger_block taken = ledger_take(old);

		blocks[i] = ledger_call_realloc(old, 0, &address);
		if (blocks[i])
			ledger_allocated(blocks[i], 0, LEDGER_REALLOC, address, __func__);
		ledger_freed(&taken);
	}
	books_stop("reallocated");
	books_free_all(blocks, 100);
	books_stop("freed");
}

/* --- 3: threads that grow by realloc while others take the same size classes */

#define REALLOC_ROUNDS 120000 /* unless $BOOKS_REALLOC_ROUNDS says so */

static unsigned long realloc_rounds;

static SITE void grow_and_free(unsigned *state)
{
	size_t size = 16 + books_random(state) % 64;
	char *block = svc_malloc(size);

	for (unsigned step = 0; step < 6; step++) {
		size *= 2;
		block = svc_realloc(block, size);
		block[size - 1] = 1;
	}
	svc_free(block);
}

static SITE void take_the_same_classes(unsigned *state, void **kept)
{
	void **slot = &kept[books_random(state) % 64];

	if (*slot)
		svc_free(*slot);
	*slot = svc_malloc((16 + books_random(state) % 64) << books_random(state) % 7);
}

static void *realloc_thread(void *number)
{
	unsigned state = (uintptr_t)number * 7919 + 1;
	void **kept = books_array(64, sizeof(*kept));

	for (unsigned i = 0; i < realloc_rounds / 7; i++) {
		if ((uintptr_t)number % 2)
			grow_and_free(&state);
		else
			for (unsigned j = 0; j < 4; j++)
				take_the_same_classes(&state, kept);
	}
	/* Half of what is kept stays live. */
	books_free_all(kept, 32);
	return NULL;
}

static void realloc_threads(void)
{
	const char *rounds = getenv("BOOKS_REALLOC_ROUNDS");

	realloc_rounds = rounds ? strtoul(rounds, NULL, 10) : REALLOC_ROUNDS;
	books_ready();
	books_threads(4, realloc_thread);
	books_stop("done");
}

/* --- 4: realloc of blocks from before the attach */

static void realloc_before(void)
{
	void **blocks = books_array(100, sizeof(*blocks));

	for (size_t i = 0; i < 100; i++)
		blocks[i] = svc_malloc(64);
	books_ready();
	for (size_t i = 0; i < 100; i++)
		blocks[i] = svc_realloc(blocks[i], i % 2 ? 48 : 4096);
	books_stop("reallocated");
	books_free_all(blocks, 100);
	books_stop("freed");
}

/* --- 5: posix_memalign that fails leaves *memptr and what it points to alone */

static void posix_memalign_fails(void)
{
	void *kept, *where, *address;

	books_ready();
	kept = svc_malloc(77);
	where = kept;
	for (unsigned i = 0; i < 100; i++)
		if (!ledger_call_posix_memalign(&where, 3, 64, &address) ||
		    !ledger_call_posix_memalign(&where, 64, SIZE_MAX / 2, &address))
			books_die("posix_memalign gave what cannot be had");
	if (where != kept)
		books_die("posix_memalign wrote where it must not");
	books_stop("failed");
	svc_free(kept);
	books_stop("freed");
}

/* --- 6: the smallest blocks */

#define TINY_BLOCKS 100000

static void **tiny_blocks;

static SITE void *tiny_malloc(void)
{
	return svc_malloc(4);
}

static void *tiny_thread(void *number)
{
	for (size_t i = 0; i < TINY_BLOCKS; i++)
		tiny_blocks[(uintptr_t)number * TINY_BLOCKS + i] = tiny_malloc();
	return NULL;
}

static void *tiny_sizes_thread(void *number)
{
	for (size_t i = 0; i < TINY_BLOCKS / 10; i++)
		tiny_blocks[(uintptr_t)number * TINY_BLOCKS + i] = svc_malloc(1 + i % 8);
	return NULL;
}

static void tiny(void)
{
	tiny_blocks = books_array(TINY_BLOCKS * 8, sizeof(*tiny_blocks));
	books_ready();
	books_threads(2, tiny_thread);
	books_stop("two");
	books_free_all(tiny_blocks, TINY_BLOCKS * 2);
	books_threads(8, tiny_thread);
	books_stop("eight");
	books_free_all(tiny_blocks, TINY_BLOCKS * 8);
	books_threads(8, tiny_sizes_thread);
	books_stop("sizes");
	books_free_all(tiny_blocks, TINY_BLOCKS * 8);
	books_stop("freed");
}

/* --- 7: a block that the allocator maps */

static void mapped_block(void)
{
	void *block;

	books_ready();
	block = svc_malloc(1 << 20);
	books_stop("held");
	svc_free(block);
	books_stop("freed");
}

/* --- 8: every function of the family, and functions of libc that allocate */

#define KIND_ROUNDS 1000

static void every_kind_of_libc(void)
{
	FILE *null = fopen("/dev/zero", "re");
	char *line = NULL, *text;
	size_t size = 0;

	if (!null)
		books_die("/dev/zero");
	for (unsigned i = 0; i < KIND_ROUNDS; i++) {
		free(strdup("sixteen letters."));
		if (asprintf(&text, "%u and more", i) < 0)
			books_die("asprintf");
		free(text);
	}
	/* An own buffer of the stream's: it ends after that many zeroes. */
	setvbuf(null, (char[4096]){0}, _IOFBF, 4096);
	for (unsigned i = 0; i < KIND_ROUNDS / 10; i++) {
		FILE *self = fopen("/proc/self/maps", "re");

		while (self && getline(&line, &size, self) >= 0)
			;
		if (self)
			fclose(self);
		free(line);
		line = NULL;
		size = 0;
	}
	fclose(null);
}

/* Not every allocator has pvalloc: libc's would then not be its own. */
static bool has_pvalloc(void)
{
	Dl_info first, second;

	return dladdr((void *)malloc, &first) && dladdr((void *)pvalloc, &second) &&
	       first.dli_fbase == second.dli_fbase;
}

static void every_kind(void)
{
	bool paged = has_pvalloc();
	void *blocks[9] = {NULL};

	books_ready();
	for (unsigned i = 0; i < KIND_ROUNDS; i++) {
		blocks[0] = svc_malloc(0);
		blocks[1] = svc_calloc(3, 33);
		blocks[2] = svc_realloc(NULL, 55);
		blocks[3] = svc_posix_memalign(256, 300);
		blocks[4] = svc_aligned_alloc(128, 256);
		blocks[5] = svc_align(LEDGER_MEMALIGN, memalign, 64, 65);
		blocks[6] = svc_paged(LEDGER_VALLOC, valloc, 100);
		if (paged)
			blocks[7] = svc_paged(LEDGER_PVALLOC, pvalloc, 100);
		blocks[8] = svc_reallocarray(NULL, 5, 11);
		blocks[8] = svc_reallocarray(blocks[8], 50, 11);
		if (i + 1 == KIND_ROUNDS)
			books_stop("held");
		books_free_all(blocks, 9);
	}
	every_kind_of_libc();
	books_stop("freed");
}

/* --- 9: churn that is attached to at any moment, and then lets go of all it has */

#define CHURN_THREADS 3
#define CHURN_BLOCKS  512

static bool churn_stop;
static pthread_barrier_t churn_barrier;

static void churn_round(unsigned *state, void **blocks)
{
	void **slot = &blocks[books_random(state) % CHURN_BLOCKS];
	size_t size = books_random(state) % 2000;

	if (*slot && books_random(state) % 2)
		*slot = svc_realloc(*slot, size + 1);
	else if (*slot) {
		svc_free(*slot);
		*slot = NULL;
	} else {
		*slot = books_random(state) % 2 ? svc_malloc(size) : svc_calloc(1, size);
	}
}

static void *churn_thread(void *number)
{
	void **blocks = books_array(CHURN_BLOCKS, sizeof(*blocks));
	unsigned state = (uintptr_t)number + 1;

	for (;;) {
		while (!__atomic_load_n(&churn_stop, __ATOMIC_ACQUIRE))
			churn_round(&state, blocks);
		books_free_all(blocks, CHURN_BLOCKS);
		pthread_barrier_wait(&churn_barrier); /* all is free */
		pthread_barrier_wait(&churn_barrier); /* on again */
	}
	return NULL;
}

/* Between two stops it churns until a line comes. */
static void churn(void)
{
	char line[64];
	pthread_t thread;

	pthread_barrier_init(&churn_barrier, NULL, CHURN_THREADS + 1);
	for (uintptr_t i = 0; i < CHURN_THREADS; i++)
		if (pthread_create(&thread, NULL, churn_thread, (void *)i))
			books_die("cannot start a thread");
	books_ready();
	for (;;) {
		if (read(STDIN_FILENO, line, sizeof(line)) <= 0)
			_exit(0);
		__atomic_store_n(&churn_stop, true, __ATOMIC_RELEASE);
		pthread_barrier_wait(&churn_barrier);
		books_stop("freed");
		__atomic_store_n(&churn_stop, false, __ATOMIC_RELEASE);
		pthread_barrier_wait(&churn_barrier);
	}
}

/* --- 10: more bytes than 40 bits hold, and many blocks, through one site */

static void wrap(void)
{
	const char *blocks = getenv("BOOKS_WRAP_BLOCKS");
	unsigned long rounds = blocks ? strtoul(blocks, NULL, 10) : 1500000;

	books_ready();
	for (unsigned long i = 0; i < rounds; i++) {
		/* The large ones are never touched. */
		void *block = svc_malloc(i < 2200 ? 512ul << 20 : 1);

		svc_free(block);
	}
	books_stop("done");
}

/* --- 11: many live blocks at high churn; the reader reads all the time */

#define MANY_BLOCKS 500000

static void **many_blocks;
static bool many_stop;

static void *many_thread(void *number)
{
	unsigned state = (uintptr_t)number + 1;
	size_t half = MANY_BLOCKS / 2, first = (uintptr_t)number * half;

	while (!__atomic_load_n(&many_stop, __ATOMIC_ACQUIRE)) {
		void **slot = &many_blocks[first + books_random(&state) % half];

		svc_free(*slot);
		*slot = svc_malloc(64);
	}
	return NULL;
}

static void *many_control(void *unused)
{
	books_stop("churning");
	__atomic_store_n(&many_stop, true, __ATOMIC_RELEASE);
	return unused;
}

static void *many_any(void *number)
{
	return (uintptr_t)number < 2 ? many_thread(number) : many_control(NULL);
}

static void many_live(void)
{
	many_blocks = books_array(MANY_BLOCKS, sizeof(*many_blocks));
	books_ready();
	for (size_t i = 0; i < MANY_BLOCKS; i++)
		many_blocks[i] = svc_malloc(64);
	books_threads(3, many_any);
	books_stop("still");
	books_free_all(many_blocks, MANY_BLOCKS);
	books_stop("freed");
}

/* --- 12: more blocks than a table of 4,096 holds */

#define CAPPED_BLOCKS 8192

static SITE void capped_round(void **blocks, size_t count)
{
	for (size_t i = 0; i < count; i++)
		blocks[i] = svc_malloc(48);
}

static SITE void capped_grow(void **blocks, size_t count)
{
	for (size_t i = 0; i < count; i++)
		blocks[i] = svc_realloc(blocks[i], 96);
}

static void capped(void)
{
	void **blocks = books_array(CAPPED_BLOCKS, sizeof(*blocks));

	books_ready();
	capped_round(blocks, CAPPED_BLOCKS);
	books_stop("full");
	books_free_all(blocks, CAPPED_BLOCKS);
	books_stop("freed");
	capped_round(blocks, 1000);
	books_stop("again");
	books_free_all(blocks, 1000);
	capped_round(blocks, CAPPED_BLOCKS);
	capped_grow(blocks, CAPPED_BLOCKS);
	books_stop("grown");
	books_free_all(blocks, CAPPED_BLOCKS);
	books_stop("end");
}

/* --- 12: a table that is three quarters full of blocks of all sizes, which come and go */

#define CROWDED_BLOCKS 100000

static void *crowded_thread(void *number)
{
	size_t half = CROWDED_BLOCKS / 2;
	void **blocks = many_blocks + (uintptr_t)number * half;
	unsigned state = (uintptr_t)number + 3;

	for (size_t i = 0; i < half; i++)
		blocks[i] = svc_malloc(1 + books_random(&state) % 700);
	for (size_t i = 0; i < half; i++) {
		void **slot = &blocks[books_random(&state) % half];

		svc_free(*slot);
		*slot = svc_malloc(1 + books_random(&state) % 700);
	}
	return NULL;
}

static void crowded(void)
{
	many_blocks = books_array(CROWDED_BLOCKS, sizeof(*many_blocks));
	books_ready();
	books_threads(2, crowded_thread);
	books_stop("held");
	books_free_all(many_blocks, CROWDED_BLOCKS);
	books_stop("freed");
}

/* --- 13: more stacks than the table of sites holds */

#define STACK_BITS 12

static SITE void *stack_left(unsigned bits, unsigned depth);

static SITE void *stack_right(unsigned bits, unsigned depth)
{
	void *block = depth ? (bits & 1 ? stack_left : stack_right)(bits >> 1, depth - 1) :
			      svc_malloc(16);

	__asm__ volatile("" : "+r"(block));
	return block;
}

static SITE void *stack_left(unsigned bits, unsigned depth)
{
	void *block = depth ? (bits & 1 ? stack_left : stack_right)(bits >> 1, depth - 1) :
			      svc_malloc(16);

	__asm__ volatile("" : "+r"(block));
	return block;
}

static void many_stacks(void)
{
	void **blocks = books_array(1 << STACK_BITS, sizeof(*blocks));

	books_ready();
	for (unsigned i = 0; i < 1 << STACK_BITS; i++)
		blocks[i] = stack_right(i, STACK_BITS);
	books_stop("held");
	books_free_all(blocks, 1 << STACK_BITS);
	books_stop("freed");
}

static const struct books_case cases[] = {
	{"realloc_fails", realloc_fails},
	{"realloc_zero", realloc_zero},
	{"realloc_threads", realloc_threads},
	{"realloc_before", realloc_before},
	{"posix_memalign_fails", posix_memalign_fails},
	{"tiny", tiny},
	{"mapped_block", mapped_block},
	{"every_kind", every_kind},
	{"churn", churn},
	{"wrap", wrap},
	{"many_live", many_live},
	{"capped", capped},
	{"crowded", crowded},
	{"many_stacks", many_stacks},
	{"idle_threads", books_idle_threads},
	{"children", books_children},
	{"lasting_children", books_lasting_children},
	{"plugins", books_plugins},
	{"late_threads", books_late_threads},
	{"cross", books_cross},
	{"cancelled", books_cancelled},
	{"ends", books_ends},
};

int main(int argc, char **argv)
{
	return books_main(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
