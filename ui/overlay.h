/* SPDX-License-Identifier: GPL-2.0-only */
/* What lies over the screen for a while: help, sort menu, prompt. */
#ifndef MEMTOP_UI_OVERLAY_H
#define MEMTOP_UI_OVERLAY_H

#include "core/view.h"
#include "ui/canvas.h"

/* Help from line `top` on, over the whole canvas; returns the last line it can be scrolled to. */
unsigned overlay_help(struct canvas *canvas, unsigned top);

/* `chosen` under the menu's cursor; marks the column sorted by. */
void overlay_sort_menu(struct canvas *canvas, unsigned chosen, enum sort_column sorted,
		       bool inverted);

/* A question and what was typed so far; of a text that does not fit its end is shown. */
void overlay_prompt(struct canvas *canvas, unsigned row, const char *question, const char *text);

#endif
