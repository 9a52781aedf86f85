/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One read gives one text; the mappings point into it, so that a list of thousands costs two
 * allocations. Modules are matched by (range, offset, file): a row of core/modules that is still
 * mapped doubles as the cache of what its file says, since a file that is mapped cannot have its
 * inode given to another. Nothing else is cached: what was unmapped is read again.
 */
#include "capture/procmaps.h"

#include "capture/elfimage.h"
#include "capture/kernel_modules.h"
#include "capture/procfs.h"
#include "util/alloc.h"
#include "util/cleanup.h"
#include "util/map.h"
#include "util/vec.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* A [vdso] is two or so pages; a target cannot make memtop read more than this. */
#define VDSO_MAX_BYTES (1u << 20)

static void unescape_newlines(char *text)
{
	char *to = strstr(text, "\\012");

	if (!to)
		return;
	for (const char *from = to; *from;) {
		if (!strncmp(from, "\\012", 4)) {
			*to++ = '\n';
			from += 4;
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
}

static bool parse_hex(char **at, char end, uint64_t *ret)
{
	char *stop;

	if (**at == ' ' || **at == '-')
		return false;
	*ret = strtoull(*at, &stop, 16);
	if (stop == *at || *stop != end)
		return false;
	*at = stop + 1;
	return true;
}

static void parse_path(char *path, struct mapping *ret)
{
	static const char suffix[] = " (deleted)";
	size_t length = strlen(path), cut = sizeof(suffix) - 1;

	ret->deleted = *path == '/' && length > cut && !strcmp(path + length - cut, suffix);
	if (ret->deleted)
		path[length - cut] = '\0';
	unescape_newlines(path);
	ret->path = path;
}

bool procmaps_parse_line(char *line, struct mapping *ret)
{
	uint64_t major_number, minor_number;
	char *at = line, *end;

	memset(ret, 0, sizeof(*ret));
	if (!parse_hex(&at, '-', &ret->start) || !parse_hex(&at, ' ', &ret->end) ||
	    strnlen(at, 5) < 5 || at[4] != ' ')
		return false;
	memcpy(ret->perms, at, 4);
	at += 5;
	if (!parse_hex(&at, ' ', &ret->offset) || !parse_hex(&at, ':', &major_number) ||
	    !parse_hex(&at, ' ', &minor_number))
		return false;
	ret->device = makedev(major_number, minor_number);
	ret->inode = strtoull(at, &end, 10);
	if (end == at || ret->end <= ret->start)
		return false;
	while (*end == ' ')
		end++;
	parse_path(end, ret);
	return true;
}

int procmaps_parse(char *text, struct procmaps *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->text = text;
	for (char *line = text, *next; *line; line = next) {
		next = strchrnul(line, '\n');
		if (*next)
			*next++ = '\0';
		if (!procmaps_parse_line(line, vec_push(ret))) {
			procmaps_deinit(ret);
			return -EINVAL;
		}
	}
	return 0;
}

/* Where the first thread has ended. */
static int read_of_thread(pid_t pid, char **ret)
{
	pid_t thread = procfs_live_thread(pid);
	_cleanup_free_ char *path = procfs_path(pid, thread, "maps");
	int error = thread ? procfs_read_path(path, ret, NULL) : -ESRCH;

	if (error || **ret)
		return error;
	free(*ret);
	return -ESRCH;
}

int procmaps_read(pid_t pid, struct procmaps *ret)
{
	char *text;
	int error = procfs_read(pid, "maps", &text, NULL);

	memset(ret, 0, sizeof(*ret));
	if (error)
		return error;
	if (!*text) {
		free(text);
		error = read_of_thread(pid, &text);
		if (error)
			return error;
	}
	return procmaps_parse(text, ret);
}

void procmaps_deinit(struct procmaps *maps)
{
	vec_deinit(maps);
	free(maps->text);
	maps->text = NULL;
}

const struct mapping *procmaps_find(const struct procmaps *maps, uint64_t address)
{
	size_t low = 0, high = maps->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct mapping *mapping = &maps->data[middle];

		if (address < mapping->start)
			high = middle;
		else if (address >= mapping->end)
			low = middle + 1;
		else
			return mapping;
	}
	return NULL;
}

/* Looks before it opens: to open a device has effects, to open a pipe may wait. */
static int open_regular(const char *path)
{
	_cleanup_close_ int handle = open(path, O_PATH | O_CLOEXEC);
	char link[64];
	struct stat st;
	int fd;

	if (handle < 0 || fstat(handle, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOENT;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", handle);
	fd = open(link, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

static char *map_files_path(pid_t pid, const struct mapping *mapping)
{
	return xasprintf("/proc/%d/map_files/%" PRIx64 "-%" PRIx64, pid, mapping->start,
			 mapping->end);
}

/* Of a target that changed its root below memtop's the kernel tells paths as memtop sees them. */
static int open_own(const struct mapping *mapping)
{
	struct stat found;
	int fd = open_regular(mapping->path);

	if (fd < 0 || (!fstat(fd, &found) && found.st_ino == mapping->inode &&
		       found.st_dev == mapping->device))
		return fd;
	close(fd);
	return -ESTALE;
}

int procmaps_open_file(pid_t pid, const struct mapping *mapping)
{
	_cleanup_free_ char *by_range = map_files_path(pid, mapping);
	_cleanup_free_ char *by_name = NULL;
	int fd;

	if (mapping->path[0] != '/')
		return -ENOENT;
	fd = open_regular(by_range);
	if (fd >= 0 || mapping->deleted)
		return fd;
	by_name = xasprintf("/proc/%d/root%s", pid, mapping->path);
	fd = open_regular(by_name);
	return fd < 0 ? open_own(mapping) : fd;
}

char *procmaps_file_path(pid_t pid, const struct mapping *mapping)
{
	char *by_range = map_files_path(pid, mapping);

	if (mapping->deleted || !access(by_range, R_OK))
		return by_range;
	free(by_range);
	return xasprintf("/proc/%d/root%s", pid, mapping->path);
}

static int read_vdso(pid_t pid, const struct mapping *mapping, struct elf_image *ret)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/mem", pid);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t size = mapping->end - mapping->start;
	_cleanup_free_ char *data = NULL;
	ssize_t n;

	if (fd < 0)
		return -errno;
	if (size > VDSO_MAX_BYTES)
		return -EFBIG;
	data = xmalloc(size);
	n = pread(fd, data, size, (off_t)mapping->start);
	if (n < 0)
		return -errno;
	return elf_image_read_memory(data, (size_t)n, ret);
}

static int read_image(pid_t pid, const struct mapping *mapping, struct elf_image *ret)
{
	_cleanup_close_ int fd = -1;

	if (!strcmp(mapping->path, "[vdso]"))
		return read_vdso(pid, mapping, ret);
	fd = procmaps_open_file(pid, mapping);
	return fd < 0 ? fd : elf_image_read(fd, ret);
}

/* Where the file cannot be read, its own addresses are taken to be its offsets: often true. */
static void add_module(struct modules *modules, const struct mapping *mapping, pid_t pid,
		       uint64_t now_ns)
{
	struct module module = {
		.start = mapping->start,
		.end = mapping->end,
		.file_offset = mapping->offset,
		.bias = mapping->start - mapping->offset,
		.device = mapping->device,
		.inode = mapping->inode,
		.deleted = mapping->deleted,
		.path = mapping->path,
		.from_ns = now_ns,
		.to_ns = UINT64_MAX,
	};
	struct elf_image image;

	if (!read_image(pid, mapping, &image)) {
		elf_image_bias(&image, mapping->start, mapping->offset, &module.bias);
		memcpy(module.build_id, image.build_id, sizeof(module.build_id));
		module.build_id_size = image.build_id_size;
		elf_image_deinit(&image);
	}
	modules_add(modules, &module);
}

static bool same_file(const struct module *module, const struct mapping *mapping)
{
	return module->device == mapping->device && module->inode == mapping->inode &&
	       module->file_offset == mapping->offset && !strcmp(module->path, mapping->path);
}

static bool is_module(const struct mapping *mapping)
{
	return mapping->perms[2] == 'x' &&
	       (mapping->path[0] == '/' || !strcmp(mapping->path, "[vdso]") ||
		!strcmp(mapping->path, "[uprobes]"));
}

/* What another mapped row of the same file says, moved to where this mapping lies. */
static bool add_from_row(struct modules *modules, const struct mapping *mapping, uint64_t now_ns)
{
	for (size_t i = 0; i < modules_count(modules); i++) {
		const struct module *row = modules_get(modules, i);
		struct module module = *row;

		if (row->to_ns != UINT64_MAX || mapping->path[0] != '/' || !same_file(row, mapping))
			continue;
		module.start = mapping->start;
		module.end = mapping->end;
		module.bias = mapping->start - (row->start - row->bias);
		module.deleted = mapping->deleted;
		module.path = mapping->path;
		module.from_ns = now_ns;
		modules_add(modules, &module);
		return true;
	}
	return false;
}

size_t procmaps_anonymous_code(const struct procmaps *maps, struct unwinder_range *ret, size_t cap)
{
	const struct mapping *mapping;
	size_t count = 0;

	vec_for_each(mapping, maps) {
		/* One that is called "[anon:NAME]" is anonymous too. */
		if (mapping->perms[2] != 'x' ||
		    (mapping->path[0] && strncmp(mapping->path, "[anon:", 6) != 0))
			continue;
		if (count && ret[count - 1].end == mapping->start)
			ret[count - 1].end = mapping->end;
		else if (count < cap)
			ret[count++] = (struct unwinder_range){mapping->start, mapping->end};
	}
	return count;
}

int procmaps_update_modules(struct modules *modules, const struct procmaps *maps, pid_t pid,
			    uint64_t now_ns)
{
	size_t before = modules_count(modules);
	const struct mapping *mapping;
	struct map known = {0};
	int changes = 0;

	/* A mapping's start is a page's address: with its lowest bit set it is never the key 0. */
	for (size_t i = 0; i < before; i++) {
		const struct module *row = modules_get(modules, i);

		if (row->to_ns != UINT64_MAX || row->start >= KERNEL_MODULES_FROM)
			continue;
		mapping = procmaps_find(maps, row->start);
		if (mapping && is_module(mapping) && mapping->start == row->start &&
		    mapping->end == row->end && same_file(row, mapping)) {
			map_set(&known, row->start | 1, 1);
		} else {
			modules_remove(modules, row->id, now_ns);
			changes++;
		}
	}
	vec_for_each(mapping, maps) {
		uint64_t unused;

		if (!is_module(mapping) || map_get(&known, mapping->start | 1, &unused))
			continue;
		if (!add_from_row(modules, mapping, now_ns))
			add_module(modules, mapping, pid, now_ns);
		changes++;
	}
	map_deinit(&known);
	return changes;
}
