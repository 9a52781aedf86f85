/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which sites a tick's output holds. Invariant: the totals of the selected sites plus `rest` are
 * those of all sites whose blocks count as live, whatever was filtered or cut.
 */
#include "export/export.h"

#include "core/format.h"
#include "util/alloc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_SIZE 8192

static size_t site_frame(const struct picture *picture, struct resolver *resolver,
			 const struct site_info *info, unsigned index, struct frame *frames)
{
	return resolver_resolve(resolver, picture->modules, info, index, frames,
				RESOLVER_MAX_INLINED + 1);
}

static void append(char **at, size_t *left, const char *text)
{
	int length = snprintf(*at, *left, "%s", text);

	if (length < 0)
		return;
	if ((size_t)length >= *left)
		length = (int)*left - 1;
	*at += length;
	*left -= (size_t)length;
}

void export_site_text(const struct picture *picture, struct resolver *resolver,
		      const struct site_stats *site, char *ret, size_t size)
{
	struct frame frames[RESOLVER_MAX_INLINED + 1];
	bool first = true;

	*ret = 0;
	for (unsigned i = 0; i < site->info->nframes && size > 1; i++) {
		size_t count = site_frame(picture, resolver, site->info, i, frames);

		for (size_t f = 0; f < count; f++) {
			const char *slash = strrchr(frames[f].module, '/');

			append(&ret, &size, first ? "" : " ← ");
			append(&ret, &size, frames[f].symbol ? frames[f].symbol : "?");
			append(&ret, &size, " ");
			append(&ret, &size, slash ? slash + 1 : frames[f].module);
			first = false;
		}
	}
	if (first)
		append(&ret, &size, stackless_name(site->info->kind, site->info->side));
	append(&ret, &size, " ");
	append(&ret, &size, verdict_token(site->judgment.verdict));
	/* As JSON and as the table say it. */
	if (site->info->flags & SITE_UNMATCHED)
		append(&ret, &size, " unmatched UNMATCHED");
	if (site->info->flags & SITE_RECLAIMABLE)
		append(&ret, &size, " reclaimable RECLAIMABLE");
	if (site->info->object) {
		append(&ret, &size, " ");
		append(&ret, &size, site->info->object);
	}
}

/* In no sum, and behind all that are. */
static bool uncounted(const struct site_stats *site)
{
	return site->info->flags & SITE_UNMATCHED || site->ended;
}

static bool chosen(const struct selection *selection, const struct site_stats *site,
		   const struct export_choice *choice)
{
	char text[TEXT_SIZE];

	if (!(choice->sides & 1u << site->info->side))
		return false;
	if (totals_live_bytes(&site->totals) < choice->min_size_bytes)
		return false;
	if (choice->older_s > 0 && !(site->oldest_s >= choice->older_s))
		return false;
	if (!choice->filter)
		return true;
	export_site_text(selection->picture, selection->resolver, site, text, sizeof(text));
	return !regexec(choice->filter, text, 0, NULL, 0);
}

/* Not known sorts below everything known. */
static int compare_numbers(double a, double b)
{
	if (isnan(a) || isnan(b))
		return isnan(b) - isnan(a);
	return (a > b) - (a < b);
}

struct order {
	enum sort_column sort;
	const struct selection *selection;
};

/* Growing verdicts are the higher numbers but for unexplained and unknown. */
static double verdict_weight(const struct site_stats *site)
{
	enum verdict verdict = site->judgment.verdict;

	return verdict == VERDICT_UNEXPLAINED ? VERDICT_WARMING_UP + 0.5 : verdict;
}

static int compare_sites(const struct site_stats *a, const struct site_stats *b,
			 const struct order *order)
{
	char text_a[512], text_b[512];

	switch (order->sort) {
	case SORT_VERDICT:
		return compare_numbers(verdict_weight(a), verdict_weight(b));
	case SORT_DELTA:
		return (a->delta_bytes > b->delta_bytes) - (a->delta_bytes < b->delta_bytes);
	case SORT_RATE:
		return compare_numbers(a->rate_bytes_per_s, b->rate_bytes_per_s);
	case SORT_BLOCKS:
		return compare_numbers((double)totals_live_blocks(&a->totals),
				       (double)totals_live_blocks(&b->totals));
	case SORT_KEPT:
		return compare_numbers(a->kept_ratio, b->kept_ratio);
	case SORT_OLDEST:
		return compare_numbers(a->oldest_s, b->oldest_s);
	case SORT_SITE:
		export_site_text(order->selection->picture, order->selection->resolver, a, text_a,
				 sizeof(text_a));
		export_site_text(order->selection->picture, order->selection->resolver, b, text_b,
				 sizeof(text_b));
		return strcmp(text_b, text_a); /* A first, as the others are largest first */
	default:
		return 0;
	}
}

static int compare(const void *left, const void *right, void *context)
{
	const struct site_stats *a = *(const struct site_stats *const *)left;
	const struct site_stats *b = *(const struct site_stats *const *)right;
	uint64_t live_a = totals_live_bytes(&a->totals), live_b = totals_live_bytes(&b->totals);
	int result;

	if (uncounted(a) != uncounted(b))
		return uncounted(a) - uncounted(b);
	result = compare_sites(b, a, context);
	if (!result)
		result = (live_b > live_a) - (live_b < live_a);
	if (!result)
		result = (a->info->id > b->info->id) - (a->info->id < b->info->id);
	return result;
}

static void count_names(const struct selection *selection, size_t *named, size_t *all)
{
	struct frame frames[RESOLVER_MAX_INLINED + 1];

	*named = *all = 0;
	for (size_t i = 0; i < selection->count; i++) {
		const struct site_info *info = selection->sites[i]->info;

		for (unsigned f = 0; f < info->nframes; f++) {
			size_t count = site_frame(selection->picture, selection->resolver, info, f,
						  frames);

			++*all;
			*named += count && frames[count - 1].symbol;
		}
	}
}

/* Asking is what makes the resolver work: ask, let it settle, ask again. */
static void resolve_names(struct selection *selection, unsigned settle_ms)
{
	struct resolver *resolver = selection->resolver;
	size_t named, all;

	count_names(selection, &named, &all);
	if (settle_ms && resolver->ops->settle) {
		resolver->ops->settle(resolver, settle_ms);
		count_names(selection, &named, &all);
	}
	selection->names_percent = all ? 100.0 * (double)named / (double)all : NAN;
}

void selection_init(struct selection *selection, const struct picture *picture,
		    struct resolver *resolver, const struct export_choice *choice,
		    unsigned settle_ms)
{
	struct order order = {.sort = choice->sort, .selection = selection};
	struct totals *rest = &selection->rest;

	*selection = (struct selection){.picture = picture, .resolver = resolver};
	selection->total = picture->site_count;
	selection->sites = xcalloc(picture->site_count, sizeof(const struct site_stats *));
	for (size_t i = 0; i < picture->site_count; i++) {
		const struct site_stats *site = &picture->sites[i];

		if (chosen(selection, site, choice))
			selection->sites[selection->count++] = site;
		else if (!uncounted(site))
			totals_add(rest, &site->totals);
	}
	qsort_r(selection->sites, selection->count, sizeof(*selection->sites), compare, &order);
	while (choice->top && selection->count > choice->top) {
		const struct site_stats *site = selection->sites[--selection->count];

		if (!uncounted(site))
			totals_add(rest, &site->totals);
	}
	resolve_names(selection, settle_ms);
}

void selection_deinit(struct selection *selection)
{
	free(selection->sites);
	memset(selection, 0, sizeof(*selection));
}
