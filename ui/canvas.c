/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Text comes in as UTF-8 of any origin and leaves as cells that a terminal can show without harm:
 * what would move the cursor, change the direction of text or take no cell never gets into a cell.
 * Decoding is done here, since the C library's depends on the locale; only the width of a character
 * is the library's, the same that curses uses, so that both count cells alike.
 *
 * Invariant: a cell of 0 follows exactly the first cell of a wide character.
 */
#include "ui/canvas.h"

#include "util/alloc.h"

#include <stdlib.h>
#include <string.h>

#define REPLACEMENT 0xFFFD

size_t utf8_decode(const char *text, size_t size, uint32_t *ret)
{
	const unsigned char *bytes = (const unsigned char *)text;
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t length = bytes[0] < 0x80		  ? 1 :
			(bytes[0] & 0xe0) == 0xc0 ? 2 :
			(bytes[0] & 0xf0) == 0xe0 ? 3 :
			(bytes[0] & 0xf8) == 0xf0 ? 4 :
						    0;
	uint32_t character = length == 1 ? bytes[0] : bytes[0] & (0x7fu >> length);

	*ret = REPLACEMENT;
	if (!length)
		return 1;
	for (size_t i = 1; i < length; i++) {
		if (i == size)
			return 0;
		if ((bytes[i] & 0xc0) != 0x80)
			return i;
		character = character << 6 | (bytes[i] & 0x3f);
	}
	if (character >= smallest[length] && character <= 0x10ffff &&
	    (character < 0xd800 || character > 0xdfff))
		*ret = character;
	return length;
}

size_t utf8_encode(uint32_t character, char *ret)
{
	size_t length = character < 0x80 ? 1 : character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
	static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};

	ret[length] = '\0';
	for (size_t i = length - 1; i > 0; i--) {
		ret[i] = (char)(0x80 | (character & 0x3f));
		character >>= 6;
	}
	ret[0] = (char)(lead[length] | character);
	return length;
}

/* Characters that are invisible or steer the text around them. */
static const struct {
	uint32_t first, last;
} unsafe[] = {
	{0x0000, 0x001f},   {0x007f, 0x009f}, {0x00ad, 0x00ad}, {0x061c, 0x061c},
	{0x115f, 0x1160},   {0x17b4, 0x17b5}, {0x180b, 0x180f}, {0x200b, 0x200f},
	{0x2028, 0x202e},   {0x2060, 0x206f}, {0x3164, 0x3164}, {0xd800, 0xdfff},
	{0xfe00, 0xfe0f},   {0xfeff, 0xfeff}, {0xfff0, 0xffff}, {0x1d173, 0x1d17a},
	{0xe0000, 0xe0fff},
};

/* What a plain ASCII terminal sees instead. */
static const struct {
	uint32_t character;
	char ascii;
} fallbacks[] = {
	{0x25b2, '!'}, {0x25b3, '^'}, {0x25cf, '*'}, {0x25cb, 'o'}, {0x25b8, '+'}, {0x25be, '-'},
	{0x25b6, '>'}, {0x25bc, 'v'}, {0x2026, '~'}, {0x2190, '<'}, {0x2191, '^'}, {0x2192, '>'},
	{0x2193, 'v'}, {0x2502, '|'}, {0x2500, '-'}, {0x250c, '+'}, {0x2510, '+'}, {0x2514, '+'},
	{0x2518, '+'}, {0x251c, '+'}, {0x2524, '+'}, {0x252c, '+'}, {0x2534, '+'}, {0x253c, '+'},
	{0x2504, '-'}, {0x2588, '#'}, {0x2591, ':'}, {0x2592, '%'}, {0x2593, '='}, {0x00b7, '-'},
	{0x2264, '<'}, {0x2265, '>'}, {0x2013, '-'}, {0x2014, '-'}, {0x0394, 'd'}, {0x2212, '-'},
	{0x2581, '_'}, {0x2582, '_'}, {0x2583, '.'}, {0x2584, '-'}, {0x2585, '-'}, {0x2586, '='},
	{0x2587, '='}, {0x00d7, 'x'}, {0x2016, '='}, {0x25ae, '='}, {0x2022, '*'},
};

static char fallback(uint32_t character)
{
	if (character >= 0x2800 && character <= 0x28ff) {
		int dots = __builtin_popcount(character & 0xff);

		return dots == 0 ? ' ' : dots <= 2 ? '.' : dots <= 5 ? ':' : '#';
	}
	for (size_t i = 0; i < sizeof(fallbacks) / sizeof(fallbacks[0]); i++)
		if (fallbacks[i].character == character)
			return fallbacks[i].ascii;
	return '?';
}

static bool is_unsafe(uint32_t character)
{
	if (character >= 0x20 && character < 0x7f)
		return false;
	for (size_t i = 0; i < sizeof(unsafe) / sizeof(unsafe[0]); i++)
		if (character >= unsafe[i].first && character <= unsafe[i].last)
			return true;
	return false;
}

/* The character to draw for one of any origin, and its width: 0 (left out), 1 or 2. */
static unsigned clean(const struct canvas *canvas, uint32_t *character)
{
	int width;

	if (*character >= 0x20 && *character < 0x7f)
		return 1;
	if (is_unsafe(*character)) {
		*character = '?';
		return 1;
	}
	width = wcwidth((wchar_t)*character);
	if (!canvas->utf8) {
		if (width == 0)
			return 0;
		*character = (unsigned char)fallback(*character);
		return 1;
	}
	if (width < 0 || width > 2) {
		*character = '?';
		return 1;
	}
	return (unsigned)width;
}

void canvas_init(struct canvas *canvas, unsigned rows, unsigned columns, bool utf8)
{
	canvas->rows = rows;
	canvas->columns = columns;
	canvas->utf8 = utf8;
	canvas->cells = xcalloc((size_t)rows * columns + 1, sizeof(*canvas->cells));
	canvas_clear(canvas);
}

void canvas_deinit(struct canvas *canvas)
{
	free(canvas->cells);
	memset(canvas, 0, sizeof(*canvas));
}

void canvas_clear(struct canvas *canvas)
{
	for (unsigned row = 0; row < canvas->rows; row++)
		canvas_fill(canvas, row, 0, canvas->columns, STYLE_NORMAL, ' ');
}

static void set_cell(struct canvas *canvas, unsigned row, unsigned column, enum style style,
		     wchar_t character)
{
	struct cell *cell = &canvas->cells[(size_t)row * canvas->columns + column];

	/* What is left of a wide character that this one covers by half is a blank. */
	if (cell->character == 0 && column > 0)
		cell[-1].character = ' ';
	if (column + 1 < canvas->columns && cell[1].character == 0)
		cell[1].character = ' ';
	cell->character = character;
	cell->style = (uint8_t)style;
}

/* Draws a clean character of `width` cells within [column, end); false if it does not fit. */
static bool draw(struct canvas *canvas, unsigned row, unsigned column, unsigned end,
		 enum style style, uint32_t character, unsigned width)
{
	if (width > end - column)
		return false;
	if (width == 2)
		set_cell(canvas, row, column + 1, style, ' ');
	set_cell(canvas, row, column, style, (wchar_t)character);
	if (width == 2)
		canvas->cells[(size_t)row * canvas->columns + column + 1].character = 0;
	return true;
}

static unsigned clip_end(const struct canvas *canvas, unsigned row, unsigned column, unsigned width)
{
	if (row >= canvas->rows || column >= canvas->columns)
		return column;
	return width > canvas->columns - column ? canvas->columns : column + width;
}

unsigned canvas_text(struct canvas *canvas, unsigned row, unsigned column, unsigned width,
		     enum style style, const char *text)
{
	unsigned end = clip_end(canvas, row, column, width), at = column;
	size_t size = strlen(text);

	while (size > 0 && at < end) {
		uint32_t character;
		size_t taken = utf8_decode(text, size, &character);
		unsigned cells;

		if (taken == 0)
			taken = size;
		text += taken;
		size -= taken;
		cells = clean(canvas, &character);
		if (cells > 0 && !draw(canvas, row, at, end, style, character, cells))
			break;
		at += cells;
	}
	return at - column;
}

unsigned canvas_text_cut(struct canvas *canvas, unsigned row, unsigned column, unsigned width,
			 enum style style, const char *text)
{
	unsigned end = clip_end(canvas, row, column, width);
	unsigned taken;

	if (end == column)
		return 0;
	if (canvas_width(canvas, text) <= end - column)
		return canvas_text(canvas, row, column, end - column, style, text);
	taken = canvas_text(canvas, row, column, end - column - 1, style, text);
	canvas_put(canvas, row, column + taken, style, L'…');
	return taken + 1;
}

void canvas_text_right(struct canvas *canvas, unsigned row, unsigned column, unsigned width,
		       enum style style, const char *text)
{
	unsigned needed = canvas_width(canvas, text);
	unsigned indent = needed < width ? width - needed : 0;

	canvas_text_cut(canvas, row, column + indent, width - indent, style, text);
}

void canvas_put(struct canvas *canvas, unsigned row, unsigned column, enum style style,
		wchar_t character)
{
	uint32_t value = (uint32_t)character;
	unsigned cells = clean(canvas, &value);

	if (row < canvas->rows && column < canvas->columns && cells > 0)
		draw(canvas, row, column, canvas->columns, style, value, cells);
}

void canvas_fill(struct canvas *canvas, unsigned row, unsigned column, unsigned width,
		 enum style style, wchar_t character)
{
	unsigned end = clip_end(canvas, row, column, width);
	uint32_t value = (uint32_t)character;

	if (clean(canvas, &value) != 1)
		value = '?';
	for (unsigned at = column; at < end; at++)
		set_cell(canvas, row, at, style, (wchar_t)value);
}

void canvas_style(struct canvas *canvas, unsigned row, unsigned column, unsigned width,
		  enum style style)
{
	unsigned end = clip_end(canvas, row, column, width);

	for (unsigned at = column; at < end; at++)
		canvas->cells[(size_t)row * canvas->columns + at].style = (uint8_t)style;
}

unsigned canvas_width(const struct canvas *canvas, const char *text)
{
	size_t size = strlen(text);
	unsigned width = 0;

	while (size > 0) {
		uint32_t character;
		size_t taken = utf8_decode(text, size, &character);

		if (taken == 0)
			taken = size;
		text += taken;
		size -= taken;
		width += clean(canvas, &character);
	}
	return width;
}
