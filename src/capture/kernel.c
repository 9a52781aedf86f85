/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/kernel.h"

#include "capture/clock.h"
#include "capture/kernel_facts.h"
#include "capture/kernel_matching.h"
#include "capture/procfs.h"
#include "util/alloc.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_BUCKETS 65536
#define DEFAULT_SITES	8192
#define FIRST_TABLES_MS 200 /* at most */

struct kernel_side {
	struct kernel_book *book;
	struct kernel_matching matching;
};

void kernel_side_default_sizes(struct ledger_sizes *ret)
{
	*ret = (struct ledger_sizes){.buckets = DEFAULT_BUCKETS, .sites = DEFAULT_SITES};
}

static int open_book(struct kernel_side *side, const struct ledger_sizes *sizes,
		     struct unwinder *unwinder, char *error, size_t size)
{
	struct ledger_sizes wanted = *sizes;
	int cpus = libbpf_num_possible_cpus();

	if (cpus < 0) {
		snprintf(error, size, "cannot tell the number of CPUs: %s", strerror(-cpus));
		return cpus;
	}
	wanted.threads = cpus; /* a stack is captured on each CPU */
	return kernel_book_open(&wanted, unwinder, monotonic_ns(), &side->book, error, size);
}

int kernel_side_open_sized(pid_t pid, const struct ledger_sizes *sizes, struct unwinder *unwinder,
			   struct kernel_side **ret, char *error, size_t size)
{
	struct kernel_text texts[KERNEL_SKIPPED_TEXTS];
	struct kernel_side *side;
	int status;

	if (!procfs_in_first_pid_namespace()) {
		snprintf(error, size,
			 "the kernel side needs memtop to run in the first PID namespace, not in a "
			 "container's");
		return -EOPNOTSUPP;
	}
	side = xcalloc(1, sizeof(*side));
	status = open_book(side, sizes, unwinder, error, size);
	if (status) {
		free(side);
		return status;
	}
	kernel_matching_start(&side->matching, side->book);
	kernel_find_skipped_texts(texts);
	kernel_book_skip(side->book, texts);
	/* While the child is at work; the watch goes on with the rest. */
	if (unwinder)
		unwinder->ops->work(unwinder, FIRST_TABLES_MS);
	kernel_matching_finish(&side->matching, side->book);
	kernel_book_walk_user(side->book);
	status = kernel_book_begin(side->book, pid);
	if (status) {
		snprintf(error, size, "cannot attach to the kernel's allocation tracepoints: %s",
			 strerror(-status));
		kernel_side_close(side);
		return status == -EPERM ? status : -EOPNOTSUPP;
	}
	*ret = side;
	return 0;
}

int kernel_side_open(pid_t pid, struct unwinder *unwinder, struct kernel_side **ret, char *error,
		     size_t size)
{
	struct ledger_sizes sizes;

	kernel_side_default_sizes(&sizes);
	return kernel_side_open_sized(pid, &sizes, unwinder, ret, error, size);
}

void kernel_side_close(struct kernel_side *side)
{
	if (!side)
		return;
	kernel_book_close(side->book);
	kernel_matching_deinit(&side->matching);
	free(side);
}

struct ledger *kernel_side_ledger(struct kernel_side *side)
{
	return kernel_book_ledger(side->book);
}

static const char *object(void *context, const struct abi_site *site)
{
	const struct kernel_side *side = context;

	return site->cache ? kernel_book_cache_name(side->book, site->cache) : "kmalloc";
}

static bool matched(void *context, const struct abi_site *site)
{
	const struct kernel_side *side = context;

	return kernel_matching_seen(&side->matching, site);
}

void kernel_side_describe(struct kernel_side *side, struct sites_describe *ret)
{
	*ret = (struct sites_describe){.object = object, .matched = matched, .context = side};
}

void kernel_side_losses(const struct kernel_side *side, uint64_t losses[ABI_LOSS_COUNT])
{
	const struct abi_counters *counters = kernel_book_ledger(side->book)->counters;

	for (unsigned i = 0; i < ABI_LOSS_COUNT; i++)
		losses[i] += __atomic_load_n(&counters->losses[i], __ATOMIC_RELAXED);
	losses[ABI_LOSS_KERNEL_EVENT_MISSED] += kernel_book_missed(side->book);
}

const char *kernel_side_doubt(const struct kernel_side *side)
{
	return *side->matching.reason ? side->matching.reason : NULL;
}
