/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A file is believed only if it is what is mapped: its build-id is the module's; where the module
 * has none, it must be the mapping's very inode. A file that was put in the place of the mapped one
 * gives wrong names at right-looking offsets, which is worse than none.
 *
 * The descriptor of a believed file stays open, so that its names can be read again after memory
 * was given back, even when the file was deleted and the target has died.
 */
#include "symbol/names.h"

#include "symbol/busguard.h"
#include "symbol/debugfile.h"
#include "symbol/demangle.h"
#include "symbol/image.h"
#include "symbol/lines.h"
#include "symbol/targetfs.h"
#include "symbol/textmap.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>

#define MAX_VDSO    ((size_t)1 << 20)
#define MAX_KEPT_FD 512

struct names_ops {
	int (*load)(struct names *names);
	size_t (*find)(struct names *names, enum names_step step, uint64_t address,
		       struct name *ret, size_t cap);
};

struct names {
	const struct names_ops *ops;
	const struct module *module;
	struct names_context *context;
	int fd; /* of the believed file; -1 = none yet */
	struct image *image;
	bool deep; /* image_deepen() was done */
	struct lines *lines;
	struct textmap map;
	struct stat map_stat;
	char *reason; /* owned */
	int refused;  /* -errno, once and for all */
	bool not_elf;
};

static int refuse(struct names *names, int error, char *reason)
{
	free(names->reason);
	names->reason = reason;
	names->refused = error;
	return error;
}

static void id_text(const uint8_t *id, size_t size, char *ret, size_t capacity)
{
	size_t length = 0;

	*ret = '\0';
	for (size_t i = 0; i < size && length + 3 < capacity; i++)
		length += snprintf(ret + length, capacity - length, "%02x", id[i]);
}

/* Whether the image is what is mapped. */
static int believe(struct names *names, const struct image *image, bool same)
{
	const struct module *module = names->module;
	char found_text[2 * BUILD_ID_MAX + 1], wanted_text[2 * BUILD_ID_MAX + 1];
	const uint8_t *id;
	size_t size = image_build_id(image, &id);

	if (!module->build_id_size) {
		if (same)
			return 0;
		return refuse(names, -ESTALE,
			      xstrdup("file replaced, without a build-id to compare"));
	}
	if (size >= module->build_id_size && !memcmp(id, module->build_id, module->build_id_size))
		return 0;
	id_text(id, size, found_text, sizeof(found_text));
	module_build_id_text(module, wanted_text);
	return refuse(names, -ESTALE,
		      xasprintf("file replaced: build-id %s, mapped %s",
				*found_text ? found_text : "none", wanted_text));
}

static int open_file(struct names *names, bool *ret_same)
{
	int fd;

	*ret_same = true;
	if (names->fd < 0)
		return targetfs_open_module(names->context->fs, names->module, ret_same);
	fd = fcntl(names->fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

/* Of a target with very many modules not all are kept: descriptors are needed for other things. */
static int keep(int fd)
{
	int kept = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (kept < MAX_KEPT_FD)
		return kept;
	close(kept);
	return -1;
}

static int load_file(struct names *names)
{
	bool same;
	int fd = open_file(names, &same);
	int kept, status;

	if (fd < 0)
		return refuse(names, fd, xasprintf("file unreadable: %s", strerror(-fd)));
	kept = names->fd < 0 ? keep(fd) : names->fd;
	names->fd = -1;
	status = image_open(fd, &names->image);
	if (status) {
		names->not_elf = true;
		refuse(names, status, xstrdup("not a readable ELF file"));
	} else {
		status = believe(names, names->image, same);
	}
	if (!status) {
		names->fd = kept;
		return 0;
	}
	names_unload(names);
	if (kept >= 0)
		close(kept);
	return status;
}

/* The vdso is the kernel's: where the target is gone, memtop's own is the same if the id is. */
static int load_vdso(struct names *names)
{
	size_t size = names->module->end - names->module->start;
	void *data = xmalloc(size < MAX_VDSO ? size : MAX_VDSO);
	bool same = true;
	ssize_t got;
	int status;

	if (size > MAX_VDSO)
		size = MAX_VDSO;
	got = targetfs_read_memory(names->context->fs, names->module->start, data, size);
	if (got <= 0) {
		_cleanup_close_ int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);

		same = false;
		got = pread(fd, data, size, (off_t)getauxval(AT_SYSINFO_EHDR));
	}
	if (got <= 0) {
		free(data);
		return refuse(names, -ENODATA, xstrdup("the vdso cannot be read"));
	}
	status = image_open_memory(data, got, &names->image);
	if (status)
		return refuse(names, status, xstrdup("the vdso is not a readable ELF file"));
	status = believe(names, names->image, same);
	if (status)
		names_unload(names);
	return status;
}

static int load_kernel(struct names *names)
{
	_cleanup_close_ int fd = open("/proc/kallsyms", O_RDONLY | O_CLOEXEC);
	char *text;
	size_t size;
	int status = fd < 0 ? -errno : textmap_read(fd, &text, &size);

	if (status)
		return refuse(names, status,
			      xasprintf("/proc/kallsyms cannot be read: %s", strerror(-status)));
	textmap_parse_kallsyms(&names->map, text, size);
	if (symtab_count(names->map.symtab))
		return 0;
	names_unload(names);
	return refuse(names, -EPERM,
		      xstrdup("the kernel hides its symbols (kernel.kptr_restrict)"));
}

static int load_jit(struct names *names)
{
	_cleanup_close_ int fd = -1;
	char path[64], *text;
	size_t size;
	int status;

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)names->context->fs->own_pid);
	fd = targetfs_open_trusted(names->context->fs, path);
	status = fd < 0 ? fd : textmap_read(fd, &text, &size);
	free(names->reason);
	names->reason = NULL;
	memset(&names->map_stat, 0, sizeof(names->map_stat));
	if (status == -EPERM)
		names->reason = xasprintf("%s is not the target's user's nor root's", path);
	else if (status && status != -ENOENT)
		names->reason = xasprintf("%s cannot be read: %s", path, strerror(-status));
	if (status)
		return status;
	fstat(fd, &names->map_stat);
	textmap_parse_perf(&names->map, text, size);
	return 0;
}

static char *copy(const char *text)
{
	return text ? xstrdup(text) : NULL;
}

static size_t find_symbol(struct names *names, uint64_t address, struct name *ret)
{
	const struct symtab_entry *entry = image_symbol(names->image, address);

	/* A label without a size, or a function entered otherwise than by a call (a signal's
	 * trampoline): the return address itself is the very start. */
	if (!entry)
		entry = image_symbol_at(names->image, address + 1);
	if (!entry)
		return 0;
	*ret = (struct name){.symbol = demangle(entry->name), .start = entry->start};
	return 1;
}

static bool is_mangled(const char *name)
{
	return !strncmp(name, "_Z", 2) || !strncmp(name, "_R", 2);
}

static bool is_reserved(const char *name)
{
	return name[0] == '_' && !is_mangled(name);
}

/*
 * DWARF's name is what the source says, but the symbol table's is better where DWARF has only one
 * of the C library's inner names ("__libc_malloc" for malloc), or only the last part of a C++ name
 * (a function of an anonymous namespace has no linkage name). Of several public names the one is
 * meant that DWARF's is the inner form of ("ldexp" for "__ldexp", not scalbn).
 */
static bool symbol_is_better(const char *symbol, const char *name)
{
	_cleanup_free_ char *whole = NULL;

	if (is_reserved(name))
		return !is_reserved(symbol);
	if (is_mangled(name) || !is_mangled(symbol))
		return false;
	whole = demangle(symbol);
	return strstr(whole, name) != NULL;
}

static const char *public_name(const struct names *names, const struct symtab_entry *entry,
			       const char *name)
{
	const struct symtab_entry *same = NULL;

	if (name && is_reserved(name))
		same = image_symbol_named(names->image, entry->start, name + strspn(name, "_"));
	return same ? same->name : entry->name;
}

/* The function that the address is in physically. */
static void name_function(struct names *names, uint64_t address, const struct line_frame *frame,
			  uint64_t bias, struct name *ret)
{
	const struct symtab_entry *entry = image_symbol(names->image, address);
	const char *name = frame->name;

	if (entry &&
	    (!name || (entry->start == frame->start + bias && symbol_is_better(entry->name, name))))
		name = public_name(names, entry, name);
	ret->symbol = name ? demangle(name) : NULL;
	ret->start = entry ? entry->start : frame->start + bias;
}

/* Compilers name some files by their place in the folder that they ran in. */
static char *file_of(const struct line_frame *frame)
{
	if (!frame->file || *frame->file == '/' || !frame->folder)
		return copy(frame->file);
	return xasprintf("%s/%s", frame->folder, frame->file);
}

static size_t find_lines(struct names *names, uint64_t address, struct name *ret, size_t cap)
{
	struct line_frame frames[RESOLVER_MAX_INLINED];
	uint64_t bias;
	size_t count;

	if (cap > RESOLVER_MAX_INLINED)
		cap = RESOLVER_MAX_INLINED;
	image_dwarf(names->image, &bias);
	count = lines_find(names->lines, address - bias, frames, cap);
	for (size_t i = 0; i < count; i++) {
		ret[i] = (struct name){.file = file_of(&frames[i]),
				       .line = frames[i].line,
				       .inlined = frames[i].inlined};
		if (frames[i].inlined) {
			ret[i].symbol = frames[i].name ? demangle(frames[i].name) : NULL;
			ret[i].start = address + 1;
		} else {
			name_function(names, address, &frames[i], bias, &ret[i]);
		}
	}
	return count;
}

static size_t find_in_image(struct names *names, enum names_step step, uint64_t address,
			    struct name *ret, size_t cap)
{
	size_t count = 0;

	if (step == NAMES_DEEP && names->lines)
		count = find_lines(names, address, ret, cap);
	return count ? count : find_symbol(names, address, ret);
}

static size_t find_in_kernel(struct names *names, enum names_step step, uint64_t address,
			     struct name *ret, size_t cap)
{
	const struct symtab_entry *entry = symtab_find(names->map.symtab, address);

	(void)step;
	(void)cap;
	if (!entry || !textmap_kernel_is_text(entry))
		return 0;
	*ret = (struct name){.symbol = xstrdup(entry->name),
			     .start = entry->start,
			     .module = xstrdup(textmap_kernel_module(entry))};
	return 1;
}

static size_t find_in_jit(struct names *names, enum names_step step, uint64_t address,
			  struct name *ret, size_t cap)
{
	const struct symtab_entry *entry = symtab_find(names->map.symtab, address);

	(void)step;
	(void)cap;
	if (!entry)
		return 0;
	*ret = (struct name){.symbol = demangle(entry->name), .start = entry->start};
	return 1;
}

static const struct names_ops ops_of[] = {
	[NAMES_FILE] = {load_file, find_in_image},
	[NAMES_VDSO] = {load_vdso, find_in_image},
	[NAMES_KERNEL] = {load_kernel, find_in_kernel},
	[NAMES_JIT] = {load_jit, find_in_jit},
};

struct names *names_new(enum names_kind kind, const struct module *module,
			struct names_context *context)
{
	struct names *names = xcalloc(1, sizeof(*names));

	names->ops = &ops_of[kind];
	names->module = module;
	names->context = context;
	names->fd = -1;
	return names;
}

void names_free(struct names *names)
{
	if (!names)
		return;
	names_unload(names);
	if (names->fd >= 0)
		close(names->fd);
	free(names->reason);
	free(names);
}

static int deepen(struct names *names)
{
	const struct debug_finder finder = {.fs = names->context->fs,
					    .debug_dir = names->context->debug_dir,
					    .path = names->module->path,
					    .fetcher = names->context->fetcher};
	uint64_t bias;

	if (image_deepen(names->image, &finder))
		return -EAGAIN;
	if (image_dwarf(names->image, &bias))
		names->lines = lines_new(image_dwarf(names->image, &bias), &names->context->stop);
	names->deep = true;
	return 0;
}

/* A file that became shorter under the reader: nothing of it is believed any more. */
static int refuse_cut(struct names *names)
{
	names_unload(names);
	return refuse(names, -EIO, xstrdup("file was cut while it was read"));
}

int names_load(struct names *names, enum names_step step)
{
	unsigned faults;
	int status = names->refused;

	busguard_arm();
	faults = busguard_faults();
	if (!status && !names->image && !names->map.symtab)
		status = names->ops->load(names);
	if (!status && step == NAMES_DEEP && !names->image)
		return -ENODATA;
	if (!status && step == NAMES_DEEP && !names->deep)
		status = deepen(names);
	return busguard_faults() == faults ? status : refuse_cut(names);
}

size_t names_find(struct names *names, enum names_step step, uint64_t address, struct name *ret,
		  size_t cap)
{
	unsigned faults = busguard_faults();
	size_t count;

	if (!cap || names->refused)
		return 0;
	count = names->ops->find(names, step, address, ret, cap);
	if (busguard_faults() == faults)
		return count;
	while (count)
		name_deinit(&ret[--count]);
	refuse_cut(names);
	return 0;
}

void name_deinit(struct name *name)
{
	free(name->symbol);
	free(name->file);
	free(name->module);
}

const char *names_reason(const struct names *names)
{
	return names->reason;
}

bool names_not_elf(const struct names *names)
{
	return names->not_elf;
}

uint64_t names_base(const struct names *names)
{
	return names->map.base;
}

bool names_changed(const struct names *names)
{
	_cleanup_close_ int fd = -1;
	struct stat now = {0};
	char path[64];

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)names->context->fs->own_pid);
	fd = targetfs_open_trusted(names->context->fs, path);
	if (fd < 0 || fstat(fd, &now))
		return false;
	return now.st_ino != names->map_stat.st_ino || now.st_size != names->map_stat.st_size ||
	       now.st_mtim.tv_sec != names->map_stat.st_mtim.tv_sec ||
	       now.st_mtim.tv_nsec != names->map_stat.st_mtim.tv_nsec;
}

size_t names_bytes(const struct names *names)
{
	size_t bytes = names->map.size;

	if (names->map.symtab)
		bytes += symtab_bytes(names->map.symtab);
	if (names->image)
		bytes += image_bytes(names->image);
	return bytes + names_grown_bytes(names);
}

size_t names_grown_bytes(const struct names *names)
{
	return names->lines ? lines_bytes(names->lines) : 0;
}

void names_unload(struct names *names)
{
	lines_free(names->lines);
	names->lines = NULL;
	image_close(names->image);
	names->image = NULL;
	names->deep = false;
	textmap_deinit(&names->map);
}
