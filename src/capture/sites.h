/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The sites of one generation, from all ledgers, as a snapshot shows them: append-only, with ids
 * that are never given out again.
 */
#ifndef MEMTOP_CAPTURE_SITES_H
#define MEMTOP_CAPTURE_SITES_H

#include "capture/ledger.h"
#include "core/modules.h"
#include "util/strpool.h"
#include "util/vec.h"

#include <limits.h>

/* Where a sample's numbers come from; side and slot in that side's ledger. */
struct site_origin {
	enum side side;
	unsigned slot;
};

/* A moment when code went away, and how many sites a ledger had by then. */
struct site_moment {
	uint64_t time_ns;
	size_t sites;
};

#define SITES_ENDED UINT_MAX /* a slot: the ledger is closed, the totals stand */

struct sites {
	VEC(struct site_sample) samples;
	VEC(struct site_origin) origins;
	VEC(const struct site_info *) retired; /* of generations before; owned */
	uint32_t last_id;		       /* rises over generations */
	size_t seen[SIDE_COUNT];	       /* sites of each ledger that are known already */
	bool unknown[SIDE_COUNT];	       /* the unknown site is among them */
	VEC(struct site_moment) moments; /* of the user side; those that unseen sites may need */
	struct strpool *strings;
};

/* Tells the cache's name of a kernel site, whether its frees are seen, and what it is; NULL for
 * other sides. */
struct sites_describe {
	const char *(*object)(void *context, const struct abi_site *site);
	bool (*matched)(void *context, const struct abi_site *site);
	bool (*page_table)(void *context, const struct abi_site *site);
	bool (*reclaimable)(void *context, const struct abi_site *site);
	void *context;
};

void sites_init(struct sites *sites);
/* A new generation: no sites, ids go on. Infos that were given out stay valid. */
void sites_clear(struct sites *sites);
/* The ledger of `side` ends: its sites stay as they are, those of another one are new sites. */
void sites_end_side(struct sites *sites, enum side side);
void sites_deinit(struct sites *sites);

/* Whether sites of the user side that sites_refresh() has not seen yet have code in no module. */
bool sites_meet_unknown_code(const struct sites *sites, const struct ledger *ledger,
			     const struct modules *modules, uint64_t now_ns);

/* Adds what is new in the ledger of `side` and reads the totals of all of that side. */
void sites_refresh(struct sites *sites, const struct ledger *ledger, enum side side,
		   const struct modules *modules, const struct sites_describe *describe,
		   uint64_t now_ns);

/*
 * Code of the target went away or came at `now_ns`, the time that `modules` gave it; call it before
 * the walks are told. Closes the user sites that have frames in what went, opens again those whose
 * code is back as it was, and keeps the time of sites that were not seen until now: their frames
 * are those of before.
 */
void sites_follow(struct sites *sites, struct ledger *ledger, const struct modules *modules,
		  uint64_t now_ns);

#endif
