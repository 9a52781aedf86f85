/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two threads: the caller's, which reads, and the watch. What a snapshot points to (sites, modules,
 * the reason) is written by the caller's thread alone. The watch only takes probes out: the book
 * that it let go of is closed by the next read, which takes its last totals.
 */
#include "capture/live.h"

#include "capture/kernel_modules.h"
#include "capture/live_state.h"
#include "util/alloc.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define EXEC_MS 10000 /* that an exec may take at the start */

static uint64_t unix_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static void collect_losses(const struct live *live, uint64_t losses[ABI_LOSS_COUNT])
{
	memcpy(losses, live->heap_losses, sizeof(live->heap_losses));
	heap_level_losses(&live->heap, losses);
	if (live->kernel)
		kernel_side_losses(live->kernel, losses);
	if (live->pages)
		pages_level_losses(live->pages, losses);
	if (live->maps)
		maps_side_losses(live->maps, losses);
}

/* Which of the mapped bytes are resident, the table of pages tells. */
static void read_maps(struct live *live, uint64_t now_ns)
{
	const uint64_t *resident = maps_side_resident(live->maps, pages_level_table(live->pages));

	sites_refresh(&live->sites, maps_side_ledger(live->maps), SIDE_MAPS, live->modules, NULL,
		      now_ns);
	for (size_t i = 0; i < live->sites.origins.count; i++) {
		const struct site_origin *origin = &live->sites.origins.data[i];
		struct site_sample *sample = &live->sites.samples.data[i];

		if (origin->side != SIDE_MAPS || origin->slot == SITES_ENDED)
			continue;
		sample->resident_known = true;
		sample->resident_bytes = resident[origin->slot];
	}
}

/*
 * A new site's library may be as new, and it is named for ever by what is known at its birth. Where
 * the target's linker tells of its changes and there are none, or the maps were read just now for
 * what that takes, only code that is in no module is a reason to read them again.
 */
static bool modules_may_lack(struct live *live, const struct ledger *ledger, uint64_t now_ns)
{
	if (ledger_site_count(ledger) <= live->sites.seen[SIDE_USER])
		return false;
	if (live->heap.heap && heap_wait_fd(live->heap.heap) >= 0 ?
		    heap_module_changes(live->heap.heap) != ledger->control->module_changes :
		    pace_is_due(&live->modules_pace, now_ns))
		return true;
	return sites_meet_unknown_code(&live->sites, ledger, live->mapped, now_ns);
}

static void read_sites(struct live *live, uint64_t now_ns)
{
	struct ledger *ledger = live_user_ledger(live);
	struct sites_describe describe;

	if (ledger && !live->let_go && !live->execed && modules_may_lack(live, ledger, now_ns))
		live_update_modules(live, now_ns);
	modules_follow(live->modules, live->mapped);
	if (ledger)
		sites_refresh(&live->sites, ledger, SIDE_USER, live->modules, NULL, now_ns);
	if (live->maps)
		read_maps(live, now_ns);
	if (!live->kernel)
		return;
	if (ledger_site_count(kernel_side_ledger(live->kernel)) > live->sites.seen[SIDE_KERNEL]) {
		if (!live->execed && pace_is_due(&live->modules_pace, now_ns))
			live_update_modules(live, now_ns);
		kernel_modules_update(live->mapped, "", now_ns);
		modules_follow(live->modules, live->mapped);
	}
	kernel_side_describe(live->kernel, &describe);
	sites_refresh(&live->sites, kernel_side_ledger(live->kernel), SIDE_KERNEL, live->modules,
		      &describe, now_ns);
}

/* Of the program that was watched: what runs after an exec, or after the end, is not it. */
static void read_process(struct live *live, uint64_t now_ns)
{
	if (lifetime_has_ended(live->lifetime, live->charge, &live->target)) {
		memset(&live->last_memory, 0, sizeof(live->last_memory));
	} else if (!live->execed) {
		target_state_read(live->options.pid, &live->target);
		if (live->maps)
			memory_count(live->memory, maps_side_tick(live->maps, now_ns));
		if (live->pages)
			memory_charge(live->memory, pages_level_tick(live->pages, now_ns));
		/* On its way out it has no memory any more: what there was is the last of it. */
		if (!memory_read(live->memory, live->level == LEVEL_HEAP, &live->last_memory))
			held_tick(live->held, now_ns, &live->last_memory, live->target.threads);
		/* So that the rows are of the moment that RSS is of. */
		if (live->pages)
			pages_level_look(live->pages, now_ns);
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

/*
 * Of a program that was followed all the time, and is certainly the one that runs, or ended: not
 * another one that it executed at the last moment.
 */
static bool is_whole(const struct live *live)
{
	return live->from_start && !live->execed && live->heap.heap &&
	       heap_tells_exec(live->heap.heap) && !heap_execs(live->heap.heap);
}

/* All that memtop has the kernel keep for it. */
static uint64_t tables_bytes(struct live *live)
{
	const struct ledger *ledger = live_user_ledger(live);
	struct unwinder_status unwind = {0};
	uint64_t bytes = ledger ? ledger_bytes(&ledger->sizes) : 0;

	if (live->maps)
		bytes += ledger_bytes(&maps_side_ledger(live->maps)->sizes);
	if (live->kernel)
		bytes += ledger_bytes(&kernel_side_ledger(live->kernel)->sizes);
	if (live->options.unwinder)
		live->options.unwinder->ops->status(live->options.unwinder, &unwind);
	return bytes + unwind.bytes_reserved;
}

/* Mappings that changed and were not looked at since are work for the tables, too. */
static void read_unwind(struct live *live, struct unwinder_status *ret)
{
	struct ledger *ledger = live_user_ledger(live);

	if (!ledger || !live->options.unwinder)
		return;
	live->options.unwinder->ops->status(live->options.unwinder, ret);
	if (live->heap.heap &&
	    heap_module_changes(live->heap.heap) != ledger->control->module_changes)
		ret->tables_pending++;
}

static void fill(struct live *live, uint64_t now_ns, struct snapshot *ret)
{
	struct charge_user user = {.limit_bytes = live->options.limit_bytes};

	memset(ret, 0, sizeof(*ret));
	ret->time_ns = now_ns;
	ret->time_unix_ns = unix_ns();
	ret->attached_ns = live->attached_ns;
	ret->generation = live->generation;
	ret->from_start = is_whole(live);
	read_process(live, now_ns);
	ret->memory = live->last_memory;
	user.used_bytes = ret->memory.rss_bytes;
	charge_read(live->charge, &user, &ret->charge);
	read_sites(live, now_ns);
	ret->target = live->target;
	ret->level = live->level;
	ret->level_reason = shown_reason(live);
	if (live->pages)
		pages_level_cost(live->pages, now_ns, &ret->overhead);
	else if (live->heap.cost)
		cost_meter_sample(live->heap.cost, live->heap.heap, now_ns, &ret->overhead);
	ret->overhead.tables_bytes = tables_bytes(live);
	add_walks(live, now_ns, &ret->overhead);
	self_meter_sample(&live->self, now_ns, &ret->overhead);
	collect_losses(live, ret->losses);
	ret->before_attach_frees[SIDE_USER] =
		live->heap.heap ? heap_ledger(live->heap.heap)->counters->before_attach_frees :
				  live->before_attach_frees;
	ret->side_known[SIDE_USER] = live_user_ledger(live) != NULL;
	read_unwind(live, &ret->unwind);
	if (live->heap.heap)
		ret->allocator_count =
			heap_level_allocators(&live->heap, ret->allocators, SNAPSHOT_ALLOCATORS);
	ret->side_known[SIDE_MAPS] = live->maps != NULL;
	ret->side_known[SIDE_KERNEL] = live->kernel != NULL;
	ret->kernel_off = live->kernel_off;
	ret->overhead.kernel_core_percent = live->kernel_cost.core_percent;
	for (unsigned i = 0; live->kernel && i < KERNEL_KINDS; i++) {
		ret->kernel_kind_why[i] = kernel_side_lacks(live->kernel, ABI_KIND_SLAB + i);
		ret->kernel_kind_known[i] = !ret->kernel_kind_why[i];
	}
	ret->modules = live->modules;
	ret->site_count = live->sites.samples.count;
	ret->sites = live->sites.samples.data;
	ret->holding_count = held_rows(live->held, &ret->holdings);
}

/* Nobody asks any more: what the kernel keeps for it goes; its sites and modules stay. */
static void give_up(struct live *live)
{
	live_stop_watch(live);
	heap_level_leave(&live->heap);
	maps_side_close(live->maps);
	pages_level_close(live->pages);
	kernel_cost_stop(&live->kernel_cost);
	kernel_side_close(live->kernel);
	unwinder_close(live->options.unwinder);
	live->maps = NULL;
	live->pages = NULL;
	live->kernel = NULL;
	live->heap.unwinder = live->options.unwinder = NULL;
}

static int live_read(struct source *source, uint64_t now_ns, struct snapshot *ret)
{
	struct live *live = (struct live *)source;

	if (live->ended) {
		give_up(live);
		return -ESRCH;
	}
	pthread_mutex_lock(&live->lock);
	if (live->kernel_let_go)
		live_end_kernel(live);
	if (live->restart)
		now_ns = live_restart(live, now_ns);
	live_notice_exec(live);
	if (live->let_go && !live->execed) {
		live_close_book(live, now_ns);
		live_step_down(live);
	}
	fill(live, now_ns, ret);
	if (live->let_go)
		live_close_book(live, now_ns);
	if (live->target.status != TARGET_RUNNING)
		ret->final = live->ended = true;
	else if (live->execed)
		ret->final = live->restart = true;
	if (ret->final)
		kernel_cost_pause(&live->kernel_cost);
	pthread_mutex_unlock(&live->lock);
	return 0;
}

static int live_cohorts(struct source *source, size_t index, struct cohorts *ret)
{
	struct live *live = (struct live *)source;
	const struct site_origin *origin = &live->sites.origins.data[index];
	int error = -ENODATA;

	pthread_mutex_lock(&live->lock);
	if (origin->slot == SITES_ENDED) {
		error = -ENODATA;
	} else if (origin->side == SIDE_USER && live_user_ledger(live)) {
		ledger_cohorts(live_user_ledger(live), origin->slot, monotonic_ns(), ret);
		error = 0;
	} else if (origin->side == SIDE_MAPS && live->maps) {
		ledger_cohorts(maps_side_ledger(live->maps), origin->slot, monotonic_ns(), ret);
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
	int status;

	pthread_mutex_lock(&live->lock);
	status = live_change_level(live, level);
	pthread_mutex_unlock(&live->lock);
	return status;
}

static int live_watch_kernel(struct source *source, bool on)
{
	struct live *live = (struct live *)source;
	int status;

	pthread_mutex_lock(&live->lock);
	status = live_ask_for_kernel(live, on);
	pthread_mutex_unlock(&live->lock);
	return status;
}

static int live_wait_fd(struct source *source)
{
	return ((struct live *)source)->wait_fd;
}

static void live_close(struct source *source)
{
	struct live *live = (struct live *)source;

	live_stop_watch(live);
	late_search_deinit(&live->late);
	heap_level_deinit(&live->heap);
	maps_side_close(live->maps);
	pages_level_close(live->pages);
	unwinder_close(live->options.unwinder);
	kernel_cost_stop(&live->kernel_cost);
	kernel_side_close(live->kernel);
	sites_deinit(&live->sites);
	memory_close(live->memory);
	held_close(live->held);
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

/* Of what it becomes, where it is about to: an exec takes no longer than reading its files. */
static int read_identity(struct live *live)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	int status;

	for (unsigned i = 0; i < EXEC_MS; i++) {
		status = target_identity_read(live->options.pid, &live->identity);
		if (status != -EAGAIN)
			break;
		nanosleep(&pause, NULL);
	}
	return status;
}

static int open_target(struct live *live, char *error, size_t size)
{
	pid_t pid = live->options.pid;
	int status = target_check(pid, error, size);

	if (status)
		return status;
	status = lifetime_open(pid, &live->lifetime);
	if (!status)
		status = read_identity(live);
	if (!status)
		status = target_state_read(pid, &live->target);
	if (!status)
		status = charge_open(pid, "", &live->charge);
	live->memory = memory_open(pid);
	live->held = held_open(pid);
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
	live->from_start = options->launched > 0;
	pthread_mutex_init(&live->lock, NULL);
	kernel_cost_init(&live->kernel_cost);
	sites_init(&live->sites);
	live->sites.last_id = options->last_id;
	late_search_init(&live->late, options->pid);
	heap_level_init(&live->heap, options->pid, options->budget_percent, options->unwinder);
	live->heap.options = options->allocators;
	/* A command may begin as another program. */
	live->heap.options.functions_may_miss = options->launched != 0;
	live->mapped = modules_new();
	live->modules = modules_new();
	status = open_target(live, error, size);
	if (status)
		goto failed;
	live_update_modules(live, monotonic_ns());
	/* The heap last: from its first event on the watch is needed. */
	if (options->kernel)
		live_open_kernel(live);
	live->heap.launched = live->heap.held = options->launched > 0;
	status = live_choose_level(live, error, size);
	if (status)
		goto failed;
	live->heap.held = false;
	live->attached_ns = monotonic_ns();
	live_update_modules(live, live->attached_ns);
	status = live_start_watch(live);
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
