/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The mapped files are put into scopes (the linker's list is one, each file outside of it another),
 * and each scope binds each name once. A file that is mapped several times is one file: a probe
 * stands in the file, not in a mapping.
 */
#include "capture/allocators.h"

#include "capture/elfimage.h"
#include "capture/elfsyms.h"
#include "capture/linkmap.h"
#include "capture/probe_site.h"
#include "util/alloc.h"
#include "util/cleanup.h"
#include "util/vec.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

const struct allocator_function allocator_functions[] = {
	{"free", SHAPE_FREE, ABI_KIND_NONE, 1},
	{"cfree", SHAPE_FREE, ABI_KIND_NONE, 1},
	{"malloc", SHAPE_SIZE0, ABI_KIND_MALLOC, 1},
	{"calloc", SHAPE_CALLOC, ABI_KIND_CALLOC, 2},
	{"realloc", SHAPE_REALLOC, ABI_KIND_REALLOC, 2},
	{"reallocarray", SHAPE_REALLOCARRAY, ABI_KIND_REALLOCARRAY, 3},
	{"memalign", SHAPE_ALIGN_SIZE, ABI_KIND_MEMALIGN, 2},
	{"aligned_alloc", SHAPE_ALIGN_SIZE, ABI_KIND_ALIGNED_ALLOC, 2},
	{"posix_memalign", SHAPE_POSIX_MEMALIGN, ABI_KIND_POSIX_MEMALIGN, 3},
	{"valloc", SHAPE_SIZE0, ABI_KIND_VALLOC, 1},
	{"pvalloc", SHAPE_SIZE0, ABI_KIND_PVALLOC, 1},
};

#define FUNCTION_COUNT (sizeof(allocator_functions) / sizeof(*allocator_functions))

const size_t allocator_function_count = FUNCTION_COUNT;

/* Code that is looked through for branches back into what is skipped. */
#define MAX_FUNCTION_BYTES 16384

#if defined(__x86_64__)
#define OUR_MACHINE EM_X86_64
#else
#define OUR_MACHINE EM_AARCH64
#endif

/* A mapped file, known by the first of its mappings that is executable. */
struct object {
	const struct mapping *mapping;
	uint64_t start, end; /* from its first mapping to its last */
	unsigned order;	     /* in the linker's list, from 1; 0 = not in it */
};

struct search {
	pid_t pid;
	const struct procmaps *maps;
	const char *names[FUNCTION_COUNT];
	enum elf_table table;
	VEC(struct object) objects;
	struct probe_points *points;
	bool bound[FUNCTION_COUNT]; /* in the linker's scope */
	bool is_static, indirect, foreign;
	int open_error;
};

/* --- the files, in look-up order --- */

static bool same_file(const struct mapping *a, const struct mapping *b)
{
	return a->device == b->device && a->inode == b->inode && !strcmp(a->path, b->path);
}

static void collect_objects(struct search *search)
{
	const struct mapping *mapping;

	vec_for_each(mapping, search->maps) {
		struct object *object;

		if (mapping->path[0] != '/')
			continue;
		vec_for_each(object, &search->objects)
			if (same_file(object->mapping, mapping))
				break;
		if (object == search->objects.data + search->objects.count) {
			object = vec_push(&search->objects);
			*object = (struct object){.mapping = mapping, .start = mapping->start};
		}
		object->end = mapping->end;
		if (mapping->perms[2] == 'x' && object->mapping->perms[2] != 'x')
			object->mapping = mapping;
	}
}

static void order_by_linkmap(struct search *search, const struct linkmap *linkmap)
{
	for (size_t i = 0; i < linkmap->count; i++) {
		const struct mapping *mapping = procmaps_find(search->maps, linkmap->data[i]);
		struct object *object;

		vec_for_each(object, &search->objects)
			if (mapping && !object->order && same_file(object->mapping, mapping))
				object->order = (unsigned)i + 1;
	}
}

/*
 * Without the linker's list: the executable lies lowest; libraries are mapped downwards, the first
 * one highest, below the linker itself, which exports nothing of ours that libc does not.
 */
static void order_by_address(struct search *search)
{
	unsigned count = (unsigned)search->objects.count;

	for (unsigned i = 0; i < count; i++)
		search->objects.data[i].order = i ? count - i + 1 : 1;
}

static int compare_objects(const void *a, const void *b)
{
	const struct object *left = a, *right = b;
	unsigned l = left->order ? left->order : UINT32_MAX;
	unsigned r = right->order ? right->order : UINT32_MAX;

	return (l > r) - (l < r);
}

static int order_objects(struct search *search)
{
	struct linkmap linkmap;
	int error = linkmap_read(search->pid, &linkmap);

	if (error && error != -EAGAIN)
		return error;
	search->is_static = linkmap.is_static;
	if (linkmap.count)
		order_by_linkmap(search, &linkmap);
	else
		order_by_address(search);
	if (search->objects.count)
		qsort(search->objects.data, search->objects.count, sizeof(*search->objects.data),
		      compare_objects);
	linkmap_deinit(&linkmap);
	return 0;
}

/* --- what they define --- */

static bool has_point(const struct probe_points *points, const struct mapping *mapping,
		      uint64_t entry_offset)
{
	const struct probe_point *point;

	vec_for_each(point, points)
		if (point->device == mapping->device && point->inode == mapping->inode &&
		    point->entry_offset == entry_offset)
			return true;
	return false;
}

static void add_point(struct search *search, const struct object *object, int fd,
		      const struct elf_image *image, const struct elf_function *function)
{
	_cleanup_free_ uint8_t *code = xmalloc(MAX_FUNCTION_BYTES);
	int size = elf_function_code(fd, function, code, MAX_FUNCTION_BYTES);
	const struct mapping *mapping = object->mapping;
	struct probe_point point = {
		.function = &allocator_functions[function->name],
		.entry_offset = function->offset,
		.device = mapping->device,
		.inode = mapping->inode,
	};
	struct probe_site site;
	uint64_t bias;

	if (size <= 0 || has_point(search->points, mapping, function->offset) ||
	    probe_site_choose(image->machine, code, (size_t)size, point.function->arguments,
			      &site) ||
	    !elf_image_bias(image, mapping->start, mapping->offset, &bias))
		return;
	point.probe_offset = function->offset + site.offset;
	point.single_step = site.single_step;
	point.address = bias + function->address;
	point.path = procmaps_file_path(search->pid, mapping);
	*vec_push(search->points) = point;
}

/* Of two names for one function the one that the table has first is taken. */
static int compare_names(const void *a, const void *b)
{
	const struct elf_function *left = a, *right = b;

	return (left->name > right->name) - (left->name < right->name);
}

static void search_object(struct search *search, const struct object *object)
{
	_cleanup_close_ int fd = procmaps_open_file(search->pid, object->mapping);
	struct elf_functions functions;
	bool bound[FUNCTION_COUNT];
	struct elf_image image;

	if (fd < 0) {
		search->open_error = fd;
		return;
	}
	if (elf_image_read(fd, &image))
		return;
	if (image.machine != OUR_MACHINE) {
		search->foreign = true;
	} else if (!elf_functions_find(fd, search->table, search->names, FUNCTION_COUNT,
				       &functions)) {
		/* All versions of a name in this file count, later files' do not. */
		if (functions.count)
			qsort(functions.data, functions.count, sizeof(*functions.data),
			      compare_names);
		memcpy(bound, search->bound, sizeof(bound));
		for (size_t i = 0; i < functions.count; i++) {
			const struct elf_function *function = &functions.data[i];

			if (object->order && bound[function->name])
				continue;
			if (object->order)
				search->bound[function->name] = true;
			add_point(search, object, fd, &image, function);
		}
		search->indirect |= functions.indirect;
		elf_functions_deinit(&functions);
	}
	elf_image_deinit(&image);
}

static int compare_points(const void *a, const void *b)
{
	const struct probe_point *left = a, *right = b;

	if (left->function != right->function)
		return left->function < right->function ? -1 : 1;
	return (left->address > right->address) - (left->address < right->address);
}

/* --- what to say where there is nothing --- */

static int explain(const struct search *search, char *error, size_t size)
{
	if (search->foreign) {
		snprintf(error, size,
			 "process %d runs a program of another machine or word size: its "
			 "allocator cannot be watched, --level pages or rss can",
			 search->pid);
		return -ENOTSUP;
	}
	if (search->open_error) {
		snprintf(error, size, "cannot read the program files of process %d: %s",
			 search->pid, strerror(-search->open_error));
		return search->open_error;
	}
	if (search->indirect)
		snprintf(error, size,
			 "process %d chooses its malloc at run time (IFUNC): not supported",
			 search->pid);
	else if (search->is_static)
		snprintf(error, size,
			 "process %d runs a static program without symbols: its allocator cannot "
			 "be found; link it without -s, or do not strip it",
			 search->pid);
	else
		snprintf(error, size, "no file mapped by process %d exports malloc and free",
			 search->pid);
	return -ENOENT;
}

static bool is_complete(const struct probe_points *points)
{
	bool allocates = false, frees = false;
	const struct probe_point *point;

	vec_for_each(point, points) {
		allocates |= point->function->kind != ABI_KIND_NONE;
		frees |= point->function->shape == SHAPE_FREE;
	}
	return allocates && frees;
}

static void search_table(struct search *search, enum elf_table table)
{
	const struct object *object;

	search->table = table;
	memset(search->bound, 0, sizeof(search->bound));
	vec_for_each(object, &search->objects)
		if (object->mapping->perms[2] == 'x')
			search_object(search, object);
}

int allocators_find(pid_t pid, const struct procmaps *maps, struct probe_points *ret, char *error,
		    size_t size)
{
	struct search search = {.pid = pid, .maps = maps, .points = ret};
	int status;

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < FUNCTION_COUNT; i++)
		search.names[i] = allocator_functions[i].name;
	collect_objects(&search);
	status = order_objects(&search);
	if (status == -ENOTSUP)
		search.foreign = true;
	else if (status)
		search.open_error = status;
	else if (search.is_static)
		search_table(&search, ELF_TABLE_FULL);
	/* What looks static may be a linker that was started by hand: ld.so PROGRAM. */
	if (!status && !is_complete(ret))
		search_table(&search, ELF_TABLE_DYNAMIC);
	if (is_complete(ret)) {
		qsort(ret->data, ret->count, sizeof(*ret->data), compare_points);
		status = 0;
	} else {
		probe_points_deinit(ret);
		status = explain(&search, error, size);
	}
	vec_deinit(&search.objects);
	return status;
}

void probe_points_deinit(struct probe_points *points)
{
	struct probe_point *point;

	vec_for_each(point, points)
		free(point->path);
	vec_deinit(points);
}
