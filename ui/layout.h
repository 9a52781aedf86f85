/* SPDX-License-Identifier: GPL-2.0-only */
/* Which rows of a terminal of some size go to which part of the screen. */
#ifndef MEMTOP_UI_LAYOUT_H
#define MEMTOP_UI_LAYOUT_H

#include <stdbool.h>

#define LAYOUT_MIN_ROWS	   16
#define LAYOUT_MIN_COLUMNS 60
#define LAYOUT_NONE	   (~0u)
#define LAYOUT_PANE_WIDTH  20

struct layout {
	bool too_small;
	bool wide;		/* header lines in their long form */
	unsigned header_rows;	/* from row 0 */
	unsigned graph_row;	/* LAYOUT_NONE = no graph */
	unsigned graph_rows;	/* with the frame, if it has one */
	unsigned graph_columns; /* with the frame */
	bool boxed;		/* framed, panes beside it */
	unsigned panes;		/* of LAYOUT_PANE_WIDTH and a border each */
	unsigned heading_row;
	unsigned table_row, table_rows;
	unsigned foot_row;
	unsigned status_row; /* LAYOUT_NONE = none: notices cover the foot */
	unsigned keys_row;
};

struct layout layout_for(unsigned rows, unsigned columns, bool maps_pane);

#endif
