/* SPDX-License-Identifier: GPL-2.0-only */
/* The table of sites: heading, rows, unfolded sites, totals below. */
#ifndef MEMTOP_UI_TABLE_H
#define MEMTOP_UI_TABLE_H

#include "ui/draw.h"

/* Where the table stands between drawings. */
struct table {
	size_t top;		/* first row shown */
	unsigned detail;	/* lines of the cursor's unfolded site scrolled out on top */
	unsigned detail_hidden; /* lines of it below the last row shown */
	unsigned page;		/* rows of the last drawing */
};

void table_draw(struct table *table, const struct draw *draw);

#endif
