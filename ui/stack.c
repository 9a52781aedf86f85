/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One address gives one frame, or more where calls were inlined. Leading wrappers (operator new, a
 * container's allocator) are folded: they say how memory was asked for, not who asked.
 */
#include "ui/stack.h"

#include "core/format.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/*
 * Length of a demangled name without its parameters: up to the first parenthesis outside of
 * template arguments that is not part of the name itself.
 */
static size_t short_length(const char *symbol)
{
	static const char anonymous[] = "(anonymous namespace)", operator[] = "operator";
	int depth = 0;

	for (size_t i = 0; symbol[i]; i++) {
		if (strncmp(symbol + i, operator, sizeof(operator) - 1) == 0) {
			i += sizeof(operator) - 1;
			if (strncmp(symbol + i, "()", 2) == 0)
				i += 2;
			while (symbol[i] && symbol[i] != '(')
				i++;
			return i;
		}
		if (strncmp(symbol + i, anonymous, sizeof(anonymous) - 1) == 0)
			i += sizeof(anonymous) - 2;
		else if (symbol[i] == '<')
			depth++;
		else if (symbol[i] == '>' && depth > 0)
			depth--;
		else if (symbol[i] == '(' && depth == 0 && i > 0)
			return i;
	}
	return strlen(symbol);
}

static void frame_name(const struct frame *frame, char *ret, size_t size)
{
	if (frame->symbol && *frame->symbol)
		snprintf(ret, size, "%.*s", (int)short_length(frame->symbol), frame->symbol);
	else if (frame->module && *frame->module)
		snprintf(ret, size, "%s+0x%" PRIx64, base_name(frame->module),
			 frame->module_offset);
	else
		snprintf(ret, size, "0x%" PRIx64, frame->address);
}

static void append(char *ret, size_t size, const char *text)
{
	size_t used = strlen(ret);

	snprintf(ret + used, size - used, "%s", text);
}

/* Appends the frames' names while there is room. With `fold`, none before the first that is no
 * wrapper. Returns the count of names. */
static unsigned append_names(struct resolver *resolver, const struct modules *modules,
			     const struct site_info *site, bool fold, unsigned most, char *ret,
			     size_t size)
{
	struct frame frames[RESOLVER_MAX_INLINED];
	unsigned names = 0;

	for (unsigned i = 0; i < site->nframes && names < most; i++) {
		size_t count =
			resolver_resolve(resolver, modules, site, i, frames, RESOLVER_MAX_INLINED);

		for (size_t f = 0; f < count && names < most; f++) {
			char name[STACK_NAME_SIZE];

			if (fold && names == 0 && frames[f].wrapper)
				continue;
			frame_name(&frames[f], name, sizeof(name));
			if (strlen(ret) + strlen(name) + 8 > size)
				return names;
			if (names++ > 0)
				append(ret, size, " ← ");
			append(ret, size, name);
		}
	}
	return names;
}

static void append_site(struct resolver *resolver, const struct modules *modules,
			const struct site_info *site, bool wrappers, unsigned most, char *ret,
			size_t size)
{
	if (append_names(resolver, modules, site, !wrappers, most, ret, size) == 0 &&
	    append_names(resolver, modules, site, false, most, ret, size) == 0)
		append(ret, size,
		       site->flags & SITE_UNKNOWN ? "(sites that the table could not hold)" :
						    stackless_name(site->kind, site->side));
}

void stack_site_text(struct resolver *resolver, const struct modules *modules,
		     const struct site_info *site, const struct stack_options *options, char *ret,
		     size_t size)
{
	ret[0] = '\0';
	if (site->object && *site->object)
		snprintf(ret, size, "[%.64s] ", site->object);
	append_site(resolver, modules, site, options->wrappers, site->nframes * 4 + 4, ret, size);
}

void stack_site_name(struct resolver *resolver, const struct modules *modules,
		     const struct site_info *site, char *ret, size_t size)
{
	ret[0] = '\0';
	append_site(resolver, modules, site, false, 1, ret, size);
}

bool stack_own_module(const struct stack_options *options, const char *path)
{
	static const char *const distribution[] = {
		"/lib/",     "/lib32/",	    "/lib64/",	   "/libx32/",
		"/usr/lib/", "/usr/lib32/", "/usr/lib64/", "/usr/libx32/",
	};

	if (!options->own_known || !path || path[0] != '/')
		return false;
	if (options->own_glob)
		return fnmatch(options->own_glob, path, 0) == 0 ||
		       fnmatch(options->own_glob, base_name(path), 0) == 0;
	for (size_t i = 0; i < sizeof(distribution) / sizeof(distribution[0]); i++)
		if (strncmp(path, distribution[i], strlen(distribution[i])) == 0)
			return false;
	return true;
}

/* Columns of a frame's line: what, where in the source, which module. */
struct frame_columns {
	unsigned name, name_width, source, source_width, module, module_width;
};

static struct frame_columns frame_columns(const struct canvas *canvas, bool paths)
{
	unsigned width = canvas->columns > 9 ? canvas->columns - 9 : 0;
	unsigned name = paths ? width * 3 / 10 : width * 11 / 28;
	unsigned source = paths ? width * 3 / 10 : width * 7 / 28;

	return (struct frame_columns){.name = 7,
				      .name_width = name,
				      .source = 7 + name + 1,
				      .source_width = source,
				      .module = 7 + name + 1 + source + 1,
				      .module_width = width - name - source};
}

static void frame_source(const struct frame *frame, const char *reason, bool paths, char *ret,
			 size_t size)
{
	if (!frame->file || !*frame->file)
		snprintf(ret, size, "%s", reason ? reason : frame->pending ? "…" : "no line info");
	else if (frame->line)
		snprintf(ret, size, "%s:%u", paths ? frame->file : base_name(frame->file),
			 frame->line);
	else
		snprintf(ret, size, "%s", paths ? frame->file : base_name(frame->file));
}

/* "libdecode.so 9f3c1a"; the name is cut, the build-id is not. */
static void draw_module(struct canvas *canvas, unsigned row, unsigned column, unsigned width,
			const struct frame *frame, bool paths, bool own, enum style style)
{
	const char *name = frame->module && *frame->module ? frame->module : "unknown mapping";
	char tail[32];
	unsigned taken, tail_width;

	snprintf(tail, sizeof(tail), "%s%.6s%s", frame->build_id && *frame->build_id ? " " : "",
		 frame->build_id ? frame->build_id : "", own ? "  yours" : "");
	tail_width = canvas_width(canvas, tail);
	if (tail_width + 4 > width)
		tail_width = 0;
	taken = canvas_text_cut(canvas, row, column, width - tail_width, style,
				paths ? name : base_name(name));
	if (tail_width)
		canvas_text(canvas, row, column + taken, tail_width, style, tail);
}

static void draw_frame(struct canvas *canvas, unsigned row, unsigned number,
		       const struct frame *frame, const char *reason, bool first_own, bool own,
		       bool paths)
{
	struct frame_columns at = frame_columns(canvas, paths);
	enum style style = own ? STYLE_NORMAL : STYLE_DIM;
	char name[STACK_NAME_SIZE + 32], source[STACK_NAME_SIZE];
	size_t used;

	snprintf(name, sizeof(name), "%s%2u", first_own ? "▶" : " ", number);
	canvas_text(canvas, row, 2, 4, first_own ? STYLE_TITLE : style, name);
	frame_name(frame, name, STACK_NAME_SIZE);
	used = strlen(name);
	if (frame->inlined)
		snprintf(name + used, sizeof(name) - used, " (inlined)");
	else if (frame->symbol && *frame->symbol)
		snprintf(name + used, sizeof(name) - used, "+0x%" PRIx64, frame->offset);
	canvas_text_cut(canvas, row, at.name, at.name_width, first_own ? STYLE_TITLE : style, name);
	frame_source(frame, reason, paths, source, sizeof(source));
	canvas_text_cut(canvas, row, at.source, at.source_width, style, source);
	draw_module(canvas, row, at.module, at.module_width, frame, paths, own, style);
}

unsigned stack_draw(struct canvas *canvas, unsigned row, unsigned rows, unsigned from,
		    struct resolver *resolver, const struct modules *modules,
		    const struct site_info *site, const struct stack_options *options)
{
	struct frame frames[RESOLVER_MAX_INLINED];
	unsigned line = 0, number = 0;
	bool own_seen = false;

	for (unsigned i = 0; i < site->nframes; i++) {
		size_t count =
			resolver_resolve(resolver, modules, site, i, frames, RESOLVER_MAX_INLINED);

		for (size_t f = 0; f < count; f++, number++) {
			bool own = stack_own_module(options, frames[f].module);

			if (frames[f].wrapper && !options->wrappers)
				continue;
			if (line >= from && line - from < rows)
				draw_frame(canvas, row + line - from, number, &frames[f],
					   resolver_reason(resolver, modules, site, i),
					   own && !own_seen, own, options->paths);
			own_seen |= own;
			line++;
		}
	}
	return line;
}
