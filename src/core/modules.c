/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rows are allocated one by one, so that pointers to them stay. Two indexes find them by address:
 * `live`, sorted by start and free of overlaps (a new mapping closes what it covers, as the kernel
 * does), and `closed`, sorted by start, whose rows may overlap. A look-up in `closed` walks back
 * from the last row that starts at or before the address, no farther than the longest row reaches.
 */
#include "core/modules.h"

#include "util/alloc.h"
#include "util/strpool.h"
#include "util/vec.h"

#include <string.h>

struct modules {
	VEC(struct module *) rows; /* by id - 1; owned */
	VEC(struct module *) live;
	VEC(struct module *) closed;
	uint64_t longest_closed;
	struct strpool *paths;
};

struct modules *modules_new(void)
{
	struct modules *modules = xcalloc(1, sizeof(*modules));

	modules->paths = strpool_new();
	return modules;
}

void modules_free(struct modules *modules)
{
	if (!modules)
		return;
	for (size_t i = 0; i < modules->rows.count; i++)
		free(modules->rows.data[i]);
	vec_deinit(&modules->rows);
	vec_deinit(&modules->live);
	vec_deinit(&modules->closed);
	strpool_free(modules->paths);
	free(modules);
}

/* How many of the sorted rows start at or before `address`. */
static size_t count_up_to(struct module *const *rows, size_t count, uint64_t address)
{
	size_t low = 0;

	while (low < count) {
		size_t middle = low + (count - low) / 2;

		if (rows[middle]->start <= address)
			low = middle + 1;
		else
			count = middle;
	}
	return low;
}

#define sorted_insert(vec, row)                                                    \
	do {                                                                       \
		size_t at_ = count_up_to((vec)->data, (vec)->count, (row)->start); \
		vec_reserve((vec), (vec)->count + 1);                              \
		memmove((vec)->data + at_ + 1, (vec)->data + at_,                  \
			((vec)->count - at_) * sizeof(*(vec)->data));              \
		(vec)->data[at_] = (row);                                          \
		(vec)->count++;                                                    \
	} while (0)

static void close_live(struct modules *modules, size_t index, uint64_t now_ns)
{
	struct module *row = modules->live.data[index];

	memmove(modules->live.data + index, modules->live.data + index + 1,
		(modules->live.count - index - 1) * sizeof(*modules->live.data));
	modules->live.count--;
	row->to_ns = now_ns;
	if (row->end - row->start > modules->longest_closed)
		modules->longest_closed = row->end - row->start;
	sorted_insert(&modules->closed, row);
}

static void close_covered(struct modules *modules, const struct module *by)
{
	size_t i = count_up_to(modules->live.data, modules->live.count, by->start);

	if (i && modules->live.data[i - 1]->end > by->start)
		i--;
	while (i < modules->live.count && modules->live.data[i]->start < by->end)
		close_live(modules, i, by->from_ns);
}

uint32_t modules_add(struct modules *modules, const struct module *module)
{
	struct module *row = xmalloc(sizeof(*row));

	*row = *module;
	if (row->end < row->start)
		row->end = row->start;
	if (row->build_id_size > BUILD_ID_MAX)
		row->build_id_size = BUILD_ID_MAX;
	row->path = strpool_add(modules->paths, module->path ? module->path : "");
	*vec_push(&modules->rows) = row;
	row->id = modules->rows.count;
	if (row->to_ns == UINT64_MAX) {
		close_covered(modules, row);
		sorted_insert(&modules->live, row);
	} else {
		if (row->end - row->start > modules->longest_closed)
			modules->longest_closed = row->end - row->start;
		sorted_insert(&modules->closed, row);
	}
	return row->id;
}

void modules_remove(struct modules *modules, uint32_t id, uint64_t now_ns)
{
	const struct module *row;
	size_t i;

	if (!id || id > modules->rows.count)
		return;
	row = modules->rows.data[id - 1];
	if (row->to_ns != UINT64_MAX)
		return;
	i = count_up_to(modules->live.data, modules->live.count, row->start);
	while (i && modules->live.data[i - 1] != row)
		i--;
	if (i)
		close_live(modules, i - 1, now_ns);
}

void modules_follow(struct modules *copy, const struct modules *modules)
{
	for (size_t i = 0; i < copy->rows.count; i++) {
		const struct module *row = modules->rows.data[i];

		if (row->to_ns != copy->rows.data[i]->to_ns)
			modules_remove(copy, row->id, row->to_ns);
	}
	for (size_t i = copy->rows.count; i < modules->rows.count; i++)
		modules_add(copy, modules->rows.data[i]);
}

size_t modules_count(const struct modules *modules)
{
	return modules->rows.count;
}

const struct module *modules_get(const struct modules *modules, size_t index)
{
	return index < modules->rows.count ? modules->rows.data[index] : NULL;
}

static bool holds(const struct module *row, uint64_t address, uint64_t time_ns)
{
	return address >= row->start && address < row->end && time_ns >= row->from_ns &&
	       time_ns < row->to_ns;
}

const struct module *modules_find(const struct modules *modules, uint64_t address, uint64_t time_ns)
{
	size_t i = count_up_to(modules->live.data, modules->live.count, address);

	if (i && holds(modules->live.data[i - 1], address, time_ns))
		return modules->live.data[i - 1];
	i = count_up_to(modules->closed.data, modules->closed.count, address);
	while (i && address - modules->closed.data[i - 1]->start < modules->longest_closed) {
		if (holds(modules->closed.data[i - 1], address, time_ns))
			return modules->closed.data[i - 1];
		i--;
	}
	return NULL;
}

void module_build_id_text(const struct module *module, char *ret)
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < module->build_id_size; i++) {
		*ret++ = digits[module->build_id[i] >> 4];
		*ret++ = digits[module->build_id[i] & 15];
	}
	*ret = '\0';
}

const char *module_basename(const struct module *module)
{
	const char *slash = strrchr(module->path, '/');

	return slash ? slash + 1 : module->path;
}
