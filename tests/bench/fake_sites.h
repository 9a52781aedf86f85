/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A book of many sites in ordinary memory and the user side on top of it, as a tick goes through
 * it: read, model, view, screen. Most sites are small, as in real targets; some are large and some
 * grow.
 */
#ifndef BENCH_FAKE_SITES_H
#define BENCH_FAKE_SITES_H

#include "capture/ledger.h"
#include "capture/sites.h"
#include "core/model.h"
#include "core/resolver.h"
#include "core/source.h"
#include "core/view.h"
#include "ui/screen.h"

struct fake_sites {
	struct source source;
	struct resolver resolver;
	uint64_t resolved; /* how many frames were asked for */
	struct ledger ledger;
	struct abi_counters counters;
	struct sites sites;
	struct modules *modules;
	struct snapshot snapshot;
	struct model *model;
	struct view *view;
	struct screen *screen;
	struct screen_status status;
	struct canvas canvas;
	uint64_t random;
	size_t count;
};

void fake_sites_init(struct fake_sites *fake, size_t count);
void fake_sites_deinit(struct fake_sites *fake);

/* What the target does in a second, and then the parts of a tick, in their order. */
void fake_sites_churn(struct fake_sites *fake);
void fake_sites_read(struct fake_sites *fake);
void fake_sites_model(struct fake_sites *fake);
void fake_sites_view(struct fake_sites *fake);
void fake_sites_draw(struct fake_sites *fake);

#endif
