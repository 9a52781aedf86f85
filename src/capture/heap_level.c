/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/heap_level.h"

#include "capture/clock.h"
#include "capture/allocators.h"
#include "capture/cgroup.h"
#include "capture/loader_probe.h"
#include "capture/procfs.h"
#include "util/alloc.h"
#include "util/cleanup.h"
#include "util/vec.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CANARY_MS 150
/* For tables before the probes are placed: enough for all of most programs. */
#define COMPILE_MS 200
/* For those of a target that is held meanwhile: nothing of it is missed. */
#define COMPILE_HELD_MS 20000
/* A program that has just begun maps its libraries within so long. */
#define YOUNG_MS      2000
#define YOUNG_LOOK_MS 5
/* Slots of threads that ended are taken back at every look once so much of them is used. */
#define LEAST_THREADS 1024
#define LEAST_BUCKETS (1u << 12)
#define MOST_BUCKETS  (1u << 25) /* 2 GiB: a BPF array has less than 4 */
/* Of the memory that is left, what tables may take: one part in so many. */
#define AUTO_PART	20
#define ASKED_PART	4
#define UNLIMITED_BYTES (256ull << 20) /* that part, where nobody knows what is left */
/* Over the budget in so many looks one after the other: a single one may be a hiccup. */
#define OVER_BUDGET_LOOKS 2

void heap_level_init(struct heap_level *level, pid_t pid, double budget_percent,
		     struct unwinder *unwinder)
{
	memset(level, 0, sizeof(*level));
	level->pid = pid;
	level->budget_percent = budget_percent;
	level->unwinder = unwinder;
	forks_init(&level->forks, pid);
}

void heap_level_deinit(struct heap_level *level)
{
	heap_level_leave(level);
	forks_deinit(&level->forks);
	cost_meter_free(level->cost);
	level->cost = NULL;
}

/* A power of two. */
static unsigned round_up(uint64_t number, unsigned least, unsigned most)
{
	unsigned rounded = least;

	while (rounded < number && rounded < most)
		rounded *= 2;
	return rounded;
}

/* Interpreters have ten thousands of call stacks. */
#define MOST_SITES  65536
#define LEAST_SITES 8192

/* The blocks that a table is sure to take: its buckets are chosen by chance, so not all fill up. */
static uint64_t sure_blocks(uint64_t buckets)
{
	return buckets * ABI_BLOCKS_PER_BUCKET / 4 * 3;
}

static uint64_t part_of(const struct heap_level_room *room, unsigned part)
{
	uint64_t bytes = room->headroom_bytes / part;

	if (room->headroom_bytes == UINT64_MAX)
		bytes = UNLIMITED_BYTES * AUTO_PART / part;
	return bytes > room->others_bytes ? bytes - room->others_bytes : 0;
}

static int take_blocks(uint64_t blocks, const struct heap_level_room *room,
		       struct ledger_sizes *ret, char *error, size_t size)
{
	uint64_t most = part_of(room, ASKED_PART), fits = 0;

	for (ret->buckets = LEAST_BUCKETS; ret->buckets < MOST_BUCKETS; ret->buckets *= 2) {
		if (ledger_bytes(ret) <= most)
			fits = sure_blocks(ret->buckets);
		if (sure_blocks(ret->buckets) >= blocks)
			break;
	}
	if (sure_blocks(ret->buckets) >= blocks && ledger_bytes(ret) <= most)
		return 0;
	snprintf(error, size,
		 "--max-blocks %" PRIu64 " needs tables of %" PRIu64 "M, memtop takes at most "
		 "%" PRIu64 "M here (a quarter of the memory that is left): %" PRIu64 " fit",
		 blocks, ledger_bytes(ret) >> 20, most >> 20, fits);
	return -ENOMEM;
}

int heap_level_choose_sizes(const struct heap_level_target *target,
			    const struct heap_level_room *room, struct ledger_sizes *ret,
			    char *error, size_t size)
{
	uint64_t most = part_of(room, AUTO_PART);

	*ret = (struct ledger_sizes){.sites = MOST_SITES};
	while (ledger_bytes(ret) > most / 2 && ret->sites > LEAST_SITES)
		ret->sites /= 2;
	ret->threads = round_up(target->threads * 4ull, LEAST_THREADS, 8192);
	if (target->max_blocks)
		return take_blocks(target->max_blocks, room, ret, error, size);
	ret->buckets =
		round_up(target->anon_bytes / 64 / ABI_BLOCKS_PER_BUCKET, 1u << 18, 1u << 21);
	while (ledger_bytes(ret) > most && ret->buckets > LEAST_BUCKETS)
		ret->buckets /= 2;
	while (ledger_bytes(ret) > most && ret->sites > 1024)
		ret->sites /= 2;
	while (ledger_bytes(ret) > most && ret->threads > 64)
		ret->threads /= 2;
	return 0;
}

/* How much there is, and how much of it other tables take: those of stacks at most a half. */
static void find_room(struct heap_level *level, const struct heap_level_target *target,
		      struct heap_level_room *ret)
{
	struct charge_reader *own = NULL;
	struct charge charge = {0};
	struct heap_level_room all = {.headroom_bytes = UINT64_MAX};

	if (!charge_open(getpid(), "", &own) && !charge_read(own, NULL, &charge) &&
	    charge.source != LIMIT_NONE)
		all.headroom_bytes = charge.headroom_bytes;
	charge_close(own);
	*ret = all;
	ret->others_bytes = target->other_tables_bytes;
	if (level->unwinder)
		ret->others_bytes +=
			level->unwinder->ops->plan(level->unwinder, part_of(&all, AUTO_PART) / 2);
}

/* Still being put together by its loader, if it runs at all. */
static bool is_young(pid_t pid)
{
	struct procstat stat;
	struct timespec now;
	double age_s;

	if (procstat_read(pid, &stat) || strchr("TtZXx", stat.state) ||
	    clock_gettime(CLOCK_BOOTTIME, &now))
		return false;
	age_s = now.tv_sec + now.tv_nsec / 1e9 - (double)stat.start_time / sysconf(_SC_CLK_TCK);
	return age_s * 1000 < YOUNG_MS;
}

/*
 * A filter that ends the target at a system call that it does not know would do so at the call by
 * which newer kernels' return probes end, unless the kernel passes that through. A thread may set
 * one at any time, also once the probes stand: so only the kernel is asked, not the target, and
 * once is enough. A kernel without filters (EINVAL) has nothing to forbid.
 */
static bool filter_forbids_returns(struct heap_level *level, enum probe_kind kind)
{
	int status;

	if (level->filters == FILTERS_UNKNOWN) {
		status = calibrate_filtered(kind);
		level->filters = status && status != -EINVAL ? FILTERS_FORBID : FILTERS_PASS;
	}
	return level->filters == FILTERS_FORBID;
}

static int find_points(struct heap_level *level, enum probe_kind kind, struct probe_points *ret,
		       char *error, size_t size)
{
	struct allocators_options options = level->options;
	pid_t pid = level->pid;
	bool filtered;
	struct procmaps maps;
	int status = procmaps_read(pid, &maps);

	if (status) {
		snprintf(error, size, "cannot read /proc/%d/maps: %s", pid, strerror(-status));
		return status;
	}
	filtered = !options.no_return_probes && filter_forbids_returns(level, kind);
	options.no_return_probes |= filtered;
	level->no_returns = options.no_return_probes;
	status = allocators_find(pid, &maps, &options, ret, error, size);
	if (filtered && !status && !ret->note[0])
		snprintf(ret->note, sizeof(ret->note),
			 "no return probes: under a seccomp filter this kernel would end it");
	procmaps_deinit(&maps);
	return status;
}

/* Finds where the linker tells of its changes; path NULL where there is no such place. */
static void find_loader(pid_t pid, struct probe *ret)
{
	struct procmaps maps;

	ret->path = NULL;
	if (procmaps_read(pid, &maps))
		return;
	loader_probe_find(pid, &maps, ret);
	procmaps_deinit(&maps);
}

struct probe_list {
	struct probe *data;
	size_t count, capacity;
};

/* Functions may share the instructions by which they return. */
static void add_exit(struct probe_list *list, const struct probe *exit)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->data[i].offset == exit->offset && !strcmp(list->data[i].path, exit->path))
			return;
	*vec_push(list) = *exit;
}

/*
 * What is to be single-stepped is in the cookie, so that it is counted as it happens, thread by
 * thread: which of the functions a target calls, and how often each, nobody knows beforehand.
 */
static void mark_steps(const struct probe_point *point, struct probe *probe)
{
	if (point->single_step)
		probe->cookie |= ABI_COOKIE_STEPPED;
	for (size_t i = 0; i < point->exit_count; i++)
		if (point->exits[i].single_step)
			probe->cookie |= ABI_COOKIE_STEPS_RETURN;
}

static void add_probes(const struct probe_point *point, struct probe_list *lists)
{
	struct probe probe = {
		.path = point->path, .offset = point->probe_offset, .cookie = point->cookie};
	enum heap_role role = point->returns == PROBE_RETURN_TRAPPED ? HEAP_ALLOCATES : HEAP_ENTERS;

	if (point->function && point->function->flags & ALLOCATOR_BULK)
		role = HEAP_BULK;
	else
		mark_steps(point, &probe);
	/* The program of plain frees does not look at cookies. */
	if (point->frees && role != HEAP_BULK)
		role = probe.cookie ? HEAP_RELEASES : HEAP_FREES;
	*vec_push(&lists[role]) = probe;
	if (role != HEAP_ENTERS)
		return;
	for (size_t i = 0; i < point->exit_count; i++) {
		probe.offset = point->exits[i].place;
		probe.cookie = point->exits[i].first_argument ? ABI_COOKIE_FIRST_ARGUMENT : 0;
		if (point->exits[i].single_step)
			probe.cookie |= ABI_COOKIE_STEPPED;
		add_exit(&lists[HEAP_LEAVES], &probe);
	}
}

void heap_level_probes(const struct probe_points *points, struct heap_probes *ret)
{
	struct probe_list lists[HEAP_ROLES] = {0};

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < points->count; i++) {
		add_probes(&points->data[i], lists);
		ret->functions |= !points->data[i].function;
	}
	for (unsigned role = 0; role < HEAP_ROLES; role++) {
		ret->probes[role] = lists[role].data;
		ret->counts[role] = lists[role].count;
	}
}

void heap_level_probes_deinit(struct heap_probes *probes)
{
	for (unsigned role = 0; role < HEAP_ROLES; role++)
		free((struct probe *)probes->probes[role]);
}

static int open_heap(struct heap_level *level, const struct probe_points *points,
		     const struct heap_level_target *target, enum probe_kind kind, char *error,
		     size_t size)
{
	struct heap_level_room room;
	struct heap_probes probes;
	struct ledger_sizes sizes;
	struct probe loader;
	int status;

	find_room(level, target, &room);
	status = heap_level_choose_sizes(target, &room, &sizes, error, size);
	if (status)
		return status;
	heap_level_probes(points, &probes);
	probes.functions |= level->options.function_count > 0; /* some may be mapped later */
	probes.stop_at_exec = level->launched;
	find_loader(level->pid, &loader);
	probes.loader = loader.path ? &loader : NULL;
	status = heap_open(level->pid, kind, &probes, &sizes, level->unwinder, monotonic_ns(),
			   &level->heap, error, size);
	free((char *)loader.path);
	heap_level_probes_deinit(&probes);
	return status;
}

/*
 * Counts the target's calls for a moment, with programs that do nothing else, and gives what the
 * heap level would cost its busiest thread, in percent of that thread's time.
 */
static int project_cost(struct heap_level *level, double *ret)
{
	struct timespec moment = {.tv_nsec = CANARY_MS * 1000000l};
	struct overhead overhead;
	int error = heap_attach_counters(level->heap);

	if (error)
		return error;
	cost_meter_start(level->cost, level->heap, monotonic_ns());
	while (nanosleep(&moment, &moment) && errno == EINTR)
		;
	cost_meter_sample(level->cost, level->heap, monotonic_ns(), &overhead);
	heap_detach(level->heap);
	*ret = overhead.worst_thread_percent;
	return 0;
}

static int ask_canary(struct heap_level *level, char *error, size_t size)
{
	double projected = 0;
	int status;

	if (isnan(level->budget_percent) || level->held)
		return 0;
	status = project_cost(level, &projected);
	if (status || projected <= level->budget_percent)
		return status;
	snprintf(error, size,
		 "heap would cost the busiest thread %.0f%%, over the budget of %.0f%%", projected,
		 level->budget_percent);
	return 1;
}

struct tids {
	pid_t *data;
	size_t count, capacity;
};

static int compare_tids(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return x < y ? -1 : x > y;
}

static void list_threads(pid_t pid, struct tids *ret)
{
	struct dirent *entry;
	char path[64];
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	while (tasks && (entry = readdir(tasks)))
		if (entry->d_name[0] != '.')
			*vec_push(ret) = atoi(entry->d_name);
	if (tasks)
		closedir(tasks);
	if (ret->count)
		qsort(ret->data, ret->count, sizeof(*ret->data), compare_tids);
}

/* The slots are looked at first: a thread that begins later is in none of them. */
void heap_level_reclaim(struct heap_level *level)
{
	struct tids tids = {0};
	uint32_t *before;

	lost_calls_look(&level->lost, heap_ledger(level->heap), level->pid);
	if (!heap_threads_crowd(level->heap))
		return;
	before = xcalloc(heap_ledger(level->heap)->sizes.threads, sizeof(*before));
	heap_thread_ids(level->heap, before);
	list_threads(level->pid, &tids);
	if (tids.count)
		heap_reclaim_threads(level->heap, before, tids.data, tids.count);
	vec_deinit(&tids);
	free(before);
}

static int enter(struct heap_level *level, const struct probe_points *points,
		 const struct heap_level_target *target, enum probe_kind kind,
		 const struct trap_costs *traps, bool canary, char *error, size_t size)
{
	int status = open_heap(level, points, target, kind, error, size);
	if (status)
		return status;
	cost_meter_free(level->cost);
	level->cost = cost_meter_new(level->pid, traps);
	*error = '\0';
	if (canary)
		status = ask_canary(level, error, size);
	/* What is not compiled by then comes while the target runs. */
	if (!status && level->unwinder)
		level->unwinder->ops->work(level->unwinder,
					   level->held ? COMPILE_HELD_MS : COMPILE_MS);
	if (!status && level->held)
		heap_expect_module_change(level->heap);
	if (!status) {
		heap_level_reclaim(level); /* of threads that only the canary saw */
		status = heap_attach(level->heap);
	}
	if (status < 0)
		snprintf(error, size, "cannot place probes: %s", strerror(-status));
	else if (!status)
		cost_meter_start(level->cost, level->heap, monotonic_ns());
	return status;
}

static int try_enter(struct heap_level *level, const struct heap_level_target *target,
		     enum probe_kind kind, const struct trap_costs *traps, bool canary, char *error,
		     size_t size)
{
	struct probe_points points = {0};
	int status = find_points(level, kind, &points, error, size);

	if (!status)
		status = enter(level, &points, target, kind, traps, canary, error, size);
	if (status)
		heap_level_leave(level);
	snprintf(level->note, sizeof(level->note), "%s", status ? "" : points.note);
	if (status) {
		probe_points_deinit(&points);
		return status;
	}
	for (size_t i = 0; i < points.count; i++)
		points.data[i].since_ns = monotonic_ns();
	level->points = points;
	level->book++;
	return 0;
}

int heap_level_enter(struct heap_level *level, const struct heap_level_target *target, bool canary,
		     char *error, size_t size)
{
	const struct timespec pause = {.tv_nsec = YOUNG_LOOK_MS * 1000000l};
	int status = probe_permission(error, size);
	struct trap_costs traps;
	enum probe_kind kind;

	level->over_budget = 0;
	if (status)
		return status;
	/* Before the first probe stands: a child has copies of it from then on. */
	forks_deinit(&level->forks);
	forks_init(&level->forks, level->pid);
	if (!procfs_in_first_pid_namespace()) {
		snprintf(
			error, size,
			"heap needs memtop to run in the first PID namespace, not in a container's");
		return -EOPNOTSUPP;
	}
	/* The probes are tried on memtop itself before the target is touched. */
	status = calibrate_traps(&kind, &traps);
	if (status) {
		snprintf(error, size, "probes do not work on memtop itself: %s", strerror(-status));
		return status;
	}
	while ((status = try_enter(level, target, kind, &traps, canary, error, size)) < 0 &&
	       status != -ENOMEM && is_young(level->pid))
		nanosleep(&pause, NULL);
	return status;
}

void heap_level_leave(struct heap_level *level)
{
	cost_meter_stop(level->cost);
	heap_close(level->heap);
	level->heap = NULL;
	probe_points_deinit(&level->points);
	lost_calls_deinit(&level->lost);
}

static bool is_watched(const struct probe_points *points, const struct probe_point *wanted)
{
	const struct probe_point *point;

	vec_for_each(point, points)
		if (point->device == wanted->device && point->inode == wanted->inode &&
		    point->entry_offset == wanted->entry_offset)
			return true;
	return false;
}

int heap_level_add(struct heap_level *level, struct probe_points *found, uint64_t now_ns)
{
	struct probe_points more = {0};
	struct heap_probes probes;
	int status;

	for (size_t i = 0; i < found->count; i++) {
		struct probe_point *point = &found->data[i];

		if (is_watched(&level->points, point))
			continue;
		*vec_push(&more) = *point;
		point->name = point->path = NULL; /* it is in `more` */
		point->exits = NULL;
	}
	probe_points_deinit(found);
	if (!more.count) {
		vec_deinit(&more);
		return 0;
	}
	heap_level_probes(&more, &probes);
	status = heap_attach_more(level->heap, &probes);
	heap_level_probes_deinit(&probes);
	if (status) {
		probe_points_deinit(&more);
		return status;
	}
	status = (int)more.count;
	for (size_t i = 0; i < more.count; i++) {
		more.data[i].since_ns = now_ns;
		*vec_push(&level->points) = more.data[i];
	}
	vec_deinit(&more);
	return status;
}

size_t heap_level_allocators(const struct heap_level *level, struct watched_allocator *ret,
			     size_t capacity)
{
	const struct probe_point *point;
	size_t count = 0;

	vec_for_each(point, &level->points) {
		size_t i = 0;

		while (i < count &&
		       (ret[i].device != point->device || ret[i].inode != point->inode))
			i++;
		if (i == capacity)
			continue;
		if (i == count) {
			ret[count] = (struct watched_allocator){.device = point->device,
								.inode = point->inode,
								.since_ns = point->since_ns};
			snprintf(ret[count].module, sizeof(ret[count].module), "%.*s",
				 (int)sizeof(ret[count].module) - 1, point->module);
			count++;
		}
		ret[i].functions++;
	}
	return count;
}

bool heap_level_over_budget(struct heap_level *level, uint64_t now_ns, char *reason, size_t size)
{
	struct overhead overhead;

	if (!level->heap || isnan(level->budget_percent))
		return false;
	cost_meter_sample(level->cost, level->heap, now_ns, &overhead);
	if (!(overhead.worst_thread_percent > level->budget_percent)) {
		level->over_budget = 0;
		return false;
	}
	if (++level->over_budget < OVER_BUDGET_LOOKS)
		return false;
	snprintf(reason, size, "heap cost thread %s %.0f%%, over the budget of %.0f%%",
		 overhead.worst_thread_name, overhead.worst_thread_percent, level->budget_percent);
	return true;
}

void heap_level_update(struct heap_level *level, const struct procmaps *maps)
{
	if (!level->heap)
		return;
	for (size_t i = 0; i < maps->count; i++)
		if (!strcmp(maps->data[i].path, "[uprobes]"))
			heap_set_trampoline(level->heap, maps->data[i].start);
	if (forks_look(&level->forks))
		heap_release_children(level->heap);
}

void heap_level_losses(const struct heap_level *level, uint64_t losses[ABI_LOSS_COUNT])
{
	const struct abi_counters *counters;
	struct heap_statistics statistics;

	if (!level->heap)
		return;
	counters = heap_ledger(level->heap)->counters;
	for (unsigned i = 0; i < ABI_LOSS_COUNT; i++)
		losses[i] += __atomic_load_n(&counters->losses[i], __ATOMIC_RELAXED);
	heap_read_statistics(level->heap, &statistics);
	losses[ABI_LOSS_EVENT_LOST] += statistics.missed;
}
