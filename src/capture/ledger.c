/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/ledger.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define COHORT_NS 500000000ull
/* A cohort this old is in no program's hands: programs run for microseconds. */
#define RELABEL_AGE_NS 5000000000ull
#define RELABEL_BELOW  48 /* free cohorts */
#define RELABEL_PARTS  16 /* ticks a pass over the table takes */

/* Map, element size, and which of the sizes it takes; one element where that is 0. */
struct ledger_map {
	const char *name;
	size_t element_size;
	size_t sizes_offset;
	size_t field_offset;
	unsigned shared; /* so many of them share an element; 0 = one */
	bool single;
	bool optional; /* not mappable: per CPU */
};

#define MAP(name_, type, size_field, field)                                \
	{                                                                  \
		.name = name_, .element_size = sizeof(type),               \
		.sizes_offset = offsetof(struct ledger_sizes, size_field), \
		.field_offset = offsetof(struct ledger, field)             \
	}

static const struct ledger_map maps[] = {
	MAP("live_blocks", struct abi_bucket, buckets, buckets),
	{.name = "strays",
	 .element_size = sizeof(struct abi_strays),
	 .sizes_offset = offsetof(struct ledger_sizes, buckets),
	 .field_offset = offsetof(struct ledger, strays),
	 .shared = ABI_STRAYS},
	MAP("sites", struct abi_site, sites, sites),
	MAP("site_order", uint64_t, sites, order),
	MAP("site_totals", struct abi_totals, sites, totals),
	MAP("site_cohorts", struct abi_cohorts, sites, cohorts),
	MAP("lost_blocks", int64_t, sites, lost_blocks),
	MAP("overflows", int64_t, buckets, overflows),
	{.name = "threads",
	 .element_size = sizeof(struct abi_thread),
	 .sizes_offset = offsetof(struct ledger_sizes, threads),
	 .field_offset = offsetof(struct ledger, threads),
	 .optional = true},
	{.name = ".data.controls",
	 .element_size = sizeof(struct abi_control),
	 .field_offset = offsetof(struct ledger, control),
	 .single = true},
	{.name = ".data.counters",
	 .element_size = sizeof(struct abi_counters),
	 .field_offset = offsetof(struct ledger, counters),
	 .single = true},
};

#define MAP_COUNT (sizeof(maps) / sizeof(*maps))

static unsigned map_elements(const struct ledger_map *map, const struct ledger_sizes *sizes)
{
	unsigned count =
		map->single ? 1 : *(const unsigned *)((const char *)sizes + map->sizes_offset);

	return map->shared ? (count + map->shared - 1) / map->shared : count;
}

static size_t map_bytes(const struct ledger_map *map, const struct ledger_sizes *sizes)
{
	size_t element = (map->element_size + 7) & ~(size_t)7;
	size_t page = sysconf(_SC_PAGESIZE);

	return (element * map_elements(map, sizes) + page - 1) & ~(page - 1);
}

static void **map_field(const struct ledger_map *map, struct ledger *ledger)
{
	return (void **)((char *)ledger + map->field_offset);
}

uint64_t ledger_bytes(const struct ledger_sizes *sizes)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < MAP_COUNT; i++)
		bytes += map_bytes(&maps[i], sizes);
	return bytes;
}

static bool mappable(const struct bpf_map *map)
{
	return bpf_map__type(map) == BPF_MAP_TYPE_ARRAY;
}

int ledger_size_maps(struct bpf_object *object, const struct ledger_sizes *sizes)
{
	for (size_t i = 0; i < MAP_COUNT; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(object, maps[i].name);
		int error;

		if (!map)
			return -ENOENT;
		if (maps[i].single || !mappable(map))
			continue;
		error = bpf_map__set_max_entries(map, map_elements(&maps[i], sizes));
		if (error)
			return error;
	}
	return 0;
}

int ledger_init(struct ledger *ledger, struct bpf_object *object, const struct ledger_sizes *sizes,
		uint64_t now_ns)
{
	memset(ledger, 0, sizeof(*ledger));
	ledger->sizes = *sizes;
	for (size_t i = 0; i < MAP_COUNT; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(object, maps[i].name);
		void *memory;

		if (!map)
			return -ENOENT;
		if (maps[i].optional && !mappable(map))
			continue;
		memory = mmap(NULL, map_bytes(&maps[i], sizes), PROT_READ | PROT_WRITE, MAP_SHARED,
			      bpf_map__fd(map), 0);
		if (memory == MAP_FAILED)
			return -errno;
		*map_field(&maps[i], ledger) = memory;
	}
	cohort_clock_init(&ledger->clock, now_ns);
	ledger->advanced_ns = now_ns;
	memcpy(ledger->control->cohort_row, ledger->clock.row_of, ABI_COHORTS);
	ledger->control->cohort_now = ledger->clock.now;
	ledger->control->epoch = 1;
	return 0;
}

void ledger_deinit(struct ledger *ledger)
{
	for (size_t i = 0; i < MAP_COUNT; i++) {
		void **field = map_field(&maps[i], ledger);

		if (*field)
			munmap(*field, map_bytes(&maps[i], &ledger->sizes));
		*field = NULL;
	}
}

size_t ledger_site_count(const struct ledger *ledger)
{
	uint64_t count = __atomic_load_n(&ledger->counters->sites, __ATOMIC_ACQUIRE);

	return count < ledger->sizes.sites ? count : ledger->sizes.sites;
}

unsigned ledger_site_slot(const struct ledger *ledger, size_t index)
{
	uint64_t slot = __atomic_load_n(&ledger->order[index], __ATOMIC_ACQUIRE);

	return slot < ledger->sizes.sites ? slot : 0;
}

void ledger_site_set_closed(struct ledger *ledger, unsigned slot, bool closed)
{
	if (closed)
		__atomic_fetch_or(&ledger->sites[slot].flags, ABI_SITE_CLOSED, __ATOMIC_ACQ_REL);
	else
		__atomic_fetch_and(&ledger->sites[slot].flags, ~ABI_SITE_CLOSED, __ATOMIC_ACQ_REL);
}

static void load_totals(const struct abi_totals *from, struct totals *ret)
{
	ret->freed_bytes = __atomic_load_n(&from->freed_bytes, __ATOMIC_ACQUIRE);
	ret->freed_blocks = __atomic_load_n(&from->freed_blocks, __ATOMIC_ACQUIRE);
	ret->allocated_bytes = __atomic_load_n(&from->allocated_bytes, __ATOMIC_ACQUIRE);
	ret->allocated_blocks = __atomic_load_n(&from->allocated_blocks, __ATOMIC_ACQUIRE);
}

void ledger_totals(const struct ledger *ledger, unsigned slot, struct totals *ret)
{
	load_totals(&ledger->totals[slot], ret);
}

void ledger_cohorts(const struct ledger *ledger, unsigned slot, uint64_t now_ns,
		    struct cohorts *ret)
{
	const struct cohort_clock *clock = &ledger->clock;
	uint8_t rows[ABI_COHORT_ROWS];

	ret->count = cohort_clock_rows(clock, rows);
	for (unsigned i = 0; i < ret->count; i++) {
		struct cohort_row *row = &ret->rows[i];
		struct totals drained;

		row->born_from_ns = clock->rows[rows[i]].from_ns;
		row->born_to_ns = rows[i] == clock->current ? now_ns : clock->rows[rows[i]].to_ns;
		load_totals(&ledger->cohorts[slot].rows[rows[i]], &row->totals);
		if (clock->draining != COHORT_ROW_FREE && rows[i] == clock->draining_into) {
			load_totals(&ledger->cohorts[slot].rows[clock->draining], &drained);
			totals_add(&row->totals, &drained);
		}
	}
}

static void add(uint64_t *to, uint64_t number)
{
	__atomic_fetch_add(to, number, __ATOMIC_ACQ_REL);
}

static void book_freed(struct abi_totals *totals, uint64_t bytes)
{
	add(&totals->freed_bytes, bytes);
	add(&totals->freed_blocks, 1);
}

void ledger_lose(struct ledger *ledger, uint64_t address, uint64_t value)
{
	uint64_t key = abi_block_key(ledger->control->epoch, address);
	unsigned home = abi_block_home(key, ledger->sizes.buckets);
	unsigned site = abi_value_site(value) & (ledger->sizes.sites - 1);
	unsigned row = ledger->control->cohort_row[abi_value_cohort(value)];

	book_freed(&ledger->totals[site], abi_value_size(value));
	book_freed(&ledger->cohorts[site].rows[row % ABI_COHORT_ROWS], abi_value_size(value));
	__atomic_fetch_add(&ledger->lost_blocks[home & (ledger->sizes.sites - 1)], 1,
			   __ATOMIC_ACQ_REL);
}

static void move_number(uint64_t *from, uint64_t *to)
{
	uint64_t number;

	if (!__atomic_load_n(from, __ATOMIC_RELAXED))
		return;
	number = __atomic_exchange_n(from, 0, __ATOMIC_ACQ_REL);
	__atomic_fetch_add(to, number, __ATOMIC_ACQ_REL);
}

static void move_row(struct ledger *ledger, unsigned slot, int from, int to)
{
	struct abi_totals *source = &ledger->cohorts[slot].rows[from];
	struct abi_totals *target = &ledger->cohorts[slot].rows[to];

	move_number(&source->freed_bytes, &target->freed_bytes);
	move_number(&source->freed_blocks, &target->freed_blocks);
	move_number(&source->allocated_bytes, &target->allocated_bytes);
	move_number(&source->allocated_blocks, &target->allocated_blocks);
}

static uint64_t relabel_value(struct ledger *ledger, uint64_t value)
{
	return (value & ~(uint64_t)0xff) | ledger->labels[abi_value_cohort(value)];
}

/* Gives a value its new label unless it changed meanwhile: then it is of another, newer block. */
static void relabel_word(struct ledger *ledger, uint64_t *word)
{
	uint64_t value = __atomic_load_n(word, __ATOMIC_RELAXED);
	uint64_t wanted = relabel_value(ledger, value);

	if (!value || wanted == value)
		return;
	ledger->relabelled = true;
	__atomic_compare_exchange_n(word, &value, wanted, false, __ATOMIC_ACQ_REL,
				    __ATOMIC_RELAXED);
}

static void relabel_inflight(struct ledger *ledger)
{
	if (!ledger->threads)
		return;
	for (unsigned i = 0; i < ledger->sizes.threads; i++)
		for (unsigned j = 0; j < ABI_MAX_INFLIGHT; j++)
			relabel_word(ledger, &ledger->threads[i].inflight[j].old_value);
}

/*
 * One part of a pass. A block may be out of the table while a realloc is in flight and go back
 * behind the pass, so only a whole pass that changed nothing proves that the old labels are gone.
 */
static void relabel_part(struct ledger *ledger, uint64_t now_ns)
{
	size_t part = ledger->sizes.buckets / RELABEL_PARTS + 1;
	size_t end = ledger->relabel_bucket + part;

	if (!ledger->relabelling) {
		if (cohort_clock_free_count(&ledger->clock) >= RELABEL_BELOW)
			return;
		cohort_clock_relabel(&ledger->clock, now_ns - RELABEL_AGE_NS, ledger->labels);
		ledger->relabelling = true;
		ledger->relabelled = false;
		ledger->relabel_bucket = 0;
		end = part;
	}
	if (end > ledger->sizes.buckets)
		end = ledger->sizes.buckets;
	for (; ledger->relabel_bucket < end; ledger->relabel_bucket++)
		for (unsigned i = 0; i < ABI_BLOCKS_PER_BUCKET; i++)
			relabel_word(ledger,
				     &ledger->buckets[ledger->relabel_bucket].blocks[i].value);
	if (end < ledger->sizes.buckets)
		return;
	relabel_inflight(ledger);
	if (!ledger->relabelled) {
		cohort_clock_release(&ledger->clock, ledger->labels);
		ledger->relabelling = false;
	}
	ledger->relabelled = false;
	ledger->relabel_bucket = 0;
}

bool ledger_advance(struct ledger *ledger, uint64_t now_ns)
{
	size_t count = ledger_site_count(ledger);
	int from, to;
	bool opened;

	if (now_ns - ledger->advanced_ns < COHORT_NS)
		return false;
	ledger->advanced_ns = now_ns;
	opened = cohort_clock_advance(&ledger->clock, now_ns, &from, &to);
	if (from != COHORT_ROW_FREE) {
		move_row(ledger, 0, from, to);
		for (size_t i = 0; i < count; i++) {
			unsigned slot = ledger_site_slot(ledger, i);

			if (slot)
				move_row(ledger, slot, from, to);
		}
	}
	/* Rows first: the new cohort must have its row before a block is born into it. */
	for (unsigned i = 0; i < ABI_COHORTS; i++)
		__atomic_store_n(&ledger->control->cohort_row[i], ledger->clock.row_of[i],
				 __ATOMIC_RELEASE);
	if (opened)
		__atomic_store_n(&ledger->control->cohort_now, ledger->clock.now, __ATOMIC_RELEASE);
	return true;
}

void ledger_tick(struct ledger *ledger, uint64_t now_ns)
{
	if (ledger_advance(ledger, now_ns))
		relabel_part(ledger, now_ns);
}
