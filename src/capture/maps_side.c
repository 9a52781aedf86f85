/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/maps_side.h"

#include "bpf/maps.skel.h"
#include "capture/clock.h"
#include "capture/pace.h"
#include "capture/procmaps.h"
#include "capture/program_info.h"
#include "util/alloc.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#define SITES	       2048
#define SYNC_TRIES     3
#define SYNC_NS	       1000000 /* no more tries after so long */
#define RELABEL_BELOW  48
#define RELABEL_AGE_NS 5000000000ull

struct maps_side {
	pid_t pid;
	struct maps_bpf *skeleton;
	struct ledger ledger;
	struct ring_buffer *calls;
	struct maps_book book;
	bool synced;
	struct pace pace;   /* of reads of what is mapped */
	uint64_t *resident; /* by slot */
};

static int take_call(void *context, void *data, size_t size)
{
	struct maps_side *side = context;

	if (size >= sizeof(struct abi_mapping_call))
		maps_book_call(&side->book, data);
	return 0;
}

/* The rows that are no stack's are sites from the beginning. */
static void make_rows(struct ledger *ledger)
{
	static const uint16_t kinds[] = {ABI_KIND_POPULATED, ABI_KIND_BEFORE_ATTACH};

	for (unsigned i = 0; i < 2; i++) {
		struct abi_site *site = &ledger->sites[PAGES_POPULATED + i];

		site->hash = 1;
		site->kind = kinds[i];
		site->flags = ABI_SITE_READY;
		ledger->order[i] = PAGES_POPULATED + i;
	}
	ledger->counters->sites = 2;
}

static int load(struct maps_side *side, int sequence_fd, struct unwinder *unwinder)
{
	struct maps_bpf *s = side->skeleton;
	int cpus = libbpf_num_possible_cpus(), error;
	struct ledger_sizes sizes = {.buckets = 1, .sites = SITES, .threads = (unsigned)cpus};

	if (cpus < 0)
		return cpus;
	s->rodata->cfg_site_mask = SITES - 1;
	error = ledger_size_maps(s->obj, &sizes);
	if (!error)
		error = bpf_map__reuse_fd(s->maps.data_sequence, sequence_fd);
	if (!error && unwinder)
		error = unwinder->ops->prepare(unwinder, s->obj);
	if (!error)
		error = maps_bpf__load(s);
	if (!error && unwinder)
		error = unwinder->ops->adopt(unwinder, s->obj);
	if (!error)
		error = ledger_init(&side->ledger, s->obj, &sizes, monotonic_ns());
	if (error)
		return error;
	side->ledger.control->tgid = (uint32_t)side->pid;
	make_rows(&side->ledger);
	side->calls = ring_buffer__new(bpf_map__fd(s->maps.mapping_calls), take_call, side, NULL);
	return side->calls ? 0 : -errno;
}

static int attach(struct maps_side *side)
{
	struct maps_bpf *s = side->skeleton;
	int error;

	/* An address that is chosen belongs to a call that was seen. */
	s->links.address_chosen = bpf_program__attach(s->progs.address_chosen);
	error = s->links.address_chosen ? 0 : -errno;
	if (error)
		return error;
	s->links.mappings_locked = bpf_program__attach(s->progs.mappings_locked);
	error = s->links.mappings_locked ? 0 : -errno;
	if (!error)
		__atomic_store_n(&side->ledger.control->tracking, 1, __ATOMIC_RELEASE);
	return error;
}

int maps_side_open(pid_t pid, int sequence_fd, struct unwinder *unwinder, struct maps_side **ret)
{
	struct maps_side *side = xcalloc(1, sizeof(*side));
	struct pages_books books;
	int error;

	side->pid = pid;
	side->skeleton = maps_bpf__open();
	error = side->skeleton ? load(side, sequence_fd, unwinder) : -errno;
	if (!error) {
		books = (struct pages_books){.totals = side->ledger.totals,
					     .cohorts = side->ledger.cohorts,
					     .control = side->ledger.control,
					     .sites = SITES};
		maps_book_init(&side->book, &books);
		side->resident = xcalloc(SITES, sizeof(*side->resident));
		error = attach(side);
	}
	if (error) {
		maps_side_close(side);
		return error;
	}
	maps_side_tick(side, monotonic_ns());
	*ret = side;
	return 0;
}

void maps_side_close(struct maps_side *side)
{
	if (!side)
		return;
	ring_buffer__free(side->calls);
	ledger_deinit(&side->ledger);
	maps_bpf__destroy(side->skeleton);
	maps_book_deinit(&side->book);
	free(side->resident);
	free(side);
}

struct ledger *maps_side_ledger(struct maps_side *side)
{
	return &side->ledger;
}

static void relabel(struct maps_side *side, uint64_t now_ns)
{
	struct cohort_clock *clock = &side->ledger.clock;
	uint8_t labels[ABI_COHORTS];

	if (cohort_clock_free_count(clock) >= RELABEL_BELOW)
		return;
	cohort_clock_relabel(clock, now_ns - RELABEL_AGE_NS, labels);
	maps_book_relabel(&side->book, labels);
	cohort_clock_release(clock, labels);
}

void maps_side_look(struct maps_side *side, uint64_t now_ns)
{
	ring_buffer__consume(side->calls);
	ledger_advance(&side->ledger, now_ns);
	relabel(side, now_ns);
}

const struct maps_change *maps_side_changes(struct maps_side *side, size_t *ret_count)
{
	ring_buffer__consume(side->calls);
	*ret_count = side->book.changes.count;
	return side->book.changes.data;
}

void maps_side_drop_changes(struct maps_side *side, size_t count)
{
	size_t left = side->book.changes.count - count;

	if (count && left)
		memmove(side->book.changes.data, side->book.changes.data + count,
			left * sizeof(*side->book.changes.data));
	side->book.changes.count = left;
}

/* Mappings next to each other are one range. */
static void sync_with(struct maps_side *side, const struct procmaps *maps)
{
	struct maps_range *ranges = xcalloc(maps->count + 1, sizeof(*ranges)), heap = {0, 0};
	size_t count = 0;

	for (size_t i = 0; i < maps->count; i++) {
		const struct mapping *mapping = &maps->data[i];

		if (mapping->start >> 63)
			continue;
		if (!strcmp(mapping->path, "[heap]"))
			heap = (struct maps_range){mapping->start, mapping->end};
		if (count && ranges[count - 1].end == mapping->start)
			ranges[count - 1].end = mapping->end;
		else
			ranges[count++] = (struct maps_range){mapping->start, mapping->end};
	}
	if (count)
		maps_book_sync(&side->book, ranges, count, &heap, !side->synced);
	side->synced |= count > 0;
	free(ranges);
}

uint64_t maps_side_tick(struct maps_side *side, uint64_t now_ns)
{
	uint64_t spent = 0;
	size_t read = 0;

	maps_side_look(side, now_ns);
	if (!pace_is_due(&side->pace, now_ns))
		return 0;
	/* Only what nothing changed while it was read is what the calls up to now have made. */
	for (unsigned i = 0; i < SYNC_TRIES && spent < SYNC_NS; i++) {
		uint64_t before = thread_cpu_ns();
		struct procmaps maps;
		bool quiet;

		if (procmaps_read(side->pid, &maps))
			break;
		spent += thread_cpu_ns() - before;
		read += maps.count;
		quiet = ring_buffer__consume(side->calls) == 0;
		if (quiet)
			sync_with(side, &maps);
		procmaps_deinit(&maps);
		if (quiet)
			break;
	}
	pace_take(&side->pace, now_ns, spent, read);
	return spent;
}

const uint64_t *maps_side_resident(struct maps_side *side, const struct pages_table *pages)
{
	const struct maps_region *region;

	memset(side->resident, 0, SITES * sizeof(*side->resident));
	vec_for_each(region, &side->book.regions)
		side->resident[side->book.mappings.data[region->mapping].site] +=
			pages_table_count(pages, region->start, region->end) << PAGES_SHIFT;
	return side->resident;
}

void maps_side_losses(const struct maps_side *side, uint64_t losses[ABI_LOSS_COUNT])
{
	const struct bpf_program *programs[] = {side->skeleton->progs.mappings_locked,
						side->skeleton->progs.address_chosen};

	for (unsigned i = 0; i < ABI_LOSS_COUNT; i++)
		losses[i] += __atomic_load_n(&side->ledger.counters->losses[i], __ATOMIC_RELAXED);
	for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++) {
		struct bpf_prog_info info;

		program_info(bpf_program__fd(programs[i]), &info);
		losses[ABI_LOSS_EVENT_LOST] += info.recursion_misses;
	}
}
