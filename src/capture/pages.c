/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/pages.h"

#include "bpf/pages.skel.h"
#include "capture/bpf_log.h"
#include "capture/pages_table.h"
#include "capture/program_info.h"
#include "util/alloc.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RINGS_BYTES	 (16u << 20) /* of all CPUs */
#define MOST_RECORDS	 65536u	     /* a CPU's faults of some 150 ms at their fastest */
#define LEAST_RECORDS	 1024u
#define EXCEPTION_TRACES 2

struct pages {
	struct pages_bpf *skeleton;
	struct ledger ledger;
	enum pages_events events;
	unsigned cpus, records;
	struct abi_fault_ring *rings; /* by CPU */
	struct abi_fault *faults;
	struct bpf_link **links;
	unsigned link_count;
};

static size_t map_bytes(size_t element, size_t count)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (element * count + page - 1) & ~(page - 1);
}

static void choose_programs(struct pages *pages)
{
	struct pages_bpf *s = pages->skeleton;
	bool exception = pages->events == PAGES_EVENTS_EXCEPTION;

	bpf_program__set_autoload(s->progs.page_fault_user, exception);
	bpf_program__set_autoload(s->progs.page_fault_kernel, exception);
	bpf_program__set_autoload(s->progs.page_fault_counted, !exception);
}

static int size_maps(struct pages *pages, const struct ledger_sizes *sizes)
{
	struct pages_bpf *s = pages->skeleton;
	int error = ledger_size_maps(s->obj, sizes);

	if (!error)
		error = bpf_map__set_max_entries(s->maps.fault_rings, pages->cpus);
	if (!error)
		error = bpf_map__set_max_entries(s->maps.faults, pages->cpus * pages->records);
	return error;
}

static int map_rings(struct pages *pages)
{
	const struct {
		const struct bpf_map *map;
		size_t bytes;
		void **memory;
	} rows[] = {
		{pages->skeleton->maps.fault_rings, map_bytes(sizeof(*pages->rings), pages->cpus),
		 (void **)&pages->rings},
		{pages->skeleton->maps.faults,
		 map_bytes(sizeof(*pages->faults), (size_t)pages->cpus * pages->records),
		 (void **)&pages->faults},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		void *memory = mmap(NULL, rows[i].bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
				    bpf_map__fd(rows[i].map), 0);

		if (memory == MAP_FAILED)
			return -errno;
		*rows[i].memory = memory;
	}
	return 0;
}

/* The rows that are no stack's are sites from the beginning, in the order of their slots. */
static void make_rows(struct ledger *ledger)
{
	static const struct {
		unsigned slot;
		uint16_t kind;
	} rows[] = {
		{PAGES_POPULATED, ABI_KIND_POPULATED},
		{PAGES_BEFORE, ABI_KIND_BEFORE_ATTACH},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct abi_site *site = &ledger->sites[rows[i].slot];

		site->hash = 1;
		site->kind = rows[i].kind;
		site->flags = ABI_SITE_READY;
		ledger->order[i] = rows[i].slot;
	}
	ledger->counters->sites = sizeof(rows) / sizeof(*rows);
}

static int load(struct pages *pages, pid_t pid, unsigned sites, struct unwinder *unwinder,
		uint64_t now_ns)
{
	struct pages_bpf *s = pages->skeleton;
	/* Blocks are not in the programs' table; a stack is captured on each CPU. */
	struct ledger_sizes sizes = {.buckets = 1, .sites = sites, .threads = pages->cpus};
	int error;

	s->rodata->cfg_bucket_mask = 0;
	s->rodata->cfg_site_mask = sites - 1;
	s->rodata->cfg_ring_mask = pages->records - 1;
	choose_programs(pages);
	error = size_maps(pages, &sizes);
	if (!error && unwinder)
		error = unwinder->ops->prepare(unwinder, s->obj);
	if (!error)
		error = pages_bpf__load(s);
	if (!error && unwinder)
		error = unwinder->ops->adopt(unwinder, s->obj);
	if (!error)
		error = ledger_init(&pages->ledger, s->obj, &sizes, now_ns);
	if (!error)
		error = map_rings(pages);
	if (error)
		return error;
	pages->ledger.control->tgid = (uint32_t)pid;
	make_rows(&pages->ledger);
	return 0;
}

static int explain(int status, char *error, size_t size)
{
	char warning[160];

	if (status == -EPERM || status == -EACCES) {
		snprintf(error, size, "level pages needs root, or CAP_BPF and CAP_PERFMON");
		return -EPERM;
	}
	if (access("/sys/kernel/btf/vmlinux", R_OK))
		snprintf(error, size,
			 "level pages needs the kernel's BTF (/sys/kernel/btf/vmlinux, "
			 "CONFIG_DEBUG_INFO_BTF)");
	else
		snprintf(error, size, "cannot watch page faults: %s",
			 *bpf_log_last(warning, sizeof(warning)) ? warning : strerror(-status));
	return status == -ENOMEM ? status : -EOPNOTSUPP;
}

static unsigned choose_records(unsigned cpus)
{
	unsigned records = MOST_RECORDS;

	while (records > LEAST_RECORDS && records * cpus * sizeof(struct abi_fault) > RINGS_BYTES)
		records /= 2;
	return records;
}

int pages_open(pid_t pid, enum pages_events events, unsigned sites, struct unwinder *unwinder,
	       uint64_t now_ns, struct pages **ret, char *error, size_t size)
{
	int cpus = libbpf_num_possible_cpus(), status;
	struct pages *pages;

	if (cpus <= 0) {
		snprintf(error, size, "cannot tell the number of CPUs: %s", strerror(-cpus));
		return -EOPNOTSUPP;
	}
	bpf_log_init();
	bpf_log_clear();
	pages = xcalloc(1, sizeof(*pages));
	pages->events = events;
	pages->cpus = (unsigned)cpus;
	pages->records = choose_records(pages->cpus);
	pages->links = xcalloc(pages->cpus + EXCEPTION_TRACES, sizeof(struct bpf_link *));
	pages->skeleton = pages_bpf__open();
	status = pages->skeleton ? load(pages, pid, sites, unwinder, now_ns) : -errno;
	if (status) {
		status = explain(status, error, size);
		pages_close(pages);
		return status;
	}
	*ret = pages;
	return 0;
}

static void detach(struct pages *pages)
{
	if (pages->ledger.control)
		__atomic_store_n(&pages->ledger.control->tracking, 0, __ATOMIC_RELEASE);
	while (pages->link_count)
		bpf_link__destroy(pages->links[--pages->link_count]);
}

void pages_close(struct pages *pages)
{
	if (!pages)
		return;
	detach(pages);
	if (pages->rings)
		munmap(pages->rings, map_bytes(sizeof(*pages->rings), pages->cpus));
	if (pages->faults)
		munmap(pages->faults,
		       map_bytes(sizeof(*pages->faults), (size_t)pages->cpus * pages->records));
	ledger_deinit(&pages->ledger);
	pages_bpf__destroy(pages->skeleton);
	free(pages->links);
	free(pages);
}

static int keep_link(struct pages *pages, struct bpf_link *link)
{
	if (!link)
		return -errno;
	pages->links[pages->link_count++] = link;
	return 0;
}

/* Each fault counts; a CPU that is switched off has none. */
static int attach_counter(struct pages *pages, unsigned cpu)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_PAGE_FAULTS,
		.sample_period = 1,
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, -1, (int)cpu, -1, PERF_FLAG_FD_CLOEXEC);
	int error;

	if (fd < 0)
		return errno == ENODEV ? 0 : -errno;
	error = keep_link(pages, bpf_program__attach_perf_event(
					 pages->skeleton->progs.page_fault_counted, fd));
	if (error)
		close(fd);
	return error;
}

int pages_attach(struct pages *pages)
{
	struct pages_bpf *s = pages->skeleton;
	int error = 0;

	if (pages->events == PAGES_EVENTS_EXCEPTION) {
		error = keep_link(pages, bpf_program__attach(s->progs.page_fault_user));
		if (!error)
			error = keep_link(pages, bpf_program__attach(s->progs.page_fault_kernel));
	}
	for (unsigned cpu = 0; !error && pages->events == PAGES_EVENTS_COUNTER && cpu < pages->cpus;
	     cpu++)
		error = attach_counter(pages, cpu);
	if (error)
		detach(pages);
	else
		__atomic_store_n(&pages->ledger.control->tracking, 1, __ATOMIC_RELEASE);
	return error;
}

struct ledger *pages_ledger(struct pages *pages)
{
	return &pages->ledger;
}

int pages_sequence_fd(const struct pages *pages)
{
	return bpf_map__fd(pages->skeleton->maps.data_sequence);
}

uint64_t pages_sequence(const struct pages *pages)
{
	return __atomic_load_n(&pages->skeleton->data_sequence->fault_sequence, __ATOMIC_ACQUIRE);
}

/* The oldest record among the rings whose ends are in `heads`; NULL if all are read. */
static const struct abi_fault *oldest(const struct pages *pages, const uint64_t *heads,
				      unsigned *ret_cpu)
{
	const struct abi_fault *first = NULL;

	for (unsigned cpu = 0; cpu < pages->cpus; cpu++) {
		uint64_t tail = pages->rings[cpu].tail;
		const struct abi_fault *record;

		if (tail == heads[cpu])
			continue;
		record = &pages->faults[(size_t)cpu * pages->records +
					(tail & (pages->records - 1))];
		if (first && first->sequence < record->sequence)
			continue;
		first = record;
		*ret_cpu = cpu;
	}
	return first;
}

void pages_drain(struct pages *pages, uint64_t limit,
		 void (*take)(const struct abi_fault *fault, void *context), void *context)
{
	uint64_t *heads = xcalloc(pages->cpus, sizeof(*heads));
	const struct abi_fault *record;
	unsigned cpu = 0;

	for (unsigned i = 0; i < pages->cpus; i++)
		heads[i] = __atomic_load_n(&pages->rings[i].head, __ATOMIC_ACQUIRE);
	while ((record = oldest(pages, heads, &cpu)) && record->sequence < limit) {
		take(record, context);
		__atomic_store_n(&pages->rings[cpu].tail, pages->rings[cpu].tail + 1,
				 __ATOMIC_RELEASE);
	}
	free(heads);
}

/*
 * Interrupts are off where the exception's tracepoints are: what the kernel does not run their
 * programs for, since one runs already on that CPU, are faults of its own reads of the stack. They
 * are none of the target's, and no loss.
 */
void pages_read_statistics(const struct pages *pages, struct pages_statistics *ret)
{
	const struct bpf_program *counted = pages->skeleton->progs.page_fault_counted;
	const struct bpf_program *programs[] = {
		pages->skeleton->progs.page_fault_user,
		pages->skeleton->progs.page_fault_kernel,
		counted,
	};

	memset(ret, 0, sizeof(*ret));
	for (unsigned i = 0; i < pages->cpus; i++)
		ret->faults += __atomic_load_n(&pages->ledger.threads[i].events, __ATOMIC_RELAXED);
	for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++) {
		struct bpf_prog_info info;

		if (!program_info(bpf_program__fd(programs[i]), &info))
			continue;
		ret->missed += programs[i] == counted ? info.recursion_misses : 0;
		ret->runs += info.run_cnt;
		ret->run_time_ns += info.run_time_ns;
	}
}
