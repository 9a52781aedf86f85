/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rows are small records of (sort key, index of the site in the picture). Within a generation the
 * index of a site never changes, so rows outlive ticks: a tick refreshes the keys of the rows as
 * they stand and sorts them again with a merge sort that is linear in rows that are already in
 * order. Rows and its scratch space only ever grow, so a steady tick allocates nothing.
 *
 * Texts are only needed for filter, search and the order by site. They are kept per site, and since
 * names get better with time, each tick renews some of them.
 *
 * Until the user moves it, the cursor stays on the first row, whatever is first; from then on it
 * stays on its site. view_move(LONG_MIN) brings it back to where it began.
 */
#include "core/view.h"

#include "core/format.h"
#include "util/alloc.h"
#include "util/map.h"
#include "util/vec.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <regex.h>
#include <string.h>
#include <strings.h>

#define HOLD_TICKS     2
#define TEXT_SIZE      2048
#define TEXTS_PER_TICK 64
#define MINIMUM_MOST   4096
#define MINIMUM_SHARE  1024 /* of the side's live bytes, one in so many */

struct row {
	uint64_t key, tie; /* larger first */
	uint32_t index;	   /* in picture->sites */
	uint32_t id;
};

struct view {
	const struct picture *picture; /* of the last sync, borrowed */
	struct picture *frozen;	       /* owned; NULL = not frozen */
	VEC(struct picture *) past;    /* owned: the last of each generation, oldest first */
	size_t looked_at;	       /* of `past`, while looks_back */
	bool looks_back;
	unsigned generation;
	VEC(struct row) rows, scratch;
	size_t side_sites; /* sites of the side, shown or not */
	bool side_known;   /* as of then */
	size_t seen_sites; /* sites of the picture that rows were chosen from */
	enum side side;
	enum sort_column sort;
	bool inverted;
	unsigned hold; /* ticks for which rows keep their order */

	size_t cursor;
	uint32_t selected;
	bool pinned; /* the cursor belongs to `selected`, not to the first row */

	struct map folds; /* ids whose state is not `all_unfolded` */
	bool all_unfolded;

	uint64_t minimum_bytes; /* as it holds now */
	bool minimum_auto;
	double minimum_age_s;

	char *filter; /* owned; NULL = none */
	regex_t regex;
	bool verdict_matches[VERDICT_COUNT];

	view_text_fn *text;
	void *text_context;
	VEC(char *) texts; /* by index of the site; NULL = not asked for yet */
	size_t renew;	   /* next text to renew */
};

struct view *view_new(void)
{
	struct view *view = xcalloc(1, sizeof(*view));

	view->sort = SORT_DELTA;
	return view;
}

static void forget_texts(struct view *view)
{
	for (size_t i = 0; i < view->texts.count; i++)
		free(view->texts.data[i]);
	view->texts.count = 0;
	view->renew = 0;
}

static void drop_filter(struct view *view)
{
	if (!view->filter)
		return;
	regfree(&view->regex);
	free(view->filter);
	view->filter = NULL;
}

void view_free(struct view *view)
{
	if (!view)
		return;
	picture_free(view->frozen);
	for (size_t i = 0; i < view->past.count; i++)
		picture_free(view->past.data[i]);
	vec_deinit(&view->past);
	drop_filter(view);
	forget_texts(view);
	vec_deinit(&view->texts);
	vec_deinit(&view->rows);
	vec_deinit(&view->scratch);
	map_deinit(&view->folds);
	free(view);
}

const struct picture *view_picture(const struct view *view)
{
	return view->frozen ? view->frozen : view->picture;
}

static const char *site_text(struct view *view, uint32_t index)
{
	const struct picture *picture = view_picture(view);
	char text[TEXT_SIZE] = "";

	while (view->texts.count <= index)
		*vec_push(&view->texts) = NULL;
	if (!view->texts.data[index]) {
		if (view->text)
			view->text(view->text_context, picture, picture->sites[index].info, text,
				   sizeof(text));
		view->texts.data[index] = xstrdup(text);
	}
	return view->texts.data[index];
}

/* Names arrive late: forgets some texts, to be asked for again. */
static void renew_texts(struct view *view)
{
	size_t count = view->texts.count;

	for (size_t i = 0; i < TEXTS_PER_TICK && i < count; i++) {
		view->renew = view->renew + 1 < count ? view->renew + 1 : 0;
		free(view->texts.data[view->renew]);
		view->texts.data[view->renew] = NULL;
	}
}

/* Keys: numbers that order like the value, larger first on the screen. */

static uint64_t key_of_signed(int64_t value)
{
	return (uint64_t)value ^ (UINT64_C(1) << 63);
}

static uint64_t key_of_double(double value)
{
	uint64_t bits;

	if (isnan(value))
		return 0;
	memcpy(&bits, &value, sizeof(bits));
	return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

static uint64_t key_verdict(const struct site_stats *site)
{
	/* How much each asks for attention; within it, by rate. */
	static const uint8_t urgency[VERDICT_COUNT] = {
		[VERDICT_LEAKING] = 8,	   [VERDICT_GROWING] = 7, [VERDICT_BURST] = 6,
		[VERDICT_UNEXPLAINED] = 5, [VERDICT_FILLING] = 4, [VERDICT_SAWTOOTH] = 3,
		[VERDICT_WARMING_UP] = 2,  [VERDICT_STEADY] = 1,  [VERDICT_UNKNOWN] = 0,
	};
	enum verdict verdict = site->judgment.verdict;

	return (uint64_t)(verdict < VERDICT_COUNT ? urgency[verdict] : 0) << 60 |
	       key_of_double(site->rate_bytes_per_s) >> 4;
}

static uint64_t key_live(const struct site_stats *site)
{
	return totals_live_bytes(&site->totals);
}

static uint64_t key_delta(const struct site_stats *site)
{
	return key_of_signed(site->delta_bytes);
}

static uint64_t key_rate(const struct site_stats *site)
{
	return key_of_double(site->rate_bytes_per_s);
}

static uint64_t key_blocks(const struct site_stats *site)
{
	return totals_live_blocks(&site->totals);
}

static uint64_t key_kept(const struct site_stats *site)
{
	return key_of_double(site->kept_ratio);
}

static uint64_t key_oldest(const struct site_stats *site)
{
	return key_of_double(site->oldest_s);
}

static uint64_t (*const keys[SORT_COUNT])(const struct site_stats *) = {
	[SORT_VERDICT] = key_verdict, [SORT_LIVE] = key_live,	  [SORT_DELTA] = key_delta,
	[SORT_RATE] = key_rate,	      [SORT_BLOCKS] = key_blocks, [SORT_KEPT] = key_kept,
	[SORT_OLDEST] = key_oldest,
};

static void row_refresh(struct view *view, struct row *row, const struct site_stats *site)
{
	row->id = site->info->id;
	row->key = keys[view->sort] ? keys[view->sort](site) : 0;
	row->tie = key_live(site);
}

static bool row_before(struct view *view, const struct row *a, const struct row *b)
{
	if (view->sort == SORT_SITE) {
		int order = strcasecmp(site_text(view, a->index), site_text(view, b->index));

		if (order)
			return view->inverted ? order > 0 : order < 0;
	}
	if (a->key != b->key)
		return view->inverted ? a->key < b->key : a->key > b->key;
	if (a->tie != b->tie)
		return a->tie > b->tie;
	return a->id < b->id;
}

/* Merges the sorted [0, middle) and [middle, count). */
static void merge(struct view *view, struct row *rows, size_t middle, size_t count)
{
	struct row *left = view->scratch.data;
	size_t l = 0, r = middle, out = 0;

	if (!row_before(view, &rows[middle], &rows[middle - 1]))
		return;
	memcpy(left, rows, middle * sizeof(*rows));
	while (l < middle && r < count)
		rows[out++] = row_before(view, &rows[r], &left[l]) ? rows[r++] : left[l++];
	memcpy(&rows[out], &left[l], (middle - l) * sizeof(*rows));
}

static void sort_rows(struct view *view)
{
	struct row *rows = view->rows.data;
	size_t count = view->rows.count;

	vec_reserve(&view->scratch, view->rows.capacity);
	for (size_t width = 1; width < count; width *= 2)
		for (size_t from = 0; from + width < count; from += 2 * width) {
			size_t left = count - from;

			merge(view, rows + from, width, left < 2 * width ? left : 2 * width);
		}
}

static bool matches(struct view *view, uint32_t index, const struct site_stats *site)
{
	if (!view->filter)
		return true;
	if (site->judgment.verdict < VERDICT_COUNT && view->verdict_matches[site->judgment.verdict])
		return true;
	return regexec(&view->regex, site_text(view, index), 0, NULL, 0) == 0;
}

/* What a kernel cache without a live total allocated in all: else none would ever be shown. */
static uint64_t size_of(const struct view *view, const struct site_stats *site)
{
	if (view->minimum_auto && site->info->flags & SITE_UNMATCHED)
		return site->totals.allocated_bytes;
	return totals_live_bytes(&site->totals);
}

/* A minimum that nobody asked for takes nothing away from under the hand. */
static bool is_kept(const struct view *view, uint32_t id)
{
	uint64_t value;

	return view->minimum_auto && (view->filter || (view->pinned && id == view->selected) ||
				      (!view->all_unfolded && map_get(&view->folds, id, &value)));
}

static void choose_minimum(struct view *view, const struct picture *picture)
{
	uint64_t live, share, minimum = MINIMUM_MOST;

	if (!view->minimum_auto)
		return;
	live = picture ? totals_live_bytes(&picture->sides[view->side].totals) : 0;
	share = (live + MINIMUM_SHARE - 1) / MINIMUM_SHARE;
	/* In steps, so that it stays the same while the whole changes a little. */
	while (minimum > share)
		minimum /= 4;
	view->minimum_bytes = minimum;
}

static bool of_side(const struct view *view, const struct site_stats *site)
{
	return site->info->side == view->side && !site_is_past(view_picture(view), site);
}

static bool shown(struct view *view, uint32_t index, const struct site_stats *site)
{
	if (!of_side(view, site))
		return false;
	if (size_of(view, site) < view->minimum_bytes && !is_kept(view, site->info->id))
		return false;
	if (view->minimum_age_s > 0 && !(site->oldest_s >= view->minimum_age_s))
		return false;
	return matches(view, index, site);
}

static void place_cursor(struct view *view)
{
	size_t count = view->rows.count;

	if (count == 0) {
		view->cursor = 0;
		view->selected = 0;
		return;
	}
	if (!view->pinned) {
		view->cursor = 0;
	} else if (view->cursor >= count || view->rows.data[view->cursor].id != view->selected) {
		for (size_t i = 0; i < count; i++)
			if (view->rows.data[i].id == view->selected) {
				view->cursor = i;
				return;
			}
		/* The site is not shown any more: the next one takes its place. */
		if (view->cursor >= count)
			view->cursor = count - 1;
	}
	view->selected = view->rows.data[view->cursor].id;
}

/* Chooses rows anew and sorts them. */
static void rebuild(struct view *view)
{
	const struct picture *picture = view_picture(view);

	choose_minimum(view, picture);
	view->rows.count = 0;
	view->side_sites = 0;
	view->side_known = picture && picture->sides[view->side].known;
	view->seen_sites = picture ? picture->site_count : 0;
	/* Whatever is shown of them later. */
	vec_reserve(&view->rows, view->seen_sites);
	for (uint32_t i = 0; i < view->seen_sites; i++) {
		const struct site_stats *site = &picture->sites[i];
		struct row *row;

		view->side_sites += of_side(view, site);
		if (!shown(view, i, site))
			continue;
		row = vec_push(&view->rows);
		row->index = i;
		row_refresh(view, row, site);
	}
	sort_rows(view);
	place_cursor(view);
}

/* As rebuild(), but rows that are shown stay in their order; new ones come last. */
static void rebuild_held(struct view *view)
{
	const struct picture *picture = view_picture(view);
	size_t seen = view->seen_sites, kept = 0;

	for (size_t i = 0; i < view->rows.count; i++) {
		struct row row = view->rows.data[i];

		if (row.index >= picture->site_count ||
		    picture->sites[row.index].info->id != row.id) {
			rebuild(view);
			return;
		}
		row_refresh(view, &row, &picture->sites[row.index]);
		view->rows.data[kept++] = row;
	}
	for (size_t i = seen; i < picture->site_count; i++) {
		const struct site_stats *site = &picture->sites[i];
		struct row *row;

		view->side_sites += of_side(view, site);
		if (!shown(view, (uint32_t)i, site))
			continue;
		row = vec_push(&view->rows);
		row->index = (uint32_t)i;
		row_refresh(view, row, site);
	}
	view->seen_sites = picture->site_count;
	place_cursor(view);
}

/* As rebuild(), starting from the rows' old order, which is nearly the new one. */
static void resort(struct view *view)
{
	const struct picture *picture = view_picture(view);
	bool filtered = view->filter || view->minimum_bytes || view->minimum_auto ||
			view->minimum_age_s > 0;

	/* What is shown can only change where something is left out, or what a side has is past. */
	if (filtered || picture->sides[view->side].known != view->side_known ||
	    picture->site_count != view->seen_sites) {
		rebuild(view);
		return;
	}
	for (size_t i = 0; i < view->rows.count; i++) {
		struct row *row = &view->rows.data[i];

		row_refresh(view, row, &picture->sites[row->index]);
	}
	sort_rows(view);
	place_cursor(view);
}

static void start_generation(struct view *view, unsigned generation)
{
	view->generation = generation;
	view->rows.count = 0;
	view->seen_sites = 0;
	view->pinned = false;
	view->hold = 0;
	view->all_unfolded = false;
	map_clear(&view->folds);
	forget_texts(view);
}

static void take_in(struct view *view)
{
	if (view->picture->generation != view->generation || !view->rows.count) {
		if (view->picture->generation != view->generation)
			start_generation(view, view->picture->generation);
		rebuild(view);
		return;
	}
	renew_texts(view);
	if (view->hold > 0) {
		view->hold--;
		rebuild_held(view);
	} else {
		resort(view);
	}
}

/* Infos and modules outlive generations, so a copy of the picture is enough. */
static void remember(struct view *view, const struct picture *picture)
{
	if (view->past.count == VIEW_PAST_MOST) {
		picture_free(view->past.data[0]);
		view->past.count--;
		memmove(view->past.data, view->past.data + 1,
			view->past.count * sizeof(*view->past.data));
		/* What is drawn is a copy of its own. */
		view->looked_at -= view->looked_at ? 1 : 0;
	}
	*vec_push(&view->past) = picture_copy(picture);
}

void view_sync(struct view *view, const struct picture *picture)
{
	view->picture = picture;
	if (picture && picture->final)
		remember(view, picture);
	if (!view->frozen && picture)
		take_in(view);
}

size_t view_count(const struct view *view)
{
	return view->rows.count;
}

const struct site_stats *view_row(const struct view *view, size_t row)
{
	if (row >= view->rows.count)
		return NULL;
	return &view_picture(view)->sites[view->rows.data[row].index];
}

size_t view_hidden(const struct view *view)
{
	return view->side_sites - view->rows.count;
}

enum side view_side(const struct view *view)
{
	return view->side;
}

void view_set_side(struct view *view, enum side side)
{
	if (side == view->side)
		return;
	view->side = side;
	view->pinned = false;
	view->hold = 0;
	rebuild(view);
}

enum sort_column view_sort(const struct view *view, bool *inverted)
{
	if (inverted)
		*inverted = view->inverted;
	return view->sort;
}

void view_set_sort(struct view *view, enum sort_column column, bool inverted)
{
	view->sort = column;
	view->inverted = inverted;
	view->hold = 0;
	rebuild(view);
}

void view_set_text(struct view *view, view_text_fn *text, void *context)
{
	if (view->text == text && view->text_context == context)
		return;
	view->text = text;
	view->text_context = context;
	forget_texts(view);
	if (view->filter || view->sort == SORT_SITE)
		rebuild(view);
}

static bool has_capitals(const char *text)
{
	for (; *text; text++)
		if (isupper((unsigned char)*text))
			return true;
	return false;
}

int view_set_filter(struct view *view, const char *regex, char *error, size_t size)
{
	regex_t compiled;
	int code;

	if (!regex || !*regex) {
		drop_filter(view);
		rebuild(view);
		return 0;
	}
	code = regcomp(&compiled, regex,
		       REG_EXTENDED | REG_NOSUB | (has_capitals(regex) ? 0 : REG_ICASE));
	if (code) {
		if (size > 0)
			regerror(code, &compiled, error, size);
		return -EINVAL;
	}
	drop_filter(view);
	view->regex = compiled;
	view->filter = xstrdup(regex);
	for (int i = 0; i < VERDICT_COUNT; i++)
		view->verdict_matches[i] =
			!regexec(&view->regex, verdict_word((enum verdict)i), 0, NULL, 0) ||
			!regexec(&view->regex, verdict_token((enum verdict)i), 0, NULL, 0);
	view->hold = 0;
	rebuild(view);
	return 0;
}

const char *view_filter(const struct view *view)
{
	return view->filter;
}

static void select_row(struct view *view, size_t row)
{
	view->cursor = row;
	view->selected = view->rows.data[row].id;
	view->pinned = true;
	view->hold = HOLD_TICKS;
}

int view_search(struct view *view, const char *text, int direction)
{
	size_t count = view->rows.count;
	bool exact = has_capitals(text);

	for (size_t step = 1; step <= count; step++) {
		size_t row = (view->cursor + (direction < 0 ? count - step : step)) % count;
		const struct row *candidate = &view->rows.data[row];
		const struct site_stats *site = view_row(view, row);
		const char *name = site_text(view, candidate->index);
		const char *word = site_word(site);

		if (exact ? strstr(name, text) || strstr(word, text) :
			    strcasestr(name, text) || strcasestr(word, text)) {
			select_row(view, row);
			return 0;
		}
	}
	return -ENOENT;
}

void view_set_minimum(struct view *view, uint64_t live_bytes, double older_s)
{
	view->minimum_auto = live_bytes == VIEW_MINIMUM_AUTO;
	view->minimum_bytes = view->minimum_auto ? 0 : live_bytes;
	view->minimum_age_s = older_s;
	rebuild(view);
}

uint64_t view_minimum(const struct view *view, double *older_s)
{
	if (older_s)
		*older_s = view->minimum_age_s;
	return view->minimum_bytes;
}

size_t view_cursor(const struct view *view)
{
	return view->cursor;
}

void view_move(struct view *view, long rows)
{
	size_t count = view->rows.count;

	if (count == 0)
		return;
	if (rows < 0)
		select_row(view, view->cursor > -(unsigned long)rows ?
					 view->cursor - -(unsigned long)rows :
					 0);
	else
		select_row(view, (size_t)rows < count - view->cursor ? view->cursor + (size_t)rows :
								       count - 1);
	if (rows == LONG_MIN)
		view->pinned = false;
}

uint32_t view_selected(const struct view *view)
{
	return view->selected;
}

bool view_unfolded(const struct view *view, uint32_t site)
{
	uint64_t value;

	return view->all_unfolded != map_get(&view->folds, site, &value);
}

void view_set_unfolded(struct view *view, uint32_t site, bool unfolded)
{
	if (!site)
		return;
	if (unfolded == view->all_unfolded)
		map_remove(&view->folds, site);
	else
		map_set(&view->folds, site, 1);
	if (site == view->selected)
		view->pinned = true;
	view->hold = HOLD_TICKS;
}

void view_set_all_unfolded(struct view *view, bool unfolded)
{
	map_clear(&view->folds);
	view->all_unfolded = unfolded;
}

bool view_frozen(const struct view *view)
{
	return view->frozen != NULL;
}

void view_set_frozen(struct view *view, bool frozen)
{
	if (frozen == view_frozen(view) || (frozen && !view->picture))
		return;
	if (frozen) {
		view->frozen = picture_copy(view->picture);
		return;
	}
	picture_free(view->frozen);
	view->frozen = NULL;
	view->looks_back = false;
	take_in(view);
}

static bool is_past(const struct view *view, size_t index)
{
	return index < view->past.count &&
	       view->past.data[index]->generation != view->picture->generation;
}

bool view_look(struct view *view, int direction)
{
	size_t at = view->looks_back ? view->looked_at : view->past.count;

	if (!view->picture || (direction > 0 && !view->looks_back))
		return false;
	if (direction > 0 && !is_past(view, at + 1)) {
		view_set_frozen(view, false);
		return true;
	}
	/* The last of the present generation is the present. */
	do
		at += direction > 0 ? 1 : (size_t)-1;
	while (direction < 0 && at < view->past.count && !is_past(view, at));
	if (at >= view->past.count)
		return false;
	picture_free(view->frozen);
	view->frozen = picture_copy(view->past.data[at]);
	view->looks_back = true;
	view->looked_at = at;
	start_generation(view, view->frozen->generation);
	rebuild(view);
	return true;
}

bool view_looks_back(const struct view *view)
{
	return view->looks_back;
}

unsigned view_present_generation(const struct view *view)
{
	return view->picture ? view->picture->generation : 0;
}

unsigned view_oldest_generation(const struct view *view)
{
	unsigned oldest = view_present_generation(view);

	if (view->frozen && view->frozen->generation < oldest)
		oldest = view->frozen->generation;
	for (size_t i = 0; i < view->past.count; i++)
		if (view->past.data[i]->generation < oldest)
			oldest = view->past.data[i]->generation;
	return oldest;
}
