/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * In kallsyms there are no sizes: a symbol ends where the next one, of whatever type, starts, and
 * data symbols only bound those of text. What is farther than MAX_KERNEL_FUNCTION from its symbol
 * is in a gap between modules and gets no name.
 */
#include "symbol/textmap.h"

#include "util/alloc.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_KERNEL_FUNCTION (256u << 10)
#define FIRST_READ	    ((size_t)256 << 10)

/* Of a kernel symbol's entry.group. */
#define GROUP_TEXT   0
#define GROUP_DATA   1
#define GROUP_MODULE 2 /* its module's name follows the NUL that ends its own */

int textmap_read(int fd, char **ret, size_t *ret_size)
{
	size_t capacity = FIRST_READ, size = 0;
	char *text = xmalloc(capacity);

	for (;;) {
		ssize_t got = read(fd, text + size, capacity - size - 1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			int error = -errno;

			free(text);
			return error;
		}
		if (!got)
			break;
		size += got;
		if (size >= TEXTMAP_MAX_BYTES) {
			free(text);
			return -EFBIG;
		}
		if (capacity - size < FIRST_READ / 2) {
			capacity *= 2;
			text = xreallocarray(text, capacity, 1);
		}
	}
	text[size] = '\0';
	*ret = text;
	*ret_size = size;
	return 0;
}

/* Cuts the line that starts at `*at` off and moves `*at` to the next; NULL at the end. */
static char *next_line(char **at, const char *end)
{
	char *line = *at;
	char *stop;

	if (line >= end)
		return NULL;
	stop = memchr(line, '\n', end - line);
	if (!stop)
		stop = (char *)end;
	*stop = '\0';
	*at = stop + 1;
	return line;
}

/* "ffffffff81000000 T _text" or "ffffffffc0a01000 t nft_do_chain\t[nf_tables]" */
static void add_kernel_line(struct textmap *map, char *line)
{
	struct symtab_entry entry = {0};
	char *rest, *module;
	char type;

	entry.start = strtoull(line, &rest, 16);
	if (rest == line || !entry.start || rest[0] != ' ' || !rest[1] || rest[2] != ' ')
		return;
	type = rest[1];
	entry.name = rest + 3;
	if (!strcmp(entry.name, "_text"))
		map->base = entry.start;
	module = strchr(rest + 3, '\t');
	if (module)
		*module = '\0';
	entry.group = strchr("tTwW", type) ? GROUP_TEXT : GROUP_DATA;
	entry.rank = (islower((unsigned char)type) ? SYMTAB_RANK_LOCAL : 0) |
		     (entry.group ? SYMTAB_RANK_LABEL : 0);
	if (module && module[1] == '[')
		entry.group |= GROUP_MODULE;
	symtab_add(map->symtab, &entry);
}

void textmap_parse_kallsyms(struct textmap *map, char *text, size_t size)
{
	char *at = text;
	char *line;

	*map = (struct textmap){.text = text, .size = size, .symtab = symtab_new()};
	while ((line = next_line(&at, text + size)))
		add_kernel_line(map, line);
	symtab_sort(map->symtab, false);
	symtab_close_gaps(map->symtab, MAX_KERNEL_FUNCTION);
}

void textmap_parse_perf(struct textmap *map, char *text, size_t size)
{
	char *at = text;
	char *line;

	*map = (struct textmap){.text = text, .size = size, .symtab = symtab_new()};
	while ((line = next_line(&at, text + size))) {
		struct symtab_entry entry = {0};
		uint64_t length;
		char *rest, *name;

		entry.start = strtoull(line, &rest, 16);
		if (rest == line || *rest != ' ')
			continue;
		length = strtoull(rest, &name, 16);
		if (name == rest || *name != ' ' || !name[1] || !length)
			continue;
		entry.size = length > UINT32_MAX ? UINT32_MAX : length;
		entry.name = name + 1;
		symtab_add(map->symtab, &entry);
	}
	symtab_sort(map->symtab, true);
}

const char *textmap_kernel_module(const struct symtab_entry *entry)
{
	return entry->group & GROUP_MODULE ? entry->name + strlen(entry->name) + 1 : "[kernel]";
}

bool textmap_kernel_is_text(const struct symtab_entry *entry)
{
	return !(entry->group & GROUP_DATA);
}

void textmap_deinit(struct textmap *map)
{
	symtab_free(map->symtab);
	free(map->text);
	*map = (struct textmap){0};
}
