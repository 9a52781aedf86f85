/* SPDX-License-Identifier: GPL-2.0-only */
#include "tests/unit/unit.h"

#include "core/view.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANY 10000

struct books {
	struct picture picture;
	struct site_info infos[MANY];
	struct site_stats sites[MANY];
};

/* Site i has id i + 1 and live bytes as given. */
static void set(struct books *books, size_t i, uint64_t live)
{
	books->infos[i].id = (uint32_t)i + 1;
	books->infos[i].side = SIDE_USER;
	books->sites[i] = (struct site_stats){.info = &books->infos[i],
					      .totals = {.allocated_bytes = live},
					      .delta_bytes = (int64_t)live,
					      .oldest_s = NAN,
					      .kept_ratio = NAN,
					      .judgment.verdict = VERDICT_STEADY};
}

static struct books *books_new(size_t count, const uint64_t *live)
{
	struct books *books = calloc(1, sizeof(*books));

	for (size_t i = 0; i < count; i++)
		set(books, i, live[i]);
	books->picture.generation = 1;
	books->picture.sites = books->sites;
	books->picture.site_count = count;
	return books;
}

static void text_of(void *context, const struct picture *picture, const struct site_info *site,
		    char *ret, size_t size)
{
	static const char *const names[] = {"zero", "Alpha", "beta", "gamma", "delta"};

	(void)context;
	(void)picture;
	snprintf(ret, size, "%s", names[site->id % 5]);
}

static void assert_order(const struct view *view, const char *ids)
{
	char text[256] = "";

	for (size_t i = 0; i < view_count(view); i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%u ",
			 view_row(view, i)->info->id);
	assert_string_equal(text, ids);
	assert_null(view_row(view, view_count(view)));
}

static void test_sort_and_follow(void **state)
{
	struct books *books = books_new(4, (uint64_t[]){10, 40, 20, 30});
	struct view *view = view_new();

	(void)state;
	view_sync(view, &books->picture);
	assert_order(view, "2 4 3 1 ");
	/* Not moved: the cursor is on the first, whichever that is. */
	set(books, 0, 100);
	view_sync(view, &books->picture);
	assert_order(view, "1 2 4 3 ");
	assert_int_equal(view_selected(view), 1);
	/* Moved: it is on its site, and the order is held for two ticks. */
	view_move(view, 1);
	assert_int_equal(view_selected(view), 2);
	set(books, 1, 5);
	view_sync(view, &books->picture);
	assert_order(view, "1 2 4 3 ");
	view_sync(view, &books->picture);
	assert_order(view, "1 2 4 3 ");
	view_sync(view, &books->picture);
	assert_order(view, "1 4 3 2 ");
	assert_int_equal(view_selected(view), 2);
	assert_int_equal(view_cursor(view), 3);
	view_move(view, LONG_MIN);
	assert_int_equal(view_cursor(view), 0);
	view_move(view, LONG_MAX);
	assert_int_equal(view_cursor(view), 3);
	view_set_sort(view, SORT_LIVE, true);
	assert_order(view, "2 3 4 1 ");
	assert_int_equal(view_selected(view), 2);
	view_free(view);
	free(books);
}

static void test_new_site_while_held(void **state)
{
	struct books *books = books_new(2, (uint64_t[]){10, 40});
	struct view *view = view_new();

	(void)state;
	view_sync(view, &books->picture);
	view_move(view, 1);
	set(books, 2, 1000);
	books->picture.site_count = 3;
	view_sync(view, &books->picture);
	assert_order(view, "2 1 3 ");
	view_sync(view, &books->picture);
	view_sync(view, &books->picture);
	assert_order(view, "3 2 1 ");
	assert_int_equal(view_selected(view), 1);
	view_free(view);
	free(books);
}

static void test_filter_search(void **state)
{
	struct books *books = books_new(4, (uint64_t[]){40, 30, 20, 10});
	struct view *view = view_new();
	char error[64] = "";

	(void)state;
	view_set_text(view, text_of, NULL);
	view_sync(view, &books->picture);
	assert_int_equal(view_set_filter(view, "^(alpha|beta)$", error, sizeof(error)), 0);
	assert_order(view, "1 2 ");
	assert_int_equal(view_hidden(view), 2);
	assert_int_equal(view_set_filter(view, "alpha|B", error, sizeof(error)), 0);
	assert_order(view, ""); /* a capital: case counts */
	assert_int_equal(view_selected(view), 0);
	view_move(view, 1);
	assert_int_equal(view_set_filter(view, "(", error, sizeof(error)), -EINVAL);
	assert_true(error[0]);
	assert_string_equal(view_filter(view), "alpha|B");
	assert_int_equal(view_set_filter(view, "steady", error, sizeof(error)), 0);
	assert_order(view, "1 2 3 4 ");
	assert_int_equal(view_set_filter(view, "", error, sizeof(error)), 0);
	assert_null(view_filter(view));
	assert_int_equal(view_search(view, "GAMMA", 1), -ENOENT);
	assert_int_equal(view_search(view, "gam", 1), 0);
	assert_int_equal(view_selected(view), 3);
	assert_int_equal(view_search(view, "alpha", 1), 0); /* around the end */
	assert_int_equal(view_selected(view), 1);
	assert_int_equal(view_search(view, "delta", -1), 0);
	assert_int_equal(view_selected(view), 4);
	view_set_sort(view, SORT_SITE, false);
	assert_order(view, "1 2 4 3 ");
	view_set_minimum(view, 25, 0);
	assert_order(view, "1 2 ");
	view_free(view);
	free(books);
}

static void test_freeze(void **state)
{
	struct books *books = books_new(2, (uint64_t[]){10, 40});
	struct view *view = view_new();

	(void)state;
	view_sync(view, &books->picture);
	view_set_frozen(view, true);
	set(books, 0, 999);
	set(books, 2, 1);
	books->picture.site_count = 3;
	view_sync(view, &books->picture);
	assert_order(view, "2 1 ");
	assert_int_equal(totals_live_bytes(&view_row(view, 1)->totals), 10);
	view_set_sort(view, SORT_LIVE, true); /* works while frozen */
	assert_order(view, "1 2 ");
	view_set_frozen(view, false);
	assert_order(view, "3 2 1 ");
	view_free(view);
	free(books);
}

static void test_fold_and_generation(void **state)
{
	struct books *books = books_new(3, (uint64_t[]){10, 40, 20});
	struct view *view = view_new();

	(void)state;
	view_sync(view, &books->picture);
	view_set_unfolded(view, 2, true);
	assert_true(view_unfolded(view, 2));
	view_set_all_unfolded(view, true);
	view_set_unfolded(view, 3, false);
	assert_true(view_unfolded(view, 1));
	assert_false(view_unfolded(view, 3));
	view_move(view, 2);
	books->picture.generation = 2;
	books->picture.site_count = 1;
	view_sync(view, &books->picture);
	assert_order(view, "1 ");
	assert_int_equal(view_cursor(view), 0);
	assert_false(view_unfolded(view, 1));
	view_free(view);
	free(books);
}

static void test_many(void **state)
{
	struct books *books = books_new(0, NULL);
	struct view *view = view_new();

	(void)state;
	srand(1);
	for (size_t i = 0; i < MANY; i++)
		set(books, i, (uint64_t)rand() % 5000);
	books->picture.site_count = MANY;
	for (int tick = 0; tick < 5; tick++) {
		view_sync(view, &books->picture);
		assert_int_equal(view_count(view), MANY);
		for (size_t i = 1; i < MANY; i++) {
			const struct site_stats *a = view_row(view, i - 1), *b = view_row(view, i);

			assert_true(
				a->delta_bytes > b->delta_bytes ||
				(a->delta_bytes == b->delta_bytes && a->info->id < b->info->id));
		}
		for (size_t i = 0; i < MANY / 10; i++)
			set(books, (size_t)rand() % MANY, (uint64_t)rand() % 5000);
	}
	view_free(view);
	free(books);
}

/* What is nothing beside the others takes no line, unless somebody looks at it. */
static void test_minimum_of_its_own(void **state)
{
	struct books *books = books_new(4, (uint64_t[]){64 << 20, 4096, 4095, 0});
	struct view *view = view_new();
	char error[64];

	(void)state;
	books->picture.sides[SIDE_USER].totals.allocated_bytes = 64 << 20;
	view_set_text(view, text_of, NULL);
	view_sync(view, &books->picture);
	assert_order(view, "1 2 3 4 ");
	assert_int_equal(view_minimum(view, NULL), 0);
	view_set_minimum(view, VIEW_MINIMUM_AUTO, 0);
	assert_order(view, "1 2 ");
	assert_int_equal(view_hidden(view), 2);
	assert_int_equal(view_minimum(view, NULL), 4096);
	/* The selected one stays when it shrinks, and so does one that is unfolded. */
	view_move(view, 1);
	set(books, 1, 10);
	view_sync(view, &books->picture);
	assert_order(view, "1 2 ");
	assert_int_equal(view_selected(view), 2);
	view_move(view, -1);
	view_set_unfolded(view, 1, true);
	for (unsigned i = 0; i < 4; i++)
		view_sync(view, &books->picture);
	assert_order(view, "1 ");
	set(books, 0, 0);
	for (unsigned i = 0; i < 4; i++)
		view_sync(view, &books->picture);
	assert_order(view, "1 ");
	/* Who asks by a filter gets all that matches. */
	assert_int_equal(view_set_filter(view, "delta", error, sizeof(error)), 0);
	assert_order(view, "4 ");
	view_set_filter(view, NULL, NULL, 0);
	/* A side that is small all over has a smaller minimum. */
	books->picture.sides[SIDE_USER].totals.allocated_bytes = 70000;
	view_sync(view, &books->picture);
	view_sync(view, &books->picture);
	assert_int_equal(view_minimum(view, NULL), 64);
	books->picture.sides[SIDE_USER].totals.allocated_bytes = 20;
	view_sync(view, &books->picture);
	assert_int_equal(view_minimum(view, NULL), 1);
	/* A kernel cache has no live total, but may be large. */
	books->infos[3].flags = SITE_UNMATCHED;
	books->sites[3].totals = (struct totals){.allocated_bytes = 5000, .freed_bytes = 5000};
	view_sync(view, &books->picture);
	assert_order(view, "3 2 1 4 ");
	view_free(view);
	free(books);
}

/* What is left of a closed book is shown until the side has another one. */
static void test_closed_book(void **state)
{
	struct books *books = books_new(3, (uint64_t[]){30, 20, 10});
	struct view *view = view_new();

	(void)state;
	books->sites[0].ended = books->sites[2].ended = true;
	view_sync(view, &books->picture);
	assert_order(view, "1 2 3 ");
	books->picture.sides[SIDE_USER].known = true;
	view_sync(view, &books->picture);
	assert_order(view, "2 ");
	assert_int_equal(view_hidden(view), 0);
	view_free(view);
	free(books);
}

/* Generation `generation` ends with two sites, the first with so many bytes. */
static void end_generation(struct view *view, struct books *books, unsigned generation)
{
	books->picture.generation = generation;
	books->picture.final = true;
	set(books, 0, 100 * generation);
	view_sync(view, &books->picture);
	books->picture.final = false;
}

static uint64_t first_bytes(const struct view *view)
{
	return totals_live_bytes(&view_row(view, 0)->totals);
}

static void test_look_back(void **state)
{
	struct books *books = books_new(2, (uint64_t[]){10, 1});
	struct view *view = view_new();

	(void)state;
	assert_false(view_look(view, -1));
	books->picture.generation = 1;
	view_sync(view, &books->picture);
	assert_false(view_look(view, -1));
	end_generation(view, books, 1);
	assert_false(view_look(view, -1)); /* it is the present still */
	end_generation(view, books, 2);
	books->picture.generation = 3;
	set(books, 0, 7777);
	view_sync(view, &books->picture);
	assert_false(view_look(view, 1));
	assert_true(view_look(view, -1));
	assert_true(view_looks_back(view) && view_frozen(view));
	assert_int_equal(first_bytes(view), 200);
	assert_true(view_look(view, -1));
	assert_int_equal(first_bytes(view), 100);
	assert_int_equal(view_picture(view)->generation, 1);
	assert_int_equal(view_present_generation(view), 3);
	assert_false(view_look(view, -1));
	set(books, 0, 8888);
	view_sync(view, &books->picture);
	assert_int_equal(first_bytes(view), 100);
	assert_true(view_look(view, 1));
	assert_int_equal(first_bytes(view), 200);
	assert_true(view_look(view, 1));
	assert_false(view_looks_back(view) || view_frozen(view));
	assert_int_equal(first_bytes(view), 8888);
	/* The eldest are forgotten, what is looked at is not. */
	assert_true(view_look(view, -1));
	for (unsigned generation = 3; generation < 30; generation++)
		end_generation(view, books, generation);
	assert_int_equal(first_bytes(view), 200);
	assert_true(view_look(view, 1));
	view_set_frozen(view, false);
	assert_int_equal(first_bytes(view), 2900);
	for (unsigned i = 0; i < VIEW_PAST_MOST - 1; i++)
		assert_true(view_look(view, -1));
	assert_false(view_look(view, -1));
	assert_int_equal(view_picture(view)->generation, 30 - VIEW_PAST_MOST);
	view_free(view);
	free(books);
}

static void test_nothing(void **state)
{
	struct view *view = view_new();

	(void)state;
	assert_null(view_picture(view));
	view_move(view, 1);
	view_set_frozen(view, true);
	assert_false(view_frozen(view));
	view_set_side(view, SIDE_KERNEL);
	assert_int_equal(view_search(view, "x", 1), -ENOENT);
	assert_int_equal(view_count(view), 0);
	view_free(view);
	view_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sort_and_follow),
		cmocka_unit_test(test_new_site_while_held),
		cmocka_unit_test(test_filter_search),
		cmocka_unit_test(test_freeze),
		cmocka_unit_test(test_fold_and_generation),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_minimum_of_its_own),
		cmocka_unit_test(test_closed_book),
		cmocka_unit_test(test_look_back),
		cmocka_unit_test(test_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
