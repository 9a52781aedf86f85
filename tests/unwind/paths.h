/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The same random paths in each run: PATHS of them, of LEAST_STEPS to MOST_STEPS steps of all
 * shapes.
 */
#ifndef MEMTOP_TESTS_UNWIND_PATHS_H
#define MEMTOP_TESTS_UNWIND_PATHS_H

#include "steps.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
	PATHS = 200,
	LEAST_STEPS = 5,
	MOST_STEPS = 60,
	TWINS = 40, /* the last paths: of one layout, so that only return addresses tell them apart
		     */
	TWIN_STEPS = 12
};

extern struct path paths[PATHS];

/*
 * `observe` is at the end of each. Every other path goes through signal handlers too. `throwing`:
 * through catch blocks; not where a timer may interrupt the throw, whose last instructions no frame
 * information describes (the target's own backtrace() crashes on them).
 */
void paths_make(step_fn *observe, bool throwing);

/* The handler that goes on with the path that path_by_signal() was called for. */
void path_on_signal(int number);

#ifdef __cplusplus
}
#endif

#endif
