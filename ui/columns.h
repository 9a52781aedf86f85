/* SPDX-License-Identifier: GPL-2.0-only */
/* The table's columns: one row here is one column. */
#ifndef MEMTOP_UI_COLUMNS_H
#define MEMTOP_UI_COLUMNS_H

#include "ui/draw.h"

#define COLUMN_TEXT_SIZE 64
#define COLUMNS_MAX	 12
#define COLUMNS_START	 3 /* cells before the first: fold and verdict glyph */

struct column {
	const char *heading; /* NULL = the name of the mark */
	unsigned width;
	unsigned gap;	       /* blank cells before it */
	unsigned rank;	       /* narrow screens leave out the highest first */
	unsigned min_site;     /* cells that must remain for the stack */
	bool left;	       /* aligned */
	enum sort_column sort; /* SORT_COUNT = cannot be sorted by */
	void (*text)(const struct draw *draw, const struct site_stats *site, char *ret);
	void (*total)(const struct draw *draw, const struct side_stats *side, char *ret);
};

/* Columns chosen for a width, with their positions; the stack takes the rest. */
struct columns {
	size_t count;
	const struct column *columns[COLUMNS_MAX];
	unsigned starts[COLUMNS_MAX];
	unsigned site_start;
};

void columns_choose(struct columns *ret, unsigned width);

/* Name of a sort column for menus; its neighbour in the table (direction -1 or 1). */
const char *columns_sort_name(enum sort_column column);
enum sort_column columns_sort_neighbour(enum sort_column column, int direction);

#endif
