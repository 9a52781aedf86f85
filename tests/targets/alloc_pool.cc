/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A program with pools of its own: frames of one size, cut out of a slab whose first frame lies at
 * the slab's own address; an arena by size; functions that throw, that switch stacks, that end in
 * another function. Its calls go through the thunk of alloc.c's kind, so that the ledger knows
 * where each comes from.
 */
extern "C" {
#include "books.h"
}

#include <cstdio>
#include <cstdlib>
#include <new>
#include <ucontext.h>

#define FRAME_BYTES 4096
#define FRAMES	    64

extern "C" void *pool_call(uintptr_t a0, uintptr_t a1, uintptr_t a2, uintptr_t a3,
			   const void *function, void **ret_address);
#if defined(__x86_64__)
__asm__(".text\n.globl pool_call\n.type pool_call, %function\npool_call:\n.cfi_startproc\n"
	"endbr64\nmovq (%rsp), %rax\nmovq %rax, (%r9)\njmp *%r8\n"
	".cfi_endproc\n.size pool_call, .-pool_call\n");
#elif defined(__aarch64__)
__asm__(".text\n.globl pool_call\n.type pool_call, %function\npool_call:\n.cfi_startproc\n"
	"hint #34\nstr x30, [x5]\nbr x4\n"
	".cfi_endproc\n.size pool_call, .-pool_call\n");
#endif

struct Full {
};

class FramePool
{
      public:
	FramePool();
	void *acquire();
	void release(void *frame);
	void destroy();

      private:
	char *slab;
	void *spare[FRAMES];
	unsigned count;
};

SITE FramePool::FramePool() : slab(static_cast<char *>(svc_malloc(FRAMES * FRAME_BYTES))), count(0)
{
	for (unsigned i = FRAMES; i > 0; i--)
		spare[count++] = slab + (i - 1) * FRAME_BYTES;
}

SITE void *FramePool::acquire()
{
	if (!count)
		throw Full();
	return spare[--count];
}

SITE void FramePool::release(void *frame)
{
	spare[count++] = frame;
}

SITE void FramePool::destroy()
{
	svc_free(slab);
}

/* --- an arena: C functions, one of them through another, one on a stack of its own */

static char *arena;
static size_t arena_used;
static ucontext_t inside, outside;
static size_t wanted;
static void *given;

static SITE void *carve(size_t size)
{
	void *block = arena + arena_used;

	arena_used += (size + 63) & ~static_cast<size_t>(63);
	return block;
}

extern "C" SITE void *arena_get(size_t count, size_t size)
{
	return carve(count * size);
}

/* Ends in the other. */
extern "C" __attribute__((noinline, optimize("optimize-sibling-calls"))) void *
arena_get_one(size_t size)
{
	return arena_get(1, size);
}

static void on_the_other_stack()
{
	/* What it takes on the way is a part of it. */
	free(malloc(10));
	given = carve(wanted);
	swapcontext(&inside, &outside);
}

extern "C" SITE void *arena_get_switching(size_t size)
{
	static char *stack;

	if (!stack)
		stack = static_cast<char *>(books_array(1, 1 << 16));
	wanted = size;
	getcontext(&inside);
	inside.uc_stack.ss_sp = stack;
	inside.uc_stack.ss_size = 1 << 16;
	inside.uc_link = nullptr;
	makecontext(&inside, on_the_other_stack, 0);
	swapcontext(&outside, &inside);
	return given;
}

extern "C" SITE void arena_put(int unused, void *block)
{
	__asm__ volatile("" ::"r"(unused), "r"(block) : "memory");
}

/* Where it is, or by the other two. */
extern "C" SITE void *arena_resize(void *block, size_t size)
{
	if (size > 1000000)
		return nullptr;
	if (size < 600)
		return block;
	arena_put(0, block);
	return arena_get(1, size);
}

/* What is not booked must be in the ledger's sites all the same, to be compared as nothing. */
#define TAKE(size, ...)                                                              \
	({                                                                           \
		void *address_;                                                      \
		void *block_ = pool_call(__VA_ARGS__, &address_);                    \
                                                                                     \
		ledger_allocated(block_, (size), LEDGER_MALLOC, address_, __func__); \
		block_;                                                              \
	})

#define GIVE(block, ...)                                         \
	({                                                       \
		struct ledger_block taken_ = ledger_take(block); \
		void *address_;                                  \
                                                                 \
		pool_call(__VA_ARGS__, &address_);               \
		ledger_freed(&taken_);                           \
	})

extern "C" const char acquire_code __asm__("_ZN9FramePool7acquireEv");
extern "C" const char release_code __asm__("_ZN9FramePool7releaseEPv");
#define WORD(pointer)  reinterpret_cast<uintptr_t>(pointer)
#define CODE(function) reinterpret_cast<const void *>(function)

static void *frames[FRAMES];
static FramePool *pool;

static void new_pool()
{
	static char memory[sizeof(FramePool)] __attribute__((aligned(16)));

	pool = new (memory) FramePool;
}

/* The slab is a block of malloc, its first frame one of the pool, both at one address. */
static void take_frames()
{
	for (unsigned i = 0; i < FRAMES; i++)
		frames[i] = TAKE(FRAME_BYTES, WORD(pool), 0, 0, 0, &acquire_code);
}

static void give_frames()
{
	for (unsigned i = 0; i < FRAMES; i++)
		GIVE(frames[i], WORD(pool), WORD(frames[i]), 0, 0, &release_code);
}

static void throw_for_want_of_frames()
{
	unsigned caught = 0;

	for (unsigned i = 0; i < 500; i++) {
		try {
			pool->acquire();
		} catch (const Full &) {
			caught++;
		}
	}
	if (caught != 500)
		books_die("a pool without frames gave some");
}

static void frames_case()
{
	books_ready();
	new_pool();
	for (unsigned round = 0; round < 3; round++) {
		take_frames();
		throw_for_want_of_frames();
		books_stop("held");
		give_frames();
		books_stop("given");
	}
	pool->destroy();
	books_stop("destroyed");
}

static void arenas()
{
	void *blocks[30];

	arena = static_cast<char *>(books_array(1, 1 << 24));
	books_ready();
	for (unsigned i = 0; i < 10; i++)
		blocks[i] = TAKE(3 * (i + 1), 3, i + 1, 0, 0, CODE(arena_get));
	for (unsigned i = 10; i < 20; i++)
		blocks[i] = TAKE(10 * i, 10 * i, 0, 0, 0, CODE(arena_get_one));
	for (unsigned i = 20; i < 30; i++)
		blocks[i] = TAKE(100 * i, 100 * i, 0, 0, 0, CODE(arena_get_switching));
	books_stop("held");
	for (unsigned i = 0; i < 10; i++) {
		struct ledger_block taken = ledger_take(blocks[i]);
		size_t size = i % 2 ? 500 : 700;
		void *address;

		blocks[i] = pool_call(WORD(blocks[i]), size, 0, 0, CODE(arena_resize), &address);
		ledger_allocated(blocks[i], size, LEDGER_REALLOC, address, __func__);
		ledger_freed(&taken);
		if (pool_call(WORD(blocks[i]), 2000000, 0, 0, CODE(arena_resize), &address))
			books_die("more than there is was to be had");
	}
	books_stop("resized");
	for (unsigned i = 0; i < 30; i++)
		GIVE(blocks[i], 0, WORD(blocks[i]), 0, 0, CODE(arena_put));
	books_stop("given");
}

/* --- what can only be seen at returns: exceptions through an allocator's operator new */

static const size_t too_much = SIZE_MAX / 4;
struct Own {
};

static void throw_own()
{
	throw Own();
}

SITE static unsigned throws(unsigned form)
{
	void *volatile sink = nullptr;

	try {
		switch (form % 4) {
		case 0:
			sink = ::operator new(too_much);
			break;
		case 1:
			sink = ::operator new[](too_much);
			break;
		case 2:
			sink = ::operator new(too_much, std::align_val_t(64));
			break;
		default:
			sink = ::operator new[](too_much, std::align_val_t(64));
		}
	} catch (const std::bad_alloc &) {
		return 1;
	} catch (const Own &) {
		return 2;
	}
	(void)sink;
	return 0;
}

SITE static void *take_new(size_t size)
{
	static void *(*const take)(size_t) = ::operator new;

	return TAKE(size, size, 0, 0, 0, CODE(take));
}

SITE static void give_new(void *block)
{
	static void (*const give)(void *) = ::operator delete;

	GIVE(block, WORD(block), 0, 0, 0, CODE(give));
}

static void thrown()
{
	void *blocks[200];

	books_ready();
	for (unsigned i = 0; i < 200; i++) {
		std::set_new_handler(i % 2 ? throw_own : nullptr);
		if (throws(i / 2) != 1 + i % 2)
			books_die("what was thrown was not caught");
		std::set_new_handler(nullptr);
		blocks[i] = take_new(100 + i);
	}
	books_stop("held");
	for (void *block : blocks)
		give_new(block);
	books_stop("freed");
}

static const books_case cases[] = {{"frames", frames_case}, {"arenas", arenas}, {"thrown", thrown}};

int main(int argc, char **argv)
{
	return books_main(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
