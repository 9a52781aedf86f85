/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The same random paths in each run: PATHS of them, of LEAST_STEPS to MOST_STEPS steps of all
 * shapes.
 */
#ifndef MEMTOP_TESTS_UNWIND_PATHS_H
#define MEMTOP_TESTS_UNWIND_PATHS_H

#include "steps.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
	PATHS = 200,
	LEAST_STEPS = 5,
	MOST_STEPS = 60
};

extern struct path paths[PATHS];

/* `observe` is at the end of each. */
void paths_make(step_fn *observe);

/* The handler that goes on with the path that path_by_signal() was called for. */
void path_on_signal(int number);

#ifdef __cplusplus
}
#endif

#endif
