/* SPDX-License-Identifier: GPL-2.0-only */
#include "export/leaks.h"

#include "util/vec.h"

#include <stdlib.h>
#include <string.h>

static void sum_add(struct leak_sum *sum, uint64_t bytes, uint64_t blocks)
{
	sum->bytes += bytes;
	sum->blocks += blocks;
	sum->sites++;
}

/* Asking is what makes the resolver work. */
static void ask_names(const struct leaks *leaks, unsigned settle_ms)
{
	struct frame frames[RESOLVER_MAX_INLINED + 1];

	if (!settle_ms || !leaks->resolver->ops->settle)
		return;
	for (size_t i = 0; i < leaks->count; i++) {
		const struct site_info *info = leaks->data[i].site->info;

		for (unsigned f = 0; f < info->nframes; f++)
			resolver_resolve(leaks->resolver, leaks->picture->modules, info, f, frames,
					 RESOLVER_MAX_INLINED + 1);
	}
	leaks->resolver->ops->settle(leaks->resolver, settle_ms);
}

static bool is_leak(const struct site_stats *site)
{
	return site->info->side == SIDE_USER && totals_live_blocks(&site->totals);
}

static int compare(const void *a, const void *b)
{
	const struct site_stats *left = ((const struct leak *)a)->site;
	const struct site_stats *right = ((const struct leak *)b)->site;
	uint64_t x = totals_live_bytes(&left->totals), y = totals_live_bytes(&right->totals);

	if (x == y) {
		x = totals_live_blocks(&left->totals);
		y = totals_live_blocks(&right->totals);
	}
	if (x != y)
		return x < y ? 1 : -1;
	return left->info->id < right->info->id ? -1 : 1;
}

static void weigh(struct leaks *leaks, struct leak *leak, struct suppressions *suppressions,
		  struct baseline *baseline)
{
	uint64_t bytes = totals_live_bytes(&leak->site->totals);
	uint64_t blocks = totals_live_blocks(&leak->site->totals);
	struct suppression *suppression = NULL;

	sum_add(&leaks->all, bytes, blocks);
	if (suppressions)
		suppression = suppressions_find(suppressions, leaks->picture, leaks->resolver,
						leak->site->info);
	leak->suppression = suppression;
	if (suppression) {
		suppression->bytes += bytes;
		suppression->blocks += blocks;
		suppression->sites++;
		sum_add(&leaks->suppressed, bytes, blocks);
		return;
	}
	if (baseline) {
		leak->before = (struct leak_sum){.bytes = bytes, .blocks = blocks};
		leak->known = baseline_take(baseline, leak->site->info->key, &leak->before.bytes,
					    &leak->before.blocks);
		leak->before.sites = leak->known;
		leaks->before.bytes += leak->before.bytes;
		leaks->before.blocks += leak->before.blocks;
	}
	if (leak_counts(leak))
		sum_add(&leaks->leaked, bytes - leak->before.bytes, blocks - leak->before.blocks);
	else
		leaks->before.sites++;
}

void leaks_init(struct leaks *leaks, const struct picture *picture, struct resolver *resolver,
		struct suppressions *suppressions, struct baseline *baseline, unsigned settle_ms)
{
	struct leak *leak;

	*leaks = (struct leaks){
		.picture = picture, .resolver = resolver, .suppressions = suppressions};
	for (size_t i = 0; i < picture->site_count; i++) {
		const struct site_stats *site = &picture->sites[i];

		if (is_leak(site))
			*vec_push(leaks) = (struct leak){.site = site};
	}
	if (leaks->count)
		qsort(leaks->data, leaks->count, sizeof(*leaks->data), compare);
	ask_names(leaks, settle_ms);
	vec_for_each(leak, leaks)
		weigh(leaks, leak, suppressions, baseline);
}

void leaks_deinit(struct leaks *leaks)
{
	vec_deinit(leaks);
}

bool leak_counts(const struct leak *leak)
{
	const struct totals *totals = &leak->site->totals;

	return !leak->suppression && (leak->before.bytes < totals_live_bytes(totals) ||
				      leak->before.blocks < totals_live_blocks(totals));
}

void leaks_rest(const struct leaks *leaks, struct totals *ret)
{
	for (size_t i = 0; i < leaks->picture->site_count; i++) {
		const struct site_stats *site = &leaks->picture->sites[i];

		if (!is_leak(site) && !(site->info->flags & SITE_UNMATCHED))
			totals_add(ret, &site->totals);
	}
}
