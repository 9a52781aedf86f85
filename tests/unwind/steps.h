/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Call paths whose true stacks are known: a path is a list of steps, functions of many shapes in
 * several libraries, each of which calls the next. Each notes its return address on a shadow stack.
 */
#ifndef MEMTOP_TESTS_UNWIND_STEPS_H
#define MEMTOP_TESTS_UNWIND_STEPS_H

#ifdef __cplusplus
extern "C" {
#endif

enum {
	PATH_STEPS_MAX = 64,
	SHADOW_MAX = 512,
	STEP_SHAPES = 8, /* a library's table is groups of so many, the first of each alike */
};

struct path;
typedef int step_fn(const struct path *path, unsigned at);

struct shadow {
	unsigned depth;
	void *addresses[SHADOW_MAX];
};

struct path {
	unsigned length;
	step_fn *steps[PATH_STEPS_MAX];
	step_fn *observe; /* at the end of the path */
};

struct shadow *shadow_here(void); /* of the calling thread */
void path_by_signal(const struct path *path, unsigned at, int number);

static inline int path_next(const struct path *path, unsigned at)
{
	return at < path->length ? path->steps[at](path, at + 1) : path->observe(path, at);
}

static inline void shadow_push(void *address)
{
	struct shadow *shadow = shadow_here();

	shadow->addresses[shadow->depth++ % SHADOW_MAX] = address;
}

static inline void shadow_pop(void)
{
	shadow_here()->depth--;
}

#ifdef __cplusplus
}
#endif

#endif
