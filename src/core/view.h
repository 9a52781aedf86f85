/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The view: what of a picture is shown and in which order. Sort, filter, side, cursor, unfolded
 * sites, freeze. Pure; the screen draws it, keys change it.
 *
 * The cursor follows its site by id. Rows keep their order while the cursor moves and for two
 * ticks after; sorting happens on data, never under the hand.
 */
#ifndef MEMTOP_CORE_VIEW_H
#define MEMTOP_CORE_VIEW_H

#include "core/picture.h"

enum sort_column {
	SORT_VERDICT,
	SORT_LIVE,
	SORT_DELTA,
	SORT_RATE,
	SORT_BLOCKS,
	SORT_KEPT,
	SORT_OLDEST,
	SORT_SITE,
	SORT_COUNT,
};

/* Text of a site, for search and filter: what the table shows for it. Fills `ret`. */
typedef void view_text_fn(void *context, const struct picture *picture,
			  const struct site_info *site, char *ret, size_t size);

struct view;

#define VIEW_PAST_MOST 8

struct view *view_new(void);
void view_free(struct view *view);

void view_set_text(struct view *view, view_text_fn *text, void *context);

/* Takes in the picture of a tick (borrowed until the next sync; copied when frozen). */
void view_sync(struct view *view, const struct picture *picture);

/* The picture to draw: the frozen one, or the last synced; NULL before the first. */
const struct picture *view_picture(const struct view *view);

/* Rows in order; NULL past the end. Pointers belong to view_picture(). */
size_t view_count(const struct view *view);
const struct site_stats *view_row(const struct view *view, size_t row);
/* Sites of the side that are left out: under the size or age asked for, or by the filter. */
size_t view_hidden(const struct view *view);

enum side view_side(const struct view *view);
void view_set_side(struct view *view, enum side side);

enum sort_column view_sort(const struct view *view, bool *inverted);
void view_set_sort(struct view *view, enum sort_column column, bool inverted);

/* Extended regular expression over the site's text, case ignored unless it has capitals; NULL or
 * "" = none. -EINVAL with the reason in `error`. */
int view_set_filter(struct view *view, const char *regex, char *error, size_t size);
const char *view_filter(const struct view *view);
/* Moves the cursor to the next (direction 1) or earlier (-1) row that contains `text`; -ENOENT. */
int view_search(struct view *view, const char *text, int direction);

/*
 * With VIEW_MINIMUM_AUTO sites are left out that are nothing beside the others: under 4K, or less
 * where the whole side is small. What was selected, unfolded or asked for by a filter stays.
 */
#define VIEW_MINIMUM_AUTO UINT64_MAX
void view_set_minimum(struct view *view, uint64_t live_bytes, double older_s);
/* The one that holds now; 0 = none. */
uint64_t view_minimum(const struct view *view, double *older_s);

size_t view_cursor(const struct view *view);
/* Clamped. Until it is moved the cursor stays on the first row; LONG_MIN brings it back to that. */
void view_move(struct view *view, long rows);
uint32_t view_selected(const struct view *view); /* id, 0 = no rows */

bool view_unfolded(const struct view *view, uint32_t site);
void view_set_unfolded(struct view *view, uint32_t site, bool unfolded);
void view_set_all_unfolded(struct view *view, bool unfolded);

bool view_frozen(const struct view *view);
void view_set_frozen(struct view *view, bool frozen);

/*
 * Looks back at the last picture of an earlier generation (-1), or forward again (1) and at last to
 * the present. The last VIEW_PAST_MOST of them are kept. False if there is none in that direction.
 * Looking back is a kind of being frozen, and view_set_frozen(view, false) ends it.
 */
bool view_look(struct view *view, int direction);
bool view_looks_back(const struct view *view);
/* Generation of the present, whatever is looked at. */
/* The first one that is shown, or can be looked back at. */
unsigned view_oldest_generation(const struct view *view);
unsigned view_present_generation(const struct view *view);

#endif
