/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * .debug_aranges is not always there (clang leaves it out), so units are found by their own ranges.
 *
 * libdw checks what it reads, but a damaged file may make DIEs whose siblings go back: every walk
 * demands that offsets rise, so that it ends. Depth is bounded, as a walk is a recursion.
 */
#include "symbol/lines.h"

#include "util/alloc.h"
#include "util/map.h"
#include "util/vec.h"

#include <dwarf.h>
#include <stdlib.h>

#define MAX_DEPTH     64
#define MAX_RANGES    4000000
#define MAX_FUNCTIONS 1000000 /* kept over all units; beyond it all are dropped */
#define MAX_INLINED   64

struct range {
	uint64_t low, high; /* [low, high) */
	Dwarf_Off die;
};

struct ranges {
	VEC(struct range) sorted;
	uint64_t *reach; /* highest end of the rows up to here */
};

struct lines {
	Dwarf *dwarf;
	const atomic_bool *stop;
	bool indexed;
	struct ranges units;
	VEC(struct ranges) functions; /* of the units below */
	struct map function_index;    /* unit's DIE offset -> index + 1 in functions */
	size_t function_count;
	size_t line_bytes; /* of line tables read */
};

static int compare(const void *left, const void *right)
{
	const struct range *a = left, *b = right;

	if (a->low != b->low)
		return a->low < b->low ? -1 : 1;
	if (a->high != b->high)
		return a->high > b->high ? -1 : 1; /* the inner one last */
	return a->die < b->die ? -1 : a->die > b->die;
}

static void ranges_deinit(struct ranges *ranges)
{
	vec_deinit(&ranges->sorted);
	free(ranges->reach);
	ranges->reach = NULL;
}

static void ranges_sort(struct ranges *ranges)
{
	uint64_t reach = 0;

	if (ranges->sorted.count)
		qsort(ranges->sorted.data, ranges->sorted.count, sizeof(struct range), compare);
	ranges->reach = xcalloc(ranges->sorted.count + 1, sizeof(*ranges->reach));
	for (size_t i = 0; i < ranges->sorted.count; i++) {
		if (ranges->sorted.data[i].high > reach)
			reach = ranges->sorted.data[i].high;
		ranges->reach[i] = reach;
	}
}

/* The range that starts last of those that cover the address. */
static const struct range *ranges_find(const struct ranges *ranges, uint64_t address)
{
	size_t low = 0, high = ranges->sorted.count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ranges->sorted.data[middle].low <= address)
			low = middle + 1;
		else
			high = middle;
	}
	while (low-- > 0 && ranges->reach[low] > address)
		if (ranges->sorted.data[low].high > address)
			return &ranges->sorted.data[low];
	return NULL;
}

/* Linkers leave the units of dropped sections at address 0 (or -1, -2): not code. */
static void ranges_add(struct ranges *ranges, Dwarf_Die *die)
{
	Dwarf_Addr base, low, high;
	ptrdiff_t next = 0;

	while (ranges->sorted.count < MAX_RANGES &&
	       (next = dwarf_ranges(die, next, &base, &low, &high)) > 0)
		if (low && low < high)
			*vec_push(&ranges->sorted) =
				(struct range){low, high, dwarf_dieoffset(die)};
}

static bool stopped(const struct lines *lines)
{
	return atomic_load_explicit(lines->stop, memory_order_relaxed);
}

static void index_units(struct lines *lines)
{
	Dwarf_CU *unit = NULL;
	Dwarf_Die die;

	lines->indexed = true;
	while (!stopped(lines) &&
	       dwarf_get_units(lines->dwarf, unit, &unit, NULL, NULL, &die, NULL) == 0) {
		int tag = dwarf_tag(&die);

		if (tag == DW_TAG_compile_unit || tag == DW_TAG_skeleton_unit)
			ranges_add(&lines->units, &die);
	}
	ranges_sort(&lines->units);
}

static bool holds_functions(int tag)
{
	return tag == DW_TAG_namespace || tag == DW_TAG_structure_type ||
	       tag == DW_TAG_class_type || tag == DW_TAG_union_type || tag == DW_TAG_module ||
	       tag == DW_TAG_enumeration_type;
}

static void index_functions(const struct lines *lines, struct ranges *functions, Dwarf_Die *parent,
			    unsigned depth)
{
	Dwarf_Off before = 0;
	Dwarf_Die die;

	if (depth > MAX_DEPTH || dwarf_child(parent, &die))
		return;
	do {
		int tag = dwarf_tag(&die);

		if (dwarf_dieoffset(&die) <= before || stopped(lines))
			return;
		before = dwarf_dieoffset(&die);
		if (tag == DW_TAG_subprogram)
			ranges_add(functions, &die);
		else if (holds_functions(tag) && dwarf_haschildren(&die))
			index_functions(lines, functions, &die, depth + 1);
	} while (dwarf_siblingof(&die, &die) == 0);
}

static void forget_functions(struct lines *lines)
{
	struct ranges *functions;

	vec_for_each(functions, &lines->functions)
		ranges_deinit(functions);
	lines->functions.count = 0;
	lines->function_count = 0;
	map_clear(&lines->function_index);
}

/* libdw keeps a unit's line table once it was read, about this big a row. */
static size_t line_table_bytes(Dwarf_Die *unit)
{
	Dwarf_Lines *rows;
	size_t count;

	return dwarf_getsrclines(unit, &rows, &count) ? 0 : count * 48;
}

static const struct ranges *unit_functions(struct lines *lines, Dwarf_Die *unit)
{
	uint64_t key = dwarf_dieoffset(unit);
	struct ranges functions = {0};
	uint64_t index;

	if (map_get(&lines->function_index, key, &index))
		return &lines->functions.data[index - 1];
	lines->line_bytes += line_table_bytes(unit);
	index_functions(lines, &functions, unit, 0);
	ranges_sort(&functions);
	if (lines->function_count + functions.sorted.count > MAX_FUNCTIONS)
		forget_functions(lines);
	lines->function_count += functions.sorted.count;
	*vec_push(&lines->functions) = functions;
	map_set(&lines->function_index, key, lines->functions.count);
	return &lines->functions.data[lines->functions.count - 1];
}

static const char *function_name(Dwarf_Die *die)
{
	static const unsigned attributes[] = {DW_AT_linkage_name, DW_AT_MIPS_linkage_name,
					      DW_AT_name};

	for (size_t i = 0; i < sizeof(attributes) / sizeof(*attributes); i++) {
		Dwarf_Attribute attribute;
		const char *name;

		if (!dwarf_attr_integrate(die, attributes[i], &attribute))
			continue;
		name = dwarf_formstring(&attribute);
		if (name && *name)
			return name;
	}
	return NULL;
}

/* A block may be without a range of its own while what is in it has one. */
static bool may_hold(Dwarf_Die *block, uint64_t address)
{
	return dwarf_haspc(block, address) > 0 ||
	       !(dwarf_hasattr(block, DW_AT_ranges) || dwarf_hasattr(block, DW_AT_low_pc));
}

/*
 * The child of `parent` in which the call at the address was inlined, if any. Lexical blocks are
 * looked through.
 */
static bool inlined_child(const struct lines *lines, Dwarf_Die *parent, uint64_t address,
			  unsigned depth, Dwarf_Die *ret)
{
	Dwarf_Off before = 0;
	Dwarf_Die die;

	if (depth > MAX_DEPTH || dwarf_child(parent, &die))
		return false;
	do {
		int tag = dwarf_tag(&die);

		if (dwarf_dieoffset(&die) <= before || stopped(lines))
			return false;
		before = dwarf_dieoffset(&die);
		if (tag == DW_TAG_inlined_subroutine && dwarf_haspc(&die, address) > 0) {
			*ret = die;
			return true;
		}
		if ((tag == DW_TAG_lexical_block || tag == DW_TAG_try_block ||
		     tag == DW_TAG_catch_block) &&
		    may_hold(&die, address) && inlined_child(lines, &die, address, depth + 1, ret))
			return true;
	} while (dwarf_siblingof(&die, &die) == 0);
	return false;
}

static bool read_number(Dwarf_Die *die, unsigned name, Dwarf_Word *ret)
{
	Dwarf_Attribute attribute;

	return dwarf_attr(die, name, &attribute) && dwarf_formudata(&attribute, ret) == 0;
}

/* Where the inlined call stands in its caller's source. */
static void call_site(Dwarf_Die *unit, Dwarf_Die *inlined, struct line_frame *ret)
{
	Dwarf_Word file, line;
	Dwarf_Files *files;
	size_t count;

	if (read_number(inlined, DW_AT_call_line, &line))
		ret->line = line;
	if (read_number(inlined, DW_AT_call_file, &file) &&
	    dwarf_getsrcfiles(unit, &files, &count) == 0 && file < count)
		ret->file = dwarf_filesrc(files, file, NULL, NULL);
}

static void line_of(Dwarf_Die *unit, uint64_t address, struct line_frame *ret)
{
	Dwarf_Line *line = dwarf_getsrc_die(unit, address);
	int number = 0;

	if (!line)
		return;
	ret->file = dwarf_linesrc(line, NULL, NULL);
	if (dwarf_lineno(line, &number) == 0 && number > 0)
		ret->line = number;
}

/* Outermost to innermost: the function and what was inlined, one in another. */
static size_t find_chain(const struct lines *lines, Dwarf_Die *function, uint64_t address,
			 Dwarf_Die *ret, size_t cap)
{
	size_t count = 1;

	ret[0] = *function;
	while (count < cap && inlined_child(lines, &ret[count - 1], address, 0, &ret[count]))
		count++;
	return count;
}

static size_t fill(Dwarf_Die *unit, uint64_t address, uint64_t start, Dwarf_Die *chain,
		   size_t count, struct line_frame *ret, size_t cap)
{
	struct line_frame frame = {0};
	size_t written = 0;

	line_of(unit, address, &frame);
	for (size_t i = count; i-- > 0;) {
		frame.name = function_name(&chain[i]);
		frame.inlined = i > 0;
		frame.start = i ? 0 : start;
		/* Where there is no room it is the middle that is left out. */
		if (written + 1 < cap || !i)
			ret[written++] = frame;
		frame = (struct line_frame){0};
		if (i)
			call_site(unit, &chain[i], &frame);
	}
	return written;
}

static size_t find_frames(struct lines *lines, uint64_t address, Dwarf_Die *unit,
			  struct line_frame *ret, size_t cap)
{
	const struct range *unit_range, *function_range;
	Dwarf_Die function, chain[MAX_INLINED];

	if (!lines->indexed)
		index_units(lines);
	unit_range = ranges_find(&lines->units, address);
	if (!unit_range || !dwarf_offdie(lines->dwarf, unit_range->die, unit))
		return 0;
	function_range = ranges_find(unit_functions(lines, unit), address);
	if (!function_range || !dwarf_offdie(lines->dwarf, function_range->die, &function)) {
		ret[0] = (struct line_frame){0};
		line_of(unit, address, &ret[0]);
		return ret[0].file ? 1 : 0;
	}
	return fill(unit, address, function_range->low, chain,
		    find_chain(lines, &function, address, chain, MAX_INLINED), ret, cap);
}

size_t lines_find(struct lines *lines, uint64_t address, struct line_frame *ret, size_t cap)
{
	Dwarf_Attribute attribute;
	const char *folder = NULL;
	Dwarf_Die unit;
	size_t count = cap ? find_frames(lines, address, &unit, ret, cap) : 0;

	if (count && dwarf_attr(&unit, DW_AT_comp_dir, &attribute))
		folder = dwarf_formstring(&attribute);
	for (size_t i = 0; i < count; i++)
		ret[i].folder = folder;
	return count;
}

struct lines *lines_new(Dwarf *dwarf, const atomic_bool *stop)
{
	struct lines *lines = xcalloc(1, sizeof(*lines));

	lines->dwarf = dwarf;
	lines->stop = stop;
	return lines;
}

void lines_free(struct lines *lines)
{
	if (!lines)
		return;
	forget_functions(lines);
	vec_deinit(&lines->functions);
	map_deinit(&lines->function_index);
	ranges_deinit(&lines->units);
	free(lines);
}

size_t lines_bytes(const struct lines *lines)
{
	return lines->line_bytes + (lines->units.sorted.count + lines->function_count) *
					   (sizeof(struct range) + sizeof(uint64_t));
}
