/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * RSS is given out like water: each part takes what it needs from what is left, so that the parts
 * can never be more than the whole, however old one of the numbers is; what nobody took is the
 * unexplained part.
 *
 * Explained is growth that has an owner: live blocks with what their allocator adds to each, files,
 * shared memory, stacks, and mappings as far as their own book knows them. Slack has none: it may
 * be an allocator that is not tracked.
 */
#include "core/accounting.h"

#include <math.h>

/* Most of what malloc adds to a block: its header and rounding up to 16 bytes. */
#define BLOCK_EXTRA_BYTES 24
/* Less growth than this is not worth explaining. */
#define GROWTH_LEAST_BYTES (1024 * 1024)

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t take(uint64_t *left, uint64_t wanted)
{
	uint64_t taken = least(*left, wanted);

	*left -= taken;
	return taken;
}

static int64_t difference(uint64_t now, uint64_t then)
{
	return (int64_t)(now - then);
}

/* At level pages the user side's rows are resident pages, of whatever kind. */
static bool live_blocks_known(const struct snapshot *snapshot, const struct side_stats *sides)
{
	return sides[SIDE_USER].known && snapshot->level != LEVEL_PAGES;
}

/* What the user side's book holds as blocks of the heap. */
static uint64_t live_blocks_bytes(const struct snapshot *snapshot, const struct side_stats *sides)
{
	return live_blocks_known(snapshot, sides) ? totals_live_bytes(&sides[SIDE_USER].totals) : 0;
}

/* What of it has an owner. */
static uint64_t user_live(const struct side_stats *sides)
{
	uint64_t live = totals_live_bytes(&sides[SIDE_USER].totals);

	return live - least(live, sides[SIDE_USER].ownerless_bytes);
}

static uint64_t heap_now(struct walk *walk, const struct memory *memory, uint64_t live)
{
	uint64_t sum = memory->heap_mapped_bytes + memory->anon_maps_bytes + memory->stacks_bytes;
	uint64_t grown;

	if (walk->heap_mapped_bytes != memory->heap_mapped_bytes ||
	    walk->anon_maps_bytes != memory->anon_maps_bytes ||
	    walk->stacks_bytes != memory->stacks_bytes) {
		walk->heap_mapped_bytes = memory->heap_mapped_bytes;
		walk->anon_maps_bytes = memory->anon_maps_bytes;
		walk->stacks_bytes = memory->stacks_bytes;
		walk->live_bytes = live;
	}
	/* What grew since the walk is the heap's as far as the heap's live blocks grew. */
	grown = live > walk->live_bytes ? live - walk->live_bytes : 0;
	return memory->heap_mapped_bytes +
	       least(memory->anon_bytes > sum ? memory->anon_bytes - sum : 0, grown);
}

void accounting_split(struct walk *walk, const struct snapshot *snapshot,
		      const struct side_stats *sides, struct accounting *ret)
{
	const struct memory *memory = &snapshot->memory;
	uint64_t live = live_blocks_bytes(snapshot, sides);
	uint64_t left = memory->rss_bytes, heap, maps;

	*ret = (struct accounting){.known = memory->parts_known, .explained_percent = NAN};
	if (!ret->known)
		return;
	ret->live_known = live_blocks_known(snapshot, sides);
	ret->file_bytes = take(&left, memory->file_bytes);
	ret->shmem_bytes = take(&left, memory->shmem_bytes);
	ret->stacks_bytes = take(&left, memory->stacks_bytes);
	heap = take(&left, heap_now(walk, memory, live));
	maps = take(&left, memory->anon_maps_bytes);
	/* Large blocks lie in mappings of their own. */
	ret->heap_live_bytes = take(&heap, live);
	ret->heap_live_bytes += take(&maps, live - ret->heap_live_bytes);
	ret->slack_or_before_bytes = heap;
	ret->anon_maps_bytes = maps;
	ret->unexplained_bytes = left;
}

void baseline_set(struct baseline *baseline, const struct memory *memory, uint64_t time_ns,
		  const struct side_stats *sides, const struct accounting *parts)
{
	*baseline = (struct baseline){.set = true,
				      .parts_known = parts->known,
				      .time_ns = time_ns,
				      .rss_bytes = memory->rss_bytes,
				      .file_bytes = memory->file_bytes,
				      .shmem_bytes = memory->shmem_bytes,
				      .live_blocks = totals_live_blocks(&sides[SIDE_USER].totals),
				      .parts = *parts};
	for (unsigned i = 0; i < SIDE_COUNT; i++)
		baseline->live_bytes[i] = totals_live_bytes(&sides[i].totals);
	baseline->live_bytes[SIDE_USER] = user_live(sides);
}

static double explained(const struct baseline *baseline, const struct side_stats *sides,
			const struct accounting *parts, const struct growth *growth)
{
	int64_t user = difference(user_live(sides), baseline->live_bytes[SIDE_USER]);
	int64_t maps = difference(totals_live_bytes(&sides[SIDE_MAPS].totals),
				  baseline->live_bytes[SIDE_MAPS]);
	int64_t blocks =
		difference(totals_live_blocks(&sides[SIDE_USER].totals), baseline->live_blocks);
	double owned, extra = blocks > 0 ? (double)blocks * BLOCK_EXTRA_BYTES : 0;

	if (!sides[SIDE_USER].known || growth->rss_bytes < GROWTH_LEAST_BYTES)
		return NAN;
	owned = user + extra + growth->file_bytes + growth->shmem_bytes;
	if (parts->known && baseline->parts_known) {
		int64_t anon = difference(parts->anon_maps_bytes, baseline->parts.anon_maps_bytes);

		owned = growth->user_bytes + fmin(extra, fmax(growth->slack_bytes, 0)) +
			growth->file_bytes + growth->shmem_bytes +
			difference(parts->stacks_bytes, baseline->parts.stacks_bytes);
		if (sides[SIDE_MAPS].known)
			owned += fmax(fmin(anon, maps), 0);
	}
	return 100 * fmin(fmax(owned / growth->rss_bytes, 0), 1);
}

/* Pages are in one row each, whatever they are pages of: the other parts would be them again. */
static void growth_of_pages(const struct side_stats *sides, struct accounting *parts,
			    struct growth *ret)
{
	ret->maps_bytes = ret->slack_bytes = ret->file_bytes = ret->shmem_bytes = 0;
	parts->explained_percent = NAN;
	if (sides[SIDE_USER].known && ret->rss_bytes >= GROWTH_LEAST_BYTES)
		parts->explained_percent =
			100 * fmin(fmax((double)ret->user_bytes / ret->rss_bytes, 0), 1);
}

/*
 * The first walk comes some ticks after the mark: its parts are counted from there, but for the
 * live blocks, whose own book tells how they grew since the mark.
 */
static void baseline_complete(struct baseline *baseline, const struct snapshot *snapshot,
			      const struct side_stats *sides, const struct accounting *parts)
{
	int64_t live = difference(totals_live_bytes(&sides[SIDE_USER].totals),
				  baseline->live_bytes[SIDE_USER]);
	int64_t rss = difference(snapshot->memory.rss_bytes, baseline->rss_bytes);

	baseline->parts = *parts;
	baseline->parts_known = true;
	if (sides[SIDE_USER].known && live > 0 && rss > 0)
		take(&baseline->parts.heap_live_bytes, least((uint64_t)live, (uint64_t)rss));
}

void accounting_growth(struct baseline *baseline, const struct snapshot *snapshot,
		       const struct side_stats *sides, struct accounting *parts, struct growth *ret)
{
	const struct accounting *from = &baseline->parts;

	if (parts->known && !baseline->parts_known)
		baseline_complete(baseline, snapshot, sides, parts);
	*ret = (struct growth){0};
	ret->elapsed_s = (snapshot->time_ns - baseline->time_ns) / 1e9;
	ret->rss_bytes = difference(snapshot->memory.rss_bytes, baseline->rss_bytes);
	ret->file_bytes = difference(snapshot->memory.file_bytes, baseline->file_bytes);
	ret->shmem_bytes = difference(snapshot->memory.shmem_bytes, baseline->shmem_bytes);
	ret->user_bytes = difference(user_live(sides), baseline->live_bytes[SIDE_USER]);
	ret->maps_bytes = difference(totals_live_bytes(&sides[SIDE_MAPS].totals),
				     baseline->live_bytes[SIDE_MAPS]);
	/* Watched again, it begins with an empty book. */
	if (!sides[SIDE_KERNEL].known)
		baseline->live_bytes[SIDE_KERNEL] = 0;
	ret->kernel_bytes = difference(totals_live_bytes(&sides[SIDE_KERNEL].totals),
				       baseline->live_bytes[SIDE_KERNEL]);
	if (snapshot->level == LEVEL_PAGES) {
		growth_of_pages(sides, parts, ret);
		return;
	}
	if (parts->known) {
		if (sides[SIDE_USER].known)
			ret->user_bytes = difference(parts->heap_live_bytes, from->heap_live_bytes);
		ret->slack_bytes =
			difference(parts->slack_or_before_bytes, from->slack_or_before_bytes);
		ret->maps_bytes = difference(parts->anon_maps_bytes + parts->stacks_bytes,
					     from->anon_maps_bytes + from->stacks_bytes);
	}
	parts->explained_percent = explained(baseline, sides, parts, ret);
}
