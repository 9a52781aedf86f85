/* SPDX-License-Identifier: GPL-2.0-only */
#include "paths.h"

#include <signal.h>
#include <stdint.h>

extern step_fn *const steps_a[], *const steps_b[], *const steps_c[], *const steps_cxx[];
extern step_fn *const throwing_steps_cxx[];
extern step_fn *const signal_steps_a[], *const signal_steps_b[], *const signal_steps_c[];

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

static unsigned add_steps(step_fn *const *list, step_fn **to)
{
	unsigned count = 0;

	while (list[count]) {
		to[count] = list[count];
		count++;
	}
	return count;
}

static void make_twins(step_fn *const *steps, unsigned groups, uint32_t *state)
{
	for (unsigned i = PATHS - TWINS; i < PATHS; i++) {
		paths[i].length = TWIN_STEPS;
		for (unsigned s = 0; s < TWIN_STEPS; s++)
			paths[i].steps[s] = steps[random_next(state) % groups * STEP_SHAPES];
	}
}

void paths_make(step_fn *observe, bool throwing)
{
	step_fn *const *const lists[] = {steps_a, steps_b, steps_c, steps_cxx};
	step_fn *const *const signals[] = {signal_steps_a, signal_steps_b, signal_steps_c};
	unsigned count = 0, without_signals;
	uint32_t state = 12345;
	step_fn *all[512];

	for (unsigned i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		count += add_steps(lists[i], all + count);
	if (throwing)
		count += add_steps(throwing_steps_cxx, all + count);
	without_signals = count;
	for (unsigned i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		count += add_steps(signals[i], all + count);
	for (unsigned i = 0; i < PATHS; i++) {
		unsigned choice = i % 2 ? count : without_signals;

		paths[i].observe = observe;
		paths[i].length =
			LEAST_STEPS + random_next(&state) % (MOST_STEPS - LEAST_STEPS + 1);
		for (unsigned s = 0; s < paths[i].length; s++)
			paths[i].steps[s] = all[random_next(&state) % choice];
	}
	make_twins(steps_a, add_steps(steps_a, all) / STEP_SHAPES, &state);
}
