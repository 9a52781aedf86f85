/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/calibrate.h"

#include "capture/program_info.h"
#include "util/median.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 15
#define CALLS  60

/*
 * Functions whose first instruction is known: one that the kernel emulates, one that it has to
 * single-step.
 */
void calibrate_emulated(void);
void calibrate_returning(void);
void calibrate_counted(void);
void calibrate_stepped(void);
#define FUNCTION(name, code)                                                             \
	".type " #name ",@function\n.globl " #name "\n" #name ": " code "\n.size " #name \
	",.-" #name "\n"
#if defined(__x86_64__)
__asm__(".text\n" FUNCTION(calibrate_emulated, "push %rbp\n pop %rbp\n ret")
		FUNCTION(calibrate_returning, "push %rbp\n pop %rbp\n ret")
			FUNCTION(calibrate_counted, "push %rbp\n pop %rbp\n ret")
				FUNCTION(calibrate_stepped, "test %rdi,%rdi\n ret"));
#elif defined(__aarch64__)
__asm__(".text\n" FUNCTION(calibrate_emulated, "nop\n ret")
		FUNCTION(calibrate_returning, "nop\n ret") FUNCTION(calibrate_counted, "nop\n ret")
			FUNCTION(calibrate_stepped, "add x9,x9,#1\n ret"));
#endif

/* Offset in memtop's file of a function of its own. */
static int own_offset(void (*function)(void), uint64_t *ret)
{
	uint64_t address = (uintptr_t)function, start, end, offset;
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[4096 + 256];
	int error = -ENOENT;

	if (!maps)
		return -errno;
	while (error && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64, &start, &end, &offset) !=
		    3)
			continue;
		if (address < start || address >= end)
			continue;
		*ret = address - start + offset;
		error = 0;
	}
	fclose(maps);
	return error;
}

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

/* Median over rounds of the time of one call. */
static double time_call(void (*function)(void))
{
	double rounds[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		double start = now_ns();

		for (int j = 0; j < CALLS; j++)
			function();
		rounds[i] = (now_ns() - start) / CALLS;
	}
	return median(rounds, ROUNDS);
}

/* The kind of a probe at an entry alone: sessions have both. */
static enum probe_kind entry_kind(enum probe_kind kind)
{
	return kind == PROBE_SESSION ? PROBE_MULTI : kind;
}

/*
 * What the run-time statistics say of one run of a program that does nothing: it is their own
 * reading of the clock. 0 where the kernel has none.
 */
static double time_statistics(void (*function)(void), int program)
{
	int statistics = bpf_enable_stats(BPF_STATS_RUN_TIME);
	struct bpf_prog_info before, after;
	double rounds[ROUNDS];
	size_t count = 0;

	for (int i = 0; statistics >= 0 && i < ROUNDS; i++) {
		if (!program_info(program, &before))
			break;
		for (int j = 0; j < CALLS; j++)
			function();
		if (!program_info(program, &after) || after.run_cnt == before.run_cnt)
			break;
		rounds[count++] = (double)(after.run_time_ns - before.run_time_ns) /
				  (double)(after.run_cnt - before.run_cnt);
	}
	if (statistics >= 0)
		close(statistics);
	return count ? median(rounds, count) : 0;
}

static int measure(void (*function)(void), enum probe_kind kind, bool returns, double *ret,
		   double *statistics_ns)
{
	struct probe probe = {.path = "/proc/self/exe"};
	/* Links end with the process: taking them out one by one would cost a grace period each. */
	size_t link_count = 0;
	int program, error, links[2];
	double bare;

	error = own_offset(function, &probe.offset);
	if (error)
		return error;
	if (!returns || kind != PROBE_SESSION)
		kind = entry_kind(kind);
	program = probe_load_empty(kind);
	if (program < 0)
		return program;
	bare = time_call(function);
	error = probes_attach(program, kind, false, getpid(), &probe, 1, links, &link_count);
	if (!error && returns && kind != PROBE_SESSION)
		error = probes_attach(program, kind, true, getpid(), &probe, 1, links, &link_count);
	if (!error)
		*ret = time_call(function) - bare;
	if (!error && statistics_ns)
		*statistics_ns = time_statistics(function, program);
	return error;
}

static void *call_often(void *unused)
{
	for (int i = 0; i < CALLS; i++)
		calibrate_counted();
	return unused;
}

/*
 * Some kernels with multi-uprobes take a process for its first thread alone. What another one calls
 * must be counted: 0, or -ESRCH where it is not.
 */
static int sees_threads(enum probe_kind kind)
{
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "calls", sizeof(uint32_t), sizeof(uint64_t), 1,
				 NULL);
	struct probe probe = {.path = "/proc/self/exe"};
	int program, error, link = -1;
	size_t link_count = 0;
	uint64_t calls = 0;
	uint32_t zero = 0;
	pthread_t thread;

	if (map < 0)
		return -errno;
	error = own_offset(calibrate_counted, &probe.offset);
	program = error ? error : probe_load_counting(kind, map);
	if (program < 0)
		return program;
	error = probes_attach(program, kind, false, getpid(), &probe, 1, &link, &link_count);
	if (!error)
		error = -pthread_create(&thread, NULL, call_often, NULL);
	if (error)
		return error;
	pthread_join(thread, NULL);
	if (bpf_map_lookup_elem(map, &zero, &calls))
		return -errno;
	return calls < CALLS ? -ESRCH : 0;
}

static int measure_all(enum probe_kind kind, struct trap_costs *ret)
{
	int error = kind == PROBE_PERF ? 0 : sees_threads(kind);

	if (!error)
		error = measure(calibrate_emulated, kind, false, &ret->entry_ns,
				&ret->statistics_ns);

	if (!error)
		error = measure(calibrate_returning, kind, true, &ret->entry_return_ns, NULL);
	if (!error)
		error = measure(calibrate_stepped, kind, false, &ret->single_step_ns, NULL);
	return error;
}

struct answer {
	int error;
	struct trap_costs costs;
};

/* All that the function, and what comes after it, needs; else the kernel ends the process. */
static int refuse_calls(void)
{
	static const unsigned allowed[] = {SYS_write, SYS_exit_group, SYS_exit};
	struct sock_filter code[2 + sizeof(allowed) / sizeof(*allowed) + 1];
	struct sock_fprog program = {.filter = code};
	unsigned count = sizeof(allowed) / sizeof(*allowed), at = 0;

	code[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						  offsetof(struct seccomp_data, nr));
	for (unsigned i = 0; i < count; i++)
		code[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i],
							  (uint8_t)(count - i), 0);
	code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	program.len = (unsigned short)at;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return -errno;
	return 0;
}

static int try_filtered(enum probe_kind kind, struct trap_costs *ret)
{
	int error = measure(calibrate_returning, kind, true, &ret->entry_return_ns, NULL);

	if (!error)
		error = refuse_calls();
	for (int i = 0; !error && i < CALLS; i++)
		calibrate_returning();
	return error;
}

typedef int trial(enum probe_kind kind, struct trap_costs *ret);

/*
 * The grandchild: measures, answers, and takes all the time it needs for taking its probes out,
 * which waits for the kernel's grace periods.
 */
static _Noreturn void answer_and_exit(trial *try, enum probe_kind kind, int fd)
{
	struct answer answer = {0};

	answer.error = try(kind, &answer.costs);
	if (write(fd, &answer, sizeof(answer)) != sizeof(answer))
		_exit(1);
	_exit(0);
}

static int run_trial(trial *try, enum probe_kind kind, struct trap_costs *ret)
{
	struct answer answer = {0};
	int ends[2];
	ssize_t got;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	child = fork();
	if (!child) {
		if (!fork())
			answer_and_exit(try, kind, ends[1]);
		_exit(0);
	}
	close(ends[1]);
	if (child > 0)
		while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
			;
	do {
		got = child > 0 ? read(ends[0], &answer, sizeof(answer)) : -1;
	} while (got < 0 && child > 0 && errno == EINTR);
	close(ends[0]);
	if (got != sizeof(answer))
		return -ECHILD; /* it did not survive its own probes */
	*ret = answer.costs;
	return answer.error;
}

int calibrate_traps(enum probe_kind *kind, struct trap_costs *ret)
{
	int error;

	*kind = probe_kind_best();
	if (*kind == PROBE_KIND_COUNT)
		return -EOPNOTSUPP;
	error = run_trial(measure_all, *kind, ret);
	if (error != -ESRCH)
		return error;
	*kind = PROBE_PERF;
	return run_trial(measure_all, *kind, ret);
}

int calibrate_filtered(enum probe_kind kind)
{
	struct trap_costs unused;

	return run_trial(try_filtered, kind, &unused);
}
