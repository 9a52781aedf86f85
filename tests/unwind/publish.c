/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The publisher on a large process: this one, which maps the code of many of the machine's
 * libraries. What the maps then say of any address must be what the compiler says. TAP on standard
 * output.
 *
 *     publish DIRECTORY
 */
#include <memtop/abi.h> /* of what the skeleton holds */

#include "core/modules.h"
#include "stacks.skel.h"
#include "unwind/elf_frames.h"
#include "unwind/publisher.h"
#include "util/cleanup.h"
#include "util/vec.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <memtop/unwind_abi.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	FILES_MAX = 300,
	SAMPLES = 400,
	ROUNDS = 200, /* of the 4 bits of a generation in the cache */
	MIB = 1 << 20
};

struct library {
	char *path;
	uint64_t size;
	struct module module;
};

struct maps {
	const struct unwind_row *rows;
	const struct unwind_block *blocks;
	const struct unwind_mapping *mappings;
	const struct unwind_state *state;
};

typedef VEC(struct library) libraries;

static unsigned test_number, tests_failed;

static void check(bool good, const char *what)
{
	tests_failed += !good;
	printf("%sok %u - %s\n", good ? "" : "not ", ++test_number, what);
	fflush(stdout);
}

static int larger_first(const void *left, const void *right)
{
	const struct library *a = left, *b = right;

	return a->size > b->size ? -1 : a->size < b->size;
}

static void find_libraries(const char *directory, libraries *ret)
{
	DIR *stream = opendir(directory);
	struct dirent *entry;
	struct stat status;

	while (stream && (entry = readdir(stream))) {
		char *path = xasprintf("%s/%s", directory, entry->d_name);

		if (!strstr(entry->d_name, ".so") || lstat(path, &status) ||
		    !S_ISREG(status.st_mode)) {
			free(path);
			continue;
		}
		*vec_push(ret) = (struct library){.path = path, .size = (uint64_t)status.st_size};
	}
	if (stream)
		closedir(stream);
	qsort(ret->data, ret->count, sizeof(*ret->data), larger_first);
}

/* Maps the first executable segment as a loader would; false if there is none. */
static bool map_library(struct library *library, uint32_t id)
{
	_cleanup_close_ int fd = open(library->path, O_RDONLY | O_CLOEXEC);
	struct elf_frames frames;
	struct stat status;
	uint64_t page = 4096, start, size;
	void *memory;

	if (fd < 0 || fstat(fd, &status) || elf_frames_open(fd, &frames))
		return false;
	start = frames.segments[0].file_offset / page * page;
	size = frames.segments[0].file_offset + frames.segments[0].file_size - start;
	elf_frames_close(&frames);
	memory = mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, (off_t)start);
	if (memory == MAP_FAILED)
		return false;
	library->module = (struct module){
		.id = id,
		.start = (uint64_t)(uintptr_t)memory,
		.end = (uint64_t)(uintptr_t)memory + (size + page - 1) / page * page,
		.file_offset = start,
		.device = status.st_dev,
		.inode = status.st_ino,
		.path = library->path,
		.to_ns = UINT64_MAX,
	};
	return true;
}

/* What the walker finds, by the same steps. */
static uint32_t published_rule(const struct maps *maps, uint64_t address)
{
	unsigned half = maps->state->generation & 1;
	const struct unwind_mapping *mapping = maps->mappings + half * UNWIND_MAX_MAPPINGS;
	const struct unwind_mapping *end = mapping + maps->state->counts[half];
	const struct unwind_block *block;
	uint64_t offset;
	uint32_t row, last;

	while (mapping < end && address >= mapping->end)
		mapping++;
	if (mapping == end || address < mapping->start || !(mapping->flags & UNWIND_MAPPING_READY))
		return UINT32_MAX;
	offset = address - mapping->base;
	if (offset >> UNWIND_BLOCK_SHIFT >= mapping->blocks)
		return UNWIND_NONE;
	block = &maps->blocks[mapping->first_block + (offset >> UNWIND_BLOCK_SHIFT)];
	row = block->row + (offset & UNWIND_BLOCK_BYTES / 2 ? block->middle : 0);
	last = block->row + (offset & UNWIND_BLOCK_BYTES / 2 ? block->end : block->middle);
	while (row < last && maps->rows[mapping->first_row + row + 1].pc <= (uint32_t)offset)
		row++;
	return maps->rows[mapping->first_row + row].rule;
}

/* At random addresses and at the rows' own, of one library. */
static unsigned differences(const struct maps *maps, const struct library *library)
{
	_cleanup_close_ int fd = open(library->path, O_RDONLY | O_CLOEXEC);
	const struct module *module = &library->module;
	uint64_t seed = module->start, bias;
	struct elf_frames frames;
	unsigned wrong = 0;
	struct rows rows;

	if (elf_frames_open(fd, &frames))
		return 1;
	memset(&rows, 0, sizeof(rows));
	elf_frames_compile(&frames, &rows);
	if (elf_segments_bias(frames.segments, frames.segment_count, module->start,
			      module->file_offset, module->end - module->start, &bias))
		wrong++;
	for (unsigned i = 0; i < SAMPLES && !wrong; i++) {
		uint64_t address;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		address = module->start + (seed >> 20) % (module->end - module->start);
		if (i % 2 && rows.count)
			address = bias + frames.input.base +
				  rows.data[(seed >> 20) % rows.count].pc - i / 2 % 2;
		if (address < module->start || address >= module->end)
			continue;
		wrong += published_rule(maps, address) !=
			 rows_find(&rows, (uint32_t)(address - bias - frames.input.base));
	}
	rows_deinit(&rows);
	elf_frames_close(&frames);
	return wrong;
}

static const void *map_of(const struct bpf_map *map, size_t element)
{
	size_t size = (bpf_map__max_entries(map) * element + 4095) / 4096 * 4096;
	void *memory = mmap(NULL, size, PROT_READ, MAP_SHARED, bpf_map__fd(map), 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static double milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void work(struct publisher *publisher, struct publisher_status *ret)
{
	while (publisher_step(publisher))
		;
	publisher_publish(publisher);
	publisher_read_status(publisher, ret);
}

static unsigned all_differences(const struct maps *maps, const libraries *all, unsigned first,
				unsigned step)
{
	unsigned wrong = 0;

	for (size_t i = first; i < all->count; i += step)
		wrong += differences(maps, &all->data[i]);
	return wrong;
}

static bool setup(struct publisher *publisher, struct stacks_bpf *skeleton, struct maps *maps)
{
	if (publisher_size_maps(publisher, skeleton->obj) || stacks_bpf__load(skeleton) ||
	    publisher_open(publisher, skeleton->obj))
		return false;
	maps->rows = map_of(skeleton->maps.unwind_rows, sizeof(*maps->rows));
	maps->blocks = map_of(skeleton->maps.unwind_blocks, sizeof(*maps->blocks));
	maps->mappings = map_of(skeleton->maps.unwind_mappings, sizeof(*maps->mappings));
	maps->state = map_of(skeleton->maps.unwind_states, sizeof(*maps->state));
	return maps->rows && maps->blocks && maps->mappings && maps->state;
}

static void test_large(const libraries *all)
{
	struct publisher *publisher = publisher_new(getpid(), 256 * MIB);
	struct stacks_bpf *skeleton = stacks_bpf__open();
	struct publisher_status status = {0};
	struct maps maps = {0};
	uint64_t text = 0;
	double started;

	for (size_t i = 0; i < all->count; i++) {
		publisher_add(publisher, &all->data[i].module);
		text += all->data[i].module.end - all->data[i].module.start;
	}
	check(setup(publisher, skeleton, &maps), "the maps are made");
	started = milliseconds();
	work(publisher, &status);
	printf("# %zu mappings, %" PRIu64 " MB of text: %" PRIu64 " of %" PRIu64
	       " bytes in %.0f ms\n",
	       all->count, text / 1000000, status.bytes_used, status.bytes_limit,
	       milliseconds() - started);
	check(!status.tables_pending && !status.tables_refused && status.tables_ready > 10,
	      "all tables are compiled");
	check(!all_differences(&maps, all, 0, 1), "the maps say what the compiler says");

	for (size_t i = 0; i < all->count; i += 2)
		publisher_remove(publisher, all->data[i].module.id);
	publisher_publish(publisher);
	check(!all_differences(&maps, all, 1, 2), "what stays is as it was when others go");
	check(published_rule(&maps, all->data[0].module.start) == UINT32_MAX,
	      "what went is not found");
	/* In another order, so that other tables come to lie where these lay. */
	for (size_t i = (all->count - 1) / 2 * 2 + 2; i >= 2; i -= 2)
		publisher_add(publisher, &all->data[i - 2].module);
	work(publisher, &status);
	check(!status.tables_refused && !all_differences(&maps, all, 0, 1),
	      "and what comes back is found again");
	stacks_bpf__destroy(skeleton);
	publisher_free(publisher);
}

static void test_limit(const libraries *all)
{
	struct publisher *publisher = publisher_new(getpid(), 4 * MIB);
	struct stacks_bpf *skeleton = stacks_bpf__open();
	struct publisher_status status = {0};
	struct maps maps = {0};
	unsigned wrong = 0;

	for (size_t i = 0; i < all->count; i++)
		publisher_add(publisher, &all->data[i].module);
	check(setup(publisher, skeleton, &maps), "small maps are made");
	work(publisher, &status);
	check(status.tables_refused && status.tables_ready && !status.tables_pending &&
		      status.bytes_used <= status.bytes_limit &&
		      status.bytes_limit <= 4 * MIB + 4096,
	      "the limit is kept, and said");
	for (size_t i = 0; i < all->count; i++)
		if (published_rule(&maps, all->data[i].module.start) != UINT32_MAX)
			wrong += differences(&maps, &all->data[i]);
	check(!wrong, "what is there is right");
	stacks_bpf__destroy(skeleton);
	publisher_free(publisher);
}

struct late_writer {
	struct unwind_cache *cache;
	const struct unwind_state *state;
	bool ends;
};

#define TAG_MASK ((1u << UNWIND_CACHE_EPOCH_BITS) - 1)

/* As walks fill the cache, of all addresses, as fast as it goes. */
static void *write_late(void *context)
{
	struct late_writer *writer = context;

	for (uint64_t pc = 0; !__atomic_load_n(&writer->ends, __ATOMIC_RELAXED); pc++) {
		uint64_t *entry = &writer->cache->entries[pc % UNWIND_CACHE_ENTRIES];
		uint64_t generation = __atomic_load_n(&writer->state->generation, __ATOMIC_RELAXED);

		__atomic_exchange_n(
			entry, unwind_cache_tag(pc | 1ull << 40, generation) << UNWIND_RULE_BITS,
			__ATOMIC_SEQ_CST);
		if (__atomic_load_n(&writer->state->generation, __ATOMIC_RELAXED) != generation)
			__atomic_store_n(entry, 0, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Words of an earlier round of the 4 bits, which would be valid once more. */
static unsigned old_words(const struct late_writer *writer)
{
	unsigned old = 0;

	for (unsigned i = 0; i < UNWIND_CACHE_ENTRIES; i++) {
		uint64_t word = writer->cache->entries[i];

		old += word && (word >> UNWIND_RULE_BITS & TAG_MASK) >
				       (writer->state->generation & TAG_MASK);
	}
	return old;
}

/* Generations until the tag is `tag`. */
static void publish_until(struct publisher *publisher, const struct late_writer *writer,
			  const struct module *module, unsigned tag)
{
	do {
		publisher_remove(publisher, module->id);
		publisher_add(publisher, module);
		publisher_publish(publisher);
	} while ((writer->state->generation & TAG_MASK) != tag);
}

static void test_wrap(const libraries *all)
{
	struct publisher *publisher = publisher_new(getpid(), 4 * MIB);
	struct stacks_bpf *skeleton = stacks_bpf__open();
	struct late_writer writer = {0};
	struct maps maps = {0};
	unsigned old = 0;
	pthread_t thread;
	bool usable;

	publisher_add(publisher, &all->data[0].module);
	if (setup(publisher, skeleton, &maps))
		writer.cache = mmap(NULL, sizeof(*writer.cache), PROT_READ | PROT_WRITE, MAP_SHARED,
				    bpf_map__fd(skeleton->maps.unwind_caches), 0);
	writer.state = maps.state;
	usable = writer.cache && writer.cache != MAP_FAILED;
	check(usable, "the cache is there");
	for (unsigned round = 0; usable && round < ROUNDS; round++) {
		writer.ends = false;
		if (pthread_create(&thread, NULL, write_late, &writer))
			exit(1);
		publish_until(publisher, &writer, &all->data[0].module, TAG_MASK);
		publish_until(publisher, &writer, &all->data[0].module, 0);
		__atomic_store_n(&writer.ends, true, __ATOMIC_RELAXED);
		pthread_join(thread, NULL);
		old += old_words(&writer);
	}
	check(usable && !old, "no rule of an old generation comes to be valid once more");
	if (usable)
		munmap(writer.cache, sizeof(*writer.cache));
	stacks_bpf__destroy(skeleton);
	publisher_free(publisher);
}

int main(int argc, char **argv)
{
	libraries all = {0};
	size_t kept = 0;

	if (argc != 2)
		return 2;
	printf("1..11\n");
	find_libraries(argv[1], &all);
	for (size_t i = 0; i < all.count; i++) {
		if (kept < FILES_MAX && map_library(&all.data[i], (uint32_t)kept + 1))
			all.data[kept++] = all.data[i];
		else
			free(all.data[i].path);
	}
	all.count = kept;
	test_large(&all);
	test_limit(&all);
	test_wrap(&all);
	return tests_failed ? 1 : 0;
}
