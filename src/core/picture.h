/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A picture: everything known and judged at one tick, ready to be drawn, written or recorded.
 * The model owns the current one; a frozen display owns a copy. Plain data.
 *
 * Doubles that are not known are NAN.
 */
#ifndef MEMTOP_CORE_PICTURE_H
#define MEMTOP_CORE_PICTURE_H

#include "core/snapshot.h"

enum verdict {
	VERDICT_UNKNOWN,
	VERDICT_WARMING_UP,
	VERDICT_STEADY,
	VERDICT_FILLING,
	VERDICT_SAWTOOTH,
	VERDICT_BURST,
	VERDICT_GROWING,
	VERDICT_LEAKING,
	VERDICT_UNEXPLAINED,
	VERDICT_COUNT,
};

/* A verdict and the facts that its sentence needs. */
struct judgment {
	enum verdict verdict;
	double confidence; /* 0..1, for batch output */
	double rate_bytes_per_s;
	double one_in;	      /* leaking: 1 block in so many is never freed; NAN = all */
	uint64_t level_bytes; /* filling: where it ends; sawtooth: where it returns to; burst: step
			       */
	uint64_t since_unix_ns;	  /* burst: when */
	double due_s;		  /* warming-up: seconds until it can be judged */
	double explained_percent; /* unexplained: how much of the growth is */
};

struct site_stats {
	const struct site_info *info;
	struct totals totals;
	int64_t delta_bytes; /* live now - live at the mark */
	int64_t delta_blocks;
	double rate_bytes_per_s; /* slope of live over the last 10 s, or since attach */
	double rate_blocks_per_s;
	double allocations_per_s;
	double oldest_s; /* age of the oldest live block, a lower bound; NAN = none live */
	bool resident_known;
	uint64_t resident_bytes; /* as in struct site_sample */
	bool ended;		 /* as in struct site_sample */
	double kept_ratio;	 /* share of old blocks still live; NAN = no old blocks yet */
	double median_life_s;	 /* NAN = not known */
	struct judgment judgment;
};

struct side_stats {
	bool known;
	struct totals totals;
	int64_t delta_bytes;
	int64_t delta_blocks;
	double rate_bytes_per_s;
	double allocations_per_s;
	double frees_per_s;
	uint64_t before_attach_frees;
	uint64_t ownerless_bytes; /* live, in rows that are no stack's: pages without a fault */
};

/*
 * RSS in its parts; they add up to rss. slack_or_before = slack and blocks from before the attach;
 * where live blocks are not known, all of the heap.
 */
struct accounting {
	bool known;
	bool live_known; /* the heap's blocks: at level heap */
	uint64_t heap_live_bytes;
	uint64_t slack_or_before_bytes;
	uint64_t anon_maps_bytes;
	uint64_t stacks_bytes;
	uint64_t file_bytes;
	uint64_t shmem_bytes;
	uint64_t unexplained_bytes;
	double explained_percent; /* of the growth since the mark; NAN = nothing grew */
};

/* Growth since the mark, in its parts. */
struct growth {
	double elapsed_s;
	int64_t rss_bytes;
	int64_t user_bytes, maps_bytes, kernel_bytes;
	int64_t slack_bytes, file_bytes, shmem_bytes;
};

/* When it dies: an interval; NAN = cannot be told or never. */
struct forecast {
	double rate_bytes_per_s; /* at which the headroom shrinks */
	double low_s, high_s;
};

/* What is held beside memory. "Bytes" of its judgment are of the holding's own unit. */
struct holding_stats {
	bool known;
	bool lives_known;
	const char *why; /* as in struct holding_sample; of unlimited life */
	char exporter[32];
	uint64_t value, limit;
	struct totals totals;
	int64_t delta; /* now - at the mark */
	double rate_per_s;
	double kept_ratio; /* NAN = nothing old yet */
	struct judgment judgment;
};

/* One point of the graph. */
struct history_point {
	uint64_t time_ns;
	uint64_t rss_bytes;
	uint64_t charged_bytes; /* rss where nothing is charged */
	uint64_t live_bytes[SIDE_COUNT];
};

struct mark {
	uint64_t time_ns, time_unix_ns;
	char name[16];
};

struct picture {
	uint64_t tick;
	uint64_t time_ns, time_unix_ns;
	double elapsed_s; /* since attach */
	unsigned generation;
	bool final;
	bool from_start; /* see snapshot.h */
	struct target_state target;
	enum level level;
	char level_reason[160]; /* empty = as asked */
	struct memory memory;
	struct charge charge;
	struct overhead overhead;
	double rss_rate_bytes_per_s;
	struct judgment judgment; /* of the whole */
	uint32_t top_site;	  /* id of the site that explains most of the growth; 0 = none */
	double top_share;	  /* of the growth, 0..1; NAN = unknown */
	struct accounting accounting;
	struct growth growth;
	struct forecast forecast;
	struct side_stats sides[SIDE_COUNT];
	bool kernel_off;			      /* as in struct snapshot */
	struct side_stats kernel_kinds[KERNEL_KINDS]; /* add up to the kernel side, but for what its
							 table of sites could not hold */
	const char *kernel_kind_why[KERNEL_KINDS];    /* as in struct snapshot */
	uint64_t losses[ABI_LOSS_COUNT];
	uint64_t losses_total;
	struct unwinder_status unwind;
	double truncated_percent;   /* of the user's allocations, by stack; NAN = none yet */
	uint64_t floor_bytes_per_s; /* of RSS; that of a side is picture_floor() */
	double names_percent;	    /* share of frames named; NAN = not known; app fills it in */
	size_t holding_count;	    /* as in struct snapshot */
	struct holding_stats holdings[HOLDING_MOST];
	unsigned leaking_holding; /* the one that leaks most, counted from 1; 0 = none does */
	struct mark mark;
	size_t history_count; /* oldest first, evenly thinned to a bounded number */
	const struct history_point *history;
	size_t allocator_count;
	struct watched_allocator allocators[SNAPSHOT_ALLOCATORS];
	const struct modules *modules;
	size_t site_count; /* in the order of the snapshot */
	const struct site_stats *sites;
};

/* Its book was closed, and the side has another one: what stands there is of no use any more. */
static inline bool site_is_past(const struct picture *picture, const struct site_stats *site)
{
	return site->ended && picture->sides[site->info->side % SIDE_COUNT].known;
}

/* Under which nothing of a side is called growth: the kernel's is lower than that of RSS. */
double picture_floor(const struct picture *picture, enum side side);

/* A deep copy (sites and history; infos and modules stay borrowed); free with picture_free(). */
struct picture *picture_copy(const struct picture *picture);
void picture_free(struct picture *copy);

#endif
