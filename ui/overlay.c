/* SPDX-License-Identifier: GPL-2.0-only */
/* The help is the key table and the verdicts, each with what it means. */
#include "ui/overlay.h"

#include "core/format.h"
#include "ui/columns.h"
#include "ui/keys.h"
#include "ui/theme.h"

#include <stdio.h>
#include <string.h>

#define KEY_CELLS  14
#define MENU_CELLS 18

static const char *const meanings[VERDICT_COUNT] = {
	[VERDICT_LEAKING] = "blocks are never freed",
	[VERDICT_GROWING] = "freed slower than allocated",
	[VERDICT_FILLING] = "grows, but slower and slower: a cache that fills",
	[VERDICT_BURST] = "grew once, flat since",
	[VERDICT_SAWTOOTH] = "always returns to the same level",
	[VERDICT_STEADY] = "no growth above the floor",
	[VERDICT_WARMING_UP] = "not watched long enough to judge",
	[VERDICT_UNEXPLAINED] = "too little of the growth is explained",
};

static const char *const notes[] = {
	"memtop sees frees, not pointers: an unbounded queue looks like a leak.",
	"KEPT: share of old blocks (older than 10 x the median life) never freed.",
	"cost: share of the CPU time the target takes that goes to watching it.",
	"worst: share of its time that the busiest thread loses by it.",
	"lost: events that this side's books miss; the foot names them.",
	"No key signals or changes the target.",
};

#define NOTE_COUNT (sizeof(notes) / sizeof(notes[0]))

/* Draws one line of help if it is in the window [top, top + rows). */
struct help {
	struct canvas *canvas;
	unsigned top, rows, line;
};

static void help_line(struct help *help, enum style style, const char *name, const char *text)
{
	unsigned width = help->canvas->columns;
	unsigned row = help->line - help->top + 1;

	if (help->line >= help->top && help->line < help->top + help->rows) {
		canvas_text(help->canvas, row, 1, KEY_CELLS - 1, style, name);
		canvas_text_cut(help->canvas, row, KEY_CELLS + 1,
				width > KEY_CELLS + 1 ? width - KEY_CELLS - 1 : 0, STYLE_NORMAL,
				text);
	}
	help->line++;
}

static void help_lines(struct help *help)
{
	char word[48];

	for (size_t i = 0; i < key_binding_count; i++)
		if (key_bindings[i].help)
			help_line(help, STYLE_KEY, key_bindings[i].name, key_bindings[i].help);
	help_line(help, STYLE_NORMAL, "", "");
	for (int i = 0; i < VERDICT_COUNT; i++) {
		if (!meanings[i])
			continue;
		snprintf(word, sizeof(word), "%s %s", verdict_glyph((enum verdict)i),
			 verdict_word((enum verdict)i));
		help_line(help, verdict_style((enum verdict)i), word, meanings[i]);
	}
	help_line(help, STYLE_NORMAL, "", "");
	for (size_t i = 0; i < NOTE_COUNT; i++) {
		if (help->line >= help->top && help->line < help->top + help->rows)
			canvas_text_cut(help->canvas, help->line - help->top + 1, 1,
					help->canvas->columns - 1, STYLE_DIM, notes[i]);
		help->line++;
	}
}

unsigned overlay_help(struct canvas *canvas, unsigned top)
{
	struct help help = {.canvas = canvas, .top = top};

	canvas_clear(canvas);
	if (canvas->rows < 3)
		return 0;
	help.rows = canvas->rows - 2;
	canvas_fill(canvas, 0, 0, canvas->columns, STYLE_HEADER, ' ');
	canvas_text_cut(canvas, 0, 1, canvas->columns - 1, STYLE_HEADER,
			"memtop: keys and verdicts");
	help_lines(&help);
	canvas_text_cut(canvas, canvas->rows - 1, 1, canvas->columns - 1, STYLE_DIM,
			help.line > help.rows ? "Up Down PgUp PgDn: scroll   any other key: back" :
						"any key: back");
	return help.line > help.rows ? help.line - help.rows : 0;
}

void overlay_sort_menu(struct canvas *canvas, unsigned chosen, enum sort_column sorted,
		       bool inverted)
{
	unsigned height = SORT_COUNT + 2, width = MENU_CELLS + 2;
	unsigned row = canvas->rows > height ? (canvas->rows - height) / 2 : 0;
	unsigned column = canvas->columns > width ? (canvas->columns - width) / 2 : 0;
	unsigned end = column + width - 1;

	for (unsigned i = 0; i < height; i++) {
		bool edge = i == 0 || i == height - 1;

		canvas_fill(canvas, row + i, column + 1, width - 2, STYLE_NORMAL,
			    edge ? L'─' : ' ');
		canvas_put(canvas, row + i, column, STYLE_NORMAL,
			   i == 0 ? L'┌' :
			   edge	  ? L'└' :
				    L'│');
		canvas_put(canvas, row + i, end, STYLE_NORMAL, i == 0 ? L'┐' : edge ? L'┘' : L'│');
	}
	canvas_text(canvas, row, column + 2, width - 3, STYLE_TITLE, " sort by ");
	for (unsigned i = 0; i < SORT_COUNT; i++) {
		enum style style = i == chosen ? STYLE_SELECTED : STYLE_NORMAL;

		canvas_fill(canvas, row + 1 + i, column + 1, width - 2, style, ' ');
		canvas_text(canvas, row + 1 + i, column + 2, width - 6, style,
			    columns_sort_name((enum sort_column)i));
		if (i == sorted)
			canvas_text(canvas, row + 1 + i, end - 2, 1, style, inverted ? "△" : "▼");
	}
}

void overlay_prompt(struct canvas *canvas, unsigned row, const char *question, const char *text)
{
	unsigned columns = canvas->columns, at, room;

	canvas_fill(canvas, row, 0, columns, STYLE_NORMAL, ' ');
	at = canvas_text_cut(canvas, row, 0, columns, STYLE_KEY, question);
	if (at + 2 >= columns)
		return;
	room = columns - at - 1;
	while (canvas_width(canvas, text) > room) {
		uint32_t character;
		size_t taken = utf8_decode(text, strlen(text), &character);

		text += taken ? taken : strlen(text);
	}
	at += canvas_text(canvas, row, at, room, STYLE_NORMAL, text);
	canvas_text(canvas, row, at, 1, STYLE_SELECTED, " ");
}
