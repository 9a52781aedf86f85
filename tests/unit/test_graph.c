/* SPDX-License-Identifier: GPL-2.0-only */
#include "tests/unit/unit.h"

#include "tests/screens/fixture.h"
#include "ui/draw.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static char *graph(struct fixture *fixture, unsigned rows, unsigned columns)
{
	struct canvas canvas;
	struct draw draw = {.canvas = &canvas, .picture = &fixture->picture};
	char *text;

	canvas_init(&canvas, rows, columns, true);
	draw.layout = layout_for(rows, columns, false);
	graph_draw(&draw);
	text = fixture_dump(&canvas);
	canvas_deinit(&canvas);
	return text;
}

static void assert_graph(struct fixture *fixture, const char *word, bool shown)
{
	char *text = graph(fixture, 40, 120);

	assert_true((strstr(text, word) != NULL) == shown);
	free(text);
}

static void test_limit_and_axis(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_init(&fixture);
	assert_graph(&fixture, "2.00G ┄", true);
	assert_graph(&fixture, "OOM", true);
	assert_graph(&fixture, "now", true);
	assert_graph(&fixture, "charged to cgroup", true);
	fixture.picture.forecast.low_s = fixture.picture.forecast.high_s = NAN;
	assert_graph(&fixture, "OOM", false);
	fixture.picture.charge.limit_bytes = UINT64_C(64) << 30;
	assert_graph(&fixture, "far above", true);
	/* The system's limit is shared with others: said, but RSS is not drawn against it. */
	fixture_init(&fixture);
	fixture.picture.charge.source = LIMIT_SYSTEM;
	assert_graph(&fixture, "limit 2.00G, shared", true);
	assert_graph(&fixture, "┄", false);
	assert_graph(&fixture, "OOM", true);
	fixture.picture.charge = (struct charge){.source = LIMIT_NONE};
	assert_graph(&fixture, "no limit", true);
	assert_graph(&fixture, " RSS, then", true);
}

/* Whatever the numbers, the graph is drawn within its box. */
static void test_extremes(void **state)
{
	static const double times[] = {NAN, 0, 1e-9, 1, 1e18, INFINITY};
	static const uint64_t limits[] = {0, 1, UINT64_MAX};
	struct fixture fixture;

	(void)state;
	for (size_t t = 0; t < 6; t++)
		for (size_t l = 0; l < 3; l++)
			for (unsigned columns = 60; columns < 5000; columns = columns * 3 / 2) {
				fixture_init(&fixture);
				fixture.picture.forecast.low_s = times[t];
				fixture.picture.forecast.high_s = times[t];
				fixture.picture.charge.limit_bytes = limits[l];
				fixture.picture.history_count = t * 17;
				fixture.history[3].charged_bytes = UINT64_MAX;
				fixture.picture.elapsed_s = t == 4 ? 1e9 : (double)t;
				free(graph(&fixture, 16 + columns % 50, columns));
			}
}

static void test_apportion(void **state)
{
	uint64_t cells[4];

	(void)state;
	draw_apportion((double[]){440.3, 453.9, 5.6, 44.1}, 4, 20, cells);
	assert_int_equal(cells[0], 9);
	assert_int_equal(cells[1], 10);
	assert_int_equal(cells[2], 0);
	assert_int_equal(cells[3], 1);
	draw_apportion((double[]){0, 0}, 2, 20, cells);
	assert_int_equal(cells[0] + cells[1], 0);
	draw_apportion((double[]){1, 1, 1}, 3, 20, cells);
	assert_int_equal(cells[0] + cells[1] + cells[2], 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit_and_axis),
		cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_apportion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
