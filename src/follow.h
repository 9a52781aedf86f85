/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A target that is known by what it is called: when its process ends, the next one of that name is
 * watched, as a new generation. A source and a resolver, made of those of each process.
 *
 * What is looked back at needs the processes before: their sources, which have given their books
 * up, and their resolvers are kept until they are forgotten.
 */
#ifndef MEMTOP_FOLLOW_H
#define MEMTOP_FOLLOW_H

#include "core/resolver.h"
#include "core/source.h"

struct follow_process {
	struct source *source;
	struct resolver *resolver;
};

/* Both are called from another thread, one at a time. */
struct follow_ops {
	/* The processes that could be it: how many, the first `capacity` in `pids`; or -errno. */
	int (*find)(void *context, pid_t *pids, size_t capacity);
	/*
	 * Watches one, with ids of sites above `last_id`, at `level` unless that is NULL. 0, or
	 * -errno and why.
	 */
	int (*open)(void *context, pid_t pid, uint32_t last_id, const enum level *level,
		    struct follow_process *ret, char *error, size_t size);
};

struct follow;

/* Owns the first process from then on, whatever it returns: 0 or -errno. */
int follow_new(const struct follow_ops *ops, void *context, const struct follow_process *first,
	       struct follow **ret);
/* Closed by follow_free() alone; read() is -EAGAIN while there is no process. */
struct source *follow_source(struct follow *follow);
struct resolver *follow_resolver(struct follow *follow);
/* Nobody looks at what was before that generation any more. */
void follow_forget(struct follow *follow, unsigned generation);
void follow_free(struct follow *follow);

#endif
