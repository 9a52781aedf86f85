/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The watch: a thread that looks after the target between reads, whatever their distance.
 */
#include "capture/live_state.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Often enough to let go of a target within 300 ms. */
#define WATCH_MS   100
#define MODULES_NS 300000000ull
/* For tables in a look: a reader waits for it at most. */
#define COMPILE_MS 10

/*
 * After an exec the probes would go on in the new program, whose blocks are none of this book's: it
 * is closed at once, and read() begins a new one.
 */
void live_notice_exec(struct live *live)
{
	struct target_identity now;

	if (live->execed || live->restart || target_identity_read(live->options.pid, &now) ||
	    target_identity_compare(&live->identity, &now) != TARGET_EXECED)
		return;
	live->execed = true;
	eventfd_write(live->news_fd, 1);
	if (live->heap.heap && !live->let_go)
		live_let_go(live);
}

static void look(struct live *live)
{
	uint64_t now_ns = monotonic_ns();
	char why[96];

	live_notice_exec(live);
	if (live->execed || live->restart)
		return;
	/* An explicit level is taken at its word. */
	if (live->options.level == LEVEL_AUTO && !live->let_go &&
	    heap_level_over_budget(&live->heap, now_ns, why, sizeof(why)))
		live_leave_heap(live, why);
	if (live->heap.heap)
		ledger_tick(heap_ledger(live->heap.heap), now_ns);
	if (live->heap.heap && !live->let_go)
		heap_level_reclaim(&live->heap);
	if (live->kernel)
		ledger_tick(kernel_side_ledger(live->kernel), now_ns);
	if (now_ns - live->modules_ns >= MODULES_NS)
		live_update_modules(live, now_ns);
	if (live->heap.heap && !live->let_go && live->options.unwinder)
		live->options.unwinder->ops->work(live->options.unwinder, COMPILE_MS);
}

static void *watch(void *argument)
{
	struct live *live = argument;
	struct pollfd stop = {.fd = live->stop_fd, .events = POLLIN};

	while (poll(&stop, 1, WATCH_MS) <= 0) {
		pthread_mutex_lock(&live->lock);
		if (!live->ended)
			look(live);
		pthread_mutex_unlock(&live->lock);
	}
	return NULL;
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
}
