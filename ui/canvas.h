/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A grid of cells to draw on; no curses. Everything is clipped. A wide character takes two cells;
 * control bytes and bytes that are not UTF-8 become '?' here, whatever a target puts into its
 * names.
 */
#ifndef MEMTOP_UI_CANVAS_H
#define MEMTOP_UI_CANVAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wchar.h>

/* What a cell means; theme.c says how it looks. */
enum style {
	STYLE_NORMAL,
	STYLE_TITLE,
	STYLE_DIM,
	STYLE_GOOD,
	STYLE_WARNING,
	STYLE_BAD,
	STYLE_HEADER,	/* table heading */
	STYLE_SELECTED, /* the cursor's row */
	STYLE_GRAPH,
	STYLE_LIMIT,
	STYLE_KEY,
	STYLE_BANNER,
	STYLE_COUNT,
};

struct cell {
	wchar_t character; /* 0 = second half of a wide one */
	uint8_t style;
};

struct canvas {
	unsigned rows, columns;
	bool utf8; /* false: only ASCII may be drawn, canvas_text() falls back (▲ -> !, … -> ~) */
	struct cell *cells;
};

void canvas_init(struct canvas *canvas, unsigned rows, unsigned columns, bool utf8);
void canvas_deinit(struct canvas *canvas);
void canvas_clear(struct canvas *canvas);

/* UTF-8 text from (row, column), clipped to `width` cells; returns the cells taken. */
unsigned canvas_text(struct canvas *canvas, unsigned row, unsigned column, unsigned width,
		     enum style style, const char *text);
/* The same; text that does not fit ends in an ellipsis. */
unsigned canvas_text_cut(struct canvas *canvas, unsigned row, unsigned column, unsigned width,
			 enum style style, const char *text);
/* The same, right-aligned in `width`. */
void canvas_text_right(struct canvas *canvas, unsigned row, unsigned column, unsigned width,
		       enum style style, const char *text);
void canvas_put(struct canvas *canvas, unsigned row, unsigned column, enum style style,
		wchar_t character);
void canvas_fill(struct canvas *canvas, unsigned row, unsigned column, unsigned width,
		 enum style style, wchar_t character);
/* Gives a row of cells another style and leaves the characters. */
void canvas_style(struct canvas *canvas, unsigned row, unsigned column, unsigned width,
		  enum style style);
/* Cells a text takes. */
unsigned canvas_width(const struct canvas *canvas, const char *text);

/*
 * Decodes one character of at most `size` bytes, whatever the locale. Returns the bytes taken
 * (at least 1; 0 when more bytes are needed); *ret is 0xFFFD for what is not UTF-8.
 */
size_t utf8_decode(const char *text, size_t size, uint32_t *ret);
/* Encodes a character into ret (at least 5 bytes), terminated; returns its length. */
size_t utf8_encode(uint32_t character, char *ret);

#endif
