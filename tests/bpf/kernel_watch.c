/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel side alone, for tests: kernel_watch PID [BUCKETS SITES]. Says `ready` once it watches,
 * then for each line on standard input one line of JSON with all sites.
 */
#include "capture/clock.h"
#include "capture/kernel.h"
#include "capture/procmaps.h"
#include "core/format.h"
#include "unwind/unwinder.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void write_site(struct kernel_side *side, unsigned slot, const char *separator)
{
	const struct ledger *ledger = kernel_side_ledger(side);
	const struct abi_site *site = &ledger->sites[slot];
	struct sites_describe describe;
	struct totals totals;
	const char *object;

	kernel_side_describe(side, &describe);
	ledger_totals(ledger, slot, &totals);
	object = describe.object(describe.context, site);
	printf("%s{\"slot\":%u,\"kind\":\"%s\",\"object\":\"%s\",\"matched\":%s,"
	       "\"allocated_bytes\":%" PRIu64 ",\"allocated_blocks\":%" PRIu64
	       ",\"freed_bytes\":%" PRIu64 ",\"freed_blocks\":%" PRIu64 ",\"frames\":[",
	       separator, slot, kind_name(site->kind), object ? object : "",
	       describe.matched(describe.context, site) ? "true" : "false", totals.allocated_bytes,
	       totals.allocated_blocks, totals.freed_bytes, totals.freed_blocks);
	for (unsigned i = 0; i < site->nframes; i++)
		printf("%s\"%" PRIx64 "\"", i ? "," : "", site->frames[i]);
	printf("],\"truncated\":%s}", site->flags & ABI_SITE_TRUNCATED ? "true" : "false");
}

static void write_all(struct kernel_side *side)
{
	const struct ledger *ledger = kernel_side_ledger(side);
	uint64_t losses[ABI_LOSS_COUNT] = {0};
	const char *doubt = kernel_side_doubt(side);

	printf("{\"doubt\":");
	printf(doubt ? "\"%s\"" : "null", doubt);
	kernel_side_losses(side, losses);
	printf(",\"losses\":[");
	for (unsigned i = 0; i < ABI_LOSS_COUNT; i++)
		printf("%s%" PRIu64, i ? "," : "", losses[i]);
	printf("],\"sites\":[");
	write_site(side, 0, "");
	for (size_t i = 0; i < ledger_site_count(ledger); i++) {
		unsigned slot = ledger_site_slot(ledger, i);

		if (slot)
			write_site(side, slot, ",");
	}
	printf("]}\n");
	fflush(stdout);
}

/* The target's code as it is mapped now, which does not change in these tests. */
static struct unwinder *tables_of(pid_t pid, struct modules *modules)
{
	struct unwinder *unwinder = table_unwinder_new(pid, 64 << 20);
	struct procmaps maps;

	if (procmaps_read(pid, &maps))
		return unwinder;
	procmaps_update_modules(modules, &maps, pid, monotonic_ns());
	unwinder->ops->update(unwinder, modules);
	procmaps_deinit(&maps);
	return unwinder;
}

int main(int argc, char **argv)
{
	struct modules *modules;
	struct unwinder *unwinder;
	struct kernel_side *side;
	struct ledger_sizes sizes;
	char text[256];
	int error;

	if (argc != 2 && argc != 4) {
		fprintf(stderr, "usage: kernel_watch PID [BUCKETS SITES]\n");
		return 1;
	}
	kernel_side_default_sizes(&sizes);
	if (argc == 4) {
		sizes.buckets = atoi(argv[2]);
		sizes.sites = atoi(argv[3]);
	}
	modules = modules_new();
	unwinder = tables_of(atoi(argv[1]), modules);
	error = kernel_side_open_sized(atoi(argv[1]), &sizes, unwinder, &side, text, sizeof(text));
	if (error) {
		fprintf(stderr, "kernel_watch: %s\n", text);
		return 3;
	}
	while (unwinder->ops->work(unwinder, 100))
		continue;
	printf("ready\n");
	fflush(stdout);
	while (fgets(text, sizeof(text), stdin))
		write_all(side);
	kernel_side_close(side);
	unwinder_close(unwinder);
	modules_free(modules);
	return 0;
}
