/* SPDX-License-Identifier: GPL-2.0-only */
/* A copy owns its own arrays of sites and history, found again by the picture it begins with. */
#include "core/picture.h"

#include "core/verdict.h"
#include "util/alloc.h"

#include <stdlib.h>
#include <string.h>

struct copy {
	struct picture picture; /* first: a copy is freed by its picture */
	struct site_stats *sites;
	struct history_point *history;
};

double picture_floor(const struct picture *picture, enum side side)
{
	return side == SIDE_KERNEL ? verdict_kernel_floor() : (double)picture->floor_bytes_per_s;
}

struct picture *picture_copy(const struct picture *picture)
{
	struct copy *copy = xmalloc(sizeof(*copy));

	copy->picture = *picture;
	copy->sites = xreallocarray(NULL, picture->site_count, sizeof(*copy->sites));
	copy->history = xreallocarray(NULL, picture->history_count, sizeof(*copy->history));
	if (picture->site_count)
		memcpy(copy->sites, picture->sites, picture->site_count * sizeof(*copy->sites));
	if (picture->history_count)
		memcpy(copy->history, picture->history,
		       picture->history_count * sizeof(*copy->history));
	copy->picture.sites = copy->sites;
	copy->picture.history = copy->history;
	return &copy->picture;
}

void picture_free(struct picture *picture)
{
	struct copy *copy = (struct copy *)picture;

	if (!copy)
		return;
	free(copy->sites);
	free(copy->history);
	free(copy);
}
