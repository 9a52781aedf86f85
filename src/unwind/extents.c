/* SPDX-License-Identifier: GPL-2.0-only */
#include "unwind/extents.h"

#include <errno.h>
#include <string.h>

void extents_deinit(struct extents *extents)
{
	vec_deinit(&extents->free);
	extents->free_count = 0;
}

static void remove_at(struct extents *extents, size_t index)
{
	struct extent *at = extents->free.data + index;

	memmove(at, at + 1, (extents->free.count - index - 1) * sizeof(*at));
	extents->free.count--;
}

int extents_take(struct extents *extents, uint32_t count, uint32_t *ret_first)
{
	for (size_t i = 0; i < extents->free.count; i++) {
		struct extent *extent = &extents->free.data[i];

		if (extent->count < count)
			continue;
		*ret_first = extent->first;
		extent->first += count;
		extent->count -= count;
		extents->free_count -= count;
		if (!extent->count)
			remove_at(extents, i);
		return 0;
	}
	return -ENOSPC;
}

void extents_give(struct extents *extents, uint32_t first, uint32_t count)
{
	struct extent *data;
	size_t i = 0;

	if (!count)
		return;
	vec_push(&extents->free);
	data = extents->free.data;
	while (i < extents->free.count - 1 && data[i].first < first)
		i++;
	memmove(data + i + 1, data + i, (extents->free.count - 1 - i) * sizeof(*data));
	data[i] = (struct extent){first, count};
	extents->free_count += count;
	if (i + 1 < extents->free.count && data[i].first + data[i].count == data[i + 1].first) {
		data[i].count += data[i + 1].count;
		remove_at(extents, i + 1);
	}
	if (i && data[i - 1].first + data[i - 1].count == data[i].first) {
		data[i - 1].count += data[i].count;
		remove_at(extents, i);
	}
}
