/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libiberty does the work. A name comes from a file that nobody vouches for: substitutions let a
 * short one write out gigabytes. So the callback form is used, which keeps all of its state on the
 * stack, and is left by longjmp once the output is over its bound. Recursion is bounded by the
 * library (DMGL_NO_RECURSE_LIMIT is not given).
 */
#include "symbol/demangle.h"

#include "util/alloc.h"

#include <libiberty/demangle.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MAX_MANGLED   4096
#define MAX_DEMANGLED 16384

struct output {
	jmp_buf too_long;
	size_t length;
	char text[MAX_DEMANGLED];
};

static void append(const char *text, size_t length, void *opaque)
{
	struct output *output = opaque;

	if (length >= sizeof(output->text) - output->length)
		longjmp(output->too_long, 1);
	memcpy(output->text + output->length, text, length);
	output->length += length;
}

static bool try(struct output *output, const char *name,
		int (*function)(const char *, int, demangle_callbackref, void *), int options)
{
	output->length = 0;
	if (setjmp(output->too_long))
		return false;
	return function(name, options, append, output) && output->length > 0;
}

static bool is_mangled(const char *name)
{
	return !strncmp(name, "_Z", 2) || !strncmp(name, "_R", 2) || !strncmp(name, "_GLOBAL_", 8);
}

char *demangle(const char *name)
{
	struct output *output;
	char *ret = NULL;

	if (!is_mangled(name) || strnlen(name, MAX_MANGLED) == MAX_MANGLED)
		return xstrdup(name);
	output = xmalloc(sizeof(*output));
	/* Rust's older names look like C++ ones: they are asked for first. */
	if (try(output, name, rust_demangle_callback, DMGL_RUST) ||
	    try(output, name, cplus_demangle_v3_callback, DMGL_NO_OPTS))
		ret = xstrndup(output->text, output->length);
	free(output);
	return ret ? ret : xstrdup(name);
}
