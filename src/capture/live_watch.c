/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The watch: a thread that looks after the target between reads, whatever their distance.
 */
#include "capture/live_state.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/*
 * Often enough to let go of a target within 300 ms: a look that finds it over its budget, another
 * one soon after that makes sure, and the time that taking the probes out takes.
 */
#define WATCH_MS   100
#define SURE_MS	   60 /* not less than the cost meter's shortest sample */
#define MODULES_NS 300000000ull
#define LINKER_NS  10000000
/* For tables in a look: a reader waits for it at most. */
#define COMPILE_MS 10

/*
 * After an exec the probes would go on in the new program, whose blocks are none of this book's: it
 * is closed at once, and read() begins a new one.
 */
static bool has_execed(const struct live *live)
{
	struct target_identity now;

	if (live->heap.heap && heap_execs(live->heap.heap))
		return true;
	return !target_identity_read(live->options.pid, &now) &&
	       target_identity_compare(&live->identity, &now) == TARGET_EXECED;
}

void live_notice_exec(struct live *live)
{
	if (live->execed || live->restart || !has_execed(live))
		return;
	live->execed = true;
	eventfd_write(live->news_fd, 1);
	if (live->heap.heap && !live->let_go)
		live_let_go(live);
	/* What the new program has the kernel take is none of the old one's. */
	if (live->kernel)
		__atomic_store_n(&kernel_side_ledger(live->kernel)->control->tracking, 0,
				 __ATOMIC_RELEASE);
}

/*
 * Every 300 ms, or as seldom as its pace wants it; at once when the target's linker changed
 * mappings; and soon when a walk met code that no mapping has. Where that found nothing new, not
 * again until something changes.
 */
static void follow_modules(struct live *live, uint64_t now_ns)
{
	struct unwinder *unwinder = live->options.unwinder;
	uint64_t unmapped = unwinder ? unwinder->ops->unmapped(unwinder) : 0;
	bool told =
		live->heap.heap && heap_module_changes(live->heap.heap) !=
					   heap_ledger(live->heap.heap)->control->module_changes;
	bool due = now_ns - live->modules_ns >= (told ? LINKER_NS : MODULES_NS) &&
		   (told || pace_is_due(&live->modules_pace, now_ns));
	bool met = unmapped != live->unmapped && !live->in_vain;

	live->unmapped = unmapped;
	if (due || met) {
		int changes = live_update_modules(live, now_ns);

		live->in_vain = changes ? false : live->in_vain || met;
	}
	if (unwinder && (live->kernel || (live_user_ledger(live) && !live->let_go)))
		unwinder->ops->work(unwinder, COMPILE_MS);
}

/* Of two times, of which 0 is whenever. */
static unsigned sooner(unsigned one, unsigned other)
{
	return one && (one < other || !other) ? one : other;
}

static void look(struct live *live)
{
	uint64_t now_ns = monotonic_ns();
	char why[96];

	live->soon_ms = 0;
	live_notice_exec(live);
	if (live->execed || live->restart) {
		kernel_cost_pause(&live->kernel_cost);
		return;
	}
	/* An explicit level is taken at its word. */
	if (live->options.level == LEVEL_AUTO && !live->let_go &&
	    heap_level_over_budget(&live->heap, now_ns, why, sizeof(why)))
		live_leave_heap(live, why);
	if (live->heap.heap)
		ledger_tick(heap_ledger(live->heap.heap), now_ns);
	if (live->heap.heap && !live->let_go) {
		live->soon_ms = cost_meter_look(live->heap.cost, live->heap.heap, now_ns);
		heap_level_reclaim(&live->heap);
	}
	if (live->maps)
		maps_side_look(live->maps, now_ns);
	if (live->pages)
		pages_level_look(live->pages, now_ns);
	if (live->kernel)
		ledger_tick(kernel_side_ledger(live->kernel), now_ns);
	live->soon_ms = sooner(live->soon_ms, live_look_at_kernel(live, monotonic_ns()));
	follow_modules(live, now_ns);
}

/* Told of a change right after another, it waits a little: the linker may have a long list. */
static void watch_linker(struct live *live)
{
	const struct timespec pause = {.tv_nsec = LINKER_NS};
	bool early;

	pthread_mutex_lock(&live->lock);
	early = monotonic_ns() - live->modules_ns < LINKER_NS;
	pthread_mutex_unlock(&live->lock);
	if (early)
		nanosleep(&pause, NULL);
}

/* How long after the last look the next one is due. */
static unsigned look_ms(struct live *live)
{
	unsigned ms;

	pthread_mutex_lock(&live->lock);
	if (live->heap.over_budget && !live->let_go)
		ms = SURE_MS;
	else
		ms = live->soon_ms ? live->soon_ms : WATCH_MS;
	pthread_mutex_unlock(&live->lock);
	return ms;
}

/* Only while somebody takes what comes: else it would be readable for ever. */
static int linker_fd(struct live *live)
{
	int fd = -1;

	pthread_mutex_lock(&live->lock);
	if (live->heap.heap && !live->let_go && !live->execed && !live->restart && !live->ended)
		fd = heap_wait_fd(live->heap.heap);
	pthread_mutex_unlock(&live->lock);
	return fd;
}

/* What came with the last change of the mappings is watched from now on, and it is said. */
static void add_allocators(struct live *live, struct probe_points *found)
{
	struct watched_allocator all[SNAPSHOT_ALLOCATORS];
	const char *slash, *name;
	time_t now = time(NULL);
	char clock[16];
	struct tm parts;
	size_t count;
	int added = heap_level_add(&live->heap, found, monotonic_ns());

	if (!added)
		return;
	strftime(clock, sizeof(clock), "%T", localtime_r(&now, &parts));
	count = heap_level_allocators(&live->heap, all, SNAPSHOT_ALLOCATORS);
	slash = count ? strrchr(all[count - 1].module, '/') : NULL;
	name = slash ? slash + 1 : "an allocator";
	if (added > 0)
		live_give_reason(live, "%.64s is watched since %s", name, clock);
	else
		live_give_reason(live, "an allocator that came at %s cannot be watched: %s", clock,
				 strerror(-added));
}

/* Files are read without the lock: neither the display nor the watch waits for them. */
static void follow_allocators(struct live *live)
{
	struct allocators_options options = live->heap.options;
	uint64_t now_ns = monotonic_ns();
	struct probe_points found;
	unsigned book;

	if (!live->heap.heap || live->let_go || live->execed || live->restart || live->ended)
		return;
	if (late_search_take(&live->late, now_ns, &found, &book)) {
		if (book == live->heap.book)
			add_allocators(live, &found);
		else
			probe_points_deinit(&found);
	}
	options.functions_may_miss = true;
	options.no_return_probes = live->heap.no_returns;
	late_search_start(&live->late, &options, live->heap.book, now_ns);
}

static void *watch(void *argument)
{
	struct live *live = argument;
	struct pollfd fds[] = {{.fd = live->stop_fd, .events = POLLIN},
			       {.fd = -1, .events = POLLIN},
			       {.fd = -1, .events = POLLIN}};
	uint64_t looked_ns = monotonic_ns();

	for (;;) {
		unsigned ms = look_ms(live);

		fds[1].fd = linker_fd(live);
		fds[2].fd = fds[1].fd < 0 ? -1 : live->late.done_fd;
		if (poll(fds, 3, (int)ms) > 0 && fds[0].revents)
			return NULL;
		if (fds[1].revents)
			watch_linker(live);
		pthread_mutex_lock(&live->lock);
		if (!live->ended && monotonic_ns() - looked_ns >= ms * 900000ull) {
			looked_ns = monotonic_ns();
			look(live);
		} else if (!live->ended) {
			live_notice_exec(live); /* its mappings are not this book's */
			if (!live->execed && !live->restart)
				follow_modules(live, monotonic_ns());
		}
		follow_allocators(live);
		pthread_mutex_unlock(&live->lock);
	}
}

/* Signals are the main thread's. */
int live_start_watch(struct live *live)
{
	sigset_t all, before;
	int error;

	live->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (live->stop_fd < 0)
		return -errno;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&live->watch, NULL, watch, live);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	live->watching = !error;
	return -error;
}

void live_stop_watch(struct live *live)
{
	uint64_t one = 1;

	if (live->watching && write(live->stop_fd, &one, sizeof(one)) == sizeof(one))
		pthread_join(live->watch, NULL);
	if (live->stop_fd >= 0)
		close(live->stop_fd);
	live->watching = false;
	live->stop_fd = -1;
}
