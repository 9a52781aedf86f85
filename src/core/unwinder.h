/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The seam through which stacks become true: whoever loads programs that walk user stacks asks an
 * unwinder (unwind/) to give them the tables of the target's modules, and keeps it told of what is
 * mapped. One thread at a time.
 */
#ifndef MEMTOP_CORE_UNWINDER_H
#define MEMTOP_CORE_UNWINDER_H

#include "core/modules.h"

struct bpf_object;
struct unwinder;

struct unwinder_status {
	unsigned tables_ready;
	unsigned tables_pending; /* until it is 0, some walks may end early, marked */
	unsigned tables_without; /* modules without frame information */
	unsigned tables_refused; /* no room left within the limit */
	uint64_t bytes;
	uint64_t bytes_reserved; /* of memory, in use or not */
};

/* Addresses in the target, [start, end). */
struct unwinder_range {
	uint64_t start, end;
};

struct unwinder_ops {
	/* Brings the unwinder in step with what is mapped now; compiles nothing. */
	void (*update)(struct unwinder *unwinder, const struct modules *modules);
	/*
	 * Executable memory without a file, sorted: the code of JIT compilers, which is walked
	 * through by the frame pointer. Takes the place of what was said before; seen with the next
	 * update().
	 */
	void (*anonymous)(struct unwinder *unwinder, const struct unwinder_range *ranges,
			  size_t count);
	/*
	 * Before prepare(): the bytes that the tables will take, at most `most` from now on. Once
	 * they exist, what they take.
	 */
	uint64_t (*plan)(struct unwinder *unwinder, uint64_t most);
	/* Before `object` is loaded: gives its maps their size. 0 or -errno. */
	int (*prepare)(struct unwinder *unwinder, struct bpf_object *object);
	/* After it was loaded: fills its maps with what is compiled. 0 or -errno. */
	int (*adopt)(struct unwinder *unwinder, struct bpf_object *object);
	/* Compiles, what is missed most first, for about so long; returns how many are left. */
	unsigned (*work)(struct unwinder *unwinder, unsigned milliseconds);
	/* How often walks met code that was in no mapping; rises when something was mapped. */
	uint64_t (*unmapped)(const struct unwinder *unwinder);
	void (*status)(const struct unwinder *unwinder, struct unwinder_status *ret);
	void (*close)(struct unwinder *unwinder);
};

struct unwinder {
	const struct unwinder_ops *ops;
};

static inline void unwinder_close(struct unwinder *unwinder)
{
	if (unwinder)
		unwinder->ops->close(unwinder);
}

#endif
