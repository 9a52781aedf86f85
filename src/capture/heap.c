/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/heap.h"

#include "bpf/heap.skel.h"
#include "bpf/heap_nobtf.skel.h"
#include "capture/lost_calls.h"
#include "capture/program_info.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct heap {
	struct heap_bpf *skeleton;
	struct ledger ledger;
	enum probe_kind kind;
	pid_t pid;
	struct probe loader; /* path NULL = none; owned */
	struct ring_buffer *events;
	struct probe *probes[HEAP_ROLES]; /* paths are owned */
	size_t counts[HEAP_ROLES];
	bool functions;
	int *links;
	size_t link_count;
	uint64_t expected_changes; /* of modules, that are known before they are told */
	bool stop_at_exec, tells_exec;
	unsigned groups;      /* of probes that were placed later */
	uint64_t slots_taken; /* of the table of threads, when it was last looked through */
};

/* The kind of programs that stand at entries alone. */
static enum probe_kind entry_kind(const struct heap *heap)
{
	return heap->kind == PROBE_SESSION ? PROBE_MULTI : heap->kind;
}

static void choose_programs(struct heap *heap)
{
	struct heap_bpf *s = heap->skeleton;
	bool session = heap->kind == PROBE_SESSION;

	bpf_program__set_autoload(s->progs.allocate_session, session);
	/* The others may be wanted later, by what the target maps then. */
	bpf_program__set_autoload(s->progs.allocate_exit, !session);
	s->rodata->cfg_functions = heap->functions;
	probe_prepare_program(s->progs.allocate_session, PROBE_SESSION);
	probe_prepare_program(s->progs.allocate_enter, entry_kind(heap));
	probe_prepare_program(s->progs.allocate_exit, entry_kind(heap));
	probe_prepare_program(s->progs.allocate_leave, entry_kind(heap));
	probe_prepare_program(s->progs.free_enter, entry_kind(heap));
	probe_prepare_program(s->progs.release_enter, entry_kind(heap));
	probe_prepare_program(s->progs.bulk_release, entry_kind(heap));
	probe_prepare_program(s->progs.count_enter, entry_kind(heap));
	probe_prepare_program(s->progs.modules_change, entry_kind(heap));
}

static void copy_probe(struct probe *ret, const struct probe *probe, uint64_t group)
{
	*ret = *probe;
	ret->path = xstrdup(probe->path);
	ret->cookie |= group << ABI_COOKIE_GROUP_SHIFT;
}

static void copy_probes(struct heap *heap, const struct heap_probes *probes)
{
	size_t count = 2; /* the loader's, and that of execs */

	heap->functions = probes->functions;
	if (probes->loader) {
		heap->loader = *probes->loader;
		heap->loader.path = xstrdup(probes->loader->path);
	}
	for (unsigned role = 0; role < HEAP_ROLES; role++) {
		heap->counts[role] = probes->counts[role];
		heap->probes[role] = xcalloc(heap->counts[role], sizeof(*heap->probes[role]));
		for (size_t i = 0; i < heap->counts[role]; i++)
			copy_probe(&heap->probes[role][i], &probes->probes[role][i], 0);
		count += heap->counts[role];
	}
	/* A perf uprobe needs a link each, and entries and returns are apart. */
	heap->links = xcalloc(count + heap->counts[HEAP_ALLOCATES], sizeof(*heap->links));
}

/* That it came is all that an event says. */
static int take_event(void *context, void *data, size_t size)
{
	(void)context;
	(void)data;
	(void)size;
	return 0;
}

/*
 * The object that names a function of the kernel can be loaded only where the kernel tells its
 * types. The other one has the same maps and programs, so one skeleton fits both.
 */
static struct heap_bpf *open_skeleton(bool kernel_types)
{
	struct heap_bpf *skeleton;

	if (kernel_types)
		return heap_bpf__open();
	skeleton = calloc(1, sizeof(*skeleton));
	if (!skeleton)
		return NULL;
	if (!heap_bpf__create_skeleton(skeleton)) {
		skeleton->skeleton->data =
			(void *)heap_nobtf_bpf__elf_bytes(&skeleton->skeleton->data_sz);
		if (!bpf_object__open_skeleton(skeleton->skeleton, NULL))
			return skeleton;
	}
	heap_bpf__destroy(skeleton);
	return NULL;
}

static int load(struct heap *heap, const struct ledger_sizes *sizes, struct unwinder *unwinder,
		uint64_t now_ns)
{
	struct heap_bpf *s = heap->skeleton;
	int error;

	s->rodata->cfg_bucket_mask = sizes->buckets - 1;
	s->rodata->cfg_site_mask = sizes->sites - 1;
	s->rodata->cfg_thread_mask = sizes->threads - 1;
	s->rodata->cfg_watcher = heap->stop_at_exec ? getpid() : 0;
	choose_programs(heap);
	error = ledger_size_maps(s->obj, sizes);
	if (!error && unwinder)
		error = unwinder->ops->prepare(unwinder, s->obj);
	if (!error)
		error = heap_bpf__load(s);
	if (!error && unwinder)
		error = unwinder->ops->adopt(unwinder, s->obj);
	if (!error)
		error = ledger_init(&heap->ledger, s->obj, sizes, now_ns);
	if (error)
		return error;
	heap->ledger.control->tgid = heap->pid;
	heap->events = ring_buffer__new(bpf_map__fd(s->maps.module_events), take_event, NULL, NULL);
	return heap->events ? 0 : -errno;
}

int heap_open(pid_t pid, enum probe_kind kind, const struct heap_probes *probes,
	      const struct ledger_sizes *sizes, struct unwinder *unwinder, uint64_t now_ns,
	      struct heap **ret, char *error, size_t size)
{
	struct heap *heap;
	int status;

	if (kind == PROBE_KIND_COUNT) {
		snprintf(error, size, "this kernel has no uprobes (CONFIG_UPROBE_EVENTS)");
		return -EOPNOTSUPP;
	}
	heap = xcalloc(1, sizeof(*heap));
	heap->pid = pid;
	heap->kind = kind;
	heap->stop_at_exec = probes->stop_at_exec;
	copy_probes(heap, probes);
	heap->skeleton = open_skeleton(kind == PROBE_SESSION);
	status = heap->skeleton ? load(heap, sizes, unwinder, now_ns) : -errno;
	if (status) {
		snprintf(error, size, "cannot load the heap programs: %s%s", strerror(-status),
			 status == -EPERM ? " (needs root, or CAP_BPF and CAP_PERFMON)" : "");
		heap_close(heap);
		return status;
	}
	*ret = heap;
	return 0;
}

void heap_close(struct heap *heap)
{
	if (!heap)
		return;
	heap_detach(heap);
	ring_buffer__free(heap->events);
	free((char *)heap->loader.path);
	ledger_deinit(&heap->ledger);
	heap_bpf__destroy(heap->skeleton);
	for (unsigned role = 0; role < HEAP_ROLES; role++) {
		for (size_t i = 0; i < heap->counts[role]; i++)
			free((char *)heap->probes[role][i].path);
		free(heap->probes[role]);
	}
	free(heap->links);
	free(heap);
}

static int attach(struct heap *heap, const struct bpf_program *program, enum probe_kind kind,
		  bool returns, const struct probe *probes, size_t count)
{
	return probes_attach(bpf_program__fd(program), kind, returns, heap->pid, probes, count,
			     heap->links, &heap->link_count);
}

/* Where it cannot be had, looking at the process from time to time has to do. */
static void attach_exec(struct heap *heap)
{
	int fd = bpf_raw_tracepoint_open("sched_process_exec",
					 bpf_program__fd(heap->skeleton->progs.program_changes));

	if (fd >= 0)
		heap->links[heap->link_count++] = fd;
	heap->tells_exec = fd >= 0;
}

/* From which probe on, in each role. */
struct range {
	size_t first[HEAP_ROLES];
};

static int attach_role(struct heap *heap, const struct bpf_program *program, enum probe_kind kind,
		       bool returns, enum heap_role role, const struct range *from)
{
	size_t first = from->first[role];

	return attach(heap, program, kind, returns, heap->probes[role] + first,
		      heap->counts[role] - first);
}

static int attach_from(struct heap *heap, const struct range *from)
{
	struct heap_bpf *s = heap->skeleton;
	enum probe_kind kind = entry_kind(heap);
	int error;

	error = attach_role(heap, s->progs.bulk_release, kind, false, HEAP_BULK, from);
	if (!error)
		error = attach_role(heap, s->progs.free_enter, kind, false, HEAP_FREES, from);
	if (!error)
		error = attach_role(heap, s->progs.release_enter, kind, false, HEAP_RELEASES, from);
	/* Returns first: an entry seen is then never without its return. */
	if (!error)
		error = attach_role(heap, s->progs.allocate_leave, kind, false, HEAP_LEAVES, from);
	if (!error)
		error = attach_role(heap, s->progs.allocate_enter, kind, false, HEAP_ENTERS, from);
	if (error)
		return error;
	if (heap->kind == PROBE_SESSION)
		return attach_role(heap, s->progs.allocate_session, PROBE_SESSION, false,
				   HEAP_ALLOCATES, from);
	error = attach_role(heap, s->progs.allocate_exit, heap->kind, true, HEAP_ALLOCATES, from);
	if (!error)
		error = attach_role(heap, s->progs.allocate_enter, heap->kind, false,
				    HEAP_ALLOCATES, from);
	return error;
}

static int attach_all(struct heap *heap)
{
	static const struct range all;

	attach_exec(heap);
	/* Where it cannot be had, looking at the maps from time to time has to do. */
	if (heap->loader.path)
		attach(heap, heap->skeleton->progs.modules_change, entry_kind(heap), false,
		       &heap->loader, 1);
	return attach_from(heap, &all);
}

static void add_probes(struct heap *heap, const struct heap_probes *probes, struct range *ret)
{
	size_t count = heap->link_count;

	for (unsigned role = 0; role < HEAP_ROLES; role++) {
		size_t first = heap->counts[role], more = probes->counts[role];

		ret->first[role] = first;
		heap->counts[role] += more;
		count += 2 * more;
		heap->probes[role] = xreallocarray(heap->probes[role], heap->counts[role] + 1,
						   sizeof(*heap->probes[role]));
		for (size_t i = 0; i < more; i++)
			copy_probe(&heap->probes[role][first + i], &probes->probes[role][i],
				   heap->groups);
	}
	heap->links = xreallocarray(heap->links, count + 1, sizeof(*heap->links));
}

static void drop_probes(struct heap *heap, const struct range *from)
{
	for (unsigned role = 0; role < HEAP_ROLES; role++)
		while (heap->counts[role] > from->first[role])
			free((char *)heap->probes[role][--heap->counts[role]].path);
}

int heap_attach_more(struct heap *heap, const struct heap_probes *probes)
{
	uint32_t *opening = &heap->ledger.control->opening;
	size_t before = heap->link_count, placed;
	struct range from;
	int error;

	if (heap->groups == ABI_COOKIE_GROUPS)
		return -ENOSPC;
	heap->groups++;
	add_probes(heap, probes, &from);
	__atomic_store_n(opening, heap->groups, __ATOMIC_SEQ_CST);
	error = attach_from(heap, &from);
	if (error) {
		placed = heap->link_count - before;
		probes_detach(heap->links + before, &placed);
		heap->link_count = before;
		drop_probes(heap, &from);
	}
	__atomic_store_n(opening, 0, __ATOMIC_SEQ_CST);
	return error;
}

int heap_attach(struct heap *heap)
{
	int error = attach_all(heap);

	if (error) {
		heap_detach(heap);
		return error;
	}
	/*
	 * Books open only now that every probe stands: a block that was taken before could leave
	 * through a realloc that was not watched yet.
	 */
	__atomic_store_n(&heap->ledger.control->tracking, 1, __ATOMIC_SEQ_CST);
	/* Of another program by now? Then nothing may be booked. */
	if (heap_execs(heap))
		__atomic_store_n(&heap->ledger.control->tracking, 0, __ATOMIC_RELEASE);
	return 0;
}

uint64_t heap_execs(const struct heap *heap)
{
	return __atomic_load_n(&heap->ledger.counters->execs, __ATOMIC_SEQ_CST);
}

bool heap_tells_exec(const struct heap *heap)
{
	return heap->tells_exec;
}

int heap_attach_counters(struct heap *heap)
{
	static const struct range all;
	int error = 0;

	for (unsigned role = 0; !error && role < HEAP_ROLES; role++)
		if (role != HEAP_LEAVES)
			error = attach_role(heap, heap->skeleton->progs.count_enter,
					    entry_kind(heap), false, role, &all);
	if (error)
		heap_detach(heap);
	return error;
}

void heap_detach(struct heap *heap)
{
	if (heap->ledger.control)
		__atomic_store_n(&heap->ledger.control->tracking, 0, __ATOMIC_RELEASE);
	probes_detach(heap->links, &heap->link_count);
}

struct ledger *heap_ledger(struct heap *heap)
{
	return &heap->ledger;
}

void heap_set_trampoline(struct heap *heap, uint64_t address)
{
	__atomic_store_n(&heap->ledger.control->trampoline, address, __ATOMIC_RELEASE);
}

int heap_wait_fd(const struct heap *heap)
{
	return heap->loader.path || heap->tells_exec ? ring_buffer__epoll_fd(heap->events) : -1;
}

uint64_t heap_module_changes(struct heap *heap)
{
	uint64_t changes;

	ring_buffer__consume(heap->events);
	changes = __atomic_load_n(&heap->ledger.counters->module_changes, __ATOMIC_ACQUIRE);
	return changes > heap->expected_changes ? changes : heap->expected_changes;
}

void heap_expect_module_change(struct heap *heap)
{
	heap->expected_changes = 1;
	heap_modules_known(heap, 1);
}

void heap_modules_known(struct heap *heap, uint64_t changes)
{
	__atomic_store_n(&heap->ledger.control->module_changes, changes, __ATOMIC_RELEASE);
}

static bool is_among(const pid_t *tids, size_t count, pid_t tid)
{
	size_t low = 0;

	while (low < count) {
		size_t middle = low + (count - low) / 2;

		if (tids[middle] == tid)
			return true;
		if (tids[middle] < tid)
			low = middle + 1;
		else
			count = middle;
	}
	return false;
}

static uint64_t slots_taken(const struct heap *heap)
{
	return __atomic_load_n(&heap->ledger.counters->threads, __ATOMIC_RELAXED);
}

bool heap_threads_crowd(const struct heap *heap)
{
	return slots_taken(heap) - heap->slots_taken > heap->ledger.sizes.threads / 8;
}

void heap_thread_ids(const struct heap *heap, uint32_t *ret)
{
	for (unsigned i = 0; i < heap->ledger.sizes.threads; i++)
		ret[i] = __atomic_load_n(&heap->ledger.threads[i].tid, __ATOMIC_ACQUIRE);
}

void heap_reclaim_threads(struct heap *heap, const uint32_t *before, const pid_t *tids,
			  size_t count)
{
	heap->slots_taken = slots_taken(heap);
	for (unsigned i = 0; i < heap->ledger.sizes.threads; i++) {
		struct abi_thread *thread = &heap->ledger.threads[i];

		if (!before[i] || is_among(tids, count, before[i]))
			continue;
		lost_calls_drop(&heap->ledger, thread);
		thread->events = 0;
		thread->steps = 0;
		__atomic_store_n(&thread->tid, 0, __ATOMIC_RELEASE);
	}
}

/* What the target has unmapped meanwhile no child of now has a copy of. */
static int attach_again(int program, const struct heap *heap, enum heap_role role, int *links,
			size_t *count)
{
	int error = 0;

	for (size_t i = 0; i < heap->counts[role] && (!error || error == -ENOENT); i++)
		if (!i || strcmp(heap->probes[role][i].path, heap->probes[role][i - 1].path)) {
			size_t n = 1;

			while (i + n < heap->counts[role] &&
			       !strcmp(heap->probes[role][i + n].path, heap->probes[role][i].path))
				n++;
			error = probes_attach(program, PROBE_MULTI, false, heap->pid,
					      &heap->probes[role][i], n, links, count);
		}
	return error == -ENOENT ? 0 : error;
}

/*
 * A link more on the same places, taken away again: as it goes, the kernel looks in every process
 * that maps them whether anybody still wants the breakpoint there, and only the target is wanted.
 */
int heap_release_children(struct heap *heap)
{
	_cleanup_free_ int *links = NULL;
	size_t count = 0, probes = 0;
	int program, error = 0;

	/* Perf uprobes take themselves out at the first hit in another process. */
	if (heap->kind == PROBE_PERF || !heap->link_count)
		return 0;
	program = probe_load_empty(PROBE_MULTI);
	if (program < 0)
		return program;
	for (unsigned role = 0; role < HEAP_ROLES; role++)
		probes += heap->counts[role];
	links = xcalloc(probes, sizeof(*links));
	for (unsigned role = 0; !error && role < HEAP_ROLES; role++)
		error = attach_again(program, heap, role, links, &count);
	probes_detach(links, &count);
	close(program);
	return error;
}

void heap_read_statistics(const struct heap *heap, struct heap_statistics *ret)
{
	const struct heap_bpf *s = heap->skeleton;
	const struct {
		const struct bpf_program *program;
		uint64_t *runs;
	} programs[] = {
		{s->progs.allocate_session, &ret->session_runs},
		{s->progs.allocate_enter, &ret->entering_runs},
		{s->progs.allocate_exit, &ret->returning_runs},
		{s->progs.allocate_leave, &ret->leaving_runs},
		{s->progs.free_enter, &ret->freeing_runs},
		{s->progs.release_enter, &ret->freeing_runs},
	};

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++) {
		struct bpf_prog_info info;

		if (!program_info(bpf_program__fd(programs[i].program), &info))
			continue;
		*programs[i].runs += info.run_cnt;
		ret->run_time_ns += info.run_time_ns;
		ret->missed += info.recursion_misses;
	}
}
