/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/sites.h"

#include "core/sitekey.h"

#include <string.h>

void sites_init(struct sites *sites)
{
	memset(sites, 0, sizeof(*sites));
	sites->strings = strpool_new();
}

void sites_clear(struct sites *sites)
{
	struct site_sample *sample;

	vec_for_each(sample, &sites->samples)
		*vec_push(&sites->retired) = sample->info;
	sites->samples.count = sites->origins.count = 0;
	memset(sites->seen, 0, sizeof(sites->seen));
	memset(sites->unknown, 0, sizeof(sites->unknown));
}

void sites_end_side(struct sites *sites, enum side side)
{
	struct site_origin *origin;

	vec_for_each(origin, &sites->origins)
		if (origin->side == side)
			origin->slot = SITES_ENDED;
	sites->seen[side] = 0;
	sites->unknown[side] = false;
}

void sites_deinit(struct sites *sites)
{
	const struct site_info **info;

	sites_clear(sites);
	vec_for_each(info, &sites->retired)
		free((void *)*info);
	vec_deinit(&sites->retired);
	vec_deinit(&sites->samples);
	vec_deinit(&sites->origins);
	strpool_free(sites->strings);
}

/* The frames stand behind the info in one piece of memory. */
static struct site_info *info_new(const struct abi_site *site)
{
	unsigned count = site->nframes <= ABI_MAX_FRAMES ? site->nframes : ABI_MAX_FRAMES;
	struct site_info *info = xcalloc(1, sizeof(*info) + count * sizeof(uint64_t));
	uint64_t *addresses = (uint64_t *)(info + 1);

	memcpy(addresses, site->frames, count * sizeof(*addresses));
	info->addresses = addresses;
	info->nframes = count;
	info->kind = site->kind;
	if (site->flags & ABI_SITE_TRUNCATED)
		info->flags |= SITE_TRUNCATED;
	return info;
}

static void add(struct sites *sites, const struct ledger *ledger, enum side side, unsigned slot,
		const struct modules *modules, const struct sites_describe *describe,
		uint64_t now_ns)
{
	const struct abi_site *site = &ledger->sites[slot];
	struct site_info *info = info_new(site);

	info->id = ++sites->last_id;
	info->side = side;
	info->born_ns = now_ns;
	if (!slot)
		info->flags |= SITE_UNKNOWN | SITE_TRUNCATED;
	info->key = sitekey(modules, now_ns, info->kind, info->addresses, info->nframes);
	if (describe && slot) {
		const char *object = describe->object(describe->context, site);

		info->object = object ? strpool_add(sites->strings, object) : NULL;
		if (!describe->matched(describe->context, site))
			info->flags |= SITE_UNMATCHED;
	}
	*vec_push(&sites->samples) = (struct site_sample){.info = info};
	*vec_push(&sites->origins) = (struct site_origin){.side = side, .slot = slot};
}

void sites_refresh(struct sites *sites, const struct ledger *ledger, enum side side,
		   const struct modules *modules, const struct sites_describe *describe,
		   uint64_t now_ns)
{
	size_t count = ledger_site_count(ledger);

	if (!sites->unknown[side] && ledger->totals[0].allocated_blocks) {
		add(sites, ledger, side, 0, modules, describe, now_ns);
		sites->unknown[side] = true;
	}
	for (; sites->seen[side] < count; sites->seen[side]++) {
		unsigned slot = ledger_site_slot(ledger, sites->seen[side]);

		if (!slot)
			break; /* being written this moment; next time */
		add(sites, ledger, side, slot, modules, describe, now_ns);
	}
	for (size_t i = 0; i < sites->samples.count; i++) {
		const struct site_origin *origin = &sites->origins.data[i];

		if (origin->side == side && origin->slot != SITES_ENDED)
			ledger_totals(ledger, origin->slot, &sites->samples.data[i].totals);
	}
}
