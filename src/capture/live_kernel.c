/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel side of the live source: there if asked for, or by default as long as it is cheap. Who
 * finds it too dear takes its programs out at once; its book is closed by the reading thread.
 */
#include "capture/live_state.h"

#include <errno.h>
#include <stdio.h>

void live_open_kernel(struct live *live)
{
	live->kernel_off = false;
	if (kernel_side_open(live->options.pid, live->options.unwinder, &live->kernel,
			     live->no_kernel, sizeof(live->no_kernel)))
		return;
	live->no_kernel[0] = '\0';
	kernel_cost_start(&live->kernel_cost, monotonic_ns());
}

static void close_kernel(struct live *live)
{
	kernel_cost_stop(&live->kernel_cost);
	kernel_side_close(live->kernel);
	live->kernel = NULL;
	live->kernel_let_go = false;
	sites_end_side(&live->sites, SIDE_KERNEL);
}

/* What it lost stays lost in this generation. */
void live_end_kernel(struct live *live)
{
	kernel_side_losses(live->kernel, live->heap_losses);
	close_kernel(live);
}

/* Kernel memory outlives programs; what was taken before is before the attach of the new book. */
void live_restart_kernel(struct live *live)
{
	bool again = live->kernel && !live->kernel_let_go;

	if (live->kernel)
		close_kernel(live);
	if (again)
		live_open_kernel(live);
}

static void let_go(struct live *live)
{
	snprintf(live->no_kernel, sizeof(live->no_kernel),
		 "took %.1f%% of a core, over %.0f%%: off; Tab to it, or --side all, keeps it",
		 live->kernel_cost.core_percent, OVERHEAD_KERNEL_DEAR);
	kernel_side_detach(live->kernel);
	live->kernel_let_go = live->kernel_off = true;
}

unsigned live_look_at_kernel(struct live *live, uint64_t now_ns)
{
	unsigned soon_ms;

	if (!live->kernel || live->kernel_let_go)
		return 0;
	soon_ms = kernel_cost_look(&live->kernel_cost, live->kernel,
				   live->heap.cost ? cost_meter_statistics_ns(live->heap.cost) : 0,
				   now_ns);
	if (kernel_cost_is_over(&live->kernel_cost) && !live->options.kernel_asked)
		let_go(live);
	return soon_ms;
}

int live_ask_for_kernel(struct live *live, bool on)
{
	if (live->ended)
		return -ESRCH;
	if (live->kernel_let_go)
		live_end_kernel(live);
	live->options.kernel_asked = on;
	if (on == (live->kernel != NULL))
		return 0;
	live->no_kernel[0] = '\0';
	if (on)
		live_open_kernel(live);
	else
		live_end_kernel(live);
	return on == (live->kernel != NULL) ? 0 : -EOPNOTSUPP;
}
