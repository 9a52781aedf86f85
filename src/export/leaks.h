/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a started command never freed: the live blocks of its last picture, site by site, the
 * largest first, and what of it is accepted by suppressions or was there in a baseline. The sums
 * are over all sites of the user's side, whatever of them a report lists.
 */
#ifndef MEMTOP_EXPORT_LEAKS_H
#define MEMTOP_EXPORT_LEAKS_H

#include "core/picture.h"
#include "core/resolver.h"
#include "export/baseline.h"
#include "export/suppress.h"

#include <stdio.h>

struct leak_sum {
	uint64_t bytes, blocks;
	size_t sites;
};

struct leak {
	const struct site_stats *site;
	const struct suppression *suppression; /* that accepts it; NULL = none */
	bool known;			       /* the baseline has the site */
	struct leak_sum before;		       /* what of it the baseline has */
};

struct leaks {
	const struct picture *picture;
	struct resolver *resolver;
	const struct suppressions *suppressions;
	struct leak *data;
	size_t count, capacity;
	struct leak_sum all, suppressed, before, leaked; /* all = the other three */
};

/*
 * Borrows all that it is given; takes from the baseline. Either of the two may be NULL. Gives the
 * resolver at most `settle_ms` for names.
 */
void leaks_init(struct leaks *leaks, const struct picture *picture, struct resolver *resolver,
		struct suppressions *suppressions, struct baseline *baseline, unsigned settle_ms);
void leaks_deinit(struct leaks *leaks);

/* Is the site neither suppressed nor all in the baseline? */
bool leak_counts(const struct leak *leak);

/* The totals of all sites that are not among the leaks: of those of other sides, and of the empty.
 */
void leaks_rest(const struct leaks *leaks, struct totals *ret);

/* What a gate made of it. */
struct leak_verdict {
	bool gated;	      /* a limit was given */
	uint64_t limit_bytes; /* more than that fails; 0: any block */
	bool failed;
	const char *not_judged; /* why; NULL = it was judged */
	bool children;		/* the command had some, which were not followed */
};

struct leak_report {
	const struct leaks *leaks;
	struct leak_verdict verdict;
	size_t top; /* sites of the text; 0 = all */
};

/* For people, as LeakSanitizer writes it; the stream is flushed. -errno of the stream. */
int export_leaks(FILE *out, const struct leak_report *report);
/* One object on one line, schema memtop/1, with all sites of the user's side that hold blocks. */
int export_leaks_json(FILE *out, const struct leak_report *report);

#endif
