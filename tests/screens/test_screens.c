/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Golden screens: tests/screens/NAME.txt is what the cells must be. GENERATE=1 writes them anew;
 * the change is then read as a diff.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/screens/fixture.h"
#include "ui/term.h"
#include "util/alloc.h"

struct shot {
	const char *name;
	unsigned rows, columns;
	bool ascii, hostile;
	const char *keys;
};

static const struct shot shots[] = {
	{"120x40", 40, 120, false, false, ""},
	{"80x24", 24, 80, false, false, ""},
	{"60x16", 16, 60, false, false, ""},
	{"200x60", 60, 200, false, false, ""},
	{"59x16-too-small", 16, 59, false, false, ""},
	{"10x3-too-small", 3, 10, false, false, ""},
	{"120x40-ascii", 40, 120, true, false, ""},
	{"80x24-ascii", 24, 80, true, false, "\n"},
	{"120x40-frozen", 40, 120, false, false, " "},
	{"80x24-frozen", 24, 80, false, false, " "},
	{"120x40-unfolded", 40, 120, false, false, "\n"},
	{"120x40-wrappers-paths", 40, 120, false, false, "wpj\n"},
	{"80x24-unfolded", 24, 80, false, false, "*"},
	{"120x40-help", 40, 120, false, false, "?"},
	{"60x16-help", 16, 60, false, false, "?"},
	{"80x24-sort-menu", 24, 80, false, false, "s"},
	{"80x24-filter-prompt", 24, 80, false, false, "\\Frame.*"},
	{"120x40-filtered", 40, 120, false, false, "\\libinfer\n"},
	{"120x40-kernel", 40, 120, false, false, "\t\n"},
	{"120x40-kernel-cache", 40, 120, false, false, "\t\n"},
	{"120x40-level", 40, 120, false, false, "l"},
	{"120x40-hostile", 40, 120, false, true, "*"},
	{"80x24-hostile-ascii", 24, 80, true, true, "*"},
	{"120x40-beside", 40, 120, false, false, "b"},
	{"80x24-beside", 24, 80, false, false, "b"},
	{"60x16-beside", 16, 60, false, false, "bG"},
	{"120x40-beside-hostile", 40, 120, true, true, "b"},
	{"120x40-fd-leak", 40, 120, false, false, "b"},
	{"80x24-fd-leak", 24, 80, false, false, ""},
	{"120x40-pages", 40, 120, false, false, ""},
	{"80x24-pages", 24, 80, false, false, ""},
	{"120x30", 30, 120, false, false, ""},
};

static char *take(const struct shot *shot)
{
	struct fixture fixture;
	struct view *view = view_new();
	struct screen *screen = screen_new();
	struct canvas canvas;
	char *text;

	fixture_init(&fixture);
	if (shot->hostile)
		fixture_hostile(&fixture);
	if (strstr(shot->name, "fd-leak"))
		fixture_fd_leak(&fixture);
	if (strstr(shot->name, "pages"))
		fixture_pages(&fixture);
	if (strstr(shot->name, "kernel"))
		fixture_kernel_grows(&fixture, strstr(shot->name, "cache"));
	canvas_init(&canvas, shot->rows, shot->columns, !shot->ascii);
	view_set_minimum(view, 4096, 0);
	view_sync(view, &fixture.picture);
	screen_draw(screen, &canvas, view, &fixture.resolver, &fixture.status);
	for (const char *key = shot->keys; *key; key++) {
		screen_key(screen, view, *key);
		screen_draw(screen, &canvas, view, &fixture.resolver, &fixture.status);
	}
	text = fixture_dump(&canvas);
	canvas_deinit(&canvas);
	screen_free(screen);
	view_free(view);
	return text;
}

static char *read_text(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = xcalloc(1, 1 << 18);

	if (!file) {
		free(text);
		return NULL;
	}
	if (fread(text, 1, (1 << 18) - 1, file) == 0)
		text[0] = '\0';
	fclose(file);
	return text;
}

static void test_golden(void **state)
{
	const char *top = getenv("top_srcdir");
	unsigned failed = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(shots) / sizeof(shots[0]); i++) {
		char *got = take(&shots[i]), *wanted, path[4096];

		snprintf(path, sizeof(path), "%s/tests/screens/%s.txt", top ? top : ".",
			 shots[i].name);
		if (getenv("GENERATE")) {
			FILE *file = fopen(path, "w");

			assert_non_null(file);
			fputs(got, file);
			assert_int_equal(fclose(file), 0);
		}
		wanted = read_text(path);
		if (!wanted || strcmp(got, wanted) != 0) {
			print_message("# %s differs; the screen is now:\n%s", path, got);
			failed++;
		}
		free(got);
		free(wanted);
	}
	assert_int_equal(failed, 0);
}

/* No cell may hold what could move the cursor or turn text around; ASCII stays ASCII. */
static void test_clean(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(shots) / sizeof(shots[0]); i++) {
		char *got = take(&shots[i]);

		for (const char *at = got; *at;) {
			uint32_t character;

			at += utf8_decode(at, strlen(at), &character);
			if (character == '\n')
				continue;
			assert_true(character >= 0x20);
			assert_false(character >= 0x7f && character <= 0x9f);
			assert_false(character >= 0x200b && character <= 0x200f);
			assert_false(character >= 0x202a && character <= 0x202e);
			assert_false(character >= 0x2066 && character <= 0x2069);
			if (shots[i].ascii)
				assert_true(character < 0x7f);
		}
		free(got);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
