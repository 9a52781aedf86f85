/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/probes.h"

#include "util/alloc.h"
#include "util/cleanup.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the headers of Debian 12; the kernel's user ABI, so they never change. */
#define ATTACH_UPROBE_MULTI   48
#define ATTACH_UPROBE_SESSION 57
#define UPROBE_MULTI_RETURN   1u

struct link_create {
	uint32_t program, target, attach_type, flags;
	union {
		struct {
			uint64_t path, offsets, ref_ctr_offsets, cookies;
			uint32_t count, flags, pid;
		} uprobe_multi;
		struct {
			uint64_t cookie;
		} perf_event;
	};
};

static int link_create(struct link_create *attributes)
{
	int fd = syscall(SYS_bpf, BPF_LINK_CREATE, attributes, sizeof(*attributes));

	return fd < 0 ? -errno : fd;
}

/* All probes of one file in one link. */
static int attach_multi(int program, enum probe_kind kind, bool returns, pid_t pid,
			const struct probe *probes, size_t count)
{
	_cleanup_free_ uint64_t *offsets = xcalloc(count, sizeof(*offsets));
	_cleanup_free_ uint64_t *cookies = xcalloc(count, sizeof(*cookies));
	struct link_create attributes = {
		.program = program,
		.attach_type = kind == PROBE_SESSION ? ATTACH_UPROBE_SESSION : ATTACH_UPROBE_MULTI,
	};

	for (size_t i = 0; i < count; i++) {
		offsets[i] = probes[i].offset;
		cookies[i] = probes[i].cookie;
	}
	attributes.uprobe_multi.path = (uintptr_t)probes[0].path;
	attributes.uprobe_multi.offsets = (uintptr_t)offsets;
	attributes.uprobe_multi.cookies = (uintptr_t)cookies;
	attributes.uprobe_multi.count = count;
	attributes.uprobe_multi.pid = pid;
	if (kind == PROBE_MULTI && returns)
		attributes.uprobe_multi.flags = UPROBE_MULTI_RETURN;
	return link_create(&attributes);
}

/* A number from a file of the uprobe PMU ("8", "config:0"); -errno. */
static int pmu_number(const char *file, const char *format)
{
	_cleanup_fclose_ FILE *stream = NULL;
	char path[128];
	int number;

	snprintf(path, sizeof(path), "/sys/bus/event_source/devices/uprobe/%s", file);
	stream = fopen(path, "re");
	if (!stream)
		return -errno;
	return fscanf(stream, format, &number) == 1 ? number : -EINVAL;
}

static int attach_perf(int program, bool returns, pid_t pid, const struct probe *probe)
{
	struct perf_event_attr event = {.size = sizeof(event)};
	struct link_create attributes = {.program = program, .attach_type = BPF_PERF_EVENT};
	int type = pmu_number("type", "%d");
	int fd, link;

	if (type < 0)
		return type;
	event.type = type;
	if (returns) {
		int bit = pmu_number("format/retprobe", "config:%d");

		if (bit < 0)
			return bit;
		event.config = 1ull << bit;
	}
	event.config1 = (uintptr_t)probe->path;
	event.config2 = probe->offset;
	fd = syscall(SYS_perf_event_open, &event, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return -errno;
	attributes.target = fd;
	attributes.perf_event.cookie = probe->cookie;
	link = link_create(&attributes);
	close(fd); /* the link holds the event */
	return link;
}

int probe_prepare_program(struct bpf_program *program, enum probe_kind kind)
{
	static const uint32_t types[PROBE_KIND_COUNT] = {
		[PROBE_SESSION] = ATTACH_UPROBE_SESSION,
		[PROBE_MULTI] = ATTACH_UPROBE_MULTI,
		[PROBE_PERF] = 0,
	};

	return bpf_program__set_expected_attach_type(program, types[kind]);
}

static size_t same_file(const struct probe *probes, size_t count)
{
	size_t n = 1;

	while (n < count && !strcmp(probes[n].path, probes[0].path))
		n++;
	return n;
}

int probes_attach(int program, enum probe_kind kind, bool returns, pid_t pid,
		  const struct probe *probes, size_t count, int *links, size_t *link_count)
{
	while (count) {
		size_t n = kind == PROBE_PERF ? 1 : same_file(probes, count);
		int link = kind == PROBE_PERF ?
				   attach_perf(program, returns, pid, probes) :
				   attach_multi(program, kind, returns, pid, probes, n);

		if (link < 0)
			return link;
		links[(*link_count)++] = link;
		probes += n;
		count -= n;
	}
	return 0;
}

#define MAX_CLOSERS 32

struct closing {
	const int *links;
	size_t count;
	size_t next; /* the first that nobody has taken yet */
};

static void *close_links(void *context)
{
	struct closing *closing = context;
	size_t i;

	while ((i = __atomic_fetch_add(&closing->next, 1, __ATOMIC_RELAXED)) < closing->count)
		close(closing->links[i]);
	return NULL;
}

/*
 * The kernel waits for a grace period before a link is gone, one after the other if one thread
 * closes them all: the target would wait for its last breakpoint to go that much longer. So several
 * close, each the next one that is left: perf uprobes are a link each, and many.
 */
void probes_detach(int *links, size_t *link_count)
{
	struct closing closing = {.links = links, .count = *link_count};
	pthread_t closers[MAX_CLOSERS];
	size_t started = 0;
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (started < MAX_CLOSERS && started + 1 < closing.count &&
	       !pthread_create(&closers[started], NULL, close_links, &closing))
		started++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	close_links(&closing);
	for (size_t i = 0; i < started; i++)
		pthread_join(closers[i], NULL);
	*link_count = 0;
}

static int load(enum probe_kind kind, const struct bpf_insn *code, size_t count)
{
	static const char license[] = "GPL";
	union bpf_attr attributes;
	int fd;

	memset(&attributes, 0, sizeof(attributes));
	attributes.prog_type = BPF_PROG_TYPE_KPROBE;
	attributes.insns = (uintptr_t)code;
	attributes.insn_cnt = count;
	attributes.license = (uintptr_t)license;
	if (kind == PROBE_SESSION)
		attributes.expected_attach_type = ATTACH_UPROBE_SESSION;
	else if (kind == PROBE_MULTI)
		attributes.expected_attach_type = ATTACH_UPROBE_MULTI;
	fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof(attributes));
	return fd < 0 ? -errno : fd;
}

int probe_load_empty(enum probe_kind kind)
{
	static const struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};

	return load(kind, code, sizeof(code) / sizeof(*code));
}

int probe_load_counting(enum probe_kind kind, int map)
{
	const struct bpf_insn code[] = {
		{.code = BPF_LD | BPF_DW | BPF_IMM,
		 .dst_reg = 1,
		 .src_reg = BPF_PSEUDO_MAP_VALUE,
		 .imm = map},
		{0},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 1},
		{.code = BPF_STX | BPF_DW | BPF_ATOMIC, .dst_reg = 1, .src_reg = 2, .imm = BPF_ADD},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};

	return load(kind, code, sizeof(code) / sizeof(*code));
}

/*
 * Does the kernel know the kind? A link to a file that is not there fails late, on the file
 * (ENOENT), where the kind is known, and early (EINVAL) where it is not.
 */
static bool kind_known(enum probe_kind kind)
{
	struct probe nowhere = {.path = "/proc/self/no-such-file"};
	int program, link;

	if (kind == PROBE_PERF)
		return pmu_number("type", "%d") >= 0;
	/* A session's program asks the kernel which of the two it is called for. */
	if (kind == PROBE_SESSION && access("/sys/kernel/btf/vmlinux", R_OK))
		return false;
	program = probe_load_empty(kind);
	if (program < 0)
		return false;
	link = attach_multi(program, kind, false, getpid(), &nowhere, 1);
	close(program);
	if (link >= 0)
		close(link);
	return link == -ENOENT || link >= 0;
}

enum probe_kind probe_kind_best(void)
{
	int kind;

	for (kind = 0; kind < PROBE_KIND_COUNT; kind++)
		if (kind_known(kind))
			break;
	return kind;
}

int probe_permission(char *error, size_t size)
{
	int program = probe_load_empty(PROBE_PERF);
	int type = pmu_number("type", "%d");

	if (program >= 0)
		close(program);
	if (program == -EPERM || program == -EACCES) {
		snprintf(
			error, size,
			"probes need root, or the capabilities CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE");
		return -EPERM;
	}
	if (program < 0) {
		snprintf(error, size, "this kernel takes no BPF programs (CONFIG_BPF_SYSCALL): %s",
			 strerror(-program));
		return -EOPNOTSUPP;
	}
	if (type < 0) {
		snprintf(
			error, size,
			"this kernel has no uprobes (CONFIG_UPROBE_EVENTS), or /sys is not mounted");
		return -EOPNOTSUPP;
	}
	return 0;
}
