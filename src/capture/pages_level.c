/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/pages_level.h"

#include "capture/clock.h"
#include "capture/pace.h"
#include "capture/procfs.h"
#include "capture/residency.h"
#include "util/alloc.h"
#include "util/cleanup.h"
#include "util/vec.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SITES	       4096
#define WALK_BUDGET_NS 700000 /* per tick; what is left of a millisecond is smaps' */
#define MAX_DEBT_NS    (1000 * WALK_BUDGET_NS)
/* The first walk is done before the first tick, in pieces of a tick's share. */
#define FIRST_PIECES   64
#define FIRST_PAUSE_NS 1000000
#define COMPILE_MS     200
/* Cohort numbers are given out again once fewer than these are left. */
#define RELABEL_AGE_NS	 5000000000ull
#define RELABEL_BELOW	 48
#define PROGRAM_GUESS_NS 500.0
#define MEASURE_NS	 1000000000ull
#define MEASURE_FIRST_NS 5000000000ull /* not while the target may just be starting */
#define MEASURE_EVERY_NS 60000000000ull
#define SAMPLE_NS	 50000000ull
#define LEAST_RUNS	 100
/* A run for another process: it ends at once. */
#define FOREIGN_RUN_NS 50.0

struct range {
	uint64_t start, end;
};

struct cost {
	clockid_t cpu_clock;
	bool cpu_known;
	double fault_ns;
	int statistics_fd; /* -1: run time is not measured */
	bool measured;	   /* at least once */
	uint64_t switched_ns, last_ns, last_cpu_ns;
	struct pages_statistics at_switch, last;
	struct overhead overhead;
};

struct pages_level {
	pid_t pid;
	struct pages *pages;
	struct maps_side *maps;
	struct residency residency;
	struct pages_table table;
	const struct maps_change *changes; /* of the drain under way, */
	size_t change_count, change;	   /* the next one */
	VEC(struct range) changed;	   /* while the piece at hand was read */
	VEC(struct range) ranges;	   /* of the walk under way */
	struct pace pace;		   /* of reads of the mappings for them, by scan */
	size_t range;
	uint64_t cursor;
	bool walking;	  /* between two walks if not */
	uint64_t read_ns; /* of the lock, so far */
	bool passed;	  /* faults that come now are younger than the piece at hand */
	int64_t budget_ns;
	unsigned walks;
	struct cost cost;
};

/* --- faults --- */

static void note_changed(struct pages_level *level, uint64_t start, uint64_t bytes)
{
	*vec_push(&level->changed) = (struct range){start, start + bytes};
}

/* Changes of before the fault with this number. */
static void take_changes(struct pages_level *level, uint64_t sequence)
{
	for (; level->change < level->change_count; level->change++) {
		const struct maps_change *change = &level->changes[level->change];

		if (change->sequence > sequence)
			break;
		if (change->to)
			pages_table_move(&level->table, change->from, change->to, change->bytes);
		else
			pages_table_unmap(&level->table, change->from,
					  change->from + change->bytes);
		if (!level->passed)
			continue;
		note_changed(level, change->from, change->bytes);
		if (change->to)
			note_changed(level, change->to, change->bytes);
	}
}

static void take_fault(const struct abi_fault *fault, void *context)
{
	struct pages_level *level = context;

	take_changes(level, fault->sequence);
	pages_table_fault(&level->table, fault->address, fault->site,
			  fault->flags & ABI_FAULT_PRESENT, level->passed);
}

static void drain(struct pages_level *level, bool passed)
{
	uint64_t limit = pages_sequence(level->pages);

	level->passed = passed;
	level->change = level->change_count = 0;
	if (level->maps)
		level->changes = maps_side_changes(level->maps, &level->change_count);
	pages_drain(level->pages, limit, take_fault, level);
	take_changes(level, limit);
	if (level->maps)
		maps_side_drop_changes(level->maps, level->change);
}

/* --- walks --- */

/* Huge pages set aside (hugetlbfs) are resident, but in no RSS. */
static bool is_in_rss(const struct mapping *mapping)
{
	return strncmp(mapping->path, "/anon_hugepage", 14) &&
	       strncmp(mapping->path, "/dev/hugepages/", 15);
}

static void add_range(struct pages_level *level, uint64_t start, uint64_t end)
{
	if (start < end)
		*vec_push(&level->ranges) = (struct range){start, end};
}

/*
 * What a walk reads: the mappings, word by word; by scan everything but what RSS leaves out, since
 * the scan knows itself what is mapped, and mappings made meanwhile are found.
 */
static int find_ranges(struct pages_level *level)
{
	struct procmaps maps;
	uint64_t from = 0, before = thread_cpu_ns(), spent;
	int error = procmaps_read(level->pid, &maps);

	spent = thread_cpu_ns() - before;
	level->read_ns += spent;
	if (error)
		return error;
	pace_take(&level->pace, monotonic_ns(), spent, maps.count);
	level->ranges.count = 0;
	for (size_t i = 0; i < maps.count; i++) {
		const struct mapping *mapping = &maps.data[i];

		if (mapping->start >> 63)
			continue;
		if (!level->residency.scans && is_in_rss(mapping))
			add_range(level, mapping->start, mapping->end);
		if (level->residency.scans && !is_in_rss(mapping)) {
			add_range(level, from, mapping->start);
			from = mapping->end;
		}
	}
	for (size_t i = maps.count; level->residency.scans && i--;)
		if (!(maps.data[i].start >> 63)) {
			add_range(level, from, maps.data[i].end);
			break;
		}
	procmaps_deinit(&maps);
	return 0;
}

/* By scan the ranges are nearly always one: those of the last walk do for a while. */
static int start_walk(struct pages_level *level)
{
	int error = 0;

	if (!level->residency.scans || !level->ranges.count ||
	    pace_is_due(&level->pace, monotonic_ns()))
		error = find_ranges(level);
	if (error)
		return error;
	level->range = 0;
	level->cursor = 0;
	level->walking = true;
	return 0;
}

static void end_walk(struct pages_level *level)
{
	/* Behind the last range there is nothing. */
	pages_table_walked(&level->table, level->cursor, 1ull << 63, NULL, 0);
	level->table.first_walk = false;
	level->walking = false;
	level->walks++;
}

/* Its memory goes before it does: what is not there then was not given back by the program. */
static bool has_memory(const struct pages_level *level)
{
	_cleanup_free_ char *text = NULL;

	return !procfs_read(level->pid, "statm", &text, NULL) && strncmp(text, "0 ", 2);
}

static int read_piece(struct pages_level *level, uint64_t start, uint64_t end,
		      struct pages_run runs[RESIDENCY_RUNS], size_t *ret_count, uint64_t *ret_end)
{
	uint64_t before;
	int error;

	drain(level, false);
	level->changed.count = 0;
	before = thread_cpu_ns();
	error = residency_read(&level->residency, start, end, runs, ret_count, ret_end);
	level->read_ns += thread_cpu_ns() - before;
	drain(level, true);
	return error || has_memory(level) ? error : -ESRCH;
}

/* The part of a piece of which nothing changed while it was read. */
static void believe_part(struct pages_level *level, uint64_t start, uint64_t end,
			 const struct pages_run *runs, size_t count)
{
	struct pages_run part[RESIDENCY_RUNS];
	size_t n = 0;

	for (size_t i = 0; i < count && runs[i].start < end; i++) {
		if (runs[i].end <= start)
			continue;
		part[n] = runs[i];
		if (part[n].start < start)
			part[n].start = start;
		if (part[n].end > end)
			part[n].end = end;
		n++;
	}
	pages_table_walked(&level->table, start, end, part, n);
}

static int compare_ranges(const void *a, const void *b)
{
	const struct range *left = a, *right = b;

	return (left->start > right->start) - (left->start < right->start);
}

static void believe(struct pages_level *level, uint64_t start, uint64_t end,
		    const struct pages_run *runs, size_t count)
{
	uint64_t cursor = start;

	if (level->changed.count)
		qsort(level->changed.data, level->changed.count, sizeof(struct range),
		      compare_ranges);
	for (size_t i = 0; i < level->changed.count && cursor < end; i++) {
		const struct range *changed = &level->changed.data[i];
		uint64_t stop = changed->start < end ? changed->start : end;

		if (cursor < stop)
			believe_part(level, cursor, stop, runs, count);
		if (cursor < changed->end)
			cursor = changed->end;
		for (; count && runs->end <= cursor; runs++)
			count--;
	}
	if (cursor < end)
		believe_part(level, cursor, end, runs, count);
}

/* One read of residency. An error ends the walk: the next one begins anew. */
static void walk_piece(struct pages_level *level)
{
	struct pages_run runs[RESIDENCY_RUNS];
	const struct range *range;
	uint64_t start, end;
	size_t count;

	if (!level->walking && start_walk(level))
		return;
	if (level->range >= level->ranges.count) {
		end_walk(level);
		return;
	}
	range = &level->ranges.data[level->range];
	start = level->cursor > range->start ? level->cursor : range->start;
	if (read_piece(level, start, range->end, runs, &count, &end)) {
		level->walking = false;
		return;
	}
	pages_table_walked(&level->table, level->cursor, start, NULL, 0);
	believe(level, start, end, runs, count);
	level->cursor = end;
	if (end >= range->end)
		level->range++;
}

/* Pieces of one walk, at most, until the budget is spent. Returns the time that they took. */
static uint64_t walk(struct pages_level *level)
{
	uint64_t begin = level->read_ns;
	unsigned walks = level->walks;

	level->budget_ns += WALK_BUDGET_NS;
	if (level->budget_ns > WALK_BUDGET_NS)
		level->budget_ns = WALK_BUDGET_NS;
	while (level->budget_ns > 0 && level->walks == walks) {
		uint64_t before = level->read_ns;

		walk_piece(level);
		level->budget_ns -= (int64_t)(level->read_ns - before);
		if (!level->walking)
			break;
	}
	if (level->budget_ns < -(int64_t)MAX_DEBT_NS)
		level->budget_ns = -(int64_t)MAX_DEBT_NS;
	return level->read_ns - begin;
}

static void first_walk(struct pages_level *level)
{
	const struct timespec pause = {.tv_nsec = FIRST_PAUSE_NS};

	for (unsigned i = 0; i < FIRST_PIECES && !level->walks; i++) {
		level->budget_ns = 0;
		walk(level);
		if (!level->walks)
			nanosleep(&pause, NULL);
	}
}

/* --- opening and closing --- */

static int open_pages(struct pages_level *level, enum pages_events events,
		      struct unwinder *unwinder, char *error, size_t size)
{
	enum pages_events last = events;
	int status;

	if (events == PAGES_EVENTS_COUNT) {
		events = PAGES_EVENTS_EXCEPTION;
		last = PAGES_EVENTS_COUNTER;
	}
	do {
		status = pages_open(level->pid, events, SITES, unwinder, monotonic_ns(),
				    &level->pages, error, size);
	} while (status == -EOPNOTSUPP && events++ < last);
	return status;
}

static int check_machine(char *error, size_t size)
{
	if (sysconf(_SC_PAGESIZE) != 1l << PAGES_SHIFT) {
		snprintf(error, size, "level pages needs pages of 4 KiB, not of %ld",
			 sysconf(_SC_PAGESIZE));
		return -EOPNOTSUPP;
	}
	if (!procfs_in_first_pid_namespace()) {
		snprintf(error, size,
			 "level pages needs memtop to run in the first PID namespace, not in a "
			 "container's");
		return -EOPNOTSUPP;
	}
	return 0;
}

static void start_cost(struct pages_level *level, uint64_t now_ns)
{
	struct cost *cost = &level->cost;

	cost->cpu_known = !clock_getcpuclockid(level->pid, &cost->cpu_clock);
	cost->fault_ns = PROGRAM_GUESS_NS;
	cost->switched_ns = cost->last_ns = now_ns;
	cost->overhead.events_per_s = cost->overhead.ns_per_event = NAN;
	cost->overhead.target_percent = cost->overhead.worst_thread_percent = NAN;
}

static int open_all(struct pages_level *level, enum pages_events events, struct unwinder *unwinder,
		    char *error, size_t size)
{
	struct pages_books books;
	struct ledger *ledger;
	int status = residency_open(&level->residency, level->pid, false);

	if (status) {
		snprintf(error, size, "cannot read /proc/%d/pagemap: %s%s", level->pid,
			 strerror(-status),
			 status == -EACCES ? " (level pages needs root, or CAP_BPF, CAP_PERFMON "
					     "and CAP_SYS_PTRACE)" :
					     "");
		return status == -EACCES ? -EPERM : status;
	}
	status = open_pages(level, events, unwinder, error, size);
	if (status)
		return status;
	ledger = pages_ledger(level->pages);
	books = (struct pages_books){.totals = ledger->totals,
				     .cohorts = ledger->cohorts,
				     .control = ledger->control,
				     .sites = ledger->sizes.sites};
	pages_table_init(&level->table, &books);
	if (unwinder)
		unwinder->ops->work(unwinder, COMPILE_MS);
	status = pages_attach(level->pages);
	if (status)
		snprintf(error, size, "cannot attach to the page faults: %s", strerror(-status));
	return status;
}

int pages_level_open(pid_t pid, enum pages_events events, struct unwinder *unwinder,
		     struct pages_level **ret, char *error, size_t size)
{
	struct pages_level *level = xcalloc(1, sizeof(*level));
	int status = check_machine(error, size);

	level->pid = pid;
	level->residency.fd = level->cost.statistics_fd = -1;
	if (!status)
		status = open_all(level, events, unwinder, error, size);
	if (status) {
		pages_level_close(level);
		return status;
	}
	start_cost(level, monotonic_ns());
	first_walk(level);
	*ret = level;
	return 0;
}

void pages_level_close(struct pages_level *level)
{
	if (!level)
		return;
	if (level->cost.statistics_fd >= 0)
		close(level->cost.statistics_fd);
	pages_close(level->pages);
	pages_table_deinit(&level->table);
	residency_close(&level->residency);
	vec_deinit(&level->ranges);
	vec_deinit(&level->changed);
	free(level);
}

void pages_level_follow(struct pages_level *level, struct maps_side *maps)
{
	level->maps = maps;
}

int pages_level_sequence_fd(const struct pages_level *level)
{
	return pages_sequence_fd(level->pages);
}

/* --- ticks --- */

struct ledger *pages_level_ledger(struct pages_level *level)
{
	return pages_ledger(level->pages);
}

/* The table is all there is of labels, and nobody else writes it: one pass is enough. */
static void relabel(struct pages_level *level, uint64_t now_ns)
{
	struct cohort_clock *clock = &pages_ledger(level->pages)->clock;
	uint8_t labels[ABI_COHORTS];

	if (cohort_clock_free_count(clock) >= RELABEL_BELOW)
		return;
	cohort_clock_relabel(clock, now_ns - RELABEL_AGE_NS, labels);
	pages_table_relabel(&level->table, labels);
	cohort_clock_release(clock, labels);
}

void pages_level_look(struct pages_level *level, uint64_t now_ns)
{
	drain(level, false);
	ledger_advance(pages_ledger(level->pages), now_ns);
	relabel(level, now_ns);
}

uint64_t pages_level_tick(struct pages_level *level, uint64_t now_ns)
{
	pages_level_look(level, now_ns);
	return walk(level);
}

unsigned pages_level_walks(const struct pages_level *level)
{
	return level->walks;
}

uint64_t pages_level_bytes(const struct pages_level *level)
{
	return level->table.resident << PAGES_SHIFT;
}

const struct pages_table *pages_level_table(const struct pages_level *level)
{
	return &level->table;
}

void pages_level_losses(const struct pages_level *level, uint64_t losses[ABI_LOSS_COUNT])
{
	const struct abi_counters *counters = pages_ledger(level->pages)->counters;
	struct pages_statistics statistics;

	for (unsigned i = 0; i < ABI_LOSS_COUNT; i++)
		losses[i] += __atomic_load_n(&counters->losses[i], __ATOMIC_RELAXED);
	pages_read_statistics(level->pages, &statistics);
	losses[ABI_LOSS_EVENT_LOST] += statistics.missed;
}

/* What is not the target's faults' in the programs' time is other processes'. */
static void learn_fault_cost(struct cost *cost, const struct pages_statistics *now)
{
	double faults = (double)(now->faults - cost->at_switch.faults);
	double foreign = (double)(now->runs - cost->at_switch.runs) - faults;
	double ns = (double)(now->run_time_ns - cost->at_switch.run_time_ns);

	if (faults >= LEAST_RUNS)
		cost->fault_ns = fmax(ns - fmax(foreign, 0) * FOREIGN_RUN_NS, 0) / faults;
}

/* Run time is measured for a moment now and then: it slows every program of the system. */
static void measure(struct pages_level *level, const struct pages_statistics *now, uint64_t now_ns)
{
	struct cost *cost = &level->cost;
	uint64_t since = now_ns - cost->switched_ns;

	if (cost->statistics_fd >= 0 && since >= MEASURE_NS) {
		learn_fault_cost(cost, now);
		close(cost->statistics_fd);
		cost->statistics_fd = -1;
		cost->measured = true;
		cost->switched_ns = now_ns;
	} else if (cost->statistics_fd < 0 &&
		   since >= (cost->measured ? MEASURE_EVERY_NS : MEASURE_FIRST_NS)) {
		cost->at_switch = *now;
		cost->statistics_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
		cost->switched_ns = now_ns;
	}
}

void pages_level_cost(struct pages_level *level, uint64_t now_ns, struct overhead *ret)
{
	struct cost *cost = &level->cost;
	uint64_t elapsed = now_ns - cost->last_ns, cpu_ns = 0, faults;
	struct pages_statistics now;
	struct timespec cpu;

	pages_read_statistics(level->pages, &now);
	measure(level, &now, now_ns);
	if (now_ns > cost->last_ns && elapsed >= SAMPLE_NS) {
		if (cost->cpu_known && !clock_gettime(cost->cpu_clock, &cpu))
			cpu_ns = (uint64_t)cpu.tv_sec * 1000000000ull + (uint64_t)cpu.tv_nsec;
		faults = now.faults - cost->last.faults;
		cost->overhead.events_per_s = (double)faults * 1e9 / (double)elapsed;
		cost->overhead.ns_per_event = cost->fault_ns;
		cost->overhead.worst_thread_percent =
			100.0 * (double)faults * cost->fault_ns / (double)elapsed;
		if (cost->last_cpu_ns && cpu_ns > cost->last_cpu_ns)
			cost->overhead.target_percent = 100.0 * (double)faults * cost->fault_ns /
							(double)(cpu_ns - cost->last_cpu_ns);
		cost->last = now;
		cost->last_ns = now_ns;
		cost->last_cpu_ns = cpu_ns;
	}
	*ret = cost->overhead;
}
