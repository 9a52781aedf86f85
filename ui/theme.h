/* SPDX-License-Identifier: GPL-2.0-only */
/* How each style looks. Colour only adds to what glyph and word say already. */
#ifndef MEMTOP_UI_THEME_H
#define MEMTOP_UI_THEME_H

#include "core/picture.h"
#include "ui/canvas.h"

struct look {
	short foreground, background; /* 0..7 as terminals number them, -1 = the terminal's own */
	bool bold, dim, reverse;
	bool reverse_without_colour; /* where the background would have set it apart */
};

extern const struct look theme[STYLE_COUNT];

/* Glyph and style of a verdict: UTF-8 text of one cell. */
const char *verdict_glyph(enum verdict verdict);
enum style verdict_style(enum verdict verdict);

#endif
