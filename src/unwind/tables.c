/* SPDX-License-Identifier: GPL-2.0-only */
#include "unwind/tables.h"

#include "util/alloc.h"
#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <memtop/unwind_abi.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum {
	VDSO_BYTES_MAX = 1 << 20
};

struct tables {
	pid_t pid;
	struct table entries[UNWIND_MAX_TABLES];
	uint32_t count; /* entries ever used */
};

struct tables *tables_new(pid_t pid)
{
	struct tables *tables = xcalloc(1, sizeof(*tables));

	tables->pid = pid;
	return tables;
}

void tables_free(struct tables *tables)
{
	for (uint32_t i = 0; i < tables->count; i++)
		free(tables->entries[i].path);
	free(tables);
}

struct table *tables_get(const struct tables *tables, uint32_t index)
{
	return (struct table *)&tables->entries[index];
}

static bool is_table_of(const struct table *table, const struct module *module)
{
	if (table->state == TABLE_UNUSED)
		return false;
	if (table->build_id_size && module->build_id_size)
		return table->build_id_size == module->build_id_size &&
		       !memcmp(table->build_id, module->build_id, table->build_id_size);
	return module->inode && table->device == module->device && table->inode == module->inode;
}

static uint32_t find_slot(struct tables *tables, const struct module *module)
{
	uint32_t unused = UINT32_MAX;

	for (uint32_t i = 0; i < tables->count; i++) {
		if (is_table_of(&tables->entries[i], module))
			return i;
		if (tables->entries[i].state == TABLE_UNUSED && unused == UINT32_MAX)
			unused = i;
	}
	if (unused == UINT32_MAX && tables->count < UNWIND_MAX_TABLES)
		unused = tables->count++;
	return unused;
}

uint32_t tables_reference(struct tables *tables, const struct module *module)
{
	uint32_t index = find_slot(tables, module);
	struct table *table;

	if (index == UINT32_MAX)
		return index;
	table = &tables->entries[index];
	if (table->state == TABLE_UNUSED) {
		*table = (struct table){
			.state = TABLE_PENDING,
			.build_id_size = module->build_id_size,
			.device = module->device,
			.inode = module->inode,
			.start = module->start,
			.end = module->end,
			.path = xstrdup(module->path),
		};
		memcpy(table->build_id, module->build_id, sizeof(table->build_id));
	}
	table->references++;
	return index;
}

void tables_release(struct tables *tables, uint32_t index)
{
	tables->entries[index].references--;
}

uint32_t tables_next(const struct tables *tables, const uint64_t *wanted)
{
	uint32_t best = UINT32_MAX;

	for (uint32_t i = 0; i < tables->count; i++) {
		const struct table *table = &tables->entries[i];
		const struct table *best_table = &tables->entries[best == UINT32_MAX ? 0 : best];

		if (table->state != TABLE_PENDING || !table->references)
			continue;
		if (best == UINT32_MAX || wanted[i] > wanted[best] ||
		    (wanted[i] == wanted[best] &&
		     table->end - table->start < best_table->end - best_table->start))
			best = i;
	}
	return best;
}

void tables_count(const struct tables *tables, enum table_state state, unsigned *ret)
{
	*ret = 0;
	for (uint32_t i = 0; i < tables->count; i++)
		*ret += tables->entries[i].state == state && tables->entries[i].references;
}

unsigned tables_pending(const struct tables *tables)
{
	unsigned count;

	tables_count(tables, TABLE_PENDING, &count);
	return count;
}

/*
 * The mapped file itself, which may be deleted or replaced; where the kernel does not let us have
 * it, the file of its name, if it is the one that was mapped.
 */
static int open_file(pid_t pid, const struct table *table)
{
	_cleanup_free_ char *mapped =
		xasprintf("/proc/%d/map_files/%lx-%lx", pid, (unsigned long)table->start,
			  (unsigned long)table->end);
	_cleanup_free_ char *named = xasprintf("/proc/%d/root%s", pid, table->path);
	int fd = open(mapped, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat status;

	if (fd >= 0)
		return fd;
	fd = open(named, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) || !S_ISREG(status.st_mode) ||
	    (table->inode && status.st_ino != table->inode)) {
		close(fd);
		return -ESTALE;
	}
	return fd;
}

static int read_memory(pid_t pid, uint64_t start, void *buffer, size_t size)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/mem", pid);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return -errno;
	got = pread(fd, buffer, size, (off_t)start);
	return got < 0 ? -errno : got == (ssize_t)size ? 0 : -EIO;
}

static int compile_frames(const struct elf_frames *frames, struct table *table, struct rows *ret)
{
	table->base = frames->input.base;
	table->segment_count = frames->segment_count;
	memcpy(table->segments, frames->segments, sizeof(table->segments));
	return elf_frames_compile(frames, ret);
}

static int compile_vdso(pid_t pid, struct table *table, struct rows *ret)
{
	uint64_t size = table->end - table->start;
	_cleanup_free_ void *image = NULL;
	struct elf_frames frames;
	int error;

	if (size > VDSO_BYTES_MAX)
		return -EFBIG;
	image = xmalloc(size);
	error = read_memory(pid, table->start, image, size);
	if (!error)
		error = elf_frames_open_image(image, size, &frames);
	if (error)
		return error;
	error = compile_frames(&frames, table, ret);
	elf_frames_close(&frames);
	return error;
}

int tables_compile(struct tables *tables, uint32_t index, struct rows *ret)
{
	struct table *table = &tables->entries[index];
	_cleanup_close_ int fd = -1;
	struct elf_frames frames;
	int error;

	if (!strcmp(table->path, "[vdso]"))
		return compile_vdso(tables->pid, table, ret);
	fd = open_file(tables->pid, table);
	if (fd < 0)
		return fd;
	error = elf_frames_open(fd, &frames);
	if (error)
		return error;
	error = compile_frames(&frames, table, ret);
	elf_frames_close(&frames);
	return error;
}

uint32_t tables_take_unused(struct tables *tables, struct table *ret)
{
	for (uint32_t i = 0; i < tables->count; i++) {
		struct table *table = &tables->entries[i];

		if (table->state == TABLE_UNUSED || table->references)
			continue;
		*ret = *table;
		free(table->path);
		ret->path = NULL;
		memset(table, 0, sizeof(*table));
		return i;
	}
	return UINT32_MAX;
}
