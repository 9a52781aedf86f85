/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every part of the screen needs to draw itself: where, what, and how the user wants it. Made
 * anew for each drawing; everything in it is borrowed.
 */
#ifndef MEMTOP_UI_DRAW_H
#define MEMTOP_UI_DRAW_H

#include "core/format.h"
#include "core/resolver.h"
#include "core/view.h"
#include "ui/canvas.h"
#include "ui/layout.h"
#include "ui/screen.h"
#include "ui/stack.h"

#define TOP_DELTAS 2
#define TOP_SITES  3

struct draw {
	struct canvas *canvas;
	struct layout layout;
	struct view *view;
	const struct picture *picture; /* never NULL */
	struct resolver *resolver;
	const struct screen_status *status;
	struct stack_options stacks;
	unsigned sideways; /* cells the SITE column is scrolled by */
	bool absolute;	   /* all ever allocated instead of the change since the mark */

	/* What one pass over the sites tells. */
	enum verdict worst[SIDE_COUNT];
	size_t sites[SIDE_COUNT];
	const struct site_stats *top;			      /* picture->top_site, or NULL */
	const struct site_stats *tops[SIDE_COUNT][TOP_SITES]; /* that grew most, then largest */
	const struct site_stats *deltas[TOP_DELTAS]; /* user sites that grew most since the mark */
};

/* Name of the mark that deltas count from. */
static inline const char *draw_mark_name(const struct draw *draw)
{
	return draw->picture->mark.name[0] ? draw->picture->mark.name : "mark";
}

/* Part of a line. When a line is too long, parts of the highest rank are left out first. */
struct piece {
	const char *before; /* what separates it from the part before */
	char text[160];
	unsigned rank; /* 0 = stays */
	enum style style;
};

/* The share of frames named stands in the status row where the first row has no room for it. */
static inline bool draw_names_below(const struct draw *draw)
{
	return draw->layout.status_row != LAYOUT_NONE && draw->canvas->columns < 135;
}

/* Returns the cells taken. */
unsigned draw_pieces(struct canvas *canvas, unsigned row, unsigned column, unsigned width,
		     const struct piece *pieces, size_t count);

/* Shares `units` out in proportion to the parts; what is shared out is exactly `units`. */
void draw_apportion(const double *parts, size_t count, uint64_t units, uint64_t *ret);

void header_draw(const struct draw *draw);
void graph_draw(const struct draw *draw);
void split_draw(const struct draw *draw);

#endif
