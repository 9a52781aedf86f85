/* SPDX-License-Identifier: GPL-2.0-only */
/* Helpers of several parts of the screen. */
#include "ui/draw.h"

#include <string.h>

static unsigned pieces_width(const struct canvas *canvas, const struct piece *pieces, size_t count,
			     unsigned rank)
{
	unsigned width = 0;

	for (size_t i = 0; i < count; i++)
		if (pieces[i].text[0] && pieces[i].rank <= rank)
			width += (width ? canvas_width(canvas, pieces[i].before) : 0) +
				 canvas_width(canvas, pieces[i].text);
	return width;
}

unsigned draw_pieces(struct canvas *canvas, unsigned row, unsigned column, unsigned width,
		     const struct piece *pieces, size_t count)
{
	unsigned rank = 9, used = 0;

	while (rank > 0 && pieces_width(canvas, pieces, count, rank) > width)
		rank--;
	for (size_t i = 0; i < count && used < width; i++) {
		if (!pieces[i].text[0] || pieces[i].rank > rank)
			continue;
		if (used)
			used += canvas_text(canvas, row, column + used, width - used, STYLE_DIM,
					    pieces[i].before);
		used += canvas_text_cut(canvas, row, column + used, width - used, pieces[i].style,
					pieces[i].text);
	}
	return used;
}

void draw_apportion(const double *parts, size_t count, uint64_t units, uint64_t *ret)
{
	double sum = 0;
	uint64_t given = 0;

	for (size_t i = 0; i < count; i++)
		sum += parts[i];
	for (size_t i = 0; i < count; i++) {
		ret[i] = sum > 0 ? (uint64_t)(parts[i] / sum * (double)units) : 0;
		given += ret[i];
	}
	/* The units that rounding down left over go to the largest remainders. */
	while (sum > 0 && given < units) {
		size_t best = 0;
		double most = -1;

		for (size_t i = 0; i < count; i++) {
			double rest = parts[i] / sum * (double)units - (double)ret[i];

			if (rest > most) {
				most = rest;
				best = i;
			}
		}
		ret[best]++;
		given++;
	}
}
