/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Levels and generations of the live source. A generation's books are opened and closed by the
 * reading thread; only letting go of the target is anybody's.
 */
#include "capture/live_state.h"

#include "capture/launch.h"
#include "capture/procmaps.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

/* Ranges of anonymous code that walks get through. */
#define MAX_ANONYMOUS 1024

void live_give_reason(struct live *live, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(live->reason, sizeof(live->reason), format, arguments);
	va_end(arguments);
}

struct ledger *live_user_ledger(struct live *live)
{
	if (live->heap.heap)
		return heap_ledger(live->heap.heap);
	return live->pages ? pages_level_ledger(live->pages) : NULL;
}

int live_update_modules(struct live *live, uint64_t now_ns)
{
	struct unwinder_range ranges[MAX_ANONYMOUS];
	struct procmaps maps;
	uint64_t known = live->heap.heap ? heap_module_changes(live->heap.heap) : 0;
	uint64_t before = thread_cpu_ns();
	size_t count;
	int changes;

	live->modules_ns = now_ns;
	if (procmaps_read(live->options.pid, &maps))
		return 0;
	before = thread_cpu_ns() - before;
	memory_count(live->memory, before);
	pace_take(&live->modules_pace, now_ns, before, maps.count);
	/* Those of another program are not this book's. */
	if (live->heap.heap && heap_execs(live->heap.heap)) {
		procmaps_deinit(&maps);
		return 0;
	}
	changes = procmaps_update_modules(live->mapped, &maps, live->options.pid, now_ns);
	live->late.due |= changes && live->heap.heap;
	if (changes && live_user_ledger(live))
		sites_follow(&live->sites, live_user_ledger(live), live->mapped, now_ns);
	if (live->options.unwinder) {
		count = procmaps_anonymous_code(&maps, ranges, MAX_ANONYMOUS);
		live->options.unwinder->ops->anonymous(live->options.unwinder, ranges, count);
		live->options.unwinder->ops->update(live->options.unwinder, live->mapped);
	}
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
	/* Whoever closes it: an exec that it saw begins a generation, and may have stopped the
	 * target. */
	if (heap_execs(live->heap.heap))
		live->execed = live->stopped = true;
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

/* Pages and heap blocks are the same memory: never both. */
static int enter_pages(struct live *live, char *error, size_t size)
{
	int status = pages_level_open(live->options.pid, PAGES_EVENTS_COUNT, live->options.unwinder,
				      &live->pages, error, size);

	if (status)
		return status;
	/* Where it cannot be had, that side is not known; pages are. */
	if (maps_side_open(live->options.pid, pages_level_sequence_fd(live->pages),
			   live->options.unwinder, &live->maps))
		live->maps = NULL;
	pages_level_follow(live->pages, live->maps);
	live->level = LEVEL_PAGES;
	return 0;
}

void live_step_down(struct live *live)
{
	char error[REASON_SIZE];

	if (live->options.level != LEVEL_AUTO || live->heap.heap || live->pages)
		return;
	if (!enter_pages(live, error, sizeof(error)))
		sites_end_side(&live->sites, SIDE_USER);
}

static int enter_heap(struct live *live, bool canary, char *error, size_t size)
{
	struct memory memory = {0};
	struct heap_level_target target = {.threads = live->target.threads,
					   .max_blocks = live->options.max_blocks};

	memory_read(live->memory, live->heap.heap != NULL, &memory);
	target.anon_bytes = memory.anon_bytes;
	if (live->kernel)
		target.other_tables_bytes = ledger_bytes(&kernel_side_ledger(live->kernel)->sizes);
	return heap_level_enter(&live->heap, &target, canary, error, size);
}

static void leave_pages(struct live *live)
{
	if (!live->pages)
		return;
	pages_level_losses(live->pages, live->heap_losses);
	if (live->maps)
		maps_side_losses(live->maps, live->heap_losses);
	maps_side_close(live->maps);
	live->maps = NULL;
	pages_level_close(live->pages);
	live->pages = NULL;
}

/* An empty book: what was seen before is not continued. */
static void new_generation(struct live *live, uint64_t now_ns)
{
	sites_clear(&live->sites);
	memset(live->heap_losses, 0, sizeof(live->heap_losses));
	live->before_attach_frees = 0;
	live->generation++;
	live->from_start = false;
	live->attached_ns = now_ns;
	*live->reason = '\0';
}

/* Enters the level asked for, or under `auto` the highest that can be had. */
int live_choose_level(struct live *live, char *error, size_t size)
{
	bool automatic = live->options.level == LEVEL_AUTO;
	char no_pages[REASON_SIZE];
	int status;

	live->level = LEVEL_RSS;
	if (live->options.level == LEVEL_RSS)
		return 0;
	if (live->options.level == LEVEL_PAGES)
		return enter_pages(live, error, size);
	status = enter_heap(live, automatic, error, size);
	/* What the user named and cannot be had is his error, whatever the level. */
	if (status && automatic && status != -EINVAL &&
	    !(status == -ENOMEM && live->options.max_blocks)) {
		live_give_reason(live, "%s", error);
		enter_pages(live, no_pages, sizeof(no_pages));
		return 0;
	}
	if (!status) {
		live->level = LEVEL_HEAP;
		live_give_reason(live, "%s", live->heap.note);
	}
	/* Whatever it was: the level cannot be had here, and the line says why. */
	return !status || status == -EPERM || status == -EACCES ? status : -EOPNOTSUPP;
}

/* A new program runs in the process: its own books, at the level that was asked for. */
uint64_t live_restart(struct live *live, uint64_t now_ns)
{
	char error[REASON_SIZE];
	eventfd_t news;
	bool held, watched;

	/* Only what was stopped at its exec can be held before its first instruction. */
	held = live->options.launched && live->stopped && !launch_hold_again(live->options.pid);
	live->restart = live->execed = live->stopped = false;
	live->heap.options.functions_may_miss = true;
	eventfd_read(live->news_fd, &news);
	target_identity_read(live->options.pid, &live->identity);
	memory_restart(live->memory);
	held_restart(live->held);
	leave_pages(live);
	new_generation(live, now_ns);
	live_update_modules(live, now_ns);
	/*
	 * The heap first, since what it does not see is lost, and the kernel side takes its time;
	 * but last where the watch, which waits meanwhile, has to see what it costs.
	 */
	watched = live->options.level == LEVEL_AUTO && !held;
	if (watched)
		live_restart_kernel(live);
	live->heap.held = held;
	if (live_choose_level(live, error, sizeof(error)))
		live_give_reason(live, "%s", error);
	live->heap.held = false;
	live->from_start = held;
	if (!watched)
		live_restart_kernel(live);
	if (held)
		launch_go(live->options.pid);
	now_ns = monotonic_ns(); /* all that takes a while */
	live_update_modules(live, now_ns);
	return now_ns;
}

/* Another level's books are other books: a new generation. */
static int step_to(struct live *live, enum level level)
{
	char error[REASON_SIZE];
	int status;

	if (level == LEVEL_HEAP)
		status = enter_heap(live, false, error, sizeof(error));
	else
		status = enter_pages(live, error, sizeof(error));
	if (status) {
		live_give_reason(live, "%s", error);
		return status;
	}
	if (level == LEVEL_HEAP)
		leave_pages(live);
	new_generation(live, monotonic_ns());
	if (level == LEVEL_HEAP)
		live_give_reason(live, "%s", live->heap.note);
	live->level = level;
	live_restart_kernel(live);
	return 0;
}

/* The rows of what is left stay as they are. */
static void leave(struct live *live)
{
	uint64_t now_ns = monotonic_ns();

	if (live->heap.heap) {
		live_leave_heap(live, "as asked");
		live_close_book(live, now_ns);
	}
	if (live->pages) {
		modules_follow(live->modules, live->mapped);
		sites_refresh(&live->sites, live_user_ledger(live), SIDE_USER, live->modules, NULL,
			      now_ns);
		leave_pages(live);
		live->level = LEVEL_RSS;
	}
}

int live_change_level(struct live *live, enum level level)
{
	int status = 0;

	if (level == LEVEL_AUTO)
		return -EOPNOTSUPP;
	if (live->ended)
		return -ESRCH;
	if (live->let_go)
		live_close_book(live, monotonic_ns());
	/* Of a program that is gone; the next one begins at the level asked for. */
	if (!live->execed && !live->restart) {
		if (level != LEVEL_HEAP && live->heap.heap)
			leave(live);
		if (level == LEVEL_HEAP && !live->heap.heap)
			status = step_to(live, LEVEL_HEAP);
		else if (level == LEVEL_PAGES && !live->pages)
			status = step_to(live, LEVEL_PAGES);
		else if (level == LEVEL_RSS)
			leave(live);
	}
	if (!status)
		live->options.level = level;
	return status;
}
