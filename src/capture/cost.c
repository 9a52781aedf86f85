/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/cost.h"

#include "util/alloc.h"
#include "util/cleanup.h"
#include "util/median.h"

#include <bpf/bpf.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define SAMPLE_NS 50000000ull
/*
 * Run-time statistics slow every program of the system, by some 70 ns here: on for a moment, and
 * not while each stack is still new; then off. In windows, of which the one in the middle counts: a
 * program that is put aside for another task takes all that time as its own.
 */
#define STATISTICS_FIRST_NS 1000000000ull
#define STATISTICS_ON_NS    1000000000ull
#define STATISTICS_EVERY_NS 60000000000ull
#define WINDOWS		    5
#define WINDOW_LEAST_NS	    15000000ull
#define WINDOW_LOOK_MS	    20
#define WINDOW_CALLS	    300u
#define LEAST_CALLS	    100u /* in all the time, where there are so few */
/* Of a trap: what the programs of an event take, before they have been measured. */
#define PROGRAM_GUESS 0.2

struct thread_count {
	uint32_t tid;
	uint64_t events, steps;
};

struct cost_meter {
	pid_t pid;
	clockid_t cpu_clock;
	bool cpu_known;
	struct trap_costs traps;
	double event_ns; /* without single steps */
	struct thread_count *threads;
	unsigned thread_capacity;
	uint64_t last_ns;
	uint64_t last_cpu_ns;
	pid_t waiting_thread; /* whose waiting was read last */
	uint64_t waited_ns;
	struct overhead last;
	int statistics_fd;		   /* -1: run time is not measured */
	uint64_t wait_ns;		   /* until it is measured again */
	uint64_t statistics_ns;		   /* last switched */
	struct heap_statistics statistics; /* when the window began */
	uint64_t window_ns;
	double windows[WINDOWS]; /* ns an event */
	unsigned window_count;
};

struct cost_meter *cost_meter_new(pid_t pid, const struct trap_costs *traps)
{
	struct cost_meter *meter = xcalloc(1, sizeof(*meter));

	meter->pid = pid;
	meter->cpu_known = !clock_getcpuclockid(pid, &meter->cpu_clock);
	meter->traps = *traps;
	meter->statistics_fd = -1;
	meter->event_ns = (traps->entry_ns + traps->entry_return_ns) / 2 * (1 + PROGRAM_GUESS);
	meter->last.target_percent = meter->last.worst_thread_percent = NAN;
	meter->last.events_per_s = meter->last.ns_per_event = NAN;
	return meter;
}

void cost_meter_free(struct cost_meter *meter)
{
	if (!meter)
		return;
	if (meter->statistics_fd >= 0)
		close(meter->statistics_fd);
	free(meter->threads);
	free(meter);
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	if (clock_gettime(clock, &now))
		return 0;
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static void end_statistics(struct cost_meter *meter, uint64_t now_ns)
{
	if (meter->statistics_fd >= 0)
		close(meter->statistics_fd);
	meter->statistics_fd = -1;
	meter->statistics_ns = now_ns;
}

void cost_meter_start(struct cost_meter *meter, const struct heap *heap, uint64_t now_ns)
{
	const struct ledger *ledger = heap_ledger((struct heap *)heap);

	free(meter->threads);
	meter->thread_capacity = ledger->sizes.threads;
	meter->threads = xcalloc(meter->thread_capacity, sizeof(*meter->threads));
	for (unsigned i = 0; i < meter->thread_capacity; i++) {
		meter->threads[i].tid = ledger->threads[i].tid;
		meter->threads[i].events = ledger->threads[i].events;
		meter->threads[i].steps = ledger->threads[i].steps;
	}
	meter->last_ns = now_ns;
	meter->last_cpu_ns = meter->cpu_known ? clock_ns(meter->cpu_clock) : 0;
	end_statistics(meter, now_ns);
	meter->wait_ns = STATISTICS_FIRST_NS;
}

bool cost_of_event(const struct trap_costs *traps, const struct heap_statistics *before,
		   const struct heap_statistics *now, unsigned least, double *ret)
{
	double sessions = (now->session_runs - before->session_runs) / 2.0;
	double entries = now->entering_runs - before->entering_runs;
	double returns = now->returning_runs - before->returning_runs;
	double leaves = now->leaving_runs - before->leaving_runs;
	double frees = now->freeing_runs - before->freeing_runs;
	double calls = sessions + entries + frees;
	double runs = 2 * sessions + entries + returns + leaves + frees, ns;

	if (calls < least)
		return false;
	ns = now->run_time_ns - before->run_time_ns;
	ns -= fmin(runs * traps->statistics_ns, ns);
	ns += sessions * traps->entry_return_ns + (entries + leaves + frees) * traps->entry_ns;
	ns += returns * (traps->entry_return_ns - traps->entry_ns);
	*ret = ns / calls;
	return true;
}

/* The next window begins where one ends. */
static void end_window(struct cost_meter *meter, const struct heap *heap, uint64_t now_ns,
		       unsigned least)
{
	struct heap_statistics now;

	heap_read_statistics(heap, &now);
	if (!cost_of_event(&meter->traps, &meter->statistics, &now, least,
			   &meter->windows[meter->window_count]))
		return;
	meter->window_count++;
	meter->window_ns = now_ns;
	meter->statistics = now;
}

static void begin_statistics(struct cost_meter *meter, const struct heap *heap, uint64_t now_ns)
{
	meter->statistics_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
	meter->statistics_ns = meter->window_ns = now_ns;
	meter->window_count = 0;
	heap_read_statistics(heap, &meter->statistics);
}

unsigned cost_meter_look(struct cost_meter *meter, const struct heap *heap, uint64_t now_ns)
{
	uint64_t since = now_ns - meter->statistics_ns;

	if (meter->statistics_fd < 0) {
		if (since < meter->wait_ns)
			return 0;
		begin_statistics(meter, heap, now_ns);
		return WINDOW_LOOK_MS;
	}
	if (since >= STATISTICS_ON_NS && !meter->window_count)
		end_window(meter, heap, now_ns, LEAST_CALLS);
	else if (now_ns - meter->window_ns >= WINDOW_LEAST_NS)
		end_window(meter, heap, now_ns, WINDOW_CALLS);
	if (since < STATISTICS_ON_NS && meter->window_count < WINDOWS)
		return WINDOW_LOOK_MS;
	if (meter->window_count)
		meter->event_ns = median(meter->windows, meter->window_count);
	end_statistics(meter, now_ns);
	/* A target that does nothing is looked at more and more seldom. */
	meter->wait_ns *= 2;
	if (meter->window_count || meter->wait_ns > STATISTICS_EVERY_NS)
		meter->wait_ns = STATISTICS_EVERY_NS;
	return 0;
}

void cost_meter_stop(struct cost_meter *meter)
{
	if (meter)
		end_statistics(meter, 0);
}

static void name_thread(pid_t pid, struct overhead *ret)
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[64];

	ret->worst_thread_name[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", pid, ret->worst_thread);
	file = fopen(path, "re");
	if (file && fgets(ret->worst_thread_name, sizeof(ret->worst_thread_name), file))
		ret->worst_thread_name[strcspn(ret->worst_thread_name, "\n")] = '\0';
}

/* Nanoseconds for which a thread could have run and had no CPU, since it began; 0: not told. */
static uint64_t read_waited(pid_t pid, pid_t tid)
{
	_cleanup_fclose_ FILE *file = NULL;
	unsigned long long waited = 0;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", pid, tid);
	file = fopen(path, "re");
	return file && fscanf(file, "%*u %llu", &waited) == 1 ? waited : 0;
}

/*
 * Of `elapsed` what was the worst thread's own: without the time that other load took from it,
 * which would make a thread that does nothing but allocate look harmless on a busy machine.
 */
static uint64_t own_time(struct cost_meter *meter, uint64_t elapsed)
{
	pid_t thread = meter->last.worst_thread;
	uint64_t waited = read_waited(meter->pid, thread), before = meter->waited_ns;
	bool known = thread == meter->waiting_thread && before && waited > before;

	meter->waiting_thread = thread;
	meter->waited_ns = waited;
	if (!known)
		return elapsed;
	/* Waiting is told only when it ends: it may have begun before this sample. */
	return waited - before < elapsed - elapsed / 16 ? elapsed - (waited - before) :
							  elapsed / 16;
}

struct caused {
	uint64_t events, steps;
	double worst_ns; /* of the thread for which it was most */
	pid_t worst_thread;
};

static double cost_ns(const struct cost_meter *meter, uint64_t events, uint64_t steps)
{
	double step_ns = meter->traps.single_step_ns - meter->traps.entry_ns;

	return events * meter->event_ns + steps * fmax(step_ns, 0);
}

static uint64_t more_than(uint64_t now, uint64_t before)
{
	return now >= before ? now - before : now;
}

/* Since the last sample. */
static void count_events(struct cost_meter *meter, const struct ledger *ledger, struct caused *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (unsigned i = 0; i < meter->thread_capacity; i++) {
		const struct abi_thread *thread = &ledger->threads[i];
		struct thread_count *known = &meter->threads[i], now;
		uint64_t events, steps;
		double ns;

		now.tid = __atomic_load_n(&thread->tid, __ATOMIC_ACQUIRE);
		if (!now.tid && !known->tid)
			continue;
		now.events = __atomic_load_n(&thread->events, __ATOMIC_RELAXED);
		now.steps = __atomic_load_n(&thread->steps, __ATOMIC_RELAXED);
		if (now.tid != known->tid)
			known->events = known->steps = 0;
		events = more_than(now.events, known->events);
		steps = more_than(now.steps, known->steps);
		ns = cost_ns(meter, events, steps);
		*known = now;
		ret->events += events;
		ret->steps += steps;
		if (ns > ret->worst_ns) {
			ret->worst_ns = ns;
			ret->worst_thread = now.tid;
		}
	}
}

void cost_meter_sample(struct cost_meter *meter, struct heap *heap, uint64_t now_ns,
		       struct overhead *ret)
{
	uint64_t elapsed = now_ns - meter->last_ns;
	struct caused caused;
	uint64_t cpu;
	double ns;

	if (!heap) {
		meter->last.events_per_s = 0;
		meter->last.target_percent = meter->last.worst_thread_percent = 0;
		*ret = meter->last;
		return;
	}
	cost_meter_look(meter, heap, now_ns);
	if (elapsed < SAMPLE_NS) {
		*ret = meter->last;
		return;
	}
	cpu = meter->cpu_known ? clock_ns(meter->cpu_clock) : 0;
	count_events(meter, heap_ledger(heap), &caused);
	ns = cost_ns(meter, caused.events, caused.steps);
	if (caused.worst_ns > 0)
		meter->last.worst_thread = caused.worst_thread;
	meter->last.events_per_s = caused.events * 1e9 / elapsed;
	meter->last.ns_per_event = meter->event_ns;
	if (caused.events)
		meter->last.ns_per_event += cost_ns(meter, 0, caused.steps) / caused.events;
	meter->last.worst_thread_percent = 100.0 * caused.worst_ns / own_time(meter, elapsed);
	meter->last.target_percent = cpu > meter->last_cpu_ns ?
					     100.0 * ns / (cpu - meter->last_cpu_ns) :
					     (caused.events ? NAN : 0);
	name_thread(meter->pid, &meter->last);
	meter->last_ns = now_ns;
	meter->last_cpu_ns = cpu;
	*ret = meter->last;
}

double cost_meter_statistics_ns(const struct cost_meter *meter)
{
	return meter->traps.statistics_ns;
}

void self_meter_sample(struct self_meter *meter, uint64_t now_ns, struct overhead *ret)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/self/statm", "re");
	uint64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	unsigned long size, resident;

	if (file && fscanf(file, "%lu %lu", &size, &resident) == 2)
		ret->self_rss_bytes = (uint64_t)resident * sysconf(_SC_PAGESIZE);
	ret->self_cpu_percent = NAN;
	if (meter->time_ns && now_ns > meter->time_ns)
		ret->self_cpu_percent = 100.0 * (cpu - meter->cpu_ns) / (now_ns - meter->time_ns);
	meter->time_ns = now_ns;
	meter->cpu_ns = cpu;
}
