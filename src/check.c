/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every need is a row: a question to the machine and what to do where the answer is no. A level is
 * a set of needs.
 */
#include "check.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

/* From linux/capability.h, whose newer numbers old headers lack. */
#define CAP_BIT_SYS_ADMIN (1ull << 21)
#define CAP_BIT_PERFMON	  (1ull << 38)
#define CAP_BIT_BPF	  (1ull << 39)
#define CAP_BIT_PTRACE	  (1ull << 19)

static uint64_t capabilities(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	unsigned long long value = 0;
	char line[256];

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "CapEff: %llx", &value) == 1)
			break;
	fclose(file);
	return value;
}

static bool have_bpf_capability(void)
{
	return capabilities() & (CAP_BIT_SYS_ADMIN | CAP_BIT_BPF);
}

static bool have_perf_capability(void)
{
	return capabilities() & (CAP_BIT_SYS_ADMIN | CAP_BIT_PERFMON);
}

static bool have_ptrace_capability(void)
{
	return capabilities() & CAP_BIT_PTRACE;
}

/* A map that is closed at once: the call may be refused whatever the capabilities say. */
static bool have_bpf_call(void)
{
	union bpf_attr attributes;
	int fd;

	memset(&attributes, 0, sizeof(attributes));
	attributes.map_type = BPF_MAP_TYPE_ARRAY;
	attributes.key_size = 4;
	attributes.value_size = 8;
	attributes.max_entries = 1;
	fd = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof(attributes));
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static bool have_uprobes(void)
{
	return !access("/sys/bus/event_source/devices/uprobe/type", R_OK);
}

static bool have_btf(void)
{
	return !access("/sys/kernel/btf/vmlinux", R_OK);
}

enum need {
	NEED_BPF_CAPABILITY,
	NEED_PERF_CAPABILITY,
	NEED_PTRACE_CAPABILITY,
	NEED_BPF_CALL,
	NEED_UPROBES,
	NEED_BTF,
	NEED_COUNT,
};

static const struct {
	const char *name;
	bool (*ask)(void);
	const char *remedy;
} needs[NEED_COUNT] = {
	[NEED_BPF_CAPABILITY] = {"CAP_BPF or CAP_SYS_ADMIN", have_bpf_capability,
				 "run as root, or: setcap cap_bpf,cap_perfmon,cap_sys_ptrace+ep"},
	[NEED_PERF_CAPABILITY] = {"CAP_PERFMON or CAP_SYS_ADMIN", have_perf_capability,
				  "run as root, or: setcap cap_bpf,cap_perfmon,cap_sys_ptrace+ep"},
	[NEED_PTRACE_CAPABILITY] = {"CAP_SYS_PTRACE", have_ptrace_capability,
				    "without it only processes of the same user can be watched"},
	[NEED_BPF_CALL] = {"bpf(2)", have_bpf_call,
			   "CONFIG_BPF_SYSCALL, no lockdown, a container that allows bpf(2)"},
	[NEED_UPROBES] = {"uprobes", have_uprobes,
			  "CONFIG_UPROBE_EVENTS, and sysfs mounted at /sys"},
	[NEED_BTF] = {"kernel BTF", have_btf,
		      "CONFIG_DEBUG_INFO_BTF; level pages and the kernel side need it"},
};

#define BIT(need) (1u << (need))
#define HEAP_NEEDS                                                                   \
	(BIT(NEED_BPF_CAPABILITY) | BIT(NEED_PERF_CAPABILITY) | BIT(NEED_BPF_CALL) | \
	 BIT(NEED_UPROBES))

static const struct {
	const char *name;
	unsigned needs;
	const char *cost;
} watches[] = {
	{"level rss", 0, "no cost to the target"},
	{"level pages",
	 BIT(NEED_BPF_CAPABILITY) | BIT(NEED_PERF_CAPABILITY) | BIT(NEED_BPF_CALL) | BIT(NEED_BTF),
	 "a stack for each page fault, a look at the page tables each tick"},
	{"level heap", HEAP_NEEDS, "two traps for each malloc and free, measured and shown"},
	{"kernel side",
	 BIT(NEED_BPF_CAPABILITY) | BIT(NEED_PERF_CAPABILITY) | BIT(NEED_BPF_CALL) | BIT(NEED_BTF),
	 "a little for each slab object and page of the whole system"},
};

void check_machine(FILE *out)
{
	struct utsname name;
	unsigned have = 0;

	if (!uname(&name))
		fprintf(out, "%s %s %s\n\n", name.sysname, name.release, name.machine);
	for (unsigned i = 0; i < NEED_COUNT; i++) {
		bool yes = needs[i].ask();

		have |= yes ? BIT(i) : 0;
		fprintf(out, "%-30s %s%s%s\n", needs[i].name, yes ? "yes" : "no", yes ? "" : ": ",
			yes ? "" : needs[i].remedy);
	}
	fputc('\n', out);
	for (size_t i = 0; i < sizeof(watches) / sizeof(watches[0]); i++) {
		unsigned missing = watches[i].needs & ~have;

		if (!missing)
			fprintf(out, "%-30s available: %s\n", watches[i].name, watches[i].cost);
		else
			fprintf(out, "%-30s not available: %s\n", watches[i].name,
				needs[__builtin_ctz(missing)].name);
	}
	fputs("\nAt level heap the kernel puts breakpoints into private copies of the allocator's\n"
	      "pages and return trampolines onto stacks, and takes them out at the end.\n",
	      out);
}
