/* SPDX-License-Identifier: GPL-2.0-only */
#include "tests/bench/probing.h"

#include "capture/allocators.h"
#include "capture/clock.h"
#include "unwind/unwinder.h"
#include "util/alloc.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNWIND_BYTES (64ull << 20)

void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
	exit(1);
}

void figure(double value, const char *name, ...)
{
	va_list arguments;

	va_start(arguments, name);
	printf("= ");
	vprintf(name, arguments);
	printf(" %.4f\n", value);
	va_end(arguments);
}

static int compare(const void *a, const void *b)
{
	double difference = *(const double *)a - *(const double *)b;

	return difference < 0 ? -1 : difference > 0;
}

double median_of(const double *numbers, unsigned count)
{
	double *sorted = xcalloc(count, sizeof(*sorted)), median;

	memcpy(sorted, numbers, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), compare);
	median = count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
	free(sorted);
	return median;
}

/* --- the target */

static void find_program(char *ret, size_t size)
{
	char self[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (length < 0)
		die("cannot tell where this program is");
	self[length] = '\0';
	snprintf(ret, size, "%s/pair_target", dirname(self));
}

void bench_target_start(struct bench_target *target)
{
	char program[PATH_MAX];
	int to[2], from[2];

	find_program(program, sizeof(program));
	if (pipe(to) || pipe(from))
		die("no pipe");
	target->pid = fork();
	if (!target->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(to[0], STDIN_FILENO);
		dup2(from[1], STDOUT_FILENO);
		close(to[1]);
		execl(program, program, NULL);
		die(program);
	}
	close(to[0]);
	close(from[1]);
	target->in = fdopen(to[1], "w");
	target->out = fdopen(from[0], "r");
	/* After the answer the program is what the process runs, and its allocator is mapped. */
	bench_target_ask(target, "hot", 1, 0, 100);
}

double bench_target_ask(const struct bench_target *target, const char *shape, unsigned a,
			unsigned b, unsigned pairs)
{
	char line[64];

	fprintf(target->in, "%s %u %u %u\n", shape, a, b, pairs);
	fflush(target->in);
	if (!fgets(line, sizeof(line), target->out))
		die("the target has died");
	return atof(line);
}

void bench_target_end(struct bench_target *target)
{
	fclose(target->in);
	fclose(target->out);
	waitpid(target->pid, NULL, 0);
}

/* --- the ways to watch it */

const char *const watch_names[WATCH_KINDS] = {
	[WATCH_NOTHING] = "unprobed",	     [WATCH_BARE_SESSION] = "bare, session",
	[WATCH_SESSION] = "memtop, session", [WATCH_BARE_MULTI] = "bare, multi",
	[WATCH_MULTI] = "memtop, multi",
};

enum watch_kind watch_bare_of(enum watch_kind kind)
{
	static const enum watch_kind bare[WATCH_KINDS] = {
		[WATCH_NOTHING] = WATCH_BARE_SESSION, [WATCH_BARE_SESSION] = WATCH_BARE_SESSION,
		[WATCH_SESSION] = WATCH_BARE_SESSION, [WATCH_BARE_MULTI] = WATCH_BARE_MULTI,
		[WATCH_MULTI] = WATCH_BARE_MULTI,
	};

	return bare[kind];
}

struct watcher {
	pid_t pid;
	struct ledger_sizes sizes;
	struct probe_points points;
	struct probe *allocating, *freeing;
	size_t allocating_count, freeing_count;
	struct probe malloc_only, free_only;
	bool everywhere;
	struct modules *modules;
	struct unwinder *unwinder;
	struct heap *heap;
	int *links;
	size_t link_count;
};

static void sort_points(struct watcher *watcher)
{
	for (size_t i = 0; i < watcher->points.count; i++) {
		const struct probe_point *point = &watcher->points.data[i];
		struct probe probe = {.path = point->path,
				      .offset = point->probe_offset,
				      .cookie = point->function->kind};

		if (!strcmp(point->function->name, "malloc"))
			watcher->malloc_only = probe;
		if (!strcmp(point->function->name, "free"))
			watcher->free_only = probe;
		if (point->function->shape == SHAPE_FREE)
			watcher->freeing[watcher->freeing_count++] = probe;
		else
			watcher->allocating[watcher->allocating_count++] = probe;
	}
}

struct watcher *watcher_new(pid_t pid, const struct ledger_sizes *sizes, bool everywhere)
{
	struct watcher *watcher = xcalloc(1, sizeof(*watcher));
	char error[256] = "the target's maps";
	struct procmaps maps;

	watcher->pid = pid;
	watcher->sizes = *sizes;
	watcher->everywhere = everywhere;
	if (procmaps_read(pid, &maps) ||
	    allocators_find(pid, &maps, &watcher->points, error, sizeof(error)))
		die(error);
	watcher->modules = modules_new();
	watcher->unwinder = table_unwinder_new(pid, UNWIND_BYTES);
	procmaps_update_modules(watcher->modules, &maps, pid, monotonic_ns());
	watcher->unwinder->ops->update(watcher->unwinder, watcher->modules);
	procmaps_deinit(&maps);
	watcher->allocating = xcalloc(watcher->points.count, sizeof(*watcher->allocating));
	watcher->freeing = xcalloc(watcher->points.count, sizeof(*watcher->freeing));
	watcher->links = xcalloc(2 * watcher->points.count + 1, sizeof(*watcher->links));
	sort_points(watcher);
	return watcher;
}

void watcher_free(struct watcher *watcher)
{
	watcher_detach(watcher);
	unwinder_close(watcher->unwinder);
	modules_free(watcher->modules);
	probe_points_deinit(&watcher->points);
	free(watcher->allocating);
	free(watcher->freeing);
	free(watcher->links);
	free(watcher);
}

static void attach_empty(struct watcher *watcher, enum probe_kind kind, bool returns,
			 const struct probe *probes, size_t count)
{
	int program = probe_load_empty(kind);

	if (program < 0 || probes_attach(program, kind, returns, watcher->pid, probes, count,
					 watcher->links, &watcher->link_count))
		die("cannot attach an empty program");
	close(program);
}

static void attach_bare(struct watcher *watcher, bool session)
{
	const struct probe *allocating = &watcher->malloc_only, *freeing = &watcher->free_only;
	size_t allocating_count = 1, freeing_count = 1;

	if (watcher->everywhere) {
		allocating = watcher->allocating;
		allocating_count = watcher->allocating_count;
		freeing = watcher->freeing;
		freeing_count = watcher->freeing_count;
	}
	if (session) {
		attach_empty(watcher, PROBE_SESSION, false, allocating, allocating_count);
	} else {
		attach_empty(watcher, PROBE_MULTI, true, allocating, allocating_count);
		attach_empty(watcher, PROBE_MULTI, false, allocating, allocating_count);
	}
	attach_empty(watcher, PROBE_MULTI, false, freeing, freeing_count);
}

static void attach_heap(struct watcher *watcher, enum probe_kind kind)
{
	const struct heap_probes probes = {
		.allocating = watcher->allocating,
		.allocating_count = watcher->allocating_count,
		.freeing = watcher->freeing,
		.freeing_count = watcher->freeing_count,
	};
	char error[256];

	if (heap_open(watcher->pid, kind, &probes, &watcher->sizes, watcher->unwinder,
		      monotonic_ns(), &watcher->heap, error, sizeof(error)))
		die(error);
	while (watcher->unwinder->ops->work(watcher->unwinder, 1000))
		;
	if (heap_attach(watcher->heap))
		die("cannot attach");
}

void watcher_attach(struct watcher *watcher, enum watch_kind kind)
{
	if (kind == WATCH_BARE_SESSION || kind == WATCH_BARE_MULTI)
		attach_bare(watcher, kind == WATCH_BARE_SESSION);
	else if (kind != WATCH_NOTHING)
		attach_heap(watcher, kind == WATCH_SESSION ? PROBE_SESSION : PROBE_MULTI);
}

void watcher_detach(struct watcher *watcher)
{
	heap_close(watcher->heap);
	watcher->heap = NULL;
	probes_detach(watcher->links, &watcher->link_count);
}

struct heap *watcher_heap(struct watcher *watcher)
{
	return watcher->heap;
}
