/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the process holds beside its blocks and mappings: file descriptors by kind, buffers behind
 * them, page tables, stacks in the kernel. Their names, their growth, and whether they leak.
 */
#ifndef MEMTOP_CORE_HOLDINGS_H
#define MEMTOP_CORE_HOLDINGS_H

#include "core/history.h"

enum holding_unit {
	HOLDING_BYTES,
	HOLDING_PIECES,
};

struct holding_kind {
	const char *token;   /* in batch output */
	const char *name;    /* on the screen */
	const char *meaning; /* one line */
	enum holding_unit unit;
	bool sum; /* of others in the table: what leaks is named by its part */
};

extern const struct holding_kind holding_kinds[HOLDING_COUNT];

/* Of any index below HOLDING_MOST. */
const struct holding_kind *holding_kind_of(size_t index);
/* Its name on the screen: an exporter's own. */
const char *holding_name(const struct picture *picture, size_t index);
/* "+20/s", "+0.4/s", "+1.2M/s", "0"; NAN gives "-". At least FORMAT_SIZE. */
char *holding_format_rate(char *ret, size_t index, double per_s);
char *holding_format_value(char *ret, size_t index, uint64_t value);
char *holding_format_delta(char *ret, size_t index, int64_t delta);

/* What is remembered of them from tick to tick. All zero to begin with. */
struct holdings {
	struct holding_track {
		struct track values;
		uint64_t from_ns; /* first known; 0 = never */
		uint64_t mark;
		bool marked;
	} tracks[HOLDING_MOST];
};

/* A tick; after timeline_advance(). Fills in the picture's holdings. */
void holdings_update(struct holdings *holdings, const struct timeline *timeline,
		     const struct snapshot *snapshot, struct picture *picture);
void holdings_mark(struct holdings *holdings, const struct picture *picture);

#endif
