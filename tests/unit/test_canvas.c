/* SPDX-License-Identifier: GPL-2.0-only */
#include "tests/unit/unit.h"

#include "tests/screens/fixture.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

static void assert_screen(const struct canvas *canvas, const char *wanted)
{
	char *text = fixture_dump(canvas);

	assert_string_equal(text, wanted);
	free(text);
}

static void test_clipping(void **state)
{
	struct canvas canvas;

	(void)state;
	canvas_init(&canvas, 2, 5, true);
	assert_int_equal(canvas_text(&canvas, 0, 2, 10, STYLE_NORMAL, "abcdef"), 3);
	assert_int_equal(canvas_text(&canvas, 0, 5, 10, STYLE_NORMAL, "x"), 0);
	assert_int_equal(canvas_text(&canvas, 2, 0, 10, STYLE_NORMAL, "x"), 0);
	canvas_put(&canvas, 9, 9, STYLE_NORMAL, 'x');
	canvas_fill(&canvas, 1, 3, 4294967295u, STYLE_NORMAL, '-');
	canvas_style(&canvas, 7, 7, 7, STYLE_BAD);
	assert_screen(&canvas, "  abc\n   --\n");
	assert_int_equal(canvas_text_cut(&canvas, 1, 0, 4, STYLE_NORMAL, "abcdef"), 4);
	canvas_text_right(&canvas, 0, 0, 5, STYLE_NORMAL, "ab");
	assert_screen(&canvas, "  aab\nabc…-\n");
	canvas_deinit(&canvas);
}

static void test_wide(void **state)
{
	struct canvas canvas;

	(void)state;
	canvas_init(&canvas, 1, 5, true);
	/* The third does not fit by half, so it is not drawn at all. */
	assert_int_equal(canvas_text(&canvas, 0, 0, 5, STYLE_NORMAL, "图像处"), 4);
	assert_screen(&canvas, "图像\n");
	canvas_put(&canvas, 0, 1, STYLE_NORMAL, 'x'); /* over a second half */
	assert_screen(&canvas, " x像\n");
	canvas_put(&canvas, 0, 2, STYLE_NORMAL, 'y'); /* over a first half */
	assert_screen(&canvas, " xy\n");
	assert_int_equal(canvas_width(&canvas, "a图e\xcc\x81"), 4);
	canvas_deinit(&canvas);
}

static void test_hostile(void **state)
{
	static const struct {
		const char *text, *drawn;
	} cases[] = {
		{"\033[2J", "?[2J\n"},
		{"a\r\n\tb", "a???b\n"},
		{"\x7f\xc2\x9b", "??\n"},
		{"\xe2\x80\xae\xe2\x81\xa6", "??\n"},
		{"\xff\xfe", "??\n"},
		{"\xc0\xaf", "?\n"},
		{"\xed\xa0\x80", "?\n"},
		{"\xf4\x90\x80\x80", "?\n"},
		{"\xe2\x80", "?\n"},
		{"\xe2\x80\x8bz", "?z\n"},
		{"e\xcc\x81\xcc\x81x", "ex\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct canvas canvas;

		canvas_init(&canvas, 1, 20, true);
		canvas_text(&canvas, 0, 0, 20, STYLE_NORMAL, cases[i].text);
		assert_screen(&canvas, cases[i].drawn);
		canvas_deinit(&canvas);
	}
}

static void test_ascii(void **state)
{
	struct canvas canvas;

	(void)state;
	canvas_init(&canvas, 1, 20, false);
	canvas_text(&canvas, 0, 0, 20, STYLE_NORMAL, "▲│─…⣿⡀ ← ▸图");
	assert_screen(&canvas, "!|-~#. < +?\n");
	canvas_deinit(&canvas);
}

static void test_utf8_round_trip(void **state)
{
	static const uint32_t characters[] = {'a',   0x7f,   0x80,    0x7ff,
					      0x800, 0xffff, 0x10000, 0x10ffff};

	(void)state;
	for (size_t i = 0; i < sizeof(characters) / sizeof(characters[0]); i++) {
		char text[8];
		uint32_t decoded;
		size_t size = utf8_encode(characters[i], text);

		assert_int_equal(utf8_decode(text, size, &decoded), size);
		assert_int_equal(decoded, characters[i]);
		if (size > 1)
			assert_int_equal(utf8_decode(text, size - 1, &decoded), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clipping),	cmocka_unit_test(test_wide),
		cmocka_unit_test(test_hostile),		cmocka_unit_test(test_ascii),
		cmocka_unit_test(test_utf8_round_trip),
	};

	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		return 99;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
