/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/kernel.h"

#include "capture/clock.h"
#include "capture/kernel_matching.h"
#include "capture/kernel_texts.h"
#include "capture/procfs.h"
#include "core/format.h"
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
#define TABLE_FRAMES	3   /* the function that makes a page table is among so many inner frames */

struct kernel_side {
	struct kernel_book *book;
	struct kernel_matching matching;
	struct kernel_texts texts;
	char object[64];
	char doubt[512];
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

/* Appends "no page, vmalloc memory: why" for the kind and those behind it that lack for its reason.
 */
static size_t say_lack(struct kernel_side *side, size_t used, unsigned kind, const char *why)
{
	const char *before = used ? "; no " : "no ";

	for (; kind < KERNEL_KINDS; kind++) {
		if (kernel_side_lacks(side, ABI_KIND_SLAB + kind) != why)
			continue;
		used += snprintf(side->doubt + used, sizeof(side->doubt) - used, "%s%s", before,
				 kind_name(ABI_KIND_SLAB + kind));
		before = ", ";
	}
	return used + snprintf(side->doubt + used, sizeof(side->doubt) - used, " memory: %s", why);
}

static void say_what_lacks(struct kernel_side *side)
{
	size_t used = snprintf(side->doubt, sizeof(side->doubt), "%s", side->matching.reason);

	for (unsigned i = 0; i < KERNEL_KINDS; i++) {
		const char *why = kernel_side_lacks(side, ABI_KIND_SLAB + i);
		bool said = !why;

		for (unsigned j = 0; j < i && !said; j++)
			said = kernel_side_lacks(side, ABI_KIND_SLAB + j) == why;
		if (!said)
			used = say_lack(side, used, i, why);
	}
}

int kernel_side_open_sized(pid_t pid, const struct ledger_sizes *sizes, struct unwinder *unwinder,
			   struct kernel_side **ret, char *error, size_t size)
{
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
	kernel_texts_find(&side->texts);
	kernel_book_tell_texts(side->book, &side->texts);
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
	say_what_lacks(side);
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

void kernel_side_runs(const struct kernel_side *side, struct kernel_runs *ret)
{
	kernel_book_runs(side->book, &ret->runs, &ret->ns);
}

void kernel_side_detach(struct kernel_side *side)
{
	kernel_book_detach(side->book);
}

struct ledger *kernel_side_ledger(struct kernel_side *side)
{
	return kernel_book_ledger(side->book);
}

static const char *page_name(struct kernel_side *side, uint64_t object)
{
	static const char *const classes[ABI_PAGE_CLASSES] = {
		[ABI_PAGE_KERNEL] = "GFP_KERNEL",     [ABI_PAGE_NOFS] = "GFP_NOFS",
		[ABI_PAGE_NOIO] = "GFP_NOIO",	      [ABI_PAGE_ATOMIC] = "GFP_ATOMIC",
		[ABI_PAGE_HIGHUSER] = "GFP_HIGHUSER", [ABI_PAGE_DMA] = "GFP_DMA",
		[ABI_PAGE_DMA32] = "GFP_DMA32",
	};
	uint64_t class = object >> ABI_PAGE_CLASS_SHIFT;

	snprintf(side->object, sizeof(side->object), "page order %u %s",
		 (unsigned)(object & ((1u << ABI_PAGE_CLASS_SHIFT) - 1)),
		 class < ABI_PAGE_CLASSES && classes[class] ? classes[class] : "");
	return side->object;
}

static const char *object(void *context, const struct abi_site *site)
{
	struct kernel_side *side = context;

	if (site->kind == ABI_KIND_PAGE)
		return page_name(side, site->cache);
	if (site->kind == ABI_KIND_VMALLOC || site->kind == ABI_KIND_PERCPU)
		return kind_name(site->kind);
	return site->cache > ABI_CACHE_KMALLOC_RECLAIMABLE ?
		       kernel_book_cache_name(side->book, site->cache) :
		       "kmalloc";
}

static bool matched(void *context, const struct abi_site *site)
{
	const struct kernel_side *side = context;

	return kernel_matching_seen(&side->matching, site);
}

static unsigned uses_of(const struct kernel_side *side, const struct abi_site *site, unsigned most)
{
	unsigned uses = 0;

	for (unsigned i = 0; i < site->nframes && i < most; i++)
		uses |= kernel_texts_use(&side->texts, site->frames[i]);
	return uses;
}

/*
 * Cached: the kernel gives it up for something else when memory is short. So say the caches, and
 * what hangs on an inode goes with it, which the security modules' cache does not say. But what is
 * open, or is a file in memory, only its owner can give up.
 */
static bool reclaimable(void *context, const struct abi_site *site)
{
	const struct kernel_side *side = context;

	if (site->kind != ABI_KIND_SLAB || !site->nframes)
		return false;
	if (!kernel_book_cache_reclaimable(side->book, site->cache) &&
	    !(kernel_texts_use(&side->texts, site->frames[0]) & TEXT_INODE_PART))
		return false;
	return !(uses_of(side, site, ABI_MAX_FRAMES) & TEXT_PINNED);
}

/* Which function of the kernel asked for it, its inner frames tell. */
static bool page_table(void *context, const struct abi_site *site)
{
	const struct kernel_side *side = context;

	return site->kind == ABI_KIND_PAGE && uses_of(side, site, TABLE_FRAMES) & TEXT_TABLES;
}

void kernel_side_describe(struct kernel_side *side, struct sites_describe *ret)
{
	*ret = (struct sites_describe){.object = object,
				       .matched = matched,
				       .page_table = page_table,
				       .reclaimable = reclaimable,
				       .context = side};
}

const char *kernel_side_lacks(const struct kernel_side *side, enum abi_kind kind)
{
	return kernel_book_lacks(side->book, kind);
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
	return *side->doubt ? side->doubt : NULL;
}
