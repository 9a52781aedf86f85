/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/live.h"

#include "capture/allocators.h"
#include "capture/cgroup.h"
#include "capture/cost.h"
#include "capture/kernel.h"
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
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* Between ticks: often enough to let go of a target within 300 ms. */
#define WATCH_MS  100
#define CANARY_MS 150
/* Over the budget in so many looks one after the other: a single one may be a hiccup. */
#define OVER_BUDGET_LOOKS 2
#define REASON_SIZE	  160
#define MODULES_NS	  1000000000ull

struct live {
	struct source source;
	struct live_options options;
	pthread_mutex_t lock; /* guards all below; held by read and by the watch */
	pthread_t watch;
	bool watching;
	int stop_fd; /* wakes the watch up to end */

	struct lifetime *lifetime;
	struct charge_reader *charge;
	struct memory_reader *memory;
	struct modules *modules;
	uint64_t modules_ns;
	struct target_identity identity;
	struct target_state target;

	enum level level;
	char reason[REASON_SIZE];
	unsigned over_budget;
	struct heap *heap;
	struct kernel_side *kernel;
	struct cost_meter *cost;
	struct sites sites;
	uint64_t heap_losses[ABI_LOSS_COUNT]; /* of books that ended */
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

/* --- modules and threads ------------------------------------------------------------------- */

static int compare_tids(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return x < y ? -1 : x > y;
}

static void reclaim_threads(struct live *live)
{
	VEC(pid_t) tids = {0};
	struct dirent *entry;
	char path[64];
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", live->options.pid);
	tasks = opendir(path);
	if (!tasks)
		return;
	while ((entry = readdir(tasks)))
		if (entry->d_name[0] != '.')
			*vec_push(&tids) = atoi(entry->d_name);
	closedir(tasks);
	qsort(tids.data, tids.count, sizeof(*tids.data), compare_tids);
	heap_reclaim_threads(live->heap, tids.data, tids.count);
	vec_deinit(&tids);
}

static void update_modules(struct live *live, uint64_t now_ns)
{
	struct procmaps maps;

	live->modules_ns = now_ns;
	if (procmaps_read(live->options.pid, &maps))
		return;
	procmaps_update_modules(live->modules, &maps, live->options.pid, now_ns);
	for (size_t i = 0; live->heap && i < maps.count; i++)
		if (!strcmp(maps.data[i].path, "[uprobes]"))
			heap_set_trampoline(live->heap, maps.data[i].start);
	procmaps_deinit(&maps);
	if (live->heap)
		reclaim_threads(live);
}

/* --- the heap level ------------------------------------------------------------------------ */

/* A power of two. */
static unsigned round_up(uint64_t number, unsigned least, unsigned most)
{
	unsigned rounded = least;

	while (rounded < number && rounded < most)
		rounded *= 2;
	return rounded;
}

/*
 * Tables for a target of this size: a block for each 64 bytes that it holds, and never more than a
 * twentieth of the room that is left where memtop's own memory is charged.
 */
static void choose_sizes(struct live *live, struct ledger_sizes *ret)
{
	struct memory memory = {0};
	struct charge charge = {0};
	struct charge_reader *own = NULL;
	uint64_t budget = 256ull << 20;

	memory_read(live->memory, &memory);
	if (!charge_open(getpid(), "", &own) && !charge_read(own, NULL, &charge) &&
	    charge.source != LIMIT_NONE)
		budget = charge.headroom_bytes / 20;
	charge_close(own);
	ret->sites = 16384;
	ret->threads = round_up(live->target.threads * 4ull, 256, 8192);
	ret->buckets = round_up(memory.rss_bytes / 64 / ABI_BLOCKS_PER_BUCKET, 1u << 18, 1u << 21);
	while (ledger_bytes(ret) > budget && ret->buckets > 1u << 12)
		ret->buckets /= 2;
	while (ledger_bytes(ret) > budget && ret->sites > 1024)
		ret->sites /= 2;
}

static void give_reason(struct live *live, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(live->reason, sizeof(live->reason), format, arguments);
	va_end(arguments);
}

/* Share of the busy functions' probes that the kernel has to single-step. */
static double stepped_share(const struct probe_points *points)
{
	unsigned busy = 0, stepped = 0;

	for (size_t i = 0; i < points->count; i++) {
		const char *name = points->data[i].function->name;

		if (strcmp(name, "malloc") && strcmp(name, "free"))
			continue;
		busy++;
		stepped += points->data[i].single_step;
	}
	return busy ? (double)stepped / busy : 0;
}

static int find_points(struct live *live, struct probe_points *ret, char *error, size_t size)
{
	struct procmaps maps;
	int status = procmaps_read(live->options.pid, &maps);

	if (status) {
		snprintf(error, size, "cannot read /proc/%d/maps: %s", live->options.pid,
			 strerror(-status));
		return status;
	}
	status = allocators_find(live->options.pid, &maps, ret, error, size);
	procmaps_deinit(&maps);
	return status;
}

static int open_heap(struct live *live, const struct probe_points *points, enum probe_kind kind,
		     uint64_t now_ns, char *error, size_t size)
{
	struct probe *allocating = xcalloc(points->count, sizeof(*allocating));
	struct probe *freeing = xcalloc(points->count, sizeof(*freeing));
	struct heap_probes probes = {.allocating = allocating, .freeing = freeing};
	struct ledger_sizes sizes;
	int status;

	for (size_t i = 0; i < points->count; i++) {
		const struct probe_point *point = &points->data[i];
		struct probe probe = {.path = point->path,
				      .offset = point->probe_offset,
				      .cookie = point->function->kind};

		if (point->function->shape == SHAPE_FREE)
			freeing[probes.freeing_count++] = probe;
		else
			allocating[probes.allocating_count++] = probe;
	}
	choose_sizes(live, &sizes);
	status = heap_open(live->options.pid, kind, &probes, &sizes, now_ns, &live->heap, error,
			   size);
	free(allocating);
	free(freeing);
	return status;
}

static void close_heap(struct live *live)
{
	if (!live->heap)
		return;
	heap_close(live->heap);
	live->heap = NULL;
}

/*
 * Counts the target's calls for a moment, with programs that do nothing else, and gives what the
 * heap level would cost its busiest thread, in percent of that thread's time.
 */
static int project_cost(struct live *live, double *ret)
{
	struct timespec moment = {.tv_nsec = CANARY_MS * 1000000l};
	struct overhead overhead;
	int error = heap_attach_counters(live->heap);

	if (error)
		return error;
	cost_meter_start(live->cost, live->heap, monotonic_ns());
	while (nanosleep(&moment, &moment) && errno == EINTR)
		;
	cost_meter_sample(live->cost, live->heap, monotonic_ns(), &overhead);
	heap_detach(live->heap);
	*ret = overhead.worst_thread_percent;
	return 0;
}

/* 0 with the level entered, 1 where the canary advises against it, -errno. */
static int enter_heap(struct live *live, bool ask_canary, char *error, size_t size)
{
	enum probe_kind kind = probe_kind_best();
	struct probe_points points = {0};
	struct trap_costs traps;
	double projected = 0;
	int status;

	status = probe_permission(error, size);
	if (status)
		return status;
	status = find_points(live, &points, error, size);
	if (status)
		return status;
	status = calibrate_traps(kind, &traps);
	if (status) {
		snprintf(error, size, "probes do not work on memtop itself: %s", strerror(-status));
		goto out;
	}
	status = open_heap(live, &points, kind, monotonic_ns(), error, size);
	if (status)
		goto out;
	cost_meter_free(live->cost);
	live->cost = cost_meter_new(live->options.pid, &traps, stepped_share(&points));
	if (ask_canary && !isnan(live->options.budget_percent)) {
		status = project_cost(live, &projected);
		if (!status && projected > live->options.budget_percent) {
			snprintf(
				error, size,
				"heap would cost the busiest thread %.0f%%, over the budget of %.0f%%",
				projected, live->options.budget_percent);
			status = 1;
		}
	}
	if (!status)
		status = heap_attach(live->heap);
	if (status < 0)
		snprintf(error, size, "cannot place probes: %s", strerror(-status));
	else if (!status)
		cost_meter_start(live->cost, live->heap, monotonic_ns());
out:
	if (status)
		close_heap(live);
	probe_points_deinit(&points);
	return status;
}

/* The last word of a book: totals as they stand, losses kept. */
static void freeze_heap(struct live *live, uint64_t now_ns)
{
	struct ledger *ledger = heap_ledger(live->heap);

	heap_detach(live->heap);
	sites_refresh(&live->sites, ledger, SIDE_USER, live->modules, NULL, now_ns);
	for (unsigned i = 0; i < ABI_LOSS_COUNT; i++)
		live->heap_losses[i] += ledger->counters->losses[i];
	close_heap(live);
}

static void leave_heap(struct live *live, const char *why)
{
	time_t now = time(NULL);
	char clock[16];
	struct tm parts;

	freeze_heap(live, monotonic_ns());
	strftime(clock, sizeof(clock), "%T", localtime_r(&now, &parts));
	give_reason(live, "%s; heap rows as of %s", why, clock);
	live->level = LEVEL_RSS;
}

/* Lets go of a target that pays too much. */
static void govern(struct live *live, uint64_t now_ns)
{
	struct overhead overhead;
	char why[96];

	if (!live->heap || isnan(live->options.budget_percent) || live->options.level == LEVEL_HEAP)
		return;
	cost_meter_sample(live->cost, live->heap, now_ns, &overhead);
	if (!(overhead.worst_thread_percent > live->options.budget_percent)) {
		live->over_budget = 0;
		return;
	}
	if (++live->over_budget < OVER_BUDGET_LOOKS)
		return;
	snprintf(why, sizeof(why), "heap cost thread %s %.0f%%, over the budget of %.0f%%",
		 overhead.worst_thread_name, overhead.worst_thread_percent,
		 live->options.budget_percent);
	leave_heap(live, why);
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
	if (live->heap)
		freeze_heap(live, monotonic_ns());
}

static void look(struct live *live)
{
	uint64_t now_ns = monotonic_ns();

	notice_exec(live);
	if (live->execed || live->restart)
		return;
	govern(live, now_ns);
	if (live->heap)
		ledger_tick(heap_ledger(live->heap), now_ns);
	if (live->kernel)
		ledger_tick(kernel_side_ledger(live->kernel), now_ns);
	if (now_ns - live->modules_ns >= MODULES_NS)
		update_modules(live, now_ns);
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
	struct heap_statistics statistics;

	memcpy(losses, live->heap_losses, sizeof(live->heap_losses));
	if (live->heap) {
		const struct abi_counters *counters = heap_ledger(live->heap)->counters;

		for (unsigned i = 0; i < ABI_LOSS_COUNT; i++)
			losses[i] += __atomic_load_n(&counters->losses[i], __ATOMIC_RELAXED);
		heap_read_statistics(live->heap, &statistics);
		losses[ABI_LOSS_EVENT_LOST] += statistics.missed;
	}
	if (live->kernel)
		kernel_side_losses(live->kernel, losses);
}

static void read_sites(struct live *live, uint64_t now_ns)
{
	struct sites_describe describe;

	if (live->heap)
		sites_refresh(&live->sites, heap_ledger(live->heap), SIDE_USER, live->modules, NULL,
			      now_ns);
	if (!live->kernel)
		return;
	kernel_side_describe(live->kernel, &describe);
	sites_refresh(&live->sites, kernel_side_ledger(live->kernel), SIDE_KERNEL, live->modules,
		      &describe, now_ns);
}

static void fill(struct live *live, uint64_t now_ns, struct snapshot *ret)
{
	struct charge_user user = {.limit_bytes = live->options.limit_bytes};

	memset(ret, 0, sizeof(*ret));
	ret->time_ns = now_ns;
	ret->time_unix_ns = unix_ns();
	ret->attached_ns = live->attached_ns;
	ret->generation = live->generation;
	lifetime_check(live->lifetime, &live->target);
	if (live->target.status == TARGET_RUNNING) {
		target_state_read(live->options.pid, &live->target);
		memory_read(live->memory, &ret->memory);
	}
	user.used_bytes = ret->memory.rss_bytes;
	charge_read(live->charge, &user, &ret->charge);
	read_sites(live, now_ns);
	ret->target = live->target;
	ret->level = live->level;
	ret->level_reason = *live->reason ? live->reason : NULL;
	if (live->cost) {
		cost_meter_sample(live->cost, live->heap, now_ns, &ret->overhead);
		cost_meter_self(live->cost, now_ns, &ret->overhead);
	}
	collect_losses(live, ret->losses);
	if (live->heap)
		ret->before_attach_frees[SIDE_USER] =
			heap_ledger(live->heap)->counters->before_attach_frees;
	ret->side_known[SIDE_USER] = live->heap != NULL;
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
	live->generation++;
	live->attached_ns = now_ns;
	*live->reason = '\0';
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
	return status;
}

/* A new program runs in the process: its own books, at the level that was asked for. */
static void restart(struct live *live, uint64_t now_ns)
{
	char error[REASON_SIZE];

	live->restart = live->execed = false;
	target_identity_read(live->options.pid, &live->identity);
	new_generation(live, now_ns);
	update_modules(live, now_ns);
	if (choose_level(live, error, sizeof(error)))
		give_reason(live, "%s", error);
	update_modules(live, monotonic_ns());
}

static int live_read(struct source *source, uint64_t now_ns, struct snapshot *ret)
{
	struct live *live = (struct live *)source;

	if (live->ended)
		return -ESRCH;
	pthread_mutex_lock(&live->lock);
	if (live->restart)
		restart(live, now_ns);
	notice_exec(live);
	fill(live, now_ns, ret);
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
	if (origin->side == SIDE_USER && live->heap) {
		ledger_cohorts(heap_ledger(live->heap), origin->slot, monotonic_ns(), ret);
		error = 0;
	} else if (origin->side == SIDE_KERNEL && live->kernel) {
		ledger_cohorts(kernel_side_ledger(live->kernel), origin->slot, monotonic_ns(), ret);
		error = 0;
	}
	pthread_mutex_unlock(&live->lock);
	return error;
}

static int live_set_level(struct source *source, enum level level)
{
	struct live *live = (struct live *)source;
	char error[REASON_SIZE];
	int status = 0;

	pthread_mutex_lock(&live->lock);
	if (level == LEVEL_PAGES) {
		status = -EOPNOTSUPP;
	} else if (level == LEVEL_HEAP && !live->heap) {
		status = enter_heap(live, false, error, sizeof(error));
		if (status) {
			give_reason(live, "%s", error);
		} else {
			new_generation(live, monotonic_ns());
			live->level = LEVEL_HEAP;
			live->options.level = LEVEL_HEAP;
		}
	} else if (level == LEVEL_RSS && live->heap) {
		leave_heap(live, "as asked");
	}
	pthread_mutex_unlock(&live->lock);
	return status;
}

static int live_watch_kernel(struct source *source, bool on)
{
	struct live *live = (struct live *)source;
	char error[REASON_SIZE];
	int status = 0;

	if (on == (live->kernel != NULL))
		return 0;
	pthread_mutex_lock(&live->lock);
	if (on) {
		status = kernel_side_open(live->options.pid, &live->kernel, error, sizeof(error));
		if (status)
			give_reason(live, "%s", error);
	} else {
		kernel_side_close(live->kernel);
		live->kernel = NULL;
	}
	pthread_mutex_unlock(&live->lock);
	return status;
}

static int live_wait_fd(struct source *source)
{
	return lifetime_fd(((struct live *)source)->lifetime);
}

static void live_close(struct source *source)
{
	struct live *live = (struct live *)source;

	stop_watch(live);
	close_heap(live);
	kernel_side_close(live->kernel);
	cost_meter_free(live->cost);
	sites_deinit(&live->sites);
	memory_close(live->memory);
	charge_close(live->charge);
	lifetime_close(live->lifetime);
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

static int open_target(struct live *live, char *error, size_t size)
{
	pid_t pid = live->options.pid;
	int status = target_check(pid, error, size);

	if (status)
		return status;
	status = lifetime_open(pid, live->options.launched == pid, &live->lifetime);
	if (!status)
		status = target_identity_read(pid, &live->identity);
	if (!status)
		status = target_state_read(pid, &live->target);
	if (!status)
		status = charge_open(pid, "", &live->charge);
	if (!status)
		status = memory_open(pid, &live->memory);
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
	live->stop_fd = -1;
	live->generation = 1;
	pthread_mutex_init(&live->lock, NULL);
	sites_init(&live->sites);
	live->modules = modules_new();
	status = open_target(live, error, size);
	if (status)
		goto failed;
	update_modules(live, monotonic_ns());
	status = choose_level(live, error, size);
	if (status)
		goto failed;
	if (options->kernel && kernel_side_open(options->pid, &live->kernel, error, size) &&
	    !*live->reason)
		give_reason(live, "no kernel side: %s", error);
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
	live_close(&live->source);
	return status;
}
