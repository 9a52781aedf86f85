/* SPDX-License-Identifier: GPL-2.0-only */
/* The table gets what is left; what it does not need least of all goes first on small screens. */
#include "ui/layout.h"

static unsigned clamp(unsigned value, unsigned low, unsigned high)
{
	return value < low ? low : value > high ? high : value;
}

struct layout layout_for(unsigned rows, unsigned columns, bool maps_pane)
{
	struct layout layout = {.graph_row = LAYOUT_NONE, .status_row = LAYOUT_NONE};

	if (rows < LAYOUT_MIN_ROWS || columns < LAYOUT_MIN_COLUMNS) {
		layout.too_small = true;
		return layout;
	}
	layout.wide = columns >= 110;
	layout.header_rows = rows >= 22 && columns >= 76 ? 5 : 3;
	layout.heading_row = layout.header_rows;
	if (layout.header_rows == 5 && rows >= 24) {
		layout.boxed = layout.wide && rows >= 30;
		layout.panes = layout.boxed ? (maps_pane && columns >= 150 ? 3 : 2) : 0;
		layout.graph_row = layout.header_rows;
		layout.graph_rows = layout.boxed ?
					    clamp(rows / 6 + (rows >= 36 ? 4 : 0), 5, 14) + 2 :
					    clamp(rows / 5, 5, 8);
		layout.graph_columns = columns - layout.panes * (LAYOUT_PANE_WIDTH + 1);
		layout.heading_row += layout.graph_rows;
	}
	layout.keys_row = rows - 1;
	layout.foot_row = rows - 2;
	if (rows >= 30) {
		layout.status_row = rows - 2;
		layout.foot_row = rows - 3;
	}
	layout.table_row = layout.heading_row + 1;
	layout.table_rows = layout.foot_row - layout.table_row;
	return layout;
}
