/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Publishing is safe while programs run on other CPUs, and without system calls: the maps are
 * mapped here. The mapping list has two halves; the one in force is not touched. A new list is
 * written to the other half, with rows and blocks in place before, then the generation is raised. A
 * look-up that began before sees the generation change and starts again, so what it read meanwhile
 * does not matter; for the same reason rows of a removed module may be overwritten once a list
 * without it is in force.
 *
 * Rules in the cache carry 4 bits of their generation. Invariant: when a generation is stored, no
 * word in the cache has its tag but for an earlier generation's whose writer is just about to take
 * it back. Words stay only if they were written before the next generation was stored, so it is
 * enough to clear the cache twice where the bits wrap: before the store, which takes all but what
 * the last generation's walks go on to write, and after it, which takes those too.
 */
#include "unwind/publisher.h"

#include "unwind/extents.h"
#include "unwind/tables.h"
#include "util/vec.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <memtop/unwind_abi.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	RESERVE_BYTES = 16 << 20, /* for what is loaded later: about libLLVM */
	TEXT_PER_TABLE = 5, /* tables have about an eighth of their text's size, seldom more */
	BLOCKS_SHARE = 8,   /* of the bytes, one eighth for blocks */
	NO_TABLE = UINT32_MAX,
};

enum {
	MAP_ROWS,
	MAP_BLOCKS,
	MAP_MAPPINGS,
	MAP_WANTED,
	MAP_STATE,
	MAP_CACHE,
	MAP_COUNT
};

static const struct {
	const char *name;
	size_t element;
} map_table[MAP_COUNT] = {
	[MAP_ROWS] = {"unwind_rows", sizeof(struct unwind_row)},
	[MAP_BLOCKS] = {"unwind_blocks", sizeof(struct unwind_block)},
	[MAP_MAPPINGS] = {"unwind_mappings", sizeof(struct unwind_mapping)},
	[MAP_WANTED] = {"unwind_wanted", sizeof(uint64_t)},
	[MAP_STATE] = {"unwind_states", sizeof(struct unwind_state)},
	[MAP_CACHE] = {"unwind_caches", sizeof(struct unwind_cache)},
};

struct mapping {
	uint32_t module_id;
	uint64_t start, end, file_offset;
	uint32_t table; /* index, or NO_TABLE for memory without a file */
};

struct publisher {
	pid_t pid;
	uint64_t limit_bytes;
	VEC(struct mapping) mappings; /* sorted by start */
	struct tables *tables;
	struct extents rows_free, blocks_free;
	uint32_t rows_max, blocks_max;
	bool dirty;
	int fds[MAP_COUNT];
	void *memory[MAP_COUNT]; /* NULL before publisher_open() */
	size_t sizes[MAP_COUNT];
};

struct publisher *publisher_new(pid_t pid, uint64_t limit_bytes)
{
	struct publisher *publisher = xcalloc(1, sizeof(*publisher));

	publisher->pid = pid;
	publisher->limit_bytes = limit_bytes;
	publisher->tables = tables_new(pid);
	for (unsigned i = 0; i < MAP_COUNT; i++)
		publisher->fds[i] = -1;
	return publisher;
}

void publisher_free(struct publisher *publisher)
{
	if (!publisher)
		return;
	for (unsigned i = 0; i < MAP_COUNT; i++) {
		if (publisher->memory[i])
			munmap(publisher->memory[i], publisher->sizes[i]);
		if (publisher->fds[i] >= 0)
			close(publisher->fds[i]);
	}
	tables_free(publisher->tables);
	extents_deinit(&publisher->rows_free);
	extents_deinit(&publisher->blocks_free);
	vec_deinit(&publisher->mappings);
	free(publisher);
}

/* Memory without code that could have frames: the kernel's own pages. */
static bool is_kernel_page(const char *path)
{
	return !strcmp(path, "[uprobes]") || !strcmp(path, "[vsyscall]");
}

void publisher_add(struct publisher *publisher, const struct module *module)
{
	struct mapping mapping = {
		.module_id = module->id,
		.start = module->start,
		.end = module->end,
		.file_offset = module->file_offset,
		.table = NO_TABLE,
	};
	size_t i;

	if (module->path && is_kernel_page(module->path))
		return;
	if (module->path && (module->path[0] == '/' || !strcmp(module->path, "[vdso]")))
		mapping.table = tables_reference(publisher->tables, module);
	for (i = 0; i < publisher->mappings.count; i++)
		if (publisher->mappings.data[i].start > mapping.start)
			break;
	vec_push(&publisher->mappings);
	memmove(publisher->mappings.data + i + 1, publisher->mappings.data + i,
		(publisher->mappings.count - 1 - i) * sizeof(mapping));
	publisher->mappings.data[i] = mapping;
	publisher->dirty = true;
}

void publisher_remove(struct publisher *publisher, uint32_t module_id)
{
	for (size_t i = 0; i < publisher->mappings.count; i++) {
		struct mapping *mapping = &publisher->mappings.data[i];

		if (mapping->module_id != module_id)
			continue;
		if (mapping->table != NO_TABLE)
			tables_release(publisher->tables, mapping->table);
		memmove(mapping, mapping + 1,
			(publisher->mappings.count - i - 1) * sizeof(*mapping));
		publisher->mappings.count--;
		publisher->dirty = true;
		return;
	}
}

/* For the mappings so far and a reserve for more. */
static uint64_t wanted_bytes(const struct publisher *publisher)
{
	const struct mapping *mapping;
	uint64_t text = 0, bytes;

	vec_for_each(mapping, &publisher->mappings)
		text += mapping->end - mapping->start;
	bytes = text / TEXT_PER_TABLE + RESERVE_BYTES;
	return bytes < publisher->limit_bytes ? bytes : publisher->limit_bytes;
}

static uint64_t maps_bytes(const struct publisher *publisher)
{
	return (uint64_t)publisher->rows_max * sizeof(struct unwind_row) +
	       (uint64_t)publisher->blocks_max * sizeof(struct unwind_block);
}

uint64_t publisher_plan(struct publisher *publisher, uint64_t most)
{
	if (publisher->memory[MAP_ROWS])
		return maps_bytes(publisher);
	if (publisher->limit_bytes > most)
		publisher->limit_bytes = most;
	return wanted_bytes(publisher);
}

int publisher_size_maps(struct publisher *publisher, struct bpf_object *object)
{
	uint64_t bytes = wanted_bytes(publisher), blocks;
	int error;

	blocks = bytes / BLOCKS_SHARE / sizeof(struct unwind_block) + 1;
	publisher->blocks_max = (uint32_t)(blocks < INT32_MAX ? blocks : INT32_MAX);
	blocks = (bytes - bytes / BLOCKS_SHARE) / sizeof(struct unwind_row) + 1;
	publisher->rows_max = (uint32_t)(blocks < INT32_MAX ? blocks : INT32_MAX);
	error = bpf_map__set_max_entries(
		bpf_object__find_map_by_name(object, map_table[MAP_ROWS].name),
		publisher->rows_max);
	if (!error)
		error = bpf_map__set_max_entries(
			bpf_object__find_map_by_name(object, map_table[MAP_BLOCKS].name),
			publisher->blocks_max);
	return error;
}

static int map_memory(struct publisher *publisher, unsigned i, const struct bpf_map *map)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = (size_t)bpf_map__max_entries(map) * map_table[i].element;
	void *memory;

	if (bpf_map__value_size(map) != map_table[i].element)
		return -EINVAL;
	publisher->fds[i] = dup(bpf_map__fd(map));
	if (publisher->fds[i] < 0)
		return -errno;
	size = (size + page - 1) / page * page;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, publisher->fds[i], 0);
	if (memory == MAP_FAILED)
		return -errno;
	publisher->memory[i] = memory;
	publisher->sizes[i] = size;
	return 0;
}

int publisher_open(struct publisher *publisher, struct bpf_object *object)
{
	for (unsigned i = 0; i < MAP_COUNT; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(object, map_table[i].name);
		int error = map ? map_memory(publisher, i, map) : -ENOENT;

		if (error)
			return error;
	}
	extents_give(&publisher->rows_free, 0, publisher->rows_max);
	extents_give(&publisher->blocks_free, 0, publisher->blocks_max);
	return 0;
}

int publisher_share(struct publisher *publisher, struct bpf_object *other)
{
	for (unsigned i = 0; i < MAP_COUNT; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(other, map_table[i].name);
		int error = map ? bpf_map__reuse_fd(map, publisher->fds[i]) : -ENOENT;

		if (error)
			return error;
	}
	return 0;
}

/* Blocks of a table whose rows, led by one of no information at pc 0, are `rows`. */
static void write_blocks(struct unwind_block *blocks, uint32_t count, const struct unwind_row *rows,
			 uint32_t row_count)
{
	uint32_t row = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint64_t start = (uint64_t)i << UNWIND_BLOCK_SHIFT;
		uint32_t first, middle;

		/* Each is the last row at or before its address. */
		while (row + 1 < row_count && rows[row + 1].pc <= start)
			row++;
		first = row;
		while (row + 1 < row_count && rows[row + 1].pc <= start + UNWIND_BLOCK_BYTES / 2)
			row++;
		middle = row;
		while (row + 1 < row_count && rows[row + 1].pc <= start + UNWIND_BLOCK_BYTES)
			row++;
		blocks[i] = (struct unwind_block){
			.row = first,
			.middle = (uint16_t)(middle - first),
			.end = (uint16_t)(row - first),
		};
		row = middle;
	}
}

/* Puts compiled rows into the maps. 0, or -ENOSPC if they do not fit. */
static int place(struct publisher *publisher, const struct rows *rows, struct table *table)
{
	uint32_t row_count = (uint32_t)rows->count + 1;
	uint32_t block_count = (rows->data[rows->count - 1].pc >> UNWIND_BLOCK_SHIFT) + 1;
	uint32_t first_row, first_block;
	struct unwind_row *to;

	if (extents_take(&publisher->rows_free, row_count, &first_row))
		return -ENOSPC;
	if (extents_take(&publisher->blocks_free, block_count, &first_block)) {
		extents_give(&publisher->rows_free, first_row, row_count);
		return -ENOSPC;
	}
	to = (struct unwind_row *)publisher->memory[MAP_ROWS] + first_row;
	to[0] = (struct unwind_row){0, UNWIND_NONE};
	memcpy(to + 1, rows->data, rows->count * sizeof(*to));
	write_blocks((struct unwind_block *)publisher->memory[MAP_BLOCKS] + first_block,
		     block_count, to, row_count);
	table->first_row = first_row;
	table->rows = row_count;
	table->first_block = first_block;
	table->blocks = block_count;
	return 0;
}

unsigned publisher_step(struct publisher *publisher)
{
	uint64_t *wanted = publisher->memory[MAP_WANTED];
	uint32_t index = wanted ? tables_next(publisher->tables, wanted) : NO_TABLE;
	struct table *table;
	struct rows rows;

	if (index == NO_TABLE)
		return 0;
	table = tables_get(publisher->tables, index);
	if (tables_compile(publisher->tables, index, &rows)) {
		table->state = TABLE_WITHOUT;
	} else {
		table->state = place(publisher, &rows, table) ? TABLE_REFUSED : TABLE_READY;
		rows_deinit(&rows);
	}
	publisher->dirty = true;
	return tables_pending(publisher->tables);
}

static struct unwind_mapping listed(const struct publisher *publisher,
				    const struct mapping *mapping)
{
	struct unwind_mapping ret = {
		.start = mapping->start,
		.end = mapping->end,
		.base = mapping->start,
	};
	const struct table *table;
	uint64_t bias;

	if (mapping->table == NO_TABLE) {
		ret.flags = UNWIND_MAPPING_READY;
		return ret;
	}
	table = tables_get(publisher->tables, mapping->table);
	ret.wanted = mapping->table;
	if (table->state == TABLE_WITHOUT)
		ret.flags = UNWIND_MAPPING_READY;
	if (table->state != TABLE_READY)
		return ret;
	ret.flags = UNWIND_MAPPING_READY;
	if (elf_segments_bias(table->segments, table->segment_count, mapping->start,
			      mapping->file_offset, mapping->end - mapping->start, &bias))
		return ret;
	ret.base = bias + table->base;
	ret.first_row = table->first_row;
	ret.rows = table->rows;
	ret.first_block = table->first_block;
	ret.blocks = table->blocks;
	return ret;
}

/* What nobody maps any more, and no list in force names. */
static void reclaim(struct publisher *publisher)
{
	uint64_t *wanted = publisher->memory[MAP_WANTED];
	struct table table;
	uint32_t index;

	while ((index = tables_take_unused(publisher->tables, &table)) != NO_TABLE) {
		extents_give(&publisher->rows_free, table.first_row, table.rows);
		extents_give(&publisher->blocks_free, table.first_block, table.blocks);
		wanted[index] = 0;
	}
}

void publisher_publish(struct publisher *publisher)
{
	struct unwind_state *state = publisher->memory[MAP_STATE];
	struct unwind_mapping *list;
	uint64_t generation;
	uint32_t count = 0;
	bool wraps;

	if (!publisher->dirty || !state)
		return;
	publisher->dirty = false;
	generation = state->generation + 1;
	list = (struct unwind_mapping *)publisher->memory[MAP_MAPPINGS] +
	       (generation & 1) * UNWIND_MAX_MAPPINGS;
	for (size_t i = 0; i < publisher->mappings.count && count < UNWIND_MAX_MAPPINGS; i++)
		list[count++] = listed(publisher, &publisher->mappings.data[i]);
	state->counts[generation & 1] = count;
	wraps = !(generation & ((1u << UNWIND_CACHE_EPOCH_BITS) - 1));
	if (wraps)
		memset(publisher->memory[MAP_CACHE], 0, sizeof(struct unwind_cache));
	__atomic_store_n(&state->generation, generation, __ATOMIC_RELEASE);
	if (wraps) {
		/* A walk that did not see the new generation wrote its word before this. */
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		memset(publisher->memory[MAP_CACHE], 0, sizeof(struct unwind_cache));
	}
	reclaim(publisher);
}

uint64_t publisher_unmapped(const struct publisher *publisher)
{
	const uint64_t *wanted = publisher->memory[MAP_WANTED];

	return wanted ? __atomic_load_n(&wanted[UNWIND_UNMAPPED], __ATOMIC_RELAXED) : 0;
}

void publisher_read_status(const struct publisher *publisher, struct publisher_status *ret)
{
	size_t count = publisher->mappings.count;

	memset(ret, 0, sizeof(*ret));
	ret->mappings = (unsigned)count;
	if (count > UNWIND_MAX_MAPPINGS)
		ret->mappings_over = (unsigned)count - UNWIND_MAX_MAPPINGS;
	tables_count(publisher->tables, TABLE_READY, &ret->tables_ready);
	tables_count(publisher->tables, TABLE_PENDING, &ret->tables_pending);
	tables_count(publisher->tables, TABLE_WITHOUT, &ret->tables_without);
	tables_count(publisher->tables, TABLE_REFUSED, &ret->tables_refused);
	ret->bytes_limit = maps_bytes(publisher);
	if (publisher->memory[MAP_ROWS])
		ret->bytes_used = ret->bytes_limit -
				  publisher->rows_free.free_count * sizeof(struct unwind_row) -
				  publisher->blocks_free.free_count * sizeof(struct unwind_block);
}
