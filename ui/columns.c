/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Columns stand in the order of the table below. Which of them are shown depends on the width only,
 * so that nothing jumps when values change; a value that is too wide is written shorter, not cut.
 */
#include "ui/columns.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool unmatched(const struct site_stats *site)
{
	return site->info->flags & SITE_UNMATCHED;
}

static void nothing(char *ret)
{
	strcpy(ret, "-");
}

static void verdict_text(const struct draw *draw, const struct site_stats *site, char *ret)
{
	(void)draw;
	snprintf(ret, COLUMN_TEXT_SIZE, "%s", site_word(site));
}

/* "2,163", and in six cells whatever the count: "123k", "1.2M". */
static void count_text(uint64_t count, char *ret)
{
	static const char units[] = "kMGTPE";
	double value = (double)count;
	size_t unit = 0;

	format_count(ret, count);
	if (strlen(ret) <= 6)
		return;
	for (value /= 1000; value >= 999.5 && unit + 2 < sizeof(units); value /= 1000)
		unit++;
	snprintf(ret, COLUMN_TEXT_SIZE, "%.*f%c", value < 9.95 ? 1 : 0, value, units[unit]);
}

/* Counts of thousands stand without commas: `12345 of 12345` is as wide as the foot has room. */
static void verdict_total(const struct draw *draw, const struct side_stats *side, char *ret)
{
	char shown[FORMAT_SIZE], all[FORMAT_SIZE];

	(void)side;
	snprintf(ret, COLUMN_TEXT_SIZE, "%zu of %zu", view_count(draw->view),
		 draw->sites[view_side(draw->view)]);
	if (strlen(ret) <= COLUMNS_START + 11)
		return;
	count_text(view_count(draw->view), shown);
	count_text(draw->sites[view_side(draw->view)], all);
	snprintf(ret, COLUMN_TEXT_SIZE, "%s of %s", shown, all);
}

static void live_text(const struct draw *draw, const struct site_stats *site, char *ret)
{
	(void)draw;
	if (unmatched(site))
		nothing(ret);
	else
		format_bytes(ret, totals_live_bytes(&site->totals));
}

static void live_total(const struct draw *draw, const struct side_stats *side, char *ret)
{
	(void)draw;
	format_bytes(ret, totals_live_bytes(&side->totals));
}

static void delta_text(const struct draw *draw, const struct site_stats *site, char *ret)
{
	if (draw->absolute)
		format_bytes(ret, site->totals.allocated_bytes);
	else if (unmatched(site))
		nothing(ret);
	else
		format_delta(ret, site->delta_bytes);
}

static void delta_total(const struct draw *draw, const struct side_stats *side, char *ret)
{
	if (draw->absolute)
		format_bytes(ret, side->totals.allocated_bytes);
	else
		format_delta(ret, side->delta_bytes);
}

static void rate_text(const struct draw *draw, const struct site_stats *site, char *ret)
{
	if (unmatched(site))
		nothing(ret);
	else
		format_rate(ret, site->rate_bytes_per_s,
			    picture_floor(draw->picture, site->info->side));
}

static void rate_total(const struct draw *draw, const struct side_stats *side, char *ret)
{
	format_rate(ret, side->rate_bytes_per_s,
		    picture_floor(draw->picture, view_side(draw->view)));
}

static void blocks_text(const struct draw *draw, const struct site_stats *site, char *ret)
{
	(void)draw;
	if (unmatched(site))
		nothing(ret);
	else
		count_text(totals_live_blocks(&site->totals), ret);
}

static void blocks_total(const struct draw *draw, const struct side_stats *side, char *ret)
{
	(void)draw;
	count_text(totals_live_blocks(&side->totals), ret);
}

static void kept_text(const struct draw *draw, const struct site_stats *site, char *ret)
{
	(void)draw;
	format_kept(ret, site->kept_ratio);
	if (strlen(ret) > 6)
		format_percent(ret, site->kept_ratio * 100);
}

static void oldest_text(const struct draw *draw, const struct site_stats *site, char *ret)
{
	(void)draw;
	format_duration(ret, site->oldest_s);
}

static void life_text(const struct draw *draw, const struct site_stats *site, char *ret)
{
	(void)draw;
	format_duration(ret, site->median_life_s);
}

static void allocations_text(const struct draw *draw, const struct site_stats *site, char *ret)
{
	(void)draw;
	if (isnan(site->allocations_per_s) || site->allocations_per_s < 0)
		nothing(ret);
	else if (site->allocations_per_s > 0 && site->allocations_per_s < 9.95)
		snprintf(ret, COLUMN_TEXT_SIZE, "%.1f", site->allocations_per_s);
	else
		count_text((uint64_t)llround(site->allocations_per_s), ret);
}

static void allocations_total(const struct draw *draw, const struct side_stats *side, char *ret)
{
	(void)draw;
	if (isnan(side->allocations_per_s) || side->allocations_per_s < 0)
		nothing(ret);
	else
		count_text((uint64_t)llround(side->allocations_per_s), ret);
}

static const struct column all_columns[] = {
	{"VERDICT", 11, 0, 0, 0, true, SORT_VERDICT, verdict_text, verdict_total},
	{"LIVE", 6, 1, 0, 0, false, SORT_LIVE, live_text, live_total},
	{NULL, 7, 2, 2, 24, false, SORT_DELTA, delta_text, delta_total},
	{"RATE", 8, 2, 1, 20, false, SORT_RATE, rate_text, rate_total},
	{"BLOCKS", 6, 1, 5, 24, false, SORT_BLOCKS, blocks_text, blocks_total},
	{"KEPT", 6, 2, 3, 24, false, SORT_KEPT, kept_text, NULL},
	{"OLDEST", 6, 1, 4, 24, false, SORT_OLDEST, oldest_text, NULL},
	{"LIFE", 6, 1, 7, 80, false, SORT_COUNT, life_text, NULL},
	{"ALLOC/S", 7, 1, 6, 80, false, SORT_COUNT, allocations_text, allocations_total},
};

#define COLUMN_COUNT (sizeof(all_columns) / sizeof(all_columns[0]))
#define SITE_GAP     2

_Static_assert(COLUMN_COUNT <= COLUMNS_MAX, "struct columns holds them all");

static unsigned width_to(unsigned rank)
{
	unsigned width = COLUMNS_START + SITE_GAP;

	for (size_t i = 0; i < COLUMN_COUNT; i++)
		if (all_columns[i].rank <= rank)
			width += all_columns[i].gap + all_columns[i].width;
	return width;
}

void columns_choose(struct columns *ret, unsigned width)
{
	unsigned rank = 0, at = COLUMNS_START;

	for (unsigned next = 1; next <= COLUMN_COUNT; next++)
		for (size_t i = 0; i < COLUMN_COUNT; i++)
			if (all_columns[i].rank == next && rank == next - 1 &&
			    width_to(next) + all_columns[i].min_site <= width)
				rank = next;
	ret->count = 0;
	for (size_t i = 0; i < COLUMN_COUNT; i++) {
		if (all_columns[i].rank > rank)
			continue;
		at += all_columns[i].gap;
		ret->columns[ret->count] = &all_columns[i];
		ret->starts[ret->count++] = at;
		at += all_columns[i].width;
	}
	ret->site_start = at + SITE_GAP;
}

const char *columns_sort_name(enum sort_column column)
{
	for (size_t i = 0; i < COLUMN_COUNT; i++)
		if (all_columns[i].sort == column)
			return all_columns[i].heading ? all_columns[i].heading : "DELTA";
	return "SITE";
}

enum sort_column columns_sort_neighbour(enum sort_column column, int direction)
{
	/* enum sort_column is in the order of the table. */
	int next = (int)column + direction;

	return next < 0 ? SORT_COUNT - 1 : next >= SORT_COUNT ? 0 : (enum sort_column)next;
}
