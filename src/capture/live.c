/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two threads: the caller's, which reads, and the watch. What a snapshot points to (sites, modules,
 * the reason) is written by the caller's thread alone. The watch only takes probes out: the book
 * that it let go of is closed by the next read, which takes its last totals.
 */
#include "capture/live.h"

#include "capture/cgroup.h"
#include "capture/heap_level.h"
#include "capture/kernel.h"
#include "capture/kernel_modules.h"
#include "capture/lifetime.h"
#include "capture/memory.h"
#include "capture/procmaps.h"
#include "capture/sites.h"
#include "capture/target.h"
#include "util/alloc.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* Between ticks: often enough to let go of a target within 300 ms. */
#define WATCH_MS    100
#define REASON_SIZE 160
#define MODULES_NS  300000000ull
#define LINKER_NS   10000000
/* For tables in a look: a reader waits for it at most. */
#define COMPILE_MS 10
/* Ranges of anonymous code that walks get through. */
#define MAX_ANONYMOUS 1024

struct live {
	struct source source;
	struct live_options options;
	pthread_mutex_t lock; /* guards all below; held by read and by the watch */
	pthread_t watch;
	bool watching;
	int stop_fd; /* wakes the watch up to end */
	int news_fd; /* wakes the reader up: another program runs */
	int wait_fd; /* polls readable for that, or because the target ended; -1: cannot tell */

	struct lifetime *lifetime;
	struct charge_reader *charge;
	struct memory_reader *memory;
	struct modules *mapped;	 /* what the watch saw */
	struct modules *modules; /* the same as of the last read: what snapshots point to */
	uint64_t modules_ns;
	uint64_t unmapped; /* unwinder_ops.unmapped() at the last look */
	bool in_vain;	   /* looking because it rose found nothing */
	struct target_identity identity;
	struct target_state target;
	struct memory last_memory;
	uint64_t walk_ns, walked_ns; /* spent in walks until then */

	enum level level;
	char reason[REASON_SIZE];
	char no_kernel[REASON_SIZE];		 /* why, if it was asked for */
	char shown_reason[2 * REASON_SIZE + 16]; /* as of the last read */
	struct heap_level heap;
	bool let_go; /* the probes of the heap are gone, its book is still open */
	struct kernel_side *kernel;
	struct self_meter self;
	struct sites sites;
	uint64_t heap_losses[ABI_LOSS_COUNT]; /* of books that ended */
	uint64_t before_attach_frees;
	unsigned generation;
	uint64_t attached_ns;
	bool execed;  /* another program runs: the next snapshot is this generation's last */
	bool restart; /* that was given: the next read begins a generation */
	bool ended;   /* the final snapshot was given */
};

static uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static uint64_t unix_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static void give_reason(struct live *live, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(live->reason, sizeof(live->reason), format, arguments);
	va_end(arguments);
}

/* Returns how much changed. Sites are closed before walks see other code at their addresses. */
static int update_modules(struct live *live, uint64_t now_ns)
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

/*
 * Every 300 ms; at once when the target's linker changed mappings; and soon when a walk met code
 * that no mapping has. Where that found nothing new, not again until something changes.
 */
static void follow_modules(struct live *live, uint64_t now_ns)
{
	struct unwinder *unwinder = live->options.unwinder;
	uint64_t unmapped = unwinder ? unwinder->ops->unmapped(unwinder) : 0;
	bool told =
		live->heap.heap && heap_module_changes(live->heap.heap) !=
					   heap_ledger(live->heap.heap)->control->module_changes;
	bool due = now_ns - live->modules_ns >= (told ? LINKER_NS : MODULES_NS);
	bool met = unmapped != live->unmapped && !live->in_vain;

	live->unmapped = unmapped;
	if (due || met) {
		int changes = update_modules(live, now_ns);

		live->in_vain = changes ? false : live->in_vain || met;
	}
	if (live->heap.heap && !live->let_go && unwinder)
		unwinder->ops->work(unwinder, COMPILE_MS);
}

/* At once, whoever finds the reason: the target runs at its own speed again. */
static void let_go(struct live *live)
{
	heap_detach(live->heap.heap);
	live->let_go = true;
}

/* The last word of a book: totals as they stand, losses kept. By the reading thread alone. */
static void close_book(struct live *live, uint64_t now_ns)
{
	live->let_go = false;
	modules_follow(live->modules, live->mapped);
	sites_refresh(&live->sites, heap_ledger(live->heap.heap), SIDE_USER, live->modules, NULL,
		      now_ns);
	heap_level_losses(&live->heap, live->heap_losses);
	live->before_attach_frees = heap_ledger(live->heap.heap)->counters->before_attach_frees;
	heap_level_leave(&live->heap);
}

static void leave_heap(struct live *live, const char *why)
{
	time_t now = time(NULL);
	char clock[16];
	struct tm parts;

	let_go(live);
	strftime(clock, sizeof(clock), "%T", localtime_r(&now, &parts));
	give_reason(live, "%s; heap rows as of %s", why, clock);
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

/* --- the watch ------------------------------------------------------------------------------ */

/*
 * After an exec the probes would go on in the new program, whose blocks are none of this book's: it
 * is closed at once, and read() begins a new one.
 */
static void notice_exec(struct live *live)
{
	struct target_identity now;

	if (live->execed || live->restart || target_identity_read(live->options.pid, &now) ||
	    target_identity_compare(&live->identity, &now) != TARGET_EXECED)
		return;
	live->execed = true;
	eventfd_write(live->news_fd, 1);
	if (live->heap.heap && !live->let_go)
		let_go(live);
}

static void look(struct live *live)
{
	uint64_t now_ns = monotonic_ns();
	char why[96];

	notice_exec(live);
	if (live->execed || live->restart)
		return;
	/* An explicit level is taken at its word. */
	if (live->options.level == LEVEL_AUTO && !live->let_go &&
	    heap_level_over_budget(&live->heap, now_ns, why, sizeof(why)))
		leave_heap(live, why);
	if (live->heap.heap)
		ledger_tick(heap_ledger(live->heap.heap), now_ns);
	if (live->heap.heap && !live->let_go)
		heap_level_reclaim(&live->heap);
	if (live->kernel)
		ledger_tick(kernel_side_ledger(live->kernel), now_ns);
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

static void *watch(void *argument)
{
	struct live *live = argument;
	struct pollfd fds[] = {{.fd = live->stop_fd, .events = POLLIN},
			       {.fd = -1, .events = POLLIN}};
	uint64_t looked_ns = monotonic_ns();

	for (;;) {
		fds[1].fd = linker_fd(live);
		if (poll(fds, 2, WATCH_MS) > 0 && fds[0].revents)
			return NULL;
		if (fds[1].revents)
			watch_linker(live);
		pthread_mutex_lock(&live->lock);
		if (!live->ended && monotonic_ns() - looked_ns >= WATCH_MS * 900000ull) {
			looked_ns = monotonic_ns();
			look(live);
		} else if (!live->ended && !live->execed && !live->restart) {
			follow_modules(live, monotonic_ns());
		}
		pthread_mutex_unlock(&live->lock);
	}
}

/* Signals are the main thread's. */
static int start_watch(struct live *live)
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

static void stop_watch(struct live *live)
{
	uint64_t one = 1;

	if (live->watching && write(live->stop_fd, &one, sizeof(one)) == sizeof(one))
		pthread_join(live->watch, NULL);
	if (live->stop_fd >= 0)
		close(live->stop_fd);
}

/* --- the source ----------------------------------------------------------------------------- */

static void collect_losses(const struct live *live, uint64_t losses[ABI_LOSS_COUNT])
{
	memcpy(losses, live->heap_losses, sizeof(live->heap_losses));
	heap_level_losses(&live->heap, losses);
	if (live->kernel)
		kernel_side_losses(live->kernel, losses);
}

static void read_sites(struct live *live, uint64_t now_ns)
{
	struct sites_describe describe;

	/* A new site's library may be as new: named for ever by what is known at its birth. */
	if (live->heap.heap && !live->let_go && !live->execed &&
	    ledger_site_count(heap_ledger(live->heap.heap)) > live->sites.seen[SIDE_USER])
		update_modules(live, now_ns);
	modules_follow(live->modules, live->mapped);
	if (live->heap.heap)
		sites_refresh(&live->sites, heap_ledger(live->heap.heap), SIDE_USER, live->modules,
			      NULL, now_ns);
	if (!live->kernel)
		return;
	if (ledger_site_count(kernel_side_ledger(live->kernel)) > live->sites.seen[SIDE_KERNEL]) {
		kernel_modules_update(live->mapped, "", now_ns);
		modules_follow(live->modules, live->mapped);
	}
	kernel_side_describe(live->kernel, &describe);
	sites_refresh(&live->sites, kernel_side_ledger(live->kernel), SIDE_KERNEL, live->modules,
		      &describe, now_ns);
}

/* Of the program that was watched: what runs after an exec, or after the end, is not it. */
static void read_process(struct live *live)
{
	if (lifetime_has_ended(live->lifetime, live->charge, &live->target)) {
		memset(&live->last_memory, 0, sizeof(live->last_memory));
	} else if (!live->execed) {
		target_state_read(live->options.pid, &live->target);
		memory_read(live->memory, live->level == LEVEL_HEAP, &live->last_memory);
	}
}

/* While /proc is walked, threads that map or fault may have to wait. */
static void add_walks(struct live *live, uint64_t now_ns, struct overhead *ret)
{
	uint64_t walk_ns = memory_walk_ns(live->memory);

	if (live->walked_ns && now_ns > live->walked_ns)
		ret->worst_thread_percent +=
			100.0 * (walk_ns - live->walk_ns) / (now_ns - live->walked_ns);
	live->walk_ns = walk_ns;
	live->walked_ns = now_ns;
}

/* What of the kernel side is not as asked belongs on the screen as much as the level. */
static const char *shown_reason(struct live *live)
{
	const char *doubt = live->kernel     ? kernel_side_doubt(live->kernel) :
			    *live->no_kernel ? live->no_kernel :
					       NULL;

	if (doubt && *live->reason)
		snprintf(live->shown_reason, sizeof(live->shown_reason), "%s; kernel: %s",
			 live->reason, doubt);
	else if (doubt)
		snprintf(live->shown_reason, sizeof(live->shown_reason), "kernel: %s", doubt);
	else
		snprintf(live->shown_reason, sizeof(live->shown_reason), "%s", live->reason);
	return *live->shown_reason ? live->shown_reason : NULL;
}

static void fill(struct live *live, uint64_t now_ns, struct snapshot *ret)
{
	struct charge_user user = {.limit_bytes = live->options.limit_bytes};

	memset(ret, 0, sizeof(*ret));
	ret->time_ns = now_ns;
	ret->time_unix_ns = unix_ns();
	ret->attached_ns = live->attached_ns;
	ret->generation = live->generation;
	read_process(live);
	ret->memory = live->last_memory;
	user.used_bytes = ret->memory.rss_bytes;
	charge_read(live->charge, &user, &ret->charge);
	read_sites(live, now_ns);
	ret->target = live->target;
	ret->level = live->level;
	ret->level_reason = shown_reason(live);
	if (live->heap.cost)
		cost_meter_sample(live->heap.cost, live->heap.heap, now_ns, &ret->overhead);
	add_walks(live, now_ns, &ret->overhead);
	self_meter_sample(&live->self, now_ns, &ret->overhead);
	collect_losses(live, ret->losses);
	ret->before_attach_frees[SIDE_USER] =
		live->heap.heap ? heap_ledger(live->heap.heap)->counters->before_attach_frees :
				  live->before_attach_frees;
	ret->side_known[SIDE_USER] = live->heap.heap != NULL;
	if (live->heap.heap && live->options.unwinder)
		live->options.unwinder->ops->status(live->options.unwinder, &ret->unwind);
	ret->side_known[SIDE_KERNEL] = live->kernel != NULL;
	ret->modules = live->modules;
	ret->site_count = live->sites.samples.count;
	ret->sites = live->sites.samples.data;
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

static void open_kernel(struct live *live)
{
	if (!kernel_side_open(live->options.pid, &live->kernel, live->no_kernel,
			      sizeof(live->no_kernel)))
		live->no_kernel[0] = '\0';
}

/* Kernel memory outlives programs; what was taken before is before the attach of the new book. */
static void restart_kernel(struct live *live)
{
	if (!live->kernel)
		return;
	kernel_side_close(live->kernel);
	live->kernel = NULL;
	open_kernel(live);
}

/* Enters the level asked for, or under `auto` the highest that can be had. */
static int choose_level(struct live *live, char *error, size_t size)
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
		give_reason(live, "%s", error);
		return 0;
	}
	if (!status)
		live->level = LEVEL_HEAP;
	/* Whatever it was: the level cannot be had here, and the line says why. */
	return !status || status == -EPERM || status == -EACCES ? status : -EOPNOTSUPP;
}

/* A new program runs in the process: its own books, at the level that was asked for. */
static uint64_t restart(struct live *live, uint64_t now_ns)
{
	char error[REASON_SIZE];

	eventfd_t news;

	live->restart = live->execed = false;
	eventfd_read(live->news_fd, &news);
	target_identity_read(live->options.pid, &live->identity);
	memory_restart(live->memory);
	new_generation(live, now_ns);
	update_modules(live, now_ns);
	restart_kernel(live);
	if (choose_level(live, error, sizeof(error)))
		give_reason(live, "%s", error);
	now_ns = monotonic_ns(); /* all that takes a while */
	update_modules(live, now_ns);
	return now_ns;
}

static int live_read(struct source *source, uint64_t now_ns, struct snapshot *ret)
{
	struct live *live = (struct live *)source;

	if (live->ended)
		return -ESRCH;
	pthread_mutex_lock(&live->lock);
	if (live->restart)
		now_ns = restart(live, now_ns);
	notice_exec(live);
	if (live->let_go && !live->execed)
		close_book(live, now_ns);
	fill(live, now_ns, ret);
	if (live->let_go)
		close_book(live, now_ns);
	if (live->target.status != TARGET_RUNNING)
		ret->final = live->ended = true;
	else if (live->execed)
		ret->final = live->restart = true;
	pthread_mutex_unlock(&live->lock);
	return 0;
}

static int live_cohorts(struct source *source, size_t index, struct cohorts *ret)
{
	struct live *live = (struct live *)source;
	const struct site_origin *origin = &live->sites.origins.data[index];
	int error = -ENODATA;

	pthread_mutex_lock(&live->lock);
	if (origin->side == SIDE_USER && live->heap.heap) {
		ledger_cohorts(heap_ledger(live->heap.heap), origin->slot, monotonic_ns(), ret);
		error = 0;
	} else if (origin->side == SIDE_KERNEL && live->kernel) {
		ledger_cohorts(kernel_side_ledger(live->kernel), origin->slot, monotonic_ns(), ret);
		error = 0;
	}
	pthread_mutex_unlock(&live->lock);
	return error;
}

static int step_up(struct live *live)
{
	char error[REASON_SIZE];
	int status = enter_heap(live, false, error, sizeof(error));

	if (status) {
		give_reason(live, "%s", error);
		return status;
	}
	new_generation(live, monotonic_ns());
	live->level = LEVEL_HEAP;
	restart_kernel(live);
	return 0;
}

static int change_level(struct live *live, enum level level)
{
	int status = 0;

	if (level != LEVEL_HEAP && level != LEVEL_RSS)
		return -EOPNOTSUPP;
	if (live->ended)
		return -ESRCH;
	if (live->let_go)
		close_book(live, monotonic_ns());
	/* Of a program that is gone; the next one begins at the level asked for. */
	if (!live->execed && !live->restart) {
		if (level == LEVEL_HEAP && !live->heap.heap) {
			status = step_up(live);
		} else if (level == LEVEL_RSS && live->heap.heap) {
			leave_heap(live, "as asked");
			close_book(live, monotonic_ns());
		}
	}
	if (!status)
		live->options.level = level;
	return status;
}

static int live_set_level(struct source *source, enum level level)
{
	struct live *live = (struct live *)source;
	int status;

	pthread_mutex_lock(&live->lock);
	status = change_level(live, level);
	pthread_mutex_unlock(&live->lock);
	return status;
}

static int live_watch_kernel(struct source *source, bool on)
{
	struct live *live = (struct live *)source;

	if (on == (live->kernel != NULL))
		return 0;
	pthread_mutex_lock(&live->lock);
	live->no_kernel[0] = '\0';
	if (on) {
		open_kernel(live);
	} else {
		kernel_side_close(live->kernel);
		live->kernel = NULL;
		sites_end_side(&live->sites, SIDE_KERNEL);
	}
	pthread_mutex_unlock(&live->lock);
	return on == (live->kernel != NULL) ? 0 : -EOPNOTSUPP;
}

static int live_wait_fd(struct source *source)
{
	return ((struct live *)source)->wait_fd;
}

static void live_close(struct source *source)
{
	struct live *live = (struct live *)source;

	stop_watch(live);
	heap_level_deinit(&live->heap);
	unwinder_close(live->options.unwinder);
	kernel_side_close(live->kernel);
	sites_deinit(&live->sites);
	memory_close(live->memory);
	charge_close(live->charge);
	lifetime_close(live->lifetime);
	if (live->news_fd >= 0)
		close(live->news_fd);
	if (live->wait_fd >= 0)
		close(live->wait_fd);
	modules_free(live->mapped);
	modules_free(live->modules);
	pthread_mutex_destroy(&live->lock);
	free(live);
}

static const struct source_ops live_ops = {
	.read = live_read,
	.cohorts = live_cohorts,
	.set_level = live_set_level,
	.watch_kernel = live_watch_kernel,
	.wait_fd = live_wait_fd,
	.close = live_close,
};

/* One descriptor of both; without a pidfd the end is found by ticks on time. */
static int open_wait(struct live *live)
{
	struct epoll_event readable = {.events = EPOLLIN};
	int end_fd = lifetime_fd(live->lifetime);

	live->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	live->wait_fd = epoll_create1(EPOLL_CLOEXEC);
	if (live->news_fd < 0 || live->wait_fd < 0 ||
	    epoll_ctl(live->wait_fd, EPOLL_CTL_ADD, live->news_fd, &readable) ||
	    (end_fd >= 0 && epoll_ctl(live->wait_fd, EPOLL_CTL_ADD, end_fd, &readable)))
		return -errno;
	return 0;
}

static int open_target(struct live *live, char *error, size_t size)
{
	pid_t pid = live->options.pid;
	int status = target_check(pid, error, size);

	if (status)
		return status;
	status = lifetime_open(pid, &live->lifetime);
	if (!status)
		status = target_identity_read(pid, &live->identity);
	if (!status)
		status = target_state_read(pid, &live->target);
	if (!status)
		status = charge_open(pid, "", &live->charge);
	live->memory = memory_open(pid);
	if (!status)
		status = open_wait(live);
	if (status)
		snprintf(error, size, "cannot watch process %d: %s", pid, strerror(-status));
	return status;
}

int live_open(const struct live_options *options, struct source **ret, char *error, size_t size)
{
	struct live *live = xcalloc(1, sizeof(*live));
	int status;

	live->source.ops = &live_ops;
	live->options = *options;
	live->stop_fd = live->news_fd = live->wait_fd = -1;
	live->generation = 1;
	pthread_mutex_init(&live->lock, NULL);
	sites_init(&live->sites);
	heap_level_init(&live->heap, options->pid, options->budget_percent, options->unwinder);
	live->mapped = modules_new();
	live->modules = modules_new();
	status = open_target(live, error, size);
	if (status)
		goto failed;
	update_modules(live, monotonic_ns());
	/* The heap last: from its first event on the watch is needed. */
	if (options->kernel)
		open_kernel(live);
	status = choose_level(live, error, size);
	if (status)
		goto failed;
	live->attached_ns = monotonic_ns();
	update_modules(live, live->attached_ns);
	status = start_watch(live);
	if (status) {
		snprintf(error, size, "cannot start a thread: %s", strerror(-status));
		goto failed;
	}
	*ret = &live->source;
	return 0;
failed:
	/* Whatever it was that did not work then. */
	if (live->lifetime && lifetime_has_ended(live->lifetime, live->charge, &live->target)) {
		snprintf(error, size, "process %d ended while memtop attached to it", options->pid);
		status = -ESRCH;
	}
	live_close(&live->source);
	return status;
}
