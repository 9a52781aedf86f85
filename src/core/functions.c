/* SPDX-License-Identifier: GPL-2.0-only */
#include "core/functions.h"

#include <ctype.h>
#include <errno.h>
#include <memtop/abi.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ARGUMENTS 6 /* in registers; what is passed on the stack cannot be told apart */
#define SHOWN	      120

struct parser {
	const char *text;
	char *error;
	size_t size;
};

__attribute__((format(printf, 2, 3))) static int refuse(const struct parser *parser,
							const char *format, ...)
{
	va_list arguments;
	int length;

	length = snprintf(parser->error, parser->size, "--function %.*s: ", SHOWN, parser->text);
	if (length < 0 || (size_t)length >= parser->size)
		return -EINVAL;
	va_start(arguments, format);
	vsnprintf(parser->error + length, parser->size - (size_t)length, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

static const struct {
	const char *name;
	enum function_use use;
	const char *form;
} uses[] = {
	{"alloc", FUNCTION_ALLOC, "alloc(SIZE), alloc(COUNT*SIZE) or alloc(=BYTES)"},
	{"free", FUNCTION_FREE, "free(BLOCK)"},
	{"realloc", FUNCTION_REALLOC, "realloc(BLOCK,SIZE)"},
};

#define USES (sizeof(uses) / sizeof(uses[0]))

/* The number of an argument at *at, which is moved behind it. */
static int parse_argument(const struct parser *parser, const char **at, unsigned *ret)
{
	if (**at < '1' || **at > '0' + MAX_ARGUMENTS || isdigit((unsigned char)(*at)[1]))
		return refuse(parser, "'%.20s' is no argument: they are numbered from 1 to %d", *at,
			      MAX_ARGUMENTS);
	*ret = (unsigned)(*(*at)++ - '1');
	return 0;
}

static int parse_constant(const struct parser *parser, const char **at, uint64_t *ret)
{
	static const char units[] = "KMG";
	unsigned long long value;
	const char *unit;
	char *end;

	errno = 0;
	value = isdigit((unsigned char)**at) ? strtoull(*at, &end, 10) : 0;
	if (!value || errno)
		return refuse(parser, "'=%.20s' is no size (bytes, or with K, M, G)", *at);
	unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	if (unit) {
		unsigned shift = 10 * (unsigned)(unit - units + 1);

		value = value > ABI_SIZE_MAX >> shift ? ABI_SIZE_MAX : value << shift;
		end++;
	}
	if (value >= ABI_SIZE_MAX)
		return refuse(parser, "blocks of %lluG and more cannot be booked",
			      (unsigned long long)(ABI_SIZE_MAX >> 30));
	*ret = value;
	*at = end;
	return 0;
}

static int parse_alloc(const struct parser *parser, const char **at,
		       struct function_description *ret)
{
	int error;

	if (**at == '=') {
		++*at;
		return parse_constant(parser, at, &ret->constant_bytes);
	}
	error = parse_argument(parser, at, &ret->size_argument);
	if (error || **at != '*')
		return error;
	++*at;
	ret->count_argument = ret->size_argument;
	return parse_argument(parser, at, &ret->size_argument);
}

static int parse_realloc(const struct parser *parser, const char **at,
			 struct function_description *ret)
{
	int error = parse_argument(parser, at, &ret->block_argument);

	if (error)
		return error;
	if (**at != ',')
		return refuse(parser, "realloc takes the block and the size: realloc(BLOCK,SIZE)");
	++*at;
	return parse_argument(parser, at, &ret->size_argument);
}

/* What stands behind the name: "alloc(1)". */
static int parse_use(const struct parser *parser, const char *at, struct function_description *ret)
{
	size_t i, length = strcspn(at, "(");
	int error;

	for (i = 0; i < USES; i++)
		if (strlen(uses[i].name) == length && !strncmp(uses[i].name, at, length))
			break;
	if (i == USES)
		return refuse(parser, "'%.20s' is not alloc, free or realloc", at);
	if (at[length] != '(')
		return refuse(parser, "say which arguments: %s", uses[i].form);
	at += length + 1;
	ret->use = uses[i].use;
	if (ret->use == FUNCTION_ALLOC)
		error = parse_alloc(parser, &at, ret);
	else if (ret->use == FUNCTION_FREE)
		error = parse_argument(parser, &at, &ret->block_argument);
	else
		error = parse_realloc(parser, &at, ret);
	if (error)
		return error;
	return strcmp(at, ")") ? refuse(parser, "'%.20s' is too much: %s", at, uses[i].form) : 0;
}

/* The last of the colons that are no part of a C++ name; NULL if none. */
static const char *last_colon(const char *text, const char *end)
{
	for (const char *at = end - 1; at >= text; at--) {
		if (*at != ':')
			continue;
		if (at > text && at[-1] == ':')
			at--;
		else
			return at;
	}
	return NULL;
}

static int parse_address(const struct parser *parser, const char *plus, const char *end,
			 struct function_description *ret)
{
	char *rest;

	errno = 0;
	ret->address = strtoull(plus + 1, &rest, 16);
	if (errno || rest != end || !isxdigit((unsigned char)plus[3]))
		return refuse(parser, "'%.*s' is no address: module+0xADDRESS", (int)(end - plus),
			      plus);
	return 0;
}

/* What stands before: "name", "module:name" or "module+0x1234". */
static int parse_name(const struct parser *parser, const char *end,
		      struct function_description *ret)
{
	const char *text = parser->text, *colon = last_colon(text, end), *plus = end;
	const char *name = colon ? colon + 1 : text;
	size_t module = 0;

	if (text == end || !strncmp(text, "+0x", 3))
		return refuse(parser,
			      "which function? NAME:alloc(SIZE), MODULE+0xADDRESS:alloc(SIZE)");
	while (plus > text && strncmp(plus, "+0x", 3))
		plus--;
	if (plus > text) {
		module = (size_t)(plus - text);
		if (parse_address(parser, plus, end, ret))
			return -EINVAL;
	} else {
		if (name == end || colon == text)
			return refuse(parser, "which function? MODULE:NAME:alloc(SIZE)");
		if ((size_t)(end - name) >= sizeof(ret->name))
			return refuse(parser, "the name is too long");
		memcpy(ret->name, name, (size_t)(end - name));
		module = colon ? (size_t)(colon - text) : 0;
	}
	if (module >= sizeof(ret->module) || memchr(text, '/', module))
		return refuse(parser, "the module is the last part of its path");
	memcpy(ret->module, text, module);
	return 0;
}

int function_parse(const char *text, struct function_description *ret, char *error, size_t size)
{
	const struct parser parser = {.text = text, .error = error, .size = size};
	const char *parenthesis = strrchr(text, '('), *colon;
	int status;

	memset(ret, 0, sizeof(*ret));
	ret->text = text;
	ret->size_argument = ret->count_argument = ret->block_argument = FUNCTION_NO_ARGUMENT;
	colon = last_colon(text, parenthesis ? parenthesis : text + strlen(text));
	if (!colon)
		return refuse(&parser, "say what it does: NAME:alloc(SIZE) or NAME:free(BLOCK)");
	status = parse_use(&parser, colon + 1, ret);
	return status ? status : parse_name(&parser, colon, ret);
}

uint64_t function_cookie(const struct function_description *function)
{
	uint64_t kind = function->use == FUNCTION_REALLOC ? ABI_KIND_FUNCTION_REALLOC :
			function->use == FUNCTION_ALLOC	  ? ABI_KIND_FUNCTION :
							    ABI_KIND_NONE;

	return kind | (kind ? ABI_COOKIE_AT_RETURN : 0) | ABI_COOKIE_SHAPED | ABI_COOKIE_FUNCTION |
	       (uint64_t)function->size_argument << ABI_COOKIE_SIZE_SHIFT |
	       (uint64_t)function->count_argument << ABI_COOKIE_COUNT_SHIFT |
	       (uint64_t)function->block_argument << ABI_COOKIE_ADDRESS_SHIFT |
	       function->constant_bytes << ABI_COOKIE_CONSTANT_SHIFT;
}

unsigned function_arguments(const struct function_description *function)
{
	const unsigned arguments[] = {function->size_argument, function->count_argument,
				      function->block_argument};
	unsigned most = 0;

	for (unsigned i = 0; i < 3; i++)
		if (arguments[i] != FUNCTION_NO_ARGUMENT && arguments[i] + 1 > most)
			most = arguments[i] + 1;
	return most;
}
