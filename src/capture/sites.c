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
	sites->moments.count = 0;
}

void sites_end_side(struct sites *sites, enum side side)
{
	for (size_t i = 0; i < sites->origins.count; i++)
		if (sites->origins.data[i].side == side) {
			sites->origins.data[i].slot = SITES_ENDED;
			sites->samples.data[i].ended = true;
		}
	sites->seen[side] = 0;
	sites->unknown[side] = false;
	if (side == SIDE_USER)
		sites->moments.count = 0; /* they speak of the order in its ledger */
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
	vec_deinit(&sites->moments);
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

/* A return address may be one past its function's end, so it is its call that is looked for. */
static const struct module *module_of(const struct modules *modules, uint64_t frame, uint64_t time)
{
	return modules_find(modules, frame - 1, time);
}

static unsigned unknown_frames(const struct abi_site *site, const struct modules *modules,
			       uint64_t time_ns)
{
	unsigned count = 0;

	for (unsigned i = 0; i < site->nframes && i < ABI_MAX_FRAMES; i++)
		count += !module_of(modules, site->frames[i], time_ns);
	return count;
}

/*
 * When the index-th site of the user's ledger was made, as near as its names need: before the first
 * moment that it was there for. Code that came at that moment was there before it was noticed, so
 * the time that knows more frames is taken.
 */
static uint64_t born_ns(const struct sites *sites, const struct abi_site *site, size_t index,
			const struct modules *modules, uint64_t now_ns)
{
	const struct site_moment *moment;

	vec_for_each(moment, &sites->moments)
		if (index < moment->sites)
			return unknown_frames(site, modules, now_ns) <
					       unknown_frames(site, modules, moment->time_ns - 1) ?
				       now_ns :
				       moment->time_ns - 1;
	return now_ns;
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
		if (describe->page_table(describe->context, site))
			info->flags |= SITE_PAGE_TABLE;
		if (describe->reclaimable(describe->context, site))
			info->flags |= SITE_RECLAIMABLE;
	}
	*vec_push(&sites->samples) = (struct site_sample){.info = info};
	*vec_push(&sites->origins) = (struct site_origin){.side = side, .slot = slot};
}

bool sites_meet_unknown_code(const struct sites *sites, const struct ledger *ledger,
			     const struct modules *modules, uint64_t now_ns)
{
	size_t count = ledger_site_count(ledger);

	for (size_t i = sites->seen[SIDE_USER]; i < count; i++) {
		unsigned slot = ledger_site_slot(ledger, i);

		if (slot && unknown_frames(&ledger->sites[slot], modules, now_ns))
			return true;
	}
	return false;
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
		add(sites, ledger, side, slot, modules, describe,
		    side == SIDE_USER ? born_ns(sites, &ledger->sites[slot], sites->seen[side],
						modules, now_ns) :
					now_ns);
	}
	while (side == SIDE_USER && sites->moments.count &&
	       sites->moments.data[sites->moments.count - 1].sites <= sites->seen[side])
		sites->moments.count--;
	for (size_t i = 0; i < sites->samples.count; i++) {
		const struct site_origin *origin = &sites->origins.data[i];

		if (origin->side == side && origin->slot != SITES_ENDED)
			ledger_totals(ledger, origin->slot, &sites->samples.data[i].totals);
	}
}

static bool frame_went(const struct modules *modules, uint64_t frame, uint64_t now_ns)
{
	const struct module *module = module_of(modules, frame, now_ns - 1);

	return module && module->to_ns == now_ns;
}

static bool same_code(const struct module *a, const struct module *b)
{
	if (a == b)
		return true;
	if (!a || !b || a->bias != b->bias)
		return false;
	if (a->build_id_size || b->build_id_size)
		return a->build_id_size == b->build_id_size &&
		       !memcmp(a->build_id, b->build_id, a->build_id_size);
	return a->device == b->device && a->inode == b->inode && a->inode;
}

/* Opens a closed site again if its code is what it was when the site was made. */
static void reopen(struct ledger *ledger, unsigned slot, const struct modules *modules,
		   uint64_t born, uint64_t now_ns)
{
	const struct abi_site *site = &ledger->sites[slot];

	if (!slot || !(site->flags & ABI_SITE_CLOSED))
		return;
	for (unsigned i = 0; i < site->nframes && i < ABI_MAX_FRAMES; i++)
		if (!same_code(module_of(modules, site->frames[i], born),
			       module_of(modules, site->frames[i], now_ns)))
			return;
	ledger_site_set_closed(ledger, slot, false);
}

static bool close_sites(struct ledger *ledger, const struct modules *modules, size_t count,
			uint64_t now_ns)
{
	bool closed = false;

	for (size_t index = 0; index < count; index++) {
		unsigned slot = ledger_site_slot(ledger, index);
		const struct abi_site *site = &ledger->sites[slot];

		for (unsigned i = 0; slot && i < site->nframes && i < ABI_MAX_FRAMES; i++) {
			if (!frame_went(modules, site->frames[i], now_ns))
				continue;
			ledger_site_set_closed(ledger, slot, true);
			closed = true;
			break;
		}
	}
	return closed;
}

static bool anything_went(const struct modules *modules, uint64_t now_ns)
{
	for (size_t i = 0; i < modules_count(modules); i++)
		if (modules_get(modules, i)->to_ns == now_ns)
			return true;
	return false;
}

void sites_follow(struct sites *sites, struct ledger *ledger, const struct modules *modules,
		  uint64_t now_ns)
{
	size_t count = ledger_site_count(ledger);

	if (anything_went(modules, now_ns) && close_sites(ledger, modules, count, now_ns))
		*vec_push(&sites->moments) = (struct site_moment){now_ns, count};
	for (size_t i = 0; i < sites->samples.count; i++) {
		const struct site_origin *origin = &sites->origins.data[i];

		if (origin->side == SIDE_USER && origin->slot != SITES_ENDED)
			reopen(ledger, origin->slot, modules, sites->samples.data[i].info->born_ns,
			       now_ns);
	}
	for (size_t i = sites->seen[SIDE_USER]; i < count; i++) {
		unsigned slot = ledger_site_slot(ledger, i);

		reopen(ledger, slot, modules,
		       born_ns(sites, &ledger->sites[slot], i, modules, now_ns), now_ns);
	}
}
