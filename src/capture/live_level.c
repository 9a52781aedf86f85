/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Levels and generations of the live source. A generation's books are opened and closed by the
 * reading thread; only letting go of the target is anybody's.
 */
#include "capture/live_state.h"

#include "capture/procmaps.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

/* Ranges of anonymous code that walks get through. */
#define MAX_ANONYMOUS 1024
/* Of a kernel side that begins; the watch goes on with the rest. */
#define FIRST_TABLES_MS 50

void live_give_reason(struct live *live, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(live->reason, sizeof(live->reason), format, arguments);
	va_end(arguments);
}

static void tell_unwinder(struct unwinder *unwinder, const struct unwinder_range *ranges,
			  size_t count, const struct modules *modules)
{
	if (!unwinder)
		return;
	unwinder->ops->anonymous(unwinder, ranges, count);
	unwinder->ops->update(unwinder, modules);
}

int live_update_modules(struct live *live, uint64_t now_ns)
{
	struct unwinder_range ranges[MAX_ANONYMOUS];
	struct procmaps maps;
	uint64_t known = live->heap.heap ? heap_module_changes(live->heap.heap) : 0;
	size_t count;
	int changes;

	live->modules_ns = now_ns;
	if (procmaps_read(live->options.pid, &maps))
		return 0;
	changes = procmaps_update_modules(live->mapped, &maps, live->options.pid, now_ns);
	if (changes && live->heap.heap)
		sites_follow(&live->sites, heap_ledger(live->heap.heap), live->mapped, now_ns);
	count = procmaps_anonymous_code(&maps, ranges, MAX_ANONYMOUS);
	tell_unwinder(live->options.unwinder, ranges, count, live->mapped);
	tell_unwinder(live->options.kernel_unwinder, ranges, count, live->mapped);
	if (live->heap.heap)
		heap_modules_known(live->heap.heap, known);
	heap_level_update(&live->heap, &maps);
	procmaps_deinit(&maps);
	return changes;
}

/* At once, whoever finds the reason: the target runs at its own speed again. */
void live_let_go(struct live *live)
{
	heap_detach(live->heap.heap);
	live->let_go = true;
}

/* The last word of a book: totals as they stand, losses kept. By the reading thread alone. */
void live_close_book(struct live *live, uint64_t now_ns)
{
	live->let_go = false;
	modules_follow(live->modules, live->mapped);
	sites_refresh(&live->sites, heap_ledger(live->heap.heap), SIDE_USER, live->modules, NULL,
		      now_ns);
	heap_level_losses(&live->heap, live->heap_losses);
	live->before_attach_frees = heap_ledger(live->heap.heap)->counters->before_attach_frees;
	heap_level_leave(&live->heap);
}

void live_leave_heap(struct live *live, const char *why)
{
	time_t now = time(NULL);
	char clock[16];
	struct tm parts;

	live_let_go(live);
	strftime(clock, sizeof(clock), "%T", localtime_r(&now, &parts));
	live_give_reason(live, "%s; heap rows as of %s", why, clock);
	live->level = LEVEL_RSS;
}

static int enter_heap(struct live *live, bool canary, char *error, size_t size)
{
	struct memory memory = {0};
	struct heap_level_target target = {.threads = live->target.threads};

	memory_read(live->memory, live->heap.heap != NULL, &memory);
	target.rss_bytes = memory.rss_bytes;
	return heap_level_enter(&live->heap, &target, canary, error, size);
}

/* An empty book: what was seen before is not continued. */
static void new_generation(struct live *live, uint64_t now_ns)
{
	sites_clear(&live->sites);
	memset(live->heap_losses, 0, sizeof(live->heap_losses));
	live->before_attach_frees = 0;
	live->generation++;
	live->attached_ns = now_ns;
	*live->reason = '\0';
}

void live_open_kernel(struct live *live)
{
	if (!kernel_side_open(live->options.pid, live->options.kernel_unwinder, &live->kernel,
			      live->no_kernel, sizeof(live->no_kernel)))
		live->no_kernel[0] = '\0';
	if (live->kernel && live->options.kernel_unwinder)
		live->options.kernel_unwinder->ops->work(live->options.kernel_unwinder,
							 FIRST_TABLES_MS);
}

/* Kernel memory outlives programs; what was taken before is before the attach of the new book. */
static void restart_kernel(struct live *live)
{
	if (!live->kernel)
		return;
	kernel_side_close(live->kernel);
	live->kernel = NULL;
	live_open_kernel(live);
}

/* Enters the level asked for, or under `auto` the highest that can be had. */
int live_choose_level(struct live *live, char *error, size_t size)
{
	bool automatic = live->options.level == LEVEL_AUTO;
	int status;

	live->level = LEVEL_RSS;
	if (live->options.level == LEVEL_RSS)
		return 0;
	if (live->options.level == LEVEL_PAGES) {
		snprintf(error, size, "level pages is not part of this version; use heap or rss");
		return -EOPNOTSUPP;
	}
	status = enter_heap(live, automatic, error, size);
	if (status && automatic) {
		live_give_reason(live, "%s", error);
		return 0;
	}
	if (!status)
		live->level = LEVEL_HEAP;
	/* Whatever it was: the level cannot be had here, and the line says why. */
	return !status || status == -EPERM || status == -EACCES ? status : -EOPNOTSUPP;
}

/* A new program runs in the process: its own books, at the level that was asked for. */
uint64_t live_restart(struct live *live, uint64_t now_ns)
{
	char error[REASON_SIZE];

	eventfd_t news;

	live->restart = live->execed = false;
	eventfd_read(live->news_fd, &news);
	target_identity_read(live->options.pid, &live->identity);
	memory_restart(live->memory);
	new_generation(live, now_ns);
	live_update_modules(live, now_ns);
	/* The heap first: what it does not see is lost, and the kernel side takes its time. */
	if (live_choose_level(live, error, sizeof(error)))
		live_give_reason(live, "%s", error);
	restart_kernel(live);
	now_ns = monotonic_ns(); /* all that takes a while */
	live_update_modules(live, now_ns);
	return now_ns;
}

static int step_up(struct live *live)
{
	char error[REASON_SIZE];
	int status = enter_heap(live, false, error, sizeof(error));

	if (status) {
		live_give_reason(live, "%s", error);
		return status;
	}
	new_generation(live, monotonic_ns());
	live->level = LEVEL_HEAP;
	restart_kernel(live);
	return 0;
}

int live_change_level(struct live *live, enum level level)
{
	int status = 0;

	if (level != LEVEL_HEAP && level != LEVEL_RSS)
		return -EOPNOTSUPP;
	if (live->ended)
		return -ESRCH;
	if (live->let_go)
		live_close_book(live, monotonic_ns());
	/* Of a program that is gone; the next one begins at the level asked for. */
	if (!live->execed && !live->restart) {
		if (level == LEVEL_HEAP && !live->heap.heap) {
			status = step_up(live);
		} else if (level == LEVEL_RSS && live->heap.heap) {
			live_leave_heap(live, "as asked");
			live_close_book(live, monotonic_ns());
		}
	}
	if (!status)
		live->options.level = level;
	return status;
}
