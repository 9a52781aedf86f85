/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One table of looks and one of verdicts. Eight colours only, on the terminal's own background, so
 * that dark and light terminals both can be read.
 */
#include "ui/theme.h"

const struct look theme[STYLE_COUNT] = {
	[STYLE_NORMAL] = {-1, -1, false, false, false, false},
	[STYLE_TITLE] = {-1, -1, true, false, false, false},
	[STYLE_DIM] = {-1, -1, false, true, false, false},
	[STYLE_GOOD] = {2, -1, false, false, false, false},
	[STYLE_WARNING] = {3, -1, true, false, false, false},
	[STYLE_BAD] = {1, -1, true, false, false, false},
	[STYLE_HEADER] = {-1, -1, false, false, true, false},
	[STYLE_SELECTED] = {7, 4, true, false, false, true},
	[STYLE_GRAPH] = {6, -1, false, false, false, false},
	[STYLE_LIMIT] = {1, -1, false, false, false, false},
	[STYLE_KEY] = {-1, -1, true, false, false, false},
	[STYLE_BANNER] = {0, 3, false, false, false, true},
};

static const struct {
	const char *glyph;
	enum style style;
} verdicts[VERDICT_COUNT] = {
	[VERDICT_UNKNOWN] = {"?", STYLE_DIM},	      [VERDICT_WARMING_UP] = {"?", STYLE_WARNING},
	[VERDICT_STEADY] = {"●", STYLE_GOOD},	      [VERDICT_FILLING] = {"●", STYLE_WARNING},
	[VERDICT_SAWTOOTH] = {"●", STYLE_GOOD},	      [VERDICT_BURST] = {"●", STYLE_WARNING},
	[VERDICT_GROWING] = {"▲", STYLE_BAD},	      [VERDICT_LEAKING] = {"▲", STYLE_BAD},
	[VERDICT_UNEXPLAINED] = {"?", STYLE_WARNING},
};

const char *verdict_glyph(enum verdict verdict)
{
	return verdict < VERDICT_COUNT ? verdicts[verdict].glyph : "?";
}

enum style verdict_style(enum verdict verdict)
{
	return verdict < VERDICT_COUNT ? verdicts[verdict].style : STYLE_NORMAL;
}
