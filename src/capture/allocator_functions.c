/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A name is looked for in both symbol tables of each file, as it stands there and as people write
 * it. It has to be one function: of several, each would be taken for the one that is described.
 */
#include "capture/allocator_search.h"

#include "util/alloc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 100

struct hit {
	struct object *object;
	uint64_t address;
};

struct lookup {
	const struct function_description *function;
	char *(*demangle)(const char *symbol);
	const char *last; /* the name's last part, which stands in the symbol as it is */
	VEC(struct hit) hits;
};

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* "libpool.so" is libpool.so.1, too. */
static bool is_module(const struct object *object, const char *module)
{
	const char *name = last_part(object->mapping->path);
	size_t length = strlen(module);

	return !length ||
	       (!strncmp(name, module, length) && (!name[length] || name[length] == '.'));
}

static bool matches(void *context, const char *symbol)
{
	const struct lookup *lookup = context;
	bool same = !strcmp(symbol, lookup->function->name);
	char *readable;

	if (same || !lookup->demangle || symbol[0] != '_' || !strstr(symbol, lookup->last))
		return same;
	readable = lookup->demangle(symbol);
	/* Parts that the compiler put elsewhere have the function's name, but are not it. */
	same = readable && !strcmp(readable, lookup->function->name) && !strchr(symbol, '.');
	free(readable);
	return same;
}

static void add_hit(struct lookup *lookup, struct object *object, uint64_t address)
{
	const struct hit *hit;

	vec_for_each(hit, &lookup->hits)
		if (hit->object == object && hit->address == address)
			return;
	*vec_push(&lookup->hits) = (struct hit){object, address};
}

static void look_into(struct lookup *lookup, struct object *object)
{
	static const enum elf_table tables[] = {ELF_TABLE_DYNAMIC, ELF_TABLE_FULL};

	for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
		struct elf_functions found;

		if (!elf_functions_match(object->fd, tables[i], matches, lookup, &found))
			for (size_t j = 0; j < found.count; j++)
				if (!found.data[j].indirect)
					add_hit(lookup, object, found.data[j].address);
		elf_functions_deinit(&found);
	}
}

__attribute__((format(printf, 3, 4))) static int
refuse(struct search *search, const struct function_description *function, const char *format, ...)
{
	va_list arguments;
	int length =
		snprintf(search->error, search->size, "--function %.*s: ", SHOWN, function->text);

	va_start(arguments, format);
	if (length > 0 && (size_t)length < search->size)
		vsnprintf(search->error + length, search->size - (size_t)length, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

static int refuse_several(struct search *search, const struct lookup *lookup)
{
	char places[160] = "";
	size_t length = 0;

	for (size_t i = 0; i < lookup->hits.count && length < sizeof(places); i++)
		length += (size_t)snprintf(places + length, sizeof(places) - length,
					   " %.40s+0x%" PRIx64,
					   last_part(lookup->hits.data[i].object->mapping->path),
					   lookup->hits.data[i].address);
	return refuse(search, lookup->function, "%zu functions are called so, give one of%s",
		      lookup->hits.count, places);
}

static int miss(struct search *search, const struct function_description *function, bool module)
{
	if (function->may_miss)
		return 0;
	if (!search->options->functions_may_miss)
		return module ? refuse(search, function, "process %d has mapped no such function",
				       search->pid) :
				refuse(search, function, "process %d has mapped no such module",
				       search->pid);
	snprintf(search->points->note, sizeof(search->points->note),
		 "no function %.*s in this program", SHOWN, function->text);
	return 0;
}

static int add_function(struct search *search, const struct function_description *function,
			const struct hit *hit)
{
	struct probe_point *point =
		point_add(search, hit->object, hit->address, function_arguments(function));
	char why[128] = "";
	int status;

	if (!point)
		return point_find(search, hit->object, hit->address) ?
			       refuse(search, function, "that function is watched already") :
			       refuse(search, function, "there is no code of process %d there",
				      search->pid);
	point->name = xstrdup(function->text);
	point->cookie = function_cookie(function);
	point->frees = function->use == FUNCTION_FREE;
	point->returns = point->frees ? PROBE_RETURN_NONE : PROBE_RETURN_EXITS;
	/* For one that frees as well: it tells that a function begins there. */
	status = point_find_exits(search, hit->object, point, why, sizeof(why));
	if (!status || (point->frees && function->name[0]))
		return 0;
	free(point->name);
	free(point->path);
	search->points->count--; /* it is the last one */
	return refuse(search, function, "%s", why);
}

static int search_function(struct search *search, const struct function_description *function)
{
	const char *colon = strrchr(function->name, ':');
	struct lookup lookup = {.function = function,
				.demangle = search->options->demangle,
				.last = colon ? colon + 1 : function->name};
	struct object *object;
	bool module = false;
	int status;

	vec_for_each(object, &search->objects) {
		if (object->mapping->perms[2] != 'x' || !is_module(object, function->module) ||
		    !object_open(search, object))
			continue;
		module = true;
		if (function->name[0])
			look_into(&lookup, object);
		else
			add_hit(&lookup, object, function->address);
	}
	if (!lookup.hits.count)
		status = miss(search, function, module);
	else if (lookup.hits.count > 1)
		status = refuse_several(search, &lookup);
	else
		status = add_function(search, function, lookup.hits.data);
	vec_deinit(&lookup.hits);
	if (status && function->may_miss) {
		snprintf(search->points->note, sizeof(search->points->note), "%s", search->error);
		status = 0;
	}
	return status;
}

int search_functions(struct search *search)
{
	int status = 0;

	for (size_t i = 0; !status && search->options && i < search->options->function_count; i++)
		status = search_function(search, &search->options->functions[i]);
	return status;
}
