/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/kernel_cost.h"

#include "util/median.h"

#include <bpf/bpf.h>
#include <math.h>
#include <unistd.h>

/*
 * Run-time statistics slow every program of the system: on for five windows, of which the one in
 * the middle counts, since a program that is put aside for another task takes all that time as its
 * own. What a machine does for a moment is no reason to close the side: three measurements in a row
 * have to say so.
 */
#define FIRST_NS	3000000000ull
#define EVERY_NS	30000000000ull
#define SURE_NS		2000000000ull
#define SURE_TIMES	3
#define WINDOW_LEAST_NS 15000000ull
#define WINDOW_LOOK_MS	20
/*
 * Of each run, as one machine has it (AMD EPYC, virtual, kernel 6.18): what of its time is the
 * statistics' own, where it was not calibrated, and what it takes to get to a program and back.
 */
#define STATISTICS_NS 45.0
#define DISPATCH_NS   54.0

void kernel_cost_init(struct kernel_cost *cost)
{
	*cost = (struct kernel_cost){.statistics_fd = -1, .core_percent = NAN};
}

void kernel_cost_start(struct kernel_cost *cost, uint64_t now_ns)
{
	kernel_cost_stop(cost);
	cost->due_ns = now_ns + FIRST_NS;
}

void kernel_cost_pause(struct kernel_cost *cost)
{
	if (cost->statistics_fd >= 0)
		close(cost->statistics_fd);
	cost->statistics_fd = -1;
}

void kernel_cost_stop(struct kernel_cost *cost)
{
	kernel_cost_pause(cost);
	kernel_cost_init(cost);
}

double kernel_cost_percent(const struct kernel_runs *runs, double statistics_ns,
			   uint64_t elapsed_ns)
{
	double own = runs->runs * (statistics_ns > 0 ? statistics_ns : STATISTICS_NS);

	return 100 * (fmax(runs->ns - own, 0) + runs->runs * DISPATCH_NS) / elapsed_ns;
}

/* Where it is refused nothing is known, and that is no reason for anything. */
static void begin(struct kernel_cost *cost, const struct kernel_side *side, uint64_t now_ns)
{
	cost->statistics_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
	cost->due_ns = now_ns + EVERY_NS;
	cost->window_ns = now_ns;
	cost->window_count = 0;
	kernel_side_runs(side, &cost->before);
}

/* The next window begins where one ends. */
static void end_window(struct kernel_cost *cost, const struct kernel_side *side,
		       double statistics_ns, uint64_t now_ns)
{
	struct kernel_runs now, runs;

	kernel_side_runs(side, &now);
	runs.runs = now.runs - cost->before.runs;
	runs.ns = now.ns - cost->before.ns;
	cost->windows[cost->window_count++] =
		kernel_cost_percent(&runs, statistics_ns, now_ns - cost->window_ns);
	cost->window_ns = now_ns;
	cost->before = now;
}

static void conclude(struct kernel_cost *cost, uint64_t now_ns)
{
	kernel_cost_pause(cost);
	cost->core_percent = median(cost->windows, cost->window_count);
	cost->over = cost->core_percent > OVERHEAD_KERNEL_DEAR ? cost->over + 1 : 0;
	cost->due_ns = now_ns + (cost->over && cost->over < SURE_TIMES ? SURE_NS : EVERY_NS);
}

unsigned kernel_cost_look(struct kernel_cost *cost, const struct kernel_side *side,
			  double statistics_ns, uint64_t now_ns)
{
	if (cost->statistics_fd < 0) {
		if (now_ns < cost->due_ns)
			return 0;
		begin(cost, side, now_ns);
		return cost->statistics_fd < 0 ? 0 : WINDOW_LOOK_MS;
	}
	if (now_ns - cost->window_ns >= WINDOW_LEAST_NS)
		end_window(cost, side, statistics_ns, now_ns);
	if (cost->window_count < KERNEL_COST_WINDOWS)
		return WINDOW_LOOK_MS;
	conclude(cost, now_ns);
	return 0;
}

bool kernel_cost_is_over(const struct kernel_cost *cost)
{
	return cost->over >= SURE_TIMES;
}
