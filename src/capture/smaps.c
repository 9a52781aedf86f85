/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/smaps.h"

#include "capture/procmaps.h"
#include "util/alloc.h"
#include "util/cleanup.h"
#include "util/vec.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* glibc: HEAP_MAX_SIZE, twice DEFAULT_MMAP_THRESHOLD_MAX, on 64-bit machines. */
#define ARENA_BYTES (64ull << 20)

void smaps_clear(struct smaps *smaps)
{
	smaps->count = 0;
	free(smaps->rest);
	smaps->rest = NULL;
	smaps->rest_size = 0;
}

void smaps_deinit(struct smaps *smaps)
{
	smaps_clear(smaps);
	vec_deinit(smaps);
}

static enum smaps_name name_of(const char *path)
{
	if (!*path || !strncmp(path, "[anon:", 6))
		return SMAPS_ANONYMOUS;
	if (!strcmp(path, "[heap]"))
		return SMAPS_HEAP;
	return strncmp(path, "[stack", 6) ? SMAPS_OTHER : SMAPS_STACK;
}

/* A mapping's own line begins with its address, a line about it with an upper-case letter. */
static int take_line(struct smaps *smaps, char *line)
{
	static const struct {
		const char *key;
		size_t at;
	} fields[] = {
		{"Anonymous:", offsetof(struct smaps_entry, anonymous_bytes)},
		{"Pss:", offsetof(struct smaps_entry, pss_bytes)},
	};
	struct smaps_entry *entry;
	struct mapping mapping;

	if (*line >= 'A' && *line <= 'Z') {
		for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
			size_t length = strlen(fields[i].key);

			if (strncmp(line, fields[i].key, length))
				continue;
			if (!smaps->count)
				return -EINVAL;
			entry = &smaps->data[smaps->count - 1];
			*(uint64_t *)((char *)entry + fields[i].at) =
				strtoull(line + length, NULL, 10) * 1024;
			break;
		}
		return 0;
	}
	if (!procmaps_parse_line(line, &mapping))
		return -EINVAL;
	entry = vec_push(smaps);
	*entry = (struct smaps_entry){
		.start = mapping.start, .end = mapping.end, .name = name_of(mapping.path)};
	memcpy(entry->perms, mapping.perms, sizeof(entry->perms));
	return 0;
}

int smaps_feed(struct smaps *smaps, const char *text, size_t size)
{
	_cleanup_free_ char *whole = xmalloc(smaps->rest_size + size + 1);
	char *line = whole, *end;
	int error = 0;

	if (smaps->rest_size)
		memcpy(whole, smaps->rest, smaps->rest_size);
	memcpy(whole + smaps->rest_size, text, size);
	whole[smaps->rest_size + size] = '\0';
	free(smaps->rest);
	smaps->rest = NULL;
	smaps->rest_size = 0;
	while (!error && (end = strchr(line, '\n'))) {
		*end = '\0';
		error = take_line(smaps, line);
		line = end + 1;
	}
	if (!error && *line) {
		smaps->rest = xstrdup(line);
		smaps->rest_size = strlen(line);
	}
	return error;
}

static bool is_private_writable(const struct smaps_entry *entry)
{
	return entry->name == SMAPS_ANONYMOUS && !strcmp(entry->perms, "rw-p");
}

/* A full arena has no rest, and may have run together with the one behind it. */
static bool is_arena(const struct smaps_entry *entry, const struct smaps_entry *next)
{
	if (!is_private_writable(entry) || entry->start % ARENA_BYTES)
		return false;
	if (entry->end % ARENA_BYTES == 0)
		return true;
	return next && next->start == entry->end && next->name == SMAPS_ANONYMOUS &&
	       !strcmp(next->perms, "---p") && next->end % ARENA_BYTES == 0 &&
	       next->end - next->start < ARENA_BYTES;
}

struct smaps_parts smaps_sort(const struct smaps *smaps, bool heap_is_watched,
			      bool (*is_stack)(const struct smaps_entry *entry, void *data),
			      void *data)
{
	struct smaps_parts parts = {0};

	for (size_t i = 0; i < smaps->count; i++) {
		const struct smaps_entry *entry = &smaps->data[i];
		const struct smaps_entry *next = i + 1 < smaps->count ? entry + 1 : NULL;
		bool anonymous = entry->name == SMAPS_ANONYMOUS;

		parts.pss_bytes += entry->pss_bytes;
		if (entry->name == SMAPS_STACK ||
		    (anonymous && entry->perms[1] == 'w' && is_stack(entry, data)))
			parts.stacks_bytes += entry->anonymous_bytes;
		else if (entry->name == SMAPS_HEAP || is_arena(entry, next) ||
			 (heap_is_watched && is_private_writable(entry)))
			parts.heap_bytes += entry->anonymous_bytes;
		else
			parts.others_bytes += entry->anonymous_bytes;
	}
	return parts;
}
