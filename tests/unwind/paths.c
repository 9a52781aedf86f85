/* SPDX-License-Identifier: GPL-2.0-only */
#include "paths.h"

#include <signal.h>
#include <stdint.h>

extern step_fn *const steps_a[], *const steps_b[], *const steps_c[], *const steps_cxx[];

struct path paths[PATHS];
static __thread struct shadow shadow;
static __thread const struct path *signal_path;
static __thread unsigned signal_at;

struct shadow *shadow_here(void)
{
	return &shadow;
}

void path_on_signal(int number)
{
	const struct path *path = signal_path;
	unsigned at = signal_at;

	(void)number;
	shadow_push(__builtin_return_address(0));
	path_next(path, at);
	shadow_pop();
}

void path_by_signal(const struct path *path, unsigned at, int number)
{
	signal_path = path;
	signal_at = at;
	shadow_push(__builtin_return_address(0));
	raise(number);
	shadow_pop();
}

static uint32_t random_next(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

void paths_make(step_fn *observe)
{
	step_fn *all[512];
	step_fn *const *const lists[] = {steps_a, steps_b, steps_c, steps_cxx};
	uint32_t state = 12345;
	unsigned count = 0;

	for (unsigned list = 0; list < sizeof(lists) / sizeof(*lists); list++)
		for (step_fn *const *step = lists[list]; *step; step++)
			all[count++] = *step;
	for (unsigned i = 0; i < PATHS; i++) {
		paths[i].observe = observe;
		paths[i].length =
			LEAST_STEPS + random_next(&state) % (MOST_STEPS - LEAST_STEPS + 1);
		for (unsigned s = 0; s < paths[i].length; s++)
			paths[i].steps[s] = all[random_next(&state) % count];
	}
}
