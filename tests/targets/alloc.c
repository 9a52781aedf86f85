/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The functions of allocators, each by its own name: a row takes blocks by one function and gives
 * them back by another, and every call is in the ledger. It runs on whatever allocator it is linked
 * to or has preloaded; a row whose functions that one does not have is left out.
 *
 * All calls lead through one thunk, which stores the return address and jumps to the function, so
 * that the word on the stack at its entry is the one stored.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "books.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS	  24
#define ALIGNMENT 32

/* Jumps to `function` with the first four arguments; the last one is where it was called from. */
void *alloc_call(uintptr_t a0, uintptr_t a1, uintptr_t a2, uintptr_t a3, void *function,
		 void **ret_address);
#if defined(__x86_64__)
__asm__(".text\n.globl alloc_call\n.type alloc_call, %function\nalloc_call:\n.cfi_startproc\n"
	"endbr64\nmovq (%rsp), %rax\nmovq %rax, (%r9)\njmp *%r8\n"
	".cfi_endproc\n.size alloc_call, .-alloc_call\n");
#elif defined(__aarch64__)
__asm__(".text\n.globl alloc_call\n.type alloc_call, %function\nalloc_call:\n.cfi_startproc\n"
	"hint #34\nstr x30, [x5]\nbr x4\n"
	".cfi_endproc\n.size alloc_call, .-alloc_call\n");
#endif

/* What the arguments are. */
enum form {
	SIZE,		    /* (size, 0) */
	SIZE_ALIGN,	    /* (size, alignment) */
	SIZE_NOTHROW,	    /* (size, nothrow) */
	SIZE_ALIGN_NOTHROW, /* (size, alignment, nothrow) */
	ALIGN_SIZE,	    /* (alignment, size) */
	COUNT_SIZE,	    /* (count, size, alignment) */
	POSIX,		    /* (where to, alignment, size) */
	OLD_SIZE,	    /* (block, size, 0) */
	OLD_SIZE_ALIGN,	    /* (block, size, alignment) */
	OLD_COUNT_SIZE,	    /* (block, count, size, alignment) */
	IN_PLACE,	    /* (block, size, 0, 0), gives a size */
	HEAP_SIZE,	    /* (heap, size, alignment) */
	HEAP_COUNT_SIZE,
	HEAP_OLD_SIZE,
	HEAP_OLD_COUNT_SIZE,
	/* what frees */
	BLOCK,
	BLOCK_SIZE,
	BLOCK_ALIGN,
	BLOCK_SIZE_ALIGN,
	BLOCK_ALIGN_SIZE,
	BLOCK_NOTHROW,
	BLOCK_ALIGN_NOTHROW,
};

#include "alloc_rows.h"

struct row {
	const char *name;
	enum form form;
	const char *release;
	enum form release_form;
	void *take, *give;
	bool there;
};

#ifdef ALLOC_STATIC
#define ROW(take, form, give, give_form)                              \
	extern char take_##take __asm__(#take) __attribute__((weak)); \
	extern char take_##take##_by_##give __asm__(#give) __attribute__((weak));
ROWS
#undef ROW
#define ROW(take, form, give, give_form) \
	{#take, form, #give, give_form, &take_##take, &take_##take##_by_##give, false},
#else
#define ROW(take, form, give, give_form) {#take, form, #give, give_form, NULL, NULL, false},
#endif
	static struct row rows[] = {ROWS};
#undef ROW

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static const char nothrow; /* std::nothrow is as empty */
static void *heap;	   /* mimalloc's, of this thread */

static void *symbol(const char *name)
{
#ifdef ALLOC_STATIC
	(void)name;
	return NULL;
#else
	return dlsym(RTLD_DEFAULT, name);
#endif
}

static bool takes_block(enum form form)
{
	return form == OLD_SIZE || form == OLD_SIZE_ALIGN || form == OLD_COUNT_SIZE ||
	       form == HEAP_OLD_SIZE || form == HEAP_OLD_COUNT_SIZE || form == IN_PLACE;
}

/* An allocator need not have all functions: then the C library's are found, which it does not fit.
 */
static bool is_one_family(const struct row *row)
{
#ifdef ALLOC_STATIC
	(void)row;
	return true;
#else
	Dl_info take, give, plain;

	return dladdr(row->take, &take) && dladdr(row->give, &give) &&
	       take.dli_fbase == give.dli_fbase && dladdr(symbol("malloc"), &plain) &&
	       (take.dli_fbase == plain.dli_fbase || !takes_block(row->form));
#endif
}

static bool is_there(const struct row *row)
{
	return row->take && row->give && is_one_family(row) &&
	       (heap || row->form < HEAP_SIZE || row->form > HEAP_OLD_COUNT_SIZE);
}

static void find_functions(void)
{
	void *get_heap = symbol("mi_heap_get_default"), *address;

	if (get_heap)
		heap = alloc_call(0, 0, 0, 0, get_heap, &address);
	for (size_t i = 0; i < ROW_COUNT; i++) {
		if (!rows[i].take)
			rows[i].take = symbol(rows[i].name);
		if (!rows[i].give)
			rows[i].give = symbol(rows[i].release);
		rows[i].there = is_there(&rows[i]);
	}
}

static size_t size_of(unsigned i)
{
	return ALIGNMENT * (1 + i * 7 % 11);
}

#define WORD(pointer) ((uintptr_t)(pointer))

/* --- taking */

static SITE void *take_new(const struct row *row, size_t size)
{
	void *address, *block = NULL;
	uintptr_t n = size;

	switch (row->form) {
	case SIZE:
		block = alloc_call(n, 0, 0, 0, row->take, &address);
		break;
	case SIZE_ALIGN:
		block = alloc_call(n, ALIGNMENT, 0, 0, row->take, &address);
		break;
	case SIZE_NOTHROW:
		block = alloc_call(n, WORD(&nothrow), 0, 0, row->take, &address);
		break;
	case SIZE_ALIGN_NOTHROW:
		block = alloc_call(n, ALIGNMENT, WORD(&nothrow), 0, row->take, &address);
		break;
	case ALIGN_SIZE:
		block = alloc_call(ALIGNMENT, n, 0, 0, row->take, &address);
		break;
	case COUNT_SIZE:
		block = alloc_call(n / 8, 8, ALIGNMENT, 0, row->take, &address);
		break;
	case HEAP_SIZE:
		block = alloc_call(WORD(heap), n, ALIGNMENT, 0, row->take, &address);
		break;
	case HEAP_COUNT_SIZE:
		block = alloc_call(WORD(heap), n / 8, 8, ALIGNMENT, row->take, &address);
		break;
	default:
		if (alloc_call(WORD(&block), ALIGNMENT, n, 0, row->take, &address))
			block = NULL;
	}
	ledger_allocated(block, size, LEDGER_MALLOC, address, __func__);
	return block;
}

static SITE void *take_again(const struct row *row, void *old, size_t size)
{
	struct ledger_block taken = ledger_take(old);
	void *address, *block;
	uintptr_t n = size;

	switch (row->form) {
	case OLD_SIZE:
		block = alloc_call(WORD(old), n, 0, 0, row->take, &address);
		break;
	case OLD_SIZE_ALIGN:
		block = alloc_call(WORD(old), n, ALIGNMENT, 0, row->take, &address);
		break;
	case OLD_COUNT_SIZE:
		block = alloc_call(WORD(old), n / 8, 8, ALIGNMENT, row->take, &address);
		break;
	case HEAP_OLD_SIZE:
		block = alloc_call(WORD(heap), WORD(old), n, ALIGNMENT, row->take, &address);
		break;
	default:
		block = alloc_call(WORD(heap), WORD(old), n / 8, 8, row->take, &address);
	}
	ledger_allocated(block, size, LEDGER_REALLOC, address, __func__);
	ledger_freed(&taken);
	return block;
}

/* Smaller always succeeds, much larger never does. */
static SITE void *take_in_place(const struct row *row, void *old, size_t size)
{
	struct ledger_block taken = ledger_take(old);
	void *address;

	if ((uintptr_t)alloc_call(WORD(old), size, 0, 0, row->take, &address) < size)
		books_die("a smaller block is not to be had in the same place");
	ledger_allocated(old, size, LEDGER_REALLOC, address, __func__);
	ledger_freed(&taken);
	if ((uintptr_t)alloc_call(WORD(old), size << 22, 0, 0, row->take, &address) >= size << 22)
		books_die("much more was to be had in the same place");
	return old;
}

static void *take(const struct row *row, unsigned i)
{
	size_t size = size_of(i);

	if (!takes_block(row->form))
		return take_new(row, size);
	/* Shrunk, so that those work that leave a block where it is. */
	if (row->form == IN_PLACE)
		return take_in_place(row, svc_malloc(size + 8), size);
	return take_again(row, svc_malloc(size + 8), size);
}

/* --- giving back */

static void give(const struct row *row, void *block, size_t size)
{
	struct ledger_block taken = ledger_take(block);
	uintptr_t p = WORD(block);
	void *address;

	switch (row->release_form) {
	case BLOCK_SIZE:
		alloc_call(p, size, 0, 0, row->give, &address);
		break;
	case BLOCK_ALIGN:
		alloc_call(p, ALIGNMENT, 0, 0, row->give, &address);
		break;
	case BLOCK_SIZE_ALIGN:
		alloc_call(p, size, ALIGNMENT, 0, row->give, &address);
		break;
	case BLOCK_ALIGN_SIZE:
		alloc_call(p, ALIGNMENT, size, 0, row->give, &address);
		break;
	case BLOCK_NOTHROW:
		alloc_call(p, WORD(&nothrow), 0, 0, row->give, &address);
		break;
	case BLOCK_ALIGN_NOTHROW:
		alloc_call(p, ALIGNMENT, WORD(&nothrow), 0, row->give, &address);
		break;
	default:
		alloc_call(p, 0, 0, 0, row->give, &address);
	}
	ledger_freed(&taken);
}

static void stop(const char *name, const struct row *row)
{
	char members[160];

	snprintf(members, sizeof(members), "\"row\":\"%s, %s\",\n", row->name, row->release);
	books_stop_with(name, members);
}

static void rows_one_by_one(void)
{
	void *blocks[BLOCKS];

	find_functions();
	books_ready();
	for (size_t r = 0; r < ROW_COUNT; r++) {
		if (!rows[r].there)
			continue;
		for (unsigned i = 0; i < BLOCKS; i++)
			blocks[i] = take(&rows[r], i);
		stop("held", &rows[r]);
		for (unsigned i = 0; i < BLOCKS; i++)
			give(&rows[r], blocks[i], size_of(i));
		stop("freed", &rows[r]);
	}
	books_stop("end");
}

static void rows_together(void)
{
	void *(*blocks)[BLOCKS] = books_array(ROW_COUNT, sizeof(*blocks));

	find_functions();
	books_ready();
	for (size_t r = 0; r < ROW_COUNT; r++)
		for (unsigned i = 0; i < BLOCKS && rows[r].there; i++)
			blocks[r][i] = take(&rows[r], i);
	books_stop("held");
	for (size_t r = 0; r < ROW_COUNT; r++)
		for (unsigned i = 0; i < BLOCKS && rows[r].there; i++)
			give(&rows[r], blocks[r][i], size_of(i));
	books_stop("freed");
}

/* --- the ends of threads and of the process */

static pthread_key_t key;
static void *kept[BLOCKS];

static void destroy(void *block)
{
	svc_free(block);
}

static void *thread(void *number)
{
	(void)number;
	pthread_setspecific(key, svc_malloc(1000));
	return NULL;
}

static void free_kept(void)
{
	books_free_all(kept, BLOCKS);
}

static void stop_at_exit(void)
{
	books_stop("exit");
}

/* What is registered last is called first. */
static void ends(void)
{
	if (pthread_key_create(&key, destroy) || atexit(stop_at_exit) || atexit(free_kept))
		books_die("no key, or no function at exit");
	books_ready();
	for (unsigned i = 0; i < BLOCKS; i++)
		kept[i] = svc_malloc(50 + i);
	for (unsigned i = 0; i < 5; i++)
		books_threads(20, thread);
	books_stop("held");
}

/* What the linker takes for itself it takes from the same books, and gives back to them. */
static void linker(void)
{
	books_ready();
	for (unsigned i = 0; i < 50; i++) {
		void *library = dlopen(getenv("ALLOC_LIBRARY"), RTLD_NOW | RTLD_LOCAL);

		if (!library)
			books_die(dlerror());
		books_free_all((void *[]){svc_malloc(77)}, 1);
		dlclose(library);
	}
	books_stop("closed");
}

int main(int argc, char **argv)
{
	static const struct books_case cases[] = {
		{"rows", rows_one_by_one},
		{"together", rows_together},
		{"ends", ends},
		{"linker", linker},
	};

	return books_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
