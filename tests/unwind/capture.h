/* SPDX-License-Identifier: GPL-2.0-only */
/* A captured stack, as stacks.bpf.c leaves it for stacks.c. */
#ifndef MEMTOP_TESTS_UNWIND_CAPTURE_H
#define MEMTOP_TESTS_UNWIND_CAPTURE_H

#include <memtop/unwind_abi.h>

enum capture_limit {
	CAPTURES_MAX = 32768, /* a power of two */
	CAPTURE_THREADS = 1024,
};

enum capture_cached {
	CAPTURE_NOT_CACHED = 0,
	CAPTURE_CACHED = 1, /* the cache knew it, and the walk gave the same */
	CAPTURE_CACHED_WRONG = 2,
};

struct capture {
	__mt_u32 taken;
	__mt_u32 count;
	__mt_u32 truncated;
	__mt_u32 cached; /* enum capture_cached */
	__mt_u64 hash;
	__mt_u64 frames[ABI_MAX_FRAMES];
};

#endif
