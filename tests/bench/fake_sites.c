/* SPDX-License-Identifier: GPL-2.0-only */
#include "tests/bench/fake_sites.h"

#include "util/alloc.h"

#include <stdlib.h>
#include <string.h>

#define FRAMES	12
#define ROWS	40
#define COLUMNS 120
#define START	(1000 * 1000000000ull)

static int give_cohorts(struct source *source, size_t index, struct cohorts *ret)
{
	struct fake_sites *fake = (struct fake_sites *)source;
	const struct totals *totals = &fake->sites.samples.data[index].totals;

	ret->count = ABI_COHORT_ROWS;
	for (unsigned i = 0; i < ABI_COHORT_ROWS; i++) {
		ret->rows[i].born_from_ns = fake->snapshot.time_ns / 16 * i;
		ret->rows[i].born_to_ns = fake->snapshot.time_ns / 16 * (i + 1);
		ret->rows[i].totals.allocated_blocks = totals->allocated_blocks / 16;
		ret->rows[i].totals.freed_blocks = totals->freed_blocks / 16;
	}
	return 0;
}

static size_t resolve(struct resolver *resolver, const struct modules *modules,
		      const struct site_info *site, unsigned index, struct frame *ret, size_t cap)
{
	struct fake_sites *fake =
		(struct fake_sites *)((char *)resolver - offsetof(struct fake_sites, resolver));

	(void)modules, (void)cap;
	fake->resolved++;
	*ret = (struct frame){.symbol = index % 2 ? "process_image" : "jpeg_decode_frame",
			      .module = "/opt/av/libdecode.so",
			      .build_id = "9f3c1a77",
			      .module_offset = site->addresses[index] & 0xffff,
			      .file = "src/decode.c",
			      .line = 88,
			      .address = site->addresses[index]};
	return 1;
}

static uint64_t revision(struct resolver *resolver)
{
	(void)resolver;
	return 1;
}

static const struct source_ops source_ops = {.cohorts = give_cohorts};
static const struct resolver_ops resolver_ops = {.resolve = resolve, .revision = revision};

static void fill_ledger(struct fake_sites *fake)
{
	struct ledger *ledger = &fake->ledger;
	size_t slots = fake->count + 1;

	ledger->sizes.sites = slots;
	ledger->sites = xcalloc(slots, sizeof(*ledger->sites));
	ledger->order = xcalloc(slots, sizeof(*ledger->order));
	ledger->totals = xcalloc(slots, sizeof(*ledger->totals));
	ledger->counters = &fake->counters;
	for (size_t i = 0; i < fake->count; i++) {
		struct abi_site *site = &ledger->sites[i + 1];

		ledger->order[i] = i + 1;
		site->flags = ABI_SITE_READY;
		site->kind = ABI_KIND_MALLOC;
		site->nframes = FRAMES;
		for (unsigned j = 0; j < FRAMES; j++)
			site->frames[j] = 0x400000 + i * 64 + j;
	}
	fake->counters.sites = fake->count;
}

void fake_sites_init(struct fake_sites *fake, size_t count)
{
	memset(fake, 0, sizeof(*fake));
	fake->source.ops = &source_ops;
	fake->resolver.ops = &resolver_ops;
	fake->count = count;
	fake->random = 1;
	fill_ledger(fake);
	sites_init(&fake->sites);
	fake->modules = modules_new();
	fake->model = model_new();
	fake->view = view_new();
	view_set_minimum(fake->view, VIEW_MINIMUM_AUTO, 0);
	fake->screen = screen_new();
	fake->status = (struct screen_status){.delay_s = 1, .live = true};
	canvas_init(&fake->canvas, ROWS, COLUMNS, true);
	fake->snapshot = (struct snapshot){
		.time_ns = START,
		.attached_ns = START,
		.generation = 1,
		.level = LEVEL_HEAP,
		.side_known = {[SIDE_USER] = true},
		.memory = {.rss_bytes = 900ull << 20, .anon_bytes = 900ull << 20},
		.modules = fake->modules,
	};
}

void fake_sites_deinit(struct fake_sites *fake)
{
	canvas_deinit(&fake->canvas);
	screen_free(fake->screen);
	view_free(fake->view);
	model_free(fake->model);
	sites_deinit(&fake->sites);
	modules_free(fake->modules);
	free(fake->ledger.sites);
	free(fake->ledger.order);
	free(fake->ledger.totals);
}

void fake_sites_churn(struct fake_sites *fake)
{
	for (size_t i = 0; i < fake->count; i++) {
		struct abi_totals *totals = &fake->ledger.totals[i + 1];
		uint64_t size = i % 50 ? 200 : 200000;

		fake->random = fake->random * 6364136223846793005ull + 1442695040888963407ull;
		totals->allocated_blocks += 20;
		totals->allocated_bytes += 20 * size;
		totals->freed_blocks = totals->allocated_blocks - (fake->random >> 60);
		if (i % 100 == 0)
			totals->freed_blocks /= 2;
		totals->freed_bytes = totals->freed_blocks * size;
	}
	fake->snapshot.time_ns += 1000000000ull;
	fake->snapshot.time_unix_ns = fake->snapshot.time_ns;
}

void fake_sites_read(struct fake_sites *fake)
{
	sites_refresh(&fake->sites, &fake->ledger, SIDE_USER, fake->modules, NULL,
		      fake->snapshot.time_ns);
	fake->snapshot.sites = fake->sites.samples.data;
	fake->snapshot.site_count = fake->sites.samples.count;
}

void fake_sites_model(struct fake_sites *fake)
{
	model_update(fake->model, &fake->source, &fake->snapshot);
}

void fake_sites_view(struct fake_sites *fake)
{
	view_sync(fake->view, model_picture(fake->model));
}

void fake_sites_draw(struct fake_sites *fake)
{
	canvas_clear(&fake->canvas);
	screen_draw(fake->screen, &fake->canvas, fake->view, &fake->resolver, &fake->status);
}
