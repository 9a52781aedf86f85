/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/probe_exits.h"

#include "capture/code_flow.h"
#include "util/alloc.h"
#include "util/cleanup.h"
#include "util/vec.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Beyond this a function of an allocator does not go. */
#define MAX_EXTENT_BYTES (64u << 10)
#define MAX_EXTENTS	 32
#define MAX_EXITS	 128
#define STUB_BYTES	 32
#define FIRST_BYTES	 128
#define THUNK_BYTES	 5 /* landing pads and nops before the jump; endbr64 has four */
#define REACH_DEPTH	 2

struct part {
	uint64_t start, end;
	unsigned depth;
};

struct walk {
	const struct elf_code *code;
	probe_is_seen *is_seen;
	void *context;
	VEC(struct part) parts; /* that were found, in the order in which they are looked at */
	const struct part *part;
	struct probe_exits *exits;
	bool reached;
	char *error;
	size_t size;
};

__attribute__((format(printf, 2, 3))) static int refuse(struct walk *walk, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(walk->error, walk->size, format, arguments);
	va_end(arguments);
	return -ENOTSUP;
}

/* --- stubs: a jump through a table of the linker, in a function of its own --- */

static int take_first(void *context, const struct flow *flow)
{
	*(struct flow *)context = *flow;
	return 1;
}

/* The name that the stub at `address` leads to; NULL if it is none. */
static const char *stub_name(const struct elf_code *code, uint64_t address)
{
	uint8_t bytes[STUB_BYTES];
	size_t size = elf_code_read(code, address, bytes, sizeof(bytes));
	struct flow first = {.kind = FLOW_RETURN};

	code_flow(elf_code_machine(code), bytes, size, address, take_first, &first);
	return first.kind == FLOW_JUMP_SLOT ? elf_code_import(code, first.target) : NULL;
}

/* Is what a jump or a call leads to seen? `name`: of the function of another file, if it is one. */
static bool leads_to_seen(const struct walk *walk, const struct flow *flow, const char **name)
{
	bool slot = flow->kind == FLOW_JUMP_SLOT || flow->kind == FLOW_CALL_SLOT;

	*name = slot ? elf_code_import(walk->code, flow->target) :
		       stub_name(walk->code, flow->target);
	if (*name)
		return walk->is_seen(walk->context, 0, *name);
	return !slot && walk->is_seen(walk->context, flow->target, NULL);
}

/* --- parts --- */

static bool is_known(const struct walk *walk, uint64_t address)
{
	const struct part *part;

	vec_for_each(part, &walk->parts)
		if (address >= part->start && address < part->end)
			return true;
	return false;
}

static int add_part(struct walk *walk, uint64_t address, unsigned depth)
{
	struct part part = {.depth = depth};

	if (is_known(walk, address))
		return 0;
	if (!elf_code_extent(walk->code, address, &part.start, &part.end))
		return refuse(walk, "where the function at 0x%" PRIx64 " ends is not told",
			      address);
	if (part.end - part.start > MAX_EXTENT_BYTES || walk->parts.count >= MAX_EXTENTS)
		return refuse(walk, "it is too large to be followed");
	*vec_push(&walk->parts) = part;
	return 0;
}

/* Each part, as long as there are new ones. */
static int walk_parts(struct walk *walk, flow_visitor *visit)
{
	_cleanup_free_ uint8_t *bytes = xmalloc(MAX_EXTENT_BYTES);
	int status = 0;

	for (size_t i = 0; !status && i < walk->parts.count; i++) {
		struct part part = walk->parts.data[i];
		size_t size = part.end - part.start;

		walk->part = &part;
		if (elf_code_read(walk->code, part.start, bytes, size) != size)
			return refuse(walk, "its code is not in the file");
		status = code_flow(elf_code_machine(walk->code), bytes, size, part.start, visit,
				   walk);
		if (status == -EILSEQ)
			refuse(walk, "its code cannot be disassembled");
	}
	return status;
}

static bool leaves_part(const struct walk *walk, const struct flow *flow)
{
	return flow->target < walk->part->start || flow->target >= walk->part->end;
}

/* --- exits --- */

/* On x86 the kernel emulates direct jumps alone, on arm64 each of these instructions. */
static bool is_stepped(const struct walk *walk, const struct flow *flow)
{
	return elf_code_machine(walk->code) == EM_X86_64 && flow->kind != FLOW_JUMP &&
	       flow->kind != FLOW_BRANCH;
}

static int add_exit(struct walk *walk, const struct flow *flow, bool first_argument)
{
	if (walk->exits->count >= MAX_EXITS)
		return refuse(walk, "it returns in too many places");
	*vec_push(walk->exits) = (struct probe_exit){.place = flow->address,
						     .first_argument = first_argument,
						     .single_step = is_stepped(walk, flow)};
	return 0;
}

/* By the C standard; calloc ends in one of them. */
static bool returns_first_argument(const char *name)
{
	static const char *const names[] = {"memset", "memcpy", "memmove", "__memset_chk",
					    "__memcpy_chk"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

static int visit_jump(struct walk *walk, const struct flow *flow)
{
	uint64_t target = flow->target;
	const char *name;

	if (leads_to_seen(walk, flow, &name)) {
		walk->reached = true;
		return 0;
	}
	if (name && returns_first_argument(name) && flow->kind != FLOW_BRANCH)
		return add_exit(walk, flow, true);
	if (name) {
		/* A function that others may use, and may replace, but hardly do. */
		target = elf_code_definition(walk->code, name);
		if (!target)
			return refuse(walk, "it ends in a jump to %.64s of another file", name);
	} else if (flow->kind == FLOW_JUMP_SLOT) {
		return refuse(walk, "it ends in a jump to another file");
	}
	return add_part(walk, target, 0);
}

static int visit_exit(void *context, const struct flow *flow)
{
	struct walk *walk = context;

	switch (flow->kind) {
	case FLOW_RETURN:
		return add_exit(walk, flow, false);
	case FLOW_POINTER:
		return refuse(walk, "it ends in a jump through a pointer");
	case FLOW_JUMP:
	case FLOW_BRANCH:
		return leaves_part(walk, flow) ? visit_jump(walk, flow) : 0;
	case FLOW_JUMP_SLOT:
		return visit_jump(walk, flow);
	default:
		return 0;
	}
}

static void sort_exits(struct probe_exits *exits)
{
	/* Parts do not overlap unless the file lies; then an exit may be there twice. */
	for (size_t i = 0; i < exits->count; i++)
		for (size_t j = i + 1; j < exits->count; j++)
			if (exits->data[j].place == exits->data[i].place)
				exits->data[j--] = exits->data[--exits->count];
}

int probe_exits_find(const struct elf_code *code, uint64_t entry, probe_is_seen *is_seen,
		     void *context, struct probe_exits *ret, char *error, size_t size)
{
	struct walk walk = {.code = code,
			    .is_seen = is_seen,
			    .context = context,
			    .exits = ret,
			    .error = error,
			    .size = size};
	int status;

	memset(ret, 0, sizeof(*ret));
	status = add_part(&walk, entry, 0);
	/* A name in the middle of something is none of a function. */
	if (!status && walk.parts.data[0].start != entry)
		status = refuse(&walk, "no function begins there");
	if (!status)
		status = walk_parts(&walk, visit_exit);
	if (!status && !ret->count && !walk.reached)
		status = refuse(&walk, "it does not return");
	if (status)
		probe_exits_deinit(ret);
	sort_exits(ret);
	vec_deinit(&walk.parts);
	return status;
}

void probe_exits_deinit(struct probe_exits *exits)
{
	vec_deinit(exits);
}

/* --- what it is made of --- */

/* The first place where the function leaves its straight line. */
static bool first_flow(const struct elf_code *code, uint64_t entry, struct flow *ret)
{
	uint8_t bytes[FIRST_BYTES];
	size_t size = elf_code_read(code, entry, bytes, sizeof(bytes));

	ret->kind = FLOW_RETURN;
	code_flow(elf_code_machine(code), bytes, size, entry, take_first, ret);
	return ret->kind == FLOW_JUMP || ret->kind == FLOW_JUMP_SLOT || ret->kind == FLOW_CALL ||
	       ret->kind == FLOW_CALL_SLOT;
}

bool probe_begins_with(const struct elf_code *code, uint64_t entry, probe_is_seen *is_seen,
		       void *context)
{
	struct walk walk = {.code = code, .is_seen = is_seen, .context = context};
	struct flow first;
	const char *name;

	return first_flow(code, entry, &first) && first.target != entry &&
	       leads_to_seen(&walk, &first, &name);
}

bool probe_is_thunk(const struct elf_code *code, uint64_t entry, probe_is_seen *is_seen,
		    void *context)
{
	struct flow first;

	return first_flow(code, entry, &first) && first.address - entry < THUNK_BYTES &&
	       (first.kind == FLOW_JUMP || first.kind == FLOW_JUMP_SLOT) &&
	       probe_begins_with(code, entry, is_seen, context);
}

static int visit_reach(void *context, const struct flow *flow)
{
	struct walk *walk = context;
	const char *name = NULL;

	if (flow->kind == FLOW_RETURN || flow->kind == FLOW_POINTER || flow->kind == FLOW_SWITCH ||
	    !flow->target ||
	    ((flow->kind == FLOW_JUMP || flow->kind == FLOW_BRANCH) && !leaves_part(walk, flow)))
		return 0;
	if (leads_to_seen(walk, flow, &name)) {
		walk->reached = true;
		return 1;
	}
	/* What cannot be followed is not asked. */
	if (!name && flow->kind != FLOW_CALL_SLOT && flow->kind != FLOW_JUMP_SLOT &&
	    walk->part->depth < REACH_DEPTH)
		add_part(walk, flow->target, walk->part->depth + 1);
	return 0;
}

bool probe_reaches(const struct elf_code *code, uint64_t entry, probe_is_seen *is_seen,
		   void *context)
{
	char unused[128];
	struct walk walk = {.code = code,
			    .is_seen = is_seen,
			    .context = context,
			    .error = unused,
			    .size = sizeof(unused)};

	if (!add_part(&walk, entry, 0))
		walk_parts(&walk, visit_reach);
	vec_deinit(&walk.parts);
	return walk.reached;
}
