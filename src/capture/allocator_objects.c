/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A file that is mapped several times is one file: a probe stands in the file, not in a mapping.
 */
#include "capture/allocator_search.h"

#include "capture/linkmap.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OUR_MACHINE EM_X86_64
#else
#define OUR_MACHINE EM_AARCH64
#endif

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
			*object = (struct object){
				.mapping = mapping, .start = mapping->start, .fd = -1};
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

int search_collect(struct search *search)
{
	struct linkmap linkmap;
	int error = linkmap_read(search->pid, &linkmap);

	search->memory_fd = -1;
	collect_objects(search);
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

void search_deinit(struct search *search)
{
	struct object *object;
	struct wanted *wanted;

	vec_for_each(object, &search->objects) {
		elf_code_close(object->code);
		elf_functions_deinit(&object->functions);
		elf_image_deinit(&object->image);
		if (object->fd >= 0)
			close(object->fd);
	}
	vec_deinit(&search->objects);
	vec_for_each(wanted, &search->wanted)
		free(wanted->text);
	vec_deinit(&search->wanted);
	free(search->names);
	free(search->bound);
	if (search->memory_fd >= 0)
		close(search->memory_fd);
}

bool object_open(struct search *search, struct object *object)
{
	if (object->fd >= 0)
		return true;
	object->fd = procmaps_open_file(search->pid, object->mapping);
	if (object->fd < 0) {
		search->open_error = object->fd;
		return false;
	}
	if (!elf_image_read(object->fd, &object->image)) {
		if (object->image.machine == OUR_MACHINE &&
		    elf_image_bias(&object->image, object->mapping->start, object->mapping->offset,
				   &object->bias))
			return true;
		search->foreign |= object->image.machine != OUR_MACHINE;
		elf_image_deinit(&object->image);
	}
	close(object->fd);
	object->fd = -1;
	return false;
}

struct elf_code *object_code(struct object *object)
{
	if (!object->code && object->fd >= 0)
		elf_code_open(object->fd, &object->code);
	return object->code;
}

struct object *object_at(struct search *search, uint64_t address)
{
	const struct mapping *mapping = procmaps_find(search->maps, address);
	struct object *object;

	if (!mapping || mapping->perms[2] != 'x' || mapping->path[0] != '/')
		return NULL;
	vec_for_each(object, &search->objects)
		if (same_file(object->mapping, mapping))
			return object;
	return NULL;
}

static uint64_t read_word(struct search *search, uint64_t address)
{
	uint64_t word = 0;
	char path[32];

	if (search->memory_fd < 0) {
		snprintf(path, sizeof(path), "/proc/%d/mem", search->pid);
		search->memory_fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (search->memory_fd < 0 ||
	    pread(search->memory_fd, &word, sizeof(word), (off_t)address) != sizeof(word))
		return 0;
	return word;
}

static bool begins_function(struct object *object, uint64_t address)
{
	struct elf_code *code = object_code(object);
	uint64_t start, end;

	return code && elf_code_extent(code, address - object->bias, &start, &end) &&
	       start == address - object->bias;
}

/*
 * The linker writes what was chosen into the slots of those who call it. A slot that was not used
 * yet leads back into its own file, so only what leads to a function of the chooser's file is
 * believed.
 */
uint64_t object_chosen(struct search *search, struct object *object, uint64_t resolver,
		       const char *name)
{
	struct object *user;

	vec_for_each(user, &search->objects) {
		struct elf_code *code;
		uint64_t slot = 0, chosen;

		if (user->mapping->perms[2] != 'x' || !object_open(search, user))
			continue;
		code = object_code(user);
		if (code && user == object)
			slot = elf_code_chosen_slot(code, resolver);
		if (code && !slot)
			slot = elf_code_import_slot(code, name);
		if (!slot)
			continue;
		chosen = read_word(search, slot + user->bias);
		if (object_at(search, chosen) == object && begins_function(object, chosen))
			return chosen;
	}
	return 0;
}
