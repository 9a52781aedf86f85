/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The mapped files are put into scopes (the linker's list is one, each file outside of it another),
 * and each scope binds each name once. What is found is a candidate first: only when all names are
 * bound can be told which functions are made of others that are watched.
 */
#include "capture/allocators.h"

#include "capture/allocator_search.h"
#include "capture/probe_exits.h"
#include "capture/probe_site.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Code that is looked through for branches back into what is skipped. */
#define MAX_FUNCTION_BYTES 16384
/* Of the table in one file; one that claims more is not worth the time. */
#define MAX_FUNCTIONS 512

/* --- names --- */

static void want(struct search *search, const struct allocator_function *function,
		 const char *prefix)
{
	size_t size = (prefix ? strlen(prefix) : 0) + strlen(function->name) + 1;
	char *text = xmalloc(size);

	snprintf(text, size, "%s%s", prefix ? prefix : "", function->name);
	*vec_push(&search->wanted) = (struct wanted){text, function, prefix};
}

/* In the order of the table, each row alone first: of two names of one function the first counts.
 */
static void want_all(struct search *search)
{
	const struct allocators_options *options = search->options;

	for (size_t i = 0; i < allocator_function_count; i++) {
		const struct allocator_function *function = &allocator_functions[i];

		want(search, function, NULL);
		if (!(function->flags & ALLOCATOR_FAMILY))
			continue;
		for (size_t j = 0; j < allocator_prefix_count; j++)
			want(search, function, allocator_prefixes[j]);
		for (size_t j = 0; options && j < options->prefix_count; j++)
			want(search, function, options->prefixes[j]);
	}
	search->names = xcalloc(search->wanted.count, sizeof(*search->names));
	search->bound = xcalloc(search->wanted.count, sizeof(*search->bound));
	for (size_t i = 0; i < search->wanted.count; i++)
		search->names[i] = search->wanted.data[i].text;
}

static const struct wanted *wanted_of(const struct search *search,
				      const struct elf_function *function)
{
	return &search->wanted.data[function->name];
}

static bool is_wanted_name(const struct search *search, const char *name)
{
	const struct wanted *wanted;

	vec_for_each(wanted, &search->wanted)
		if (!strcmp(wanted->text, name))
			return true;
	return false;
}

/* --- what files define --- */

/* A file that has only one half of a family means something else by the name. */
static bool is_half(const struct search *search, const struct object *object, const char *prefix)
{
	bool allocates = false, frees = false;
	const struct elf_function *function;

	vec_for_each(function, &object->functions) {
		const struct wanted *wanted = wanted_of(search, function);

		if (!wanted->prefix || strcmp(wanted->prefix, prefix))
			continue;
		allocates |= wanted->function->kind != ABI_KIND_NONE;
		frees |= allocator_frees(wanted->function);
	}
	return !allocates || !frees;
}

/* All versions of a name in this file count, later files' do not. */
static void bind(struct search *search, struct object *object, struct elf_functions *exported)
{
	bool *bound_here = xcalloc(search->wanted.count, sizeof(*bound_here));
	const struct elf_function *function;

	vec_for_each(function, exported) {
		if (object->functions.count >= MAX_FUNCTIONS ||
		    (object->order && search->bound[function->name] && !bound_here[function->name]))
			continue;
		if (object->order)
			search->bound[function->name] = bound_here[function->name] = true;
		*vec_push(&object->functions) = *function;
	}
	free(bound_here);
}

static bool is_exported(const struct elf_functions *exported, const struct elf_function *function)
{
	const struct elf_function *other;

	vec_for_each(other, exported)
		if (other->name == function->name)
			return true;
	return false;
}

/* What the file keeps to itself: hidden functions, and names that are an allocator's alone. */
static void add_own(struct search *search, struct object *object,
		    const struct elf_functions *exported)
{
	struct elf_functions all;
	const struct elf_function *function;

	if (elf_functions_find(object->fd, ELF_TABLE_FULL, search->names, search->wanted.count,
			       &all))
		return;
	vec_for_each(function, &all) {
		const struct wanted *wanted = wanted_of(search, function);
		bool own = wanted->prefix || wanted->function->flags & ALLOCATOR_OWN_NAME;

		if (object->functions.count < MAX_FUNCTIONS && (own || function->hidden) &&
		    !is_exported(exported, function))
			*vec_push(&object->functions) = *function;
	}
	elf_functions_deinit(&all);
}

static int compare_functions(const void *a, const void *b)
{
	const struct elf_function *left = a, *right = b;

	return (left->name > right->name) - (left->name < right->name);
}

static void drop_halves(const struct search *search, struct object *object)
{
	struct elf_functions whole = {0};
	const struct elf_function *function;

	vec_for_each(function, &object->functions) {
		const char *prefix = wanted_of(search, function)->prefix;

		if (!prefix || !is_half(search, object, prefix))
			*vec_push(&whole) = *function;
	}
	elf_functions_deinit(&object->functions);
	object->functions = whole;
}

static void search_object(struct search *search, struct object *object, enum elf_table table)
{
	struct elf_functions exported = {0};

	elf_functions_deinit(&object->functions);
	if (!object_open(search, object))
		return;
	if (!elf_functions_find(object->fd, table, search->names, search->wanted.count, &exported))
		bind(search, object, &exported);
	if (table == ELF_TABLE_DYNAMIC)
		add_own(search, object, &exported);
	elf_functions_deinit(&exported);
	drop_halves(search, object);
	if (object->functions.count)
		qsort(object->functions.data, object->functions.count,
		      sizeof(*object->functions.data), compare_functions);
}

/* --- points --- */

const struct probe_point *point_find(const struct search *search, const struct object *object,
				     uint64_t address)
{
	const struct probe_point *point;

	vec_for_each(point, search->points)
		if (point->device == object->mapping->device &&
		    point->inode == object->mapping->inode &&
		    point->address == address + object->bias)
			return point;
	return NULL;
}

struct probe_point *point_add(struct search *search, struct object *object, uint64_t address,
			      unsigned arguments)
{
	struct probe_point point = {
		.address = object->bias + address,
		.device = object->mapping->device,
		.inode = object->mapping->inode,
	};
	_cleanup_free_ uint8_t *bytes = xmalloc(MAX_FUNCTION_BYTES);
	struct elf_code *code = object_code(object);
	size_t size = MAX_FUNCTION_BYTES;
	struct probe_site site;
	uint64_t start, end;

	/* Whatever the file says: code of this file has to be mapped there. */
	if (!code || point_find(search, object, address) ||
	    object_at(search, point.address) != object ||
	    !elf_image_file_offset(&object->image, address, &point.entry_offset))
		return NULL;
	if (elf_code_extent(code, address, &start, &end) && start == address && end - start < size)
		size = end - start;
	size = elf_code_read(code, address, bytes, size);
	if (!size || probe_site_choose(object->image.machine, bytes, size, arguments, &site))
		return NULL;
	point.probe_offset = point.entry_offset + site.offset;
	point.single_step = site.single_step;
	point.path = procmaps_file_path(search->pid, object->mapping);
	*vec_push(search->points) = point;
	return &search->points->data[search->points->count - 1];
}

/* Is a function of the table met? For those that may be made of others. */
struct meeting {
	const struct search *search;
	const struct object *object;
	uint64_t self;
};

static bool is_watched(void *context, uint64_t address, const char *name)
{
	const struct meeting *meeting = context;
	const struct elf_function *function;

	if (name)
		return is_wanted_name(meeting->search, name);
	vec_for_each(function, &meeting->object->functions)
		if (function->address == address && address != meeting->self)
			return true;
	return false;
}

/* Does the file define more than operators: is it the allocator, which need not call another? */
static bool is_allocator(const struct search *search, const struct object *object)
{
	const struct elf_function *function;

	vec_for_each(function, &object->functions)
		if (!(wanted_of(search, function)->function->flags & ALLOCATOR_OPERATOR) &&
		    wanted_of(search, function)->function->kind != ABI_KIND_NONE)
			return true;
	return false;
}

static bool is_made_of_another(const struct search *search, struct object *object,
			       const struct elf_function *function)
{
	struct meeting meeting = {search, object, function->address};
	const struct allocator_function *row = wanted_of(search, function)->function;
	struct elf_code *code = object_code(object);

	if (!code)
		return false;
	if (!(row->flags & ALLOCATOR_OPERATOR))
		return probe_is_thunk(code, function->address, is_watched, &meeting);
	if (is_allocator(search, object))
		return probe_begins_with(code, function->address, is_watched, &meeting);
	return probe_reaches(code, function->address, is_watched, &meeting);
}

static void add_function(struct search *search, struct object *object,
			 struct elf_function *function)
{
	const struct wanted *wanted = wanted_of(search, function);
	const struct allocator_function *row = wanted->function;
	struct probe_point *point;

	if (function->indirect) {
		uint64_t chosen = object_chosen(search, object, function->address, wanted->text);

		search->indirect |= !chosen;
		if (!chosen)
			return;
		function->address = chosen - object->bias;
	}
	if (is_made_of_another(search, object, function))
		return;
	point = point_add(search, object, function->address, allocator_arguments(row->shape));
	if (!point)
		return;
	point->function = row;
	point->name = xstrdup(wanted->text);
	point->cookie = allocator_cookie(row);
	point->frees = row->kind == ABI_KIND_NONE;
	point->returns = point->frees ? PROBE_RETURN_NONE : PROBE_RETURN_TRAPPED;
	if (!point->frees && (row->flags & ALLOCATOR_THROWS ||
			      (search->options && search->options->no_return_probes))) {
		point->returns = PROBE_RETURN_EXITS;
		point->cookie |= ABI_COOKIE_AT_RETURN;
	}
}

static void search_table(struct search *search, enum elf_table table)
{
	struct object *object;

	memset(search->bound, 0, search->wanted.count * sizeof(*search->bound));
	vec_for_each(object, &search->objects)
		if (object->mapping->perms[2] == 'x')
			search_object(search, object, table);
	vec_for_each(object, &search->objects)
		for (size_t i = 0; i < object->functions.count; i++)
			add_function(search, object, &object->functions.data[i]);
}

/* --- exits --- */

/* Is the return of another function seen, which the point's ends in? */
static bool is_point(void *context, uint64_t address, const char *name)
{
	const struct meeting *meeting = context;
	const struct probe_point *point;

	if (!name) {
		point = address == meeting->self ?
				NULL :
				point_find(meeting->search, meeting->object, address);
		return point && !point->frees;
	}
	vec_for_each(point, meeting->search->points)
		if (!point->frees && point->function && !strcmp(point->name, name))
			return true;
	return false;
}

int point_find_exits(struct search *search, struct object *object, struct probe_point *point,
		     char *error, size_t size)
{
	uint64_t entry = point->address - object->bias;
	struct meeting meeting = {search, object, entry};
	struct elf_code *code = object_code(object);
	struct probe_exits exits;
	int status;

	if (!code)
		return -ENOEXEC;
	status = probe_exits_find(code, entry, is_point, &meeting, &exits, error, size);
	if (status)
		return status;
	for (size_t i = 0; i < exits.count; i++)
		elf_image_file_offset(&object->image, exits.data[i].place, &exits.data[i].place);
	point->exits = exits.data;
	point->exit_count = exits.count;
	return 0;
}

static void point_deinit(struct probe_point *point)
{
	free(point->name);
	free(point->path);
	free(point->exits);
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/*
 * What cannot be followed to its end is left out. What takes part in that only now and then is a
 * note; where return probes are not wanted, it may be malloc, and the books would be wrong.
 */
static int find_exits(struct search *search)
{
	bool strict = search->options && search->options->no_return_probes;
	size_t kept = 0;
	int status = 0;

	for (size_t i = 0; i < search->points->count; i++) {
		struct probe_point *point = &search->points->data[i];
		struct object *object = object_at(search, point->address);
		char why[128] = "";

		if (status || point->returns != PROBE_RETURN_EXITS ||
		    !point_find_exits(search, object, point, why, sizeof(why))) {
			search->points->data[kept++] = *point;
			continue;
		}
		snprintf(strict ? search->error : search->points->note,
			 strict ? search->size : sizeof(search->points->note),
			 "%s of %s cannot be watched without a return probe: %s", point->name,
			 last_part(object->mapping->path), why);
		if (strict)
			status = -ENOTSUP;
		point_deinit(point);
	}
	search->points->count = kept;
	return status;
}

static int compare_points(const void *a, const void *b)
{
	const struct probe_point *left = a, *right = b;

	if (left->frees != right->frees)
		return left->frees ? -1 : 1;
	if (left->function != right->function) {
		if (!left->function || !right->function)
			return left->function ? -1 : 1;
		return left->function < right->function ? -1 : 1;
	}
	return (left->address > right->address) - (left->address < right->address);
}

/* --- what to say where there is nothing --- */

static int explain(const struct search *search)
{
	if (search->foreign) {
		snprintf(search->error, search->size,
			 "process %d runs a program of another machine or word size: its "
			 "allocator cannot be watched, --level pages or rss can",
			 search->pid);
		return -ENOTSUP;
	}
	if (search->open_error) {
		snprintf(search->error, search->size,
			 "cannot read the program files of process %d: %s", search->pid,
			 strerror(-search->open_error));
		return search->open_error;
	}
	if (search->indirect)
		snprintf(search->error, search->size,
			 "process %d chooses its malloc at run time (IFUNC) and has not called it "
			 "yet; try again later",
			 search->pid);
	else if (search->is_static)
		snprintf(search->error, search->size,
			 "process %d runs a static program without symbols: do not strip it, or "
			 "name its allocator by address: --function 'PROGRAM+0xADDRESS:alloc(1)'",
			 search->pid);
	else
		snprintf(search->error, search->size,
			 "no file mapped by process %d exports malloc and free", search->pid);
	return -ENOENT;
}

static bool is_complete(const struct probe_points *points)
{
	bool allocates = false, frees = false;
	const struct probe_point *point;

	vec_for_each(point, points) {
		allocates |= !point->frees;
		frees |= point->frees && (!point->function || allocator_frees(point->function));
	}
	return allocates && frees;
}

static int find_all(struct search *search)
{
	int status = search_collect(search);

	if (status) {
		if (status == -ENOTSUP)
			search->foreign = true;
		else
			search->open_error = status;
		return explain(search);
	}
	if (search->is_static)
		search_table(search, ELF_TABLE_FULL);
	/* What looks static may be a linker that was started by hand: ld.so PROGRAM. */
	if (!is_complete(search->points))
		search_table(search, ELF_TABLE_DYNAMIC);
	status = find_exits(search);
	if (!status)
		status = search_functions(search);
	if (!status && !is_complete(search->points))
		status = explain(search);
	return status;
}

int allocators_find(pid_t pid, const struct procmaps *maps,
		    const struct allocators_options *options, struct probe_points *ret, char *error,
		    size_t size)
{
	struct search search = {.pid = pid,
				.maps = maps,
				.options = options,
				.points = ret,
				.error = error,
				.size = size};
	int status;

	memset(ret, 0, sizeof(*ret));
	want_all(&search);
	status = find_all(&search);
	if (status)
		probe_points_deinit(ret);
	else
		qsort(ret->data, ret->count, sizeof(*ret->data), compare_points);
	search_deinit(&search);
	return status;
}

void probe_points_deinit(struct probe_points *points)
{
	struct probe_point *point;

	vec_for_each(point, points)
		point_deinit(point);
	vec_deinit(points);
}
