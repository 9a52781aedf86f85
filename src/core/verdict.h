/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the growth of a site, or of the whole, is called, and when it is too early to call it
 * anything. Pure: facts in, judgment out. The rules are told in verdict.c.
 */
#ifndef MEMTOP_CORE_VERDICT_H
#define MEMTOP_CORE_VERDICT_H

#include "core/ages.h"
#include "core/history.h"

/* A quantity over the windows of a timeline, and since when it is watched. */
struct series {
	struct {
		struct point points[TRACK_WINDOW];
		size_t count;
		struct fit fit;
	} windows[SCALE_COUNT];
	double watch_s;
	uint64_t now_unix_ns;
};

/* Takes the windows of a track; `start_ns` is when watching began. */
void series_take(struct series *series, const struct track *track, const struct timeline *timeline,
		 uint64_t start_ns, uint64_t now_ns, uint64_t now_unix_ns, double current);

struct site_facts {
	struct series live;	 /* bytes */
	const struct ages *ages; /* NULL = the source keeps no cohorts */
	const struct totals *totals;
	double rss_bytes;
	double floor_bytes_per_s;
	bool kernel;	     /* held by the kernel for the target */
	enum verdict before; /* of the tick before */
};

/* For what is not judged, and for what is too small to be called anything but steady. */
void verdict_none(struct judgment *ret);
void verdict_quiet(double watch_s, double rate_bytes_per_s, struct judgment *ret);

/* Of a cache that is given up when memory is short: it may grow, and that says nothing. */
void verdict_reclaimable(double watch_s, double rate_bytes_per_s, struct judgment *ret);

void verdict_site(const struct site_facts *facts, struct judgment *ret);

/* The rates of the sites that grow, by their verdict, and the greatest leak. */
struct site_sums {
	double rates[VERDICT_COUNT];
	double due_s;	   /* greatest of those that are too early */
	double more_bytes; /* that those which fill will still take */
	const struct judgment *leak;
	bool known; /* sites are watched at all */
};

struct whole_facts {
	struct series rss;
	const struct site_sums *sites;
	double explained_percent; /* of the growth since the mark; NAN = not known */
	double grown_bytes;	  /* since the mark */
	double floor_bytes_per_s;
};

void verdict_whole(const struct whole_facts *facts, struct judgment *ret);

/* Under this rate nothing is called growth; of what the kernel holds nothing under the other. */
uint64_t verdict_floor(uint64_t rss_bytes);
double verdict_kernel_floor(void);
/* Of page tables, where RSS grows so fast (NAN = not known) and its floor is `floor`. */
double verdict_page_table_floor(double floor, double rss_rate_bytes_per_s);

#endif
