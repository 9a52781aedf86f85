/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What an earlier run left behind, site by site: read from JSON that memtop wrote, a report or
 * batch output, of which the last object counts. Sites are told apart by their key.
 */
#ifndef MEMTOP_EXPORT_BASELINE_H
#define MEMTOP_EXPORT_BASELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct baseline_site {
	uint64_t key;
	uint64_t bytes, blocks; /* of it that are not taken yet */
};

struct baseline {
	struct baseline_site *data; /* sorted by key, each key once */
	size_t count, capacity;
};

/* 0, or -errno with one line for the user in `error`. Free with baseline_deinit() either way. */
int baseline_read(const char *path, struct baseline *ret, char *error, size_t size);
void baseline_deinit(struct baseline *baseline);

/*
 * Takes at most `*bytes` and `*blocks` of what the baseline has for the key, and gives what it was:
 * of several sites with one key, each takes its part. False if the key is not in it.
 */
bool baseline_take(struct baseline *baseline, uint64_t key, uint64_t *bytes, uint64_t *blocks);

#endif
