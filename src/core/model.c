/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two passes over the sites a tick, one that counts and one that judges, without allocation once
 * the sites are known: with many, it is memory that a tick waits for. Every site pays for its
 * counters, its track and its rate; only sites that could be called something pay for fits and
 * cohorts. Those are few by nature: each is live with as much as the floor adds up to in 16 s, and
 * all of them together are not more than the RSS.
 *
 * Within a generation index i of the snapshot stays the same site, so tracks and stats are arrays
 * beside it. A new generation empties them; the graph goes on.
 */
#include "core/model.h"

#include "core/accounting.h"
#include "core/forecast.h"
#include "core/format.h"
#include "core/history.h"
#include "core/holdings.h"
#include "core/losses.h"
#include "core/slopes.h"
#include "core/source.h"
#include "core/verdict.h"
#include "util/alloc.h"
#include "util/vec.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMOOTH_SECONDS 3.0
#define COHORT_SITES   512
#define SCORE_SECONDS  60.0 /* a byte a second is worth as much as so many live bytes */
#define JUDGED_SECONDS 16.0
#define JUDGED_BYTES   (1024.0 * 1024.0)
#define PEAK_FADE      0.995 /* a second */

/* What each tick touches stands together. */
struct site_track {
	uint64_t from_ns; /* the last tick at which it was not there, or its first */
	uint64_t mark_bytes, mark_blocks;
	uint64_t allocated_blocks;   /* at the tick before */
	double peak_bytes;	     /* of live, slowly forgotten */
	bool counted;		     /* is_counted(), without going for its info again */
	double blocks[TRACK_POINTS]; /* beside the recent scale of `bytes` */
	struct track bytes;
};

struct model {
	struct picture picture;
	struct history history;
	struct timeline timeline;
	struct track rss, headroom;
	uint64_t headroom_from_ns;
	enum limit_source limit_source;
	uint64_t limit_bytes;

	uint64_t first_attached_ns;
	uint64_t start_ns; /* first tick of the generation */
	bool started;
	double names_percent;

	VEC(struct mark) marks;
	struct baseline baseline;
	struct walk walk;
	struct totals side_before[SIDE_COUNT];
	struct holdings holdings;

	VEC(struct site_track) tracks;
	VEC(struct site_stats) stats;
	VEC(double) scores;
	double cohort_score; /* of the tick before: see cohort_score() */
};

struct model *model_new(void)
{
	struct model *model = xcalloc(1, sizeof(*model));

	model->names_percent = NAN;
	return model;
}

void model_free(struct model *model)
{
	if (!model)
		return;
	vec_deinit(&model->marks);
	vec_deinit(&model->tracks);
	vec_deinit(&model->stats);
	vec_deinit(&model->scores);
	free(model);
}

const struct picture *model_picture(const struct model *model)
{
	return &model->picture;
}

void model_set_names_percent(struct model *model, double percent)
{
	model->names_percent = percent;
}

static bool is_counted(const struct site_stats *stats)
{
	return !(stats->info->flags & SITE_UNMATCHED) && !stats->ended;
}

static void start_generation(struct model *model, const struct snapshot *snapshot)
{
	if (!model->started)
		model->first_attached_ns = snapshot->attached_ns;
	model->started = true;
	model->start_ns = snapshot->time_ns;
	model->tracks.count = model->stats.count = 0;
	model->marks.count = 0;
	memset(&model->baseline, 0, sizeof(model->baseline));
	memset(&model->timeline, 0, sizeof(model->timeline));
	memset(&model->walk, 0, sizeof(model->walk));
	memset(model->side_before, 0, sizeof(model->side_before));
	memset(model->picture.sides, 0, sizeof(model->picture.sides));
	memset(&model->holdings, 0, sizeof(model->holdings));
	memset(model->picture.holdings, 0, sizeof(model->picture.holdings));
}

/* How far a tick moves what is smoothed and what fades. */
struct step {
	double elapsed_s;
	double blend; /* weight of the newest in a smoothed rate */
	double fade;
};

static struct step step_of(double elapsed_s)
{
	return (struct step){.elapsed_s = elapsed_s,
			     .blend = 1 - exp(-elapsed_s / SMOOTH_SECONDS),
			     .fade = pow(PEAK_FADE, elapsed_s)};
}

/* Moves `rate` towards what happened in this step; at once where nothing was known. */
static double smoothed(double rate, const struct step *step, uint64_t now, uint64_t before)
{
	double happened = now > before ? now - before : 0;

	if (!(step->elapsed_s > 0))
		return rate;
	if (isnan(rate))
		return happened / step->elapsed_s;
	return rate + (happened / step->elapsed_s - rate) * step->blend;
}

static void site_begin(struct model *model, const struct site_sample *sample, uint64_t before_ns)
{
	struct site_track *track = vec_push(&model->tracks);
	struct site_stats *stats = vec_push(&model->stats);

	memset(track, 0, sizeof(*track));
	memset(stats, 0, sizeof(*stats));
	track->from_ns = before_ns;
	stats->allocations_per_s = NAN;
	if (!model->baseline.set) {
		track->mark_bytes = totals_live_bytes(&sample->totals);
		track->mark_blocks = totals_live_blocks(&sample->totals);
	}
}

static void site_count(struct model *model, size_t index, const struct site_sample *sample,
		       const struct slopes *slopes, const struct step *step)
{
	struct site_track *track = &model->tracks.data[index];
	struct site_stats *stats = &model->stats.data[index];
	uint64_t bytes = totals_live_bytes(&sample->totals);
	uint64_t blocks = totals_live_blocks(&sample->totals);
	unsigned slot = (model->timeline.next[SCALE_RECENT] + TRACK_POINTS - 1) % TRACK_POINTS;

	track_push(&track->bytes, &model->timeline, bytes);
	if (model->timeline.taken & (1u << SCALE_RECENT))
		track->blocks[slot] = blocks;
	track->peak_bytes = fmax(bytes, track->peak_bytes * step->fade);

	stats->info = sample->info;
	stats->ended = sample->ended;
	stats->resident_known = sample->resident_known;
	stats->resident_bytes = sample->resident_bytes;
	stats->totals = sample->totals;
	stats->oldest_s = stats->kept_ratio = stats->median_life_s = NAN;
	stats->delta_bytes = (int64_t)(bytes - track->mark_bytes);
	stats->delta_blocks = (int64_t)(blocks - track->mark_blocks);
	stats->allocations_per_s =
		smoothed(stats->allocations_per_s, step, sample->totals.allocated_blocks,
			 track->allocated_blocks);
	stats->rate_bytes_per_s =
		slopes_of(slopes, track->from_ns, track->bytes.values[SCALE_RECENT], bytes);
	stats->rate_blocks_per_s = slopes_of(slopes, track->from_ns, track->blocks, blocks);
	track->allocated_blocks = sample->totals.allocated_blocks;
	track->counted = is_counted(stats);
}

static void side_begin(struct side_stats *side, bool known)
{
	memset(&side->totals, 0, sizeof(side->totals));
	side->delta_bytes = side->delta_blocks = 0;
	side->ownerless_bytes = 0;
	side->rate_bytes_per_s = NAN;
	side->known = known;
}

static void sides_begin(struct picture *picture, const struct snapshot *snapshot)
{
	for (unsigned i = 0; i < SIDE_COUNT; i++) {
		side_begin(&picture->sides[i], snapshot->side_known[i]);
		picture->sides[i].before_attach_frees = snapshot->before_attach_frees[i];
	}
	picture->kernel_off = snapshot->kernel_off;
	for (unsigned i = 0; i < KERNEL_KINDS; i++) {
		side_begin(&picture->kernel_kinds[i], snapshot->kernel_kind_known[i]);
		picture->kernel_kind_why[i] = snapshot->kernel_kind_why[i];
	}
}

static void side_add(struct side_stats *side, const struct site_stats *stats)
{
	totals_add(&side->totals, &stats->totals);
	if (stats->info->kind == ABI_KIND_POPULATED || stats->info->kind == ABI_KIND_BEFORE_ATTACH)
		side->ownerless_bytes += totals_live_bytes(&stats->totals);
	side->delta_bytes += stats->delta_bytes;
	side->delta_blocks += stats->delta_blocks;
	if (isnan(side->rate_bytes_per_s))
		side->rate_bytes_per_s = stats->rate_bytes_per_s;
	else if (!isnan(stats->rate_bytes_per_s))
		side->rate_bytes_per_s += stats->rate_bytes_per_s;
}

static void sides_add(struct picture *picture, const struct site_stats *stats)
{
	side_add(&picture->sides[stats->info->side % SIDE_COUNT], stats);
	if (stats->info->side == SIDE_KERNEL && kernel_kind_of(stats->info->kind) < KERNEL_KINDS)
		side_add(&picture->kernel_kinds[kernel_kind_of(stats->info->kind)], stats);
}

static void sides_end(struct model *model, const struct step *step)
{
	struct side_stats *sides = model->picture.sides;

	for (unsigned i = 0; i < SIDE_COUNT; i++) {
		struct totals *before = &model->side_before[i], *now = &sides[i].totals;

		/* Where nothing was ever allocated, nothing grows. */
		if (sides[i].known && !now->allocated_blocks)
			sides[i].rate_bytes_per_s = 0;
		sides[i].allocations_per_s =
			smoothed(sides[i].allocations_per_s, step, now->allocated_blocks,
				 before->allocated_blocks);
		sides[i].frees_per_s = smoothed(sides[i].frees_per_s, step, now->freed_blocks,
						before->freed_blocks);
		*before = *now;
	}
}

static double score_of(const struct site_stats *stats)
{
	double rate = isnan(stats->rate_bytes_per_s) ? 0 : stats->rate_bytes_per_s;

	return totals_live_bytes(&stats->totals) + SCORE_SECONDS * fmax(rate, 0);
}

/* The score that `rank` sites reach or pass (Hoare, Find); reorders the scores. */
static double score_at(double *scores, size_t count, size_t rank)
{
	size_t low = 0, high = count - 1;

	while (low < high) {
		double pivot = scores[low + (high - low) / 2];
		size_t i = low, j = high;

		for (;;) {
			while (scores[i] > pivot)
				i++;
			while (scores[j] < pivot)
				j--;
			if (i >= j)
				break;
			double swap = scores[i];

			scores[i++] = scores[j];
			scores[j--] = swap;
		}
		if (rank <= j)
			high = j;
		else
			low = j + 1;
	}
	return scores[rank];
}

/*
 * From which score on the cohorts of a site are asked for. Only what is near the score of the tick
 * before is looked through, as long as it is enough.
 */
static double cohort_score(struct model *model)
{
	double *scores = model->scores.data, near = model->cohort_score / 2;
	size_t count = model->stats.count, found = 0;

	if (count <= COHORT_SITES)
		return 0;
	for (size_t i = 0; i < count; i++)
		if (scores[i] >= near) {
			double score = scores[i];

			scores[i] = scores[found];
			scores[found++] = score;
		}
	if (found < COHORT_SITES)
		found = count;
	model->cohort_score = score_at(scores, found, COHORT_SITES - 1);
	return model->cohort_score;
}

static bool is_worth_judging(const struct site_track *track, const struct site_stats *stats,
			     double floor)
{
	return track->peak_bytes >= fmin(JUDGED_BYTES, floor * JUDGED_SECONDS) ||
	       fabs(stats->rate_bytes_per_s) >= floor / 2 ||
	       stats->judgment.verdict > VERDICT_STEADY;
}

/* Page tables go with what is mapped: they are no leak of their own as long as they are few. */
static double site_floor(const struct picture *picture, const struct site_stats *stats)
{
	if (stats->info->flags & SITE_PAGE_TABLE)
		return verdict_page_table_floor(picture->floor_bytes_per_s,
						picture->rss_rate_bytes_per_s);
	return picture_floor(picture, stats->info->side);
}

/* With a fit for each scale: for the few sites that could be called something. */
static void site_weigh(const struct model *model, const struct site_track *track,
		       const struct ages *ages, struct site_stats *stats)
{
	const struct picture *picture = &model->picture;
	struct site_facts facts = {.ages = ages,
				   .rss_bytes = picture->memory.rss_bytes,
				   .floor_bytes_per_s = site_floor(picture, stats),
				   .kernel = stats->info->side == SIDE_KERNEL,
				   .before = stats->judgment.verdict};

	series_take(&facts.live, &track->bytes, &model->timeline, model->start_ns, picture->time_ns,
		    picture->time_unix_ns, totals_live_bytes(&stats->totals));
	verdict_site(&facts, &stats->judgment);
}

/* `quiet` is what all are judged that are not worth more. */
static void site_judge(struct model *model, size_t index, const struct ages *ages,
		       const struct judgment *quiet)
{
	const struct site_track *track = &model->tracks.data[index];
	struct site_stats *stats = &model->stats.data[index];

	if (!track->counted) {
		verdict_none(&stats->judgment);
	} else if (stats->info->flags & SITE_RECLAIMABLE) {
		verdict_reclaimable((model->picture.time_ns - model->start_ns) / 1e9,
				    stats->rate_bytes_per_s, &stats->judgment);
	} else if (is_worth_judging(track, stats, site_floor(&model->picture, stats))) {
		site_weigh(model, track, ages, stats);
	} else {
		stats->judgment = *quiet;
		stats->judgment.rate_bytes_per_s = stats->rate_bytes_per_s;
	}
}

static void sums_add(struct site_sums *sums, const struct site_stats *stats)
{
	const struct judgment *judgment = &stats->judgment;

	if (!(judgment->rate_bytes_per_s > 0) || stats->info->side == SIDE_MAPS)
		return;
	if (stats->info->side != SIDE_KERNEL)
		sums->rates[judgment->verdict] += judgment->rate_bytes_per_s;
	if (judgment->verdict == VERDICT_FILLING)
		sums->more_bytes +=
			fmax((double)judgment->level_bytes - totals_live_bytes(&stats->totals), 0);
	if (judgment->verdict == VERDICT_WARMING_UP)
		sums->due_s = fmax(sums->due_s, judgment->due_s);
	if (judgment->verdict == VERDICT_LEAKING &&
	    (!sums->leak || judgment->rate_bytes_per_s > sums->leak->rate_bytes_per_s))
		sums->leak = judgment;
}

static void sites_judge(struct model *model, struct source *source, struct site_sums *ret)
{
	double least = cohort_score(model);
	struct judgment quiet;
	size_t asked = 0;

	*ret = (struct site_sums){.known = model->picture.sides[SIDE_USER].known};
	verdict_quiet((model->picture.time_ns - model->start_ns) / 1e9, NAN, &quiet);
	for (size_t i = 0; i < model->stats.count; i++) {
		struct site_stats *stats = &model->stats.data[i];
		struct cohorts cohorts;
		struct ages ages;
		bool known = false;

		if (asked < COHORT_SITES && score_of(stats) >= least &&
		    stats->totals.allocated_blocks && model->tracks.data[i].counted) {
			asked++;
			known = source && !source_cohorts(source, i, &cohorts);
		}
		if (known) {
			ages = ages_of(&cohorts, model->picture.time_ns);
			stats->oldest_s = ages.oldest_s;
			stats->kept_ratio = ages.kept_ratio;
			stats->median_life_s = ages.median_life_s;
		}
		site_judge(model, i, known ? &ages : NULL, &quiet);
		sums_add(ret, stats);
	}
}

/*
 * Mapped is not resident: what of it is, is pages or blocks of the user side. What the kernel takes
 * back is nobody's concern.
 */
static bool is_top(const struct site_stats *stats, const struct site_stats *top)
{
	return stats->delta_bytes > (top ? top->delta_bytes : 0) && is_counted(stats) &&
	       stats->info->side != SIDE_MAPS && !(stats->info->flags & SITE_RECLAIMABLE);
}

static void top_take(struct model *model, const struct site_stats *top)
{
	struct picture *picture = &model->picture;
	int64_t grown = 0, rss = picture->growth.rss_bytes;

	if (picture->sides[SIDE_USER].delta_bytes > 0)
		grown += picture->sides[SIDE_USER].delta_bytes;
	grown = grown > rss ? grown : rss;
	if (picture->sides[SIDE_KERNEL].delta_bytes > 0)
		grown += picture->sides[SIDE_KERNEL].delta_bytes;
	picture->top_site = top ? top->info->id : 0;
	picture->top_share = top && grown > 0 ? fmin((double)top->delta_bytes / grown, 1) : NAN;
}

static void whole_judge(struct model *model, const struct site_sums *sums)
{
	struct picture *picture = &model->picture;
	struct whole_facts facts = {.sites = sums,
				    .explained_percent = picture->accounting.explained_percent,
				    .grown_bytes = picture->growth.rss_bytes,
				    .floor_bytes_per_s = picture->floor_bytes_per_s};

	series_take(&facts.rss, &model->rss, &model->timeline, model->start_ns, picture->time_ns,
		    picture->time_unix_ns, picture->memory.rss_bytes);
	verdict_whole(&facts, &picture->judgment);
	picture->rss_rate_bytes_per_s = picture->judgment.rate_bytes_per_s;
}

static void forecast_update(struct model *model)
{
	struct picture *picture = &model->picture;
	const struct charge *charge = &picture->charge;
	struct point minute[TRACK_WINDOW], recent[TRACK_WINDOW];
	size_t minutes, recents;

	/* Another limit is another headroom: what was before says nothing about it. */
	if (charge->source != model->limit_source || charge->limit_bytes != model->limit_bytes)
		model->headroom_from_ns = picture->time_ns;
	model->limit_source = charge->source;
	model->limit_bytes = charge->limit_bytes;
	picture->forecast = (struct forecast){NAN, NAN, NAN};
	if (charge->source == LIMIT_NONE || model->headroom_from_ns == picture->time_ns)
		return;
	minutes = track_window(&model->headroom, &model->timeline, SCALE_MINUTE, picture->time_ns,
			       model->headroom_from_ns, charge->headroom_bytes, minute);
	recents = track_window(&model->headroom, &model->timeline, SCALE_RECENT, picture->time_ns,
			       model->headroom_from_ns, charge->headroom_bytes, recent);
	picture->forecast =
		forecast_make(minute, minutes, recent, recents, picture->floor_bytes_per_s);
}

static void picture_take(struct model *model, const struct snapshot *snapshot)
{
	struct picture *picture = &model->picture;
	picture->tick++;
	picture->time_ns = snapshot->time_ns;
	picture->time_unix_ns = snapshot->time_unix_ns;
	picture->elapsed_s = snapshot->time_ns > model->first_attached_ns ?
				     (snapshot->time_ns - model->first_attached_ns) / 1e9 :
				     0;
	picture->generation = snapshot->generation;
	picture->allocator_count = snapshot->allocator_count;
	memcpy(picture->allocators, snapshot->allocators, sizeof(picture->allocators));
	picture->final = snapshot->final;
	picture->from_start = snapshot->from_start;
	picture->target = snapshot->target;
	picture->level = snapshot->level;
	snprintf(picture->level_reason, sizeof(picture->level_reason), "%s",
		 snapshot->level_reason ? snapshot->level_reason : "");
	picture->memory = snapshot->memory;
	picture->charge = snapshot->charge;
	picture->overhead = snapshot->overhead;
	memcpy(picture->losses, snapshot->losses, sizeof(picture->losses));
	picture->losses_total = losses_total(snapshot->losses);
	picture->unwind = snapshot->unwind;
	picture->floor_bytes_per_s = verdict_floor(snapshot->memory.rss_bytes);
	picture->names_percent = model->names_percent;
	picture->modules = snapshot->modules;
}

static void history_take(struct model *model, const struct snapshot *snapshot)
{
	struct picture *picture = &model->picture;
	struct history_point point = {.time_ns = snapshot->time_ns,
				      .rss_bytes = snapshot->memory.rss_bytes,
				      .charged_bytes = snapshot->charge.used_bytes ?
							       snapshot->charge.used_bytes :
							       snapshot->memory.rss_bytes};

	for (unsigned i = 0; i < SIDE_COUNT; i++)
		point.live_bytes[i] = totals_live_bytes(&picture->sides[i].totals);
	history_add(&model->history, &point);
	picture->history = model->history.points;
	picture->history_count = model->history.count;
}

/* Counts the sites; gives the one that grew most since the mark, NULL if none did. */
static const struct site_stats *sites_take(struct model *model, const struct snapshot *snapshot,
					   const struct step *step, uint64_t before_ns)
{
	struct picture *picture = &model->picture;
	const struct site_stats *top = NULL;
	uint64_t all = 0, truncated = 0;
	struct slopes slopes;

	slopes_take(&slopes, &model->timeline, snapshot->time_ns);
	vec_reserve(&model->tracks, snapshot->site_count);
	vec_reserve(&model->stats, snapshot->site_count);
	vec_reserve(&model->scores, snapshot->site_count);
	sides_begin(picture, snapshot);
	for (size_t i = 0; i < snapshot->site_count; i++) {
		const struct site_info *info = snapshot->sites[i].info;
		const struct site_stats *stats;

		if (i == model->tracks.count)
			site_begin(model, &snapshot->sites[i], before_ns);
		site_count(model, i, &snapshot->sites[i], &slopes, step);
		stats = &model->stats.data[i];
		model->scores.data[i] = score_of(stats);
		if (model->tracks.data[i].counted)
			sides_add(picture, stats);
		if (is_top(stats, top))
			top = stats;
		if (info->side == SIDE_USER)
			all += stats->totals.allocated_blocks;
		if (info->side == SIDE_USER && info->flags & SITE_TRUNCATED)
			truncated += stats->totals.allocated_blocks;
	}
	/* The share of the user side's allocations whose stack ends before its outermost frame. */
	picture->truncated_percent = all ? 100.0 * (double)truncated / (double)all : NAN;
	picture->site_count = model->stats.count;
	picture->sites = model->stats.data;
	sides_end(model, step);
	return top;
}

/* Of a process that has gone nothing can be read: what it was last is what there is to tell. */
static void keep_last(const struct picture *picture, struct snapshot *snapshot)
{
	if (snapshot->target.status == TARGET_RUNNING || snapshot->memory.rss_bytes ||
	    !picture->tick)
		return;
	snapshot->memory = picture->memory;
	snapshot->charge = picture->charge;
}

void model_update(struct model *model, struct source *source, const struct snapshot *facts)
{
	struct snapshot last = *facts, *snapshot = &last;
	struct picture *picture = &model->picture;
	bool begins = !model->started || snapshot->generation != picture->generation ||
		      snapshot->site_count < model->stats.count;
	uint64_t before_ns = begins ? snapshot->attached_ns : picture->time_ns;
	bool again = begins && model->started;
	bool other_book =
		!begins && snapshot->level == LEVEL_PAGES && picture->level != LEVEL_PAGES;
	const struct site_stats *top;
	struct site_sums sums;
	struct step step;

	keep_last(picture, snapshot);
	if (begins)
		start_generation(model, snapshot);
	/* A book that went on over the generation's begin says nothing of what happened since. */
	step = step_of(!again && snapshot->time_ns > before_ns ?
			       (snapshot->time_ns - before_ns) / 1e9 :
			       0);
	picture_take(model, snapshot);
	timeline_advance(&model->timeline, snapshot->time_ns);
	track_push(&model->rss, &model->timeline, snapshot->memory.rss_bytes);
	track_push(&model->headroom, &model->timeline, snapshot->charge.headroom_bytes);
	top = sites_take(model, snapshot, &step, begins ? snapshot->time_ns : before_ns);
	sites_judge(model, source, &sums);
	holdings_update(&model->holdings, &model->timeline, snapshot, picture);
	history_take(model, snapshot);

	accounting_split(&model->walk, snapshot, picture->sides, &picture->accounting);
	/* What pages hold says nothing of how blocks grew since a mark. */
	if (!model->baseline.set || other_book)
		model_mark(model, other_book ? level_name(snapshot->level) : "attach");
	accounting_growth(&model->baseline, snapshot, picture->sides, &picture->accounting,
			  &picture->growth);
	top_take(model, top);
	whole_judge(model, &sums);
	forecast_update(model);
}

void model_mark(struct model *model, const char *name)
{
	struct picture *picture = &model->picture;
	struct mark *mark;

	if (!model->started)
		return;
	mark = vec_push(&model->marks);
	memset(mark, 0, sizeof(*mark));
	mark->time_ns = picture->time_ns;
	mark->time_unix_ns = picture->time_unix_ns;
	if (name && *name)
		snprintf(mark->name, sizeof(mark->name), "%s", name);
	else
		snprintf(mark->name, sizeof(mark->name), "mark %zu", model->marks.count - 1);
	picture->mark = *mark;
	for (size_t i = 0; i < model->tracks.count; i++) {
		const struct totals *totals = &model->stats.data[i].totals;

		model->tracks.data[i].mark_bytes = totals_live_bytes(totals);
		model->tracks.data[i].mark_blocks = totals_live_blocks(totals);
	}
	holdings_mark(&model->holdings, picture);
	baseline_set(&model->baseline, &picture->memory, picture->time_ns, picture->sides,
		     &picture->accounting);
}
