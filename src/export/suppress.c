/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A file of suppressions decides what a gate lets through, so nothing in it is guessed: what is not
 * understood is refused, with its line.
 */
#include "export/suppress.h"

#include "export/file.h"
#include "util/cleanup.h"
#include "util/vec.h"

#include <errno.h>
#include <string.h>

#define MOST_BYTES (1u << 20)
#define BLANKS	   " \t\r\v\f"
#define TYPE	   "leak:"

/*
 * One part between asterisks at its first place in `text`; returns what follows, NULL if it is not
 * there. The first place is right for all parts but the last one that `$` ends.
 */
static const char *find_part(const char *text, const char *part, size_t length, bool here)
{
	const char *found;

	if (here)
		return strncmp(text, part, length) ? NULL : text + length;
	found = memmem(text, strlen(text), part, length);
	return found ? found + length : NULL;
}

static bool ends_with(const char *text, const char *part, size_t length)
{
	size_t all = strlen(text);

	return all >= length && !memcmp(text + all - length, part, length);
}

bool suppression_matches(const char *pattern, const char *text)
{
	bool begin = *pattern == '^', end;
	size_t left;

	pattern += begin;
	left = strlen(pattern);
	end = left && pattern[left - 1] == '$';
	left -= end;
	for (;;) {
		const char *star = memchr(pattern, '*', left);
		size_t length = star ? (size_t)(star - pattern) : left;

		if (!star && end)
			return begin ? strlen(text) == length && !memcmp(text, pattern, length) :
				       ends_with(text, pattern, length);
		text = find_part(text, pattern, length, begin);
		if (!text)
			return false;
		if (!star)
			return true;
		begin = false;
		pattern = star + 1;
		left -= length + 1;
	}
}

static char *trim(char *line)
{
	size_t length;

	line += strspn(line, BLANKS);
	length = strlen(line);
	while (length && strchr(BLANKS, line[length - 1]))
		length--;
	line[length] = '\0';
	return line;
}

/* NULL, or what is wrong with the line. */
static const char *take_line(struct suppressions *ret, char *line, unsigned number)
{
	const char *pattern;

	line = trim(line);
	if (!*line || *line == '#')
		return NULL;
	if (strncmp(line, TYPE, strlen(TYPE)))
		return "not of the form leak:PATTERN";
	pattern = line + strlen(TYPE);
	if (!pattern[strspn(pattern, "*^$")])
		return "a pattern that matches everything";
	*vec_push(ret) = (struct suppression){.pattern = xstrdup(pattern), .line = number};
	return NULL;
}

int suppressions_read(const char *path, struct suppressions *ret, char *error, size_t size)
{
	_cleanup_free_ char *text = NULL;
	size_t length;
	unsigned number = 1;
	int status;

	*ret = (struct suppressions){0};
	status = file_read(path, MOST_BYTES, &text, &length, error, size);
	if (status)
		return status;
	for (char *line = text, *next; line; line = next, number++) {
		size_t left = length - (size_t)(line - text);
		char *end = memchr(line, '\n', left);
		size_t span = end ? (size_t)(end - line) : left;
		const char *wrong;

		next = end ? end + 1 : NULL;
		line[span] = '\0';
		wrong = memchr(line, '\0', span) ? "it holds a NUL byte" :
						   take_line(ret, line, number);
		if (wrong) {
			snprintf(error, size, "%s:%u: %s", path, number, wrong);
			return -EINVAL;
		}
	}
	return 0;
}

void suppressions_deinit(struct suppressions *suppressions)
{
	struct suppression *suppression;

	vec_for_each(suppression, suppressions)
		free(suppression->pattern);
	vec_deinit(suppressions);
}

static bool matches_frame(const char *pattern, const struct frame *frame)
{
	return (frame->symbol && suppression_matches(pattern, frame->symbol)) ||
	       (*frame->module && suppression_matches(pattern, frame->module)) ||
	       (frame->file && suppression_matches(pattern, frame->file));
}

struct suppression *suppressions_find(struct suppressions *suppressions,
				      const struct picture *picture, struct resolver *resolver,
				      const struct site_info *info)
{
	struct frame frames[RESOLVER_MAX_INLINED + 1];
	struct suppression *first = NULL;

	for (unsigned i = 0; i < info->nframes && suppressions->count; i++) {
		size_t count = resolver_resolve(resolver, picture->modules, info, i, frames,
						RESOLVER_MAX_INLINED + 1);

		for (size_t f = 0; f < count; f++) {
			struct suppression *end =
				first ? first : suppressions->data + suppressions->count;

			for (struct suppression *s = suppressions->data; s < end; s++)
				if (matches_frame(s->pattern, &frames[f])) {
					first = s;
					break;
				}
		}
	}
	return first;
}
