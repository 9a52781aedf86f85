/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Leaks that are known and accepted, in LeakSanitizer's syntax: a line `leak:PATTERN` accepts every
 * site with a frame whose function, module or source file the pattern matches; `#` begins a
 * comment line. `*` stands for anything, `^` at the beginning and `$` at the end for that end;
 * else a pattern may match anywhere inside.
 */
#ifndef MEMTOP_EXPORT_SUPPRESS_H
#define MEMTOP_EXPORT_SUPPRESS_H

#include "core/picture.h"
#include "core/resolver.h"

struct suppression {
	char *pattern; /* as it was written */
	unsigned line;
	/* What it accepted; for the report. */
	uint64_t bytes, blocks;
	size_t sites;
};

struct suppressions {
	struct suppression *data;
	size_t count, capacity;
};

/*
 * 0, or -errno with one line for the user in `error`: a line that cannot be understood is named
 * with file and number. Free with suppressions_deinit() either way.
 */
int suppressions_read(const char *path, struct suppressions *ret, char *error, size_t size);
void suppressions_deinit(struct suppressions *suppressions);

bool suppression_matches(const char *pattern, const char *text);

/* The first one that accepts the site; NULL if none does. */
struct suppression *suppressions_find(struct suppressions *suppressions,
				      const struct picture *picture, struct resolver *resolver,
				      const struct site_info *info);

#endif
