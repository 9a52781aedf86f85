/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The heap book alone, for tests: attaches to a process with tables of any size and any kind of
 * probes, and answers commands on standard input, a line each:
 *
 *   read    one JSON object with all sites' totals, the losses and the counts
 *   reopen  closes the book and opens an empty one
 *   quit    (or the end of input) detaches and ends
 *
 * It keeps the cohort clock and the thread table going as the live source does.
 *
 * usage: book_reader PID [--kind session|multi|perf] [--buckets N] [--sites N] [--threads N]
 *                    [--return-probes no] [--prefix PREFIX]... [--function DESCRIPTION]...
 */
#include "capture/allocators.h"
#include "capture/heap_level.h"
#include "core/losses.h"
#include "symbol/demangle.h"
#include "unwind/unwinder.h"
#include "util/alloc.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS 100
#define MAPS_NS 500000000ull
#define CALLERS 5

struct reader {
	pid_t pid;
	enum probe_kind kind;
	struct ledger_sizes sizes;
	struct heap_level level; /* only what updates it needs */
	struct unwinder *unwinder;
	struct modules *modules;
	uint64_t maps_ns;
	struct allocators_options options;
	const char *prefixes[8];
	struct function_description functions[16];
	char points[16384];
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "book_reader: %s\n", what);
	exit(1);
}

static void read_maps(struct reader *reader)
{
	struct procmaps maps;

	reader->maps_ns = now_ns();
	if (procmaps_read(reader->pid, &maps))
		return;
	procmaps_update_modules(reader->modules, &maps, reader->pid, reader->maps_ns);
	reader->unwinder->ops->update(reader->unwinder, reader->modules);
	heap_level_update(&reader->level, &maps);
	procmaps_deinit(&maps);
}

/* "malloc+0 return", "_Znwm+4 2 exits", for whoever asks what is probed. */
static void keep_points(struct reader *reader, const struct probe_points *points)
{
	size_t length = 0;

	reader->points[0] = '\0';
	for (size_t i = 0; i < points->count && length < sizeof(reader->points); i++) {
		const struct probe_point *point = &points->data[i];

		length += (size_t)snprintf(reader->points + length, sizeof(reader->points) - length,
					   "%s\"%s\":[%" PRIu64 ",%u,%zu]", i ? "," : "",
					   point->name, point->probe_offset - point->entry_offset,
					   point->returns, point->exit_count);
	}
}

static void open_book(struct reader *reader)
{
	struct probe_points points = {0};
	struct heap_probes probes;
	char error[256] = "";
	struct procmaps maps;

	if (procmaps_read(reader->pid, &maps) ||
	    allocators_find(reader->pid, &maps, &reader->options, &points, error, sizeof(error)))
		die(*error ? error : "cannot read the target's maps");
	if (points.note[0])
		fprintf(stderr, "book_reader: %s\n", points.note);
	heap_level_probes(&points, &probes);
	read_maps(reader);
	if (heap_open(reader->pid, reader->kind, &probes, &reader->sizes, reader->unwinder,
		      now_ns(), &reader->level.heap, error, sizeof(error)))
		die(error);
	while (reader->unwinder->ops->work(reader->unwinder, 1000))
		;
	if (heap_attach(reader->level.heap))
		die("cannot attach");
	keep_points(reader, &points);
	heap_level_probes_deinit(&probes);
	probe_points_deinit(&points);
	procmaps_deinit(&maps);
	read_maps(reader);
}

static void close_book(struct reader *reader)
{
	heap_close(reader->level.heap);
	reader->level.heap = NULL;
}

static void print_site(const struct ledger *ledger, unsigned slot, bool first)
{
	const struct abi_site *site = &ledger->sites[slot];
	struct totals totals;

	ledger_totals(ledger, slot, &totals);
	printf("%s{\"slot\":%u,\"kind\":%u,\"address\":\"0x%" PRIx64 "\",\"frames\":%u",
	       first ? "" : ",", slot, site->kind, slot ? site->frames[0] : 0, site->nframes);
	printf(",\"truncated\":%s,\"stack\":[",
	       site->flags & ABI_SITE_TRUNCATED ? "true" : "false");
	for (unsigned i = 0; i < site->nframes; i++)
		printf("%s%" PRIu64, i ? "," : "", (uint64_t)site->frames[i]);
	putchar(']');
	printf(",\"callers\":[");
	for (unsigned i = 1; slot && i < site->nframes && i < CALLERS; i++)
		printf("%s\"0x%" PRIx64 "\"", i > 1 ? "," : "", site->frames[i]);
	printf("]");
	printf(",\"allocated_bytes\":%" PRIu64 ",\"allocated_blocks\":%" PRIu64
	       ",\"freed_bytes\":%" PRIu64 ",\"freed_blocks\":%" PRIu64,
	       totals.allocated_bytes, totals.allocated_blocks, totals.freed_bytes,
	       totals.freed_blocks);
	printf(",\"live_bytes\":%" PRId64 ",\"live_blocks\":%" PRId64 "}",
	       (int64_t)(totals.allocated_bytes - totals.freed_bytes),
	       (int64_t)(totals.allocated_blocks - totals.freed_blocks));
}

/* What the table itself holds, counted block by block: totals must agree with it. */
static void print_table(const struct ledger *ledger)
{
	uint64_t blocks = 0, bytes = 0;

	for (unsigned i = 0; i < ledger->sizes.buckets; i++)
		for (unsigned j = 0; j < ABI_BLOCKS_PER_BUCKET; j++) {
			const struct abi_block *block = &ledger->buckets[i].blocks[j];

			blocks += block->key != 0;
			bytes += block->key ? abi_value_size(block->value) : 0;
		}
	printf(",\"table\":{\"blocks\":%" PRIu64 ",\"bytes\":%" PRIu64 "}", blocks, bytes);
}

static void print_book(const struct reader *reader)
{
	const struct ledger *ledger = heap_ledger(reader->level.heap);
	uint64_t lost[ABI_LOSS_COUNT] = {0}, start = now_ns(), took;
	size_t count = ledger_site_count(ledger);
	struct totals totals;

	for (size_t i = 0; i < count; i++)
		ledger_totals(ledger, ledger_site_slot(ledger, i), &totals);
	took = now_ns() - start;
	heap_level_losses(&reader->level, lost);
	printf("{\"read_ns\":%" PRIu64 ",\"sites\":[", took);
	print_site(ledger, 0, true);
	for (size_t i = 0; i < count; i++)
		if (ledger_site_slot(ledger, i))
			print_site(ledger, ledger_site_slot(ledger, i), false);
	printf("],\"before_attach_frees\":%" PRIu64 ",\"untracked_frees\":%" PRIu64,
	       (uint64_t)ledger->counters->before_attach_frees,
	       (uint64_t)ledger->counters->untracked_frees);
	print_table(ledger);
	printf(",\"trampoline\":%" PRIu64 ",\"losses\":{", (uint64_t)ledger->control->trampoline);
	for (unsigned i = 0, n = 0; i < ABI_LOSS_COUNT; i++)
		if (losses[i].name && lost[i])
			printf("%s\"%s\":%" PRIu64, n++ ? "," : "", losses[i].name, lost[i]);
	printf("},\"points\":{%s}}\n", reader->points);
	fflush(stdout);
}

static void look(struct reader *reader)
{
	ledger_tick(heap_ledger(reader->level.heap), now_ns());
	heap_level_reclaim(&reader->level);
	if (now_ns() - reader->maps_ns >= MAPS_NS)
		read_maps(reader);
	reader->unwinder->ops->work(reader->unwinder, TICK_MS);
}

/* False at the end of input. */
static bool obey(struct reader *reader)
{
	char line[64] = "";
	ssize_t got = read(STDIN_FILENO, line, sizeof(line) - 1);

	if (got <= 0 || !strncmp(line, "quit", 4))
		return false;
	look(reader);
	if (!strncmp(line, "reopen", 6)) {
		close_book(reader);
		open_book(reader);
		puts("{\"reopened\":true}");
		fflush(stdout);
	} else {
		print_book(reader);
	}
	return true;
}

static enum probe_kind kind_of(const char *name)
{
	static const char *const names[] = {"session", "multi", "perf"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(name, names[i]))
			return (enum probe_kind)i;
	die("no such kind of probe");
	return PROBE_KIND_COUNT;
}

static void add_description(struct reader *reader, const char *text)
{
	char error[256];

	if (function_parse(text, &reader->functions[reader->options.function_count++ % 16], error,
			   sizeof(error)))
		die(error);
}

static void parse(struct reader *reader, int argc, char **argv)
{
	if (argc < 2)
		die("which process?");
	reader->pid = atoi(argv[1]);
	for (int i = 2; i + 1 < argc; i += 2) {
		unsigned number = strtoul(argv[i + 1], NULL, 10);

		if (!strcmp(argv[i], "--kind"))
			reader->kind = kind_of(argv[i + 1]);
		else if (!strcmp(argv[i], "--return-probes"))
			reader->options.no_return_probes = !strcmp(argv[i + 1], "no");
		else if (!strcmp(argv[i], "--prefix"))
			reader->prefixes[reader->options.prefix_count++ % 8] = argv[i + 1];
		else if (!strcmp(argv[i], "--function"))
			add_description(reader, argv[i + 1]);
		else if (!strcmp(argv[i], "--buckets"))
			reader->sizes.buckets = number;
		else if (!strcmp(argv[i], "--sites"))
			reader->sizes.sites = number;
		else if (!strcmp(argv[i], "--threads"))
			reader->sizes.threads = number;
		else
			die("no such option");
	}
}

int main(int argc, char **argv)
{
	struct reader reader = {
		.kind = probe_kind_best(),
		.sizes = {.buckets = 1u << 18, .sites = 16384, .threads = 1024},
	};
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

	reader.options.prefixes = reader.prefixes;
	reader.options.functions = reader.functions;
	reader.options.demangle = demangle;
	parse(&reader, argc, argv);
	reader.modules = modules_new();
	reader.unwinder = table_unwinder_new(reader.pid, 256ull << 20);
	heap_level_init(&reader.level, reader.pid, 0, reader.unwinder);
	open_book(&reader);
	puts("{\"attached\":true}");
	fflush(stdout);
	for (;;) {
		int ready = poll(&input, 1, TICK_MS);

		if (ready < 0 && errno != EINTR)
			die("poll");
		if (ready > 0 && !obey(&reader))
			break;
		look(&reader);
	}
	close_book(&reader);
	unwinder_close(reader.unwinder);
	modules_free(reader.modules);
	return 0;
}
