/* SPDX-License-Identifier: GPL-2.0-only */
/* What the two halves of the resolver share, and its worker thread. Inside the room only. */
#ifndef MEMTOP_SYMBOL_WORKER_H
#define MEMTOP_SYMBOL_WORKER_H

#include "core/resolver.h"
#include "symbol/names.h"
#include "symbol/targetfs.h"
#include "util/map.h"
#include "util/strpool.h"
#include "util/vec.h"

#include <pthread.h>
#include <time.h>

struct answer_frame {
	const char *symbol, *file, *module; /* in the pool, or NULL */
	uint64_t start;
	unsigned line;
	bool inlined, wrapper;
};

struct answer {
	uint64_t address; /* looked up: one less than the return address */
	bool pending;
	unsigned count; /* 0 = no name */
	struct answer_frame *frames;
};

struct object {
	/* Set once, before the worker sees it. */
	enum names_kind kind;
	struct module module;
	const char *build_id;

	/* Under the lock. */
	VEC(struct answer *) answers;
	struct map by_address; /* address looked up -> index + 1 in answers */
	VEC(struct answer *) wanted[NAMES_STEPS];
	bool fetching;	    /* its deep step waits for the network */
	const char *reason; /* in the pool, or NULL */
	bool not_elf;	    /* ask the JIT's map */
	uint64_t base;

	/* The worker's. */
	struct names *names;
	uint64_t used; /* a count of uses, for the oldest to be unloaded first */
};

struct state {
	struct resolver resolver; /* first: what is given out */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work, idle;

	/* Under the lock. */
	VEC(struct object *) objects;
	struct map by_module; /* id of a row -> index in objects */
	struct strpool *strings;
	size_t answer_count;
	uint64_t revision;
	uint64_t fetches; /* downloads that ended */
	bool busy;

	/* Set once. */
	char *debug_dir;
	struct targetfs fs;
	struct names_context context;

	/* The worker's. */
	uint64_t uses;
};

int worker_start(struct state *state);
/* A download ended; `opaque` is the state. */
void worker_fetched(void *opaque);
/* Nothing is asked and nothing is being worked on; under the lock. */
bool worker_is_idle(const struct state *state);
struct timespec worker_deadline(unsigned timeout_ms);

#endif
