/* SPDX-License-Identifier: GPL-2.0-only */
/* The steps of one library; STEPS and SIGNAL_STEPS are its tables' names. */
#include "steps.h"

#include <alloca.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

#define ENTER() shadow_push(__builtin_return_address(0))
#define USE(p)	__asm__ volatile("" : : "r"(p) : "memory")

/* Leaving through here, so that nothing after the call is cut off as a tail call. */
#define LEAVE(result)                  \
	({                             \
		int leave_ = (result); \
		__asm__ volatile("");  \
		shadow_pop();          \
		leave_ + 1;            \
	})

#define STEP(name, n) \
	static __attribute__((noinline)) int name##n(const struct path *path, unsigned at)

#define PLAIN(n)                                         \
	STEP(plain, n)                                   \
	{                                                \
		ENTER();                                 \
		return LEAVE(path_next(path, at)) + (n); \
	}

#define MANY_REGISTERS(n)                                                            \
	STEP(many_registers, n)                                                      \
	{                                                                            \
		int a = (int)at * (n), b = a ^ 5, c = b + (n), d = c * 3, e = d - a; \
                                                                                     \
		ENTER();                                                             \
		a += LEAVE(path_next(path, at));                                     \
		return a + b * c - d * e + (int)path->length;                        \
	}

#define BIG_FRAME(n)                                             \
	STEP(big_frame, n)                                       \
	{                                                        \
		char buffer[(n)*100];                            \
                                                                 \
		ENTER();                                         \
		memset(buffer, (int)at, sizeof(buffer));         \
		USE(buffer);                                     \
		return LEAVE(path_next(path, at)) + buffer[(n)]; \
	}

#define WITH_ALLOCA(n)                                         \
	STEP(with_alloca, n)                                   \
	{                                                      \
		size_t size = (at * 37 + (n)*16) % 900 + 1;    \
		char *buffer = alloca(size);                   \
                                                               \
		ENTER();                                       \
		memset(buffer, (n), size);                     \
		USE(buffer);                                   \
		return LEAVE(path_next(path, at)) + buffer[0]; \
	}

/* Stack realigned: gcc's dynamic realign argument pointer, clang's base pointer. */
#define ALIGNED(n)                                                  \
	STEP(aligned, n)                                            \
	{                                                           \
		char buffer[64 * (n)] __attribute__((aligned(64))); \
                                                                    \
		ENTER();                                            \
		memset(buffer, (int)at, sizeof(buffer));            \
		USE(buffer);                                        \
		return LEAVE(path_next(path, at)) + buffer[1];      \
	}

#define ALIGNED_VARIABLE(n)                                              \
	STEP(aligned_variable, n)                                        \
	{                                                                \
		char buffer[64] __attribute__((aligned(64)));            \
		size_t size = (at * 53 + (n)) % 500 + 1;                 \
		char *more = alloca(size);                               \
                                                                         \
		ENTER();                                                 \
		memset(buffer, (int)at, sizeof(buffer));                 \
		memset(more, (n), size);                                 \
		USE(buffer);                                             \
		USE(more);                                               \
		return LEAVE(path_next(path, at)) + buffer[1] + more[0]; \
	}

/* The next step takes this one's frame over. */
#define TAIL_CALL(n)                        \
	STEP(tail_call, n)                  \
	{                                   \
		if (at % 3 == (n) % 3)      \
			USE(path);          \
		return path_next(path, at); \
	}

#define RECURSION(n)                                                                            \
	static __attribute__((noinline)) int recursive##n(const struct path *path, unsigned at, \
							  int depth)                            \
	{                                                                                       \
		ENTER();                                                                        \
		if (depth)                                                                      \
			return LEAVE(recursive##n(path, at, depth - 1)) * (n);                  \
		return LEAVE(path_next(path, at));                                              \
	}                                                                                       \
	STEP(recursion, n)                                                                      \
	{                                                                                       \
		ENTER();                                                                        \
		return LEAVE(recursive##n(path, at, (n) % 4)) + (n);                            \
	}

/* The rest of the path runs in a signal handler, on this stack or the alternate one. */
#define BY_SIGNAL(n)                                                   \
	STEP(by_signal, n)                                             \
	{                                                              \
		ENTER();                                               \
		path_by_signal(path, at, (n) % 2 ? SIGUSR1 : SIGUSR2); \
		return LEAVE((n));                                     \
	}

#define SHAPES(n)           \
	PLAIN(n)            \
	MANY_REGISTERS(n)   \
	BIG_FRAME(n)        \
	WITH_ALLOCA(n)      \
	ALIGNED(n)          \
	ALIGNED_VARIABLE(n) \
	TAIL_CALL(n)        \
	RECURSION(n)

#define NAMES(n)                                                               \
	plain##n, many_registers##n, big_frame##n, with_alloca##n, aligned##n, \
		aligned_variable##n, tail_call##n, recursion##n

SHAPES(1)
SHAPES(2)
SHAPES(3)
SHAPES(4)
SHAPES(7)
SHAPES(11)
BY_SIGNAL(1)
BY_SIGNAL(2)
BY_SIGNAL(3)
BY_SIGNAL(4)

extern step_fn *const STEPS[], *const SIGNAL_STEPS[];
step_fn *const STEPS[] = {NAMES(1), NAMES(2), NAMES(3), NAMES(4), NAMES(7), NAMES(11), 0};
step_fn *const SIGNAL_STEPS[] = {by_signal1, by_signal2, by_signal3, by_signal4, 0};
