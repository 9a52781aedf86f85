/* SPDX-License-Identifier: GPL-2.0-only */
#include "tests/unit/unit.h"

#include "tests/screens/fixture.h"
#include "ui/term.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct seat {
	struct fixture fixture;
	struct view *view;
	struct screen *screen;
};

static void seat_init(struct seat *seat)
{
	fixture_init(&seat->fixture);
	seat->view = view_new();
	seat->screen = screen_new();
	view_sync(seat->view, &seat->fixture.picture);
}

static void seat_deinit(struct seat *seat)
{
	view_free(seat->view);
	screen_free(seat->screen);
}

static char *draw(struct seat *seat, unsigned rows, unsigned columns)
{
	struct canvas canvas;
	char *text;

	canvas_init(&canvas, rows, columns, true);
	screen_draw(seat->screen, &canvas, seat->view, &seat->fixture.resolver,
		    &seat->fixture.status);
	text = fixture_dump(&canvas);
	canvas_deinit(&canvas);
	return text;
}

static void assert_shown(struct seat *seat, const char *text, bool shown)
{
	char *screen = draw(seat, 24, 80);

	assert_true((strstr(screen, text) != NULL) == shown);
	free(screen);
}

static enum screen_request type(struct seat *seat, const char *keys)
{
	enum screen_request request = SCREEN_NOTHING;

	for (; *keys; keys++)
		request = screen_key(seat->screen, seat->view, *keys);
	return request;
}

static bool is_told_dear(struct seat *seat, double percent, const char *text)
{
	char *screen;
	bool told;

	seat->fixture.picture.overhead.kernel_core_percent = percent;
	screen = draw(seat, 40, 120);
	told = strstr(screen, text) != NULL;
	free(screen);
	return told;
}

static void test_dear_kernel_side(void **state)
{
	struct seat seat;

	(void)state;
	seat_init(&seat);
	assert_false(is_told_dear(&seat, 0.9, "of a core"));
	assert_false(is_told_dear(&seat, NAN, "of a core"));
	assert_true(is_told_dear(&seat, 11.6, "kernel side 12% of a core"));
	seat_deinit(&seat);
}

static void test_requests(void **state)
{
	struct seat seat;

	(void)state;
	seat_init(&seat);
	assert_int_equal(type(&seat, "q"), SCREEN_QUIT);
	assert_int_equal(type(&seat, "m"), SCREEN_MARK);
	assert_int_equal(screen_key(seat.screen, seat.view, KEYS_CTRL_Z), SCREEN_SUSPEND);
	assert_int_equal(screen_key(seat.screen, seat.view, KEYS_CTRL_L), SCREEN_REDRAW);
	assert_int_equal(type(&seat, "d0.5\n"), SCREEN_DELAY);
	assert_true(screen_delay(seat.screen) == 0.5);
	assert_int_equal(type(&seat, "d-3\n"), SCREEN_NOTHING);
	assert_shown(&seat, "Not a delay: -3", true);
	assert_int_equal(type(&seat, "ly"), SCREEN_LEVEL);
	assert_int_equal(screen_level(seat.screen), LEVEL_RSS);
	assert_int_equal(type(&seat, "ln"), SCREEN_NOTHING);
	/* In a prompt q is a letter; Ctrl-C quits from anywhere. */
	assert_int_equal(type(&seat, "/q"), SCREEN_NOTHING);
	assert_int_equal(screen_key(seat.screen, seat.view, KEYS_CTRL_C), SCREEN_QUIT);
	seat_deinit(&seat);
}

static void test_modes(void **state)
{
	struct seat seat;

	(void)state;
	seat_init(&seat);
	assert_shown(&seat, "jpeg_decode_frame ←", true);
	type(&seat, "?");
	assert_shown(&seat, "keys and verdicts", true);
	type(&seat, "q");
	assert_shown(&seat, "keys and verdicts", false);
	type(&seat, "s");
	assert_shown(&seat, "sort by", true);
	type(&seat, "kk\n");
	assert_int_equal(view_sort(seat.view, NULL), SORT_VERDICT);
	type(&seat, "\\(\n");
	assert_shown(&seat, "Not a regular expression: (", true);
	type(&seat, "\\Frame\n");
	assert_shown(&seat, "FramePool", true);
	assert_shown(&seat, "libinfer.so+0x1234", false);
	type(&seat, "\033");
	assert_shown(&seat, "libinfer.so+0x1234", true);
	type(&seat, "/libinfer\n");
	assert_int_equal(view_selected(seat.view), 4);
	type(&seat, "/nowhere\n");
	assert_shown(&seat, "Not found: nowhere", true);
	type(&seat, " ");
	assert_shown(&seat, "Space resumes", true);
	type(&seat, " ");
	assert_shown(&seat, "Space resumes", false);
	seat_deinit(&seat);
}

/* An unfolded stack that is taller than the table is scrolled through before the next site. */
static void test_tall_stack(void **state)
{
	struct seat seat;
	uint64_t addresses[100];

	(void)state;
	seat_init(&seat);
	for (unsigned i = 0; i < 100; i++)
		addresses[i] = 0x1000000 + i;
	seat.fixture.infos[1].addresses = addresses;
	seat.fixture.infos[1].nframes = 100;
	free(draw(&seat, 24, 80));
	type(&seat, "\n");
	assert_shown(&seat, "0x1000000", true);
	assert_shown(&seat, "0x1000063", false);
	for (int i = 0; i < 200 && view_selected(seat.view) == 2; i++) {
		char *screen = draw(&seat, 24, 80);
		bool end = strstr(screen, "0x1000063") != NULL;

		free(screen);
		type(&seat, "j");
		assert_true(end == (view_selected(seat.view) != 2));
	}
	assert_int_not_equal(view_selected(seat.view), 2);
	seat_deinit(&seat);
}

static int random_key(void)
{
	static const char letters[] = "jkgG\n+-* /nN\\s<>I\tmdawplh?\033y.x(";
	int kind = rand() % 10;

	if (kind < 6)
		return letters[rand() % (int)(sizeof(letters) - 1)];
	if (kind < 9)
		return KEYS_SPECIAL + rand() % 24;
	return rand() % 0x110000;
}

/* Any keys at any size, with sites that come, go and change: the cursor stays valid. */
static void test_random_keys(void **state)
{
	struct seat seat;
	struct picture *picture;

	(void)state;
	srand(7);
	seat_init(&seat);
	picture = &seat.fixture.picture;
	for (int i = 0; i < 10000; i++) {
		screen_key(seat.screen, seat.view, random_key());
		if (i % 5 == 0) {
			struct site_stats *site = &seat.fixture.sites[rand() % FIXTURE_SITES];

			site->totals.allocated_bytes += (uint64_t)rand();
			site->delta_bytes = rand() - RAND_MAX / 2;
			site->judgment.verdict = (enum verdict)(rand() % VERDICT_COUNT);
			picture->level = (enum level)(LEVEL_RSS + rand() % 3);
			picture->history_count = (size_t)rand() % (FIXTURE_HISTORY + 1);
			picture->growth.rss_bytes = rand() - RAND_MAX / 2;
			picture->accounting.known = rand() % 2;
			picture->accounting.live_known = rand() % 2;
			view_sync(seat.view, picture);
		}
		if (i % 1000 == 999) {
			fixture_hostile(&seat.fixture);
			picture->generation++;
			picture->site_count = 1 + (size_t)rand() % FIXTURE_SITES;
			view_sync(seat.view, picture);
		}
		if (i % 3 == 0)
			free(draw(&seat, (unsigned)rand() % 70, (unsigned)rand() % 230));
		if (view_count(seat.view)) {
			assert_true(view_cursor(seat.view) < view_count(seat.view));
			assert_int_equal(view_row(seat.view, view_cursor(seat.view))->info->id,
					 view_selected(seat.view));
		} else {
			assert_int_equal(view_selected(seat.view), 0);
		}
	}
	seat_deinit(&seat);
}

/* One that went off because of its cost waits to be asked for; one that cannot be had does not. */
static void test_looking_at_the_kernel_asks_for_it(void **state)
{
	struct seat seat;

	(void)state;
	seat_init(&seat);
	assert_int_equal(type(&seat, "\t"), SCREEN_KERNEL);
	assert_int_equal(view_side(seat.view), SIDE_KERNEL);
	assert_int_equal(type(&seat, "\t"), SCREEN_NOTHING);
	assert_int_equal(view_side(seat.view), SIDE_USER);
	seat.fixture.picture.sides[SIDE_KERNEL].known = false;
	view_sync(seat.view, &seat.fixture.picture);
	assert_int_equal(type(&seat, "\t"), SCREEN_NOTHING);
	assert_int_equal(view_side(seat.view), SIDE_USER);
	seat.fixture.picture.kernel_off = true;
	view_sync(seat.view, &seat.fixture.picture);
	assert_int_equal(type(&seat, "\t"), SCREEN_KERNEL);
	assert_int_equal(view_side(seat.view), SIDE_KERNEL);
	seat_deinit(&seat);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_looking_at_the_kernel_asks_for_it),
		cmocka_unit_test(test_dear_kernel_side),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_tall_stack),
		cmocka_unit_test(test_random_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
