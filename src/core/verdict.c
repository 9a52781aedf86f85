/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The rules.
 *
 * Growth is a slope over the last minute (the last 16 s while not more is known) that is above the
 * floor and three times its own error. The floor is what would take 24,000 s to add the RSS once
 * more, rounded to 4 KiB/s, at least 4 KiB/s.
 *
 * Growth is a leak if old blocks (core/ages.h) are kept, and at a steady pace. That alone does not
 * tell a leak from a cache that still fills or from long lives that began with the watch; patience
 * does, and how much of it depends on what else is known:
 *
 *   some old blocks kept, others freed    at once where it grows by 1 MiB/s or more: honest blocks
 *   from the same stack                   of one kind do not live either shortly or for ever
 *   all old blocks kept                   after 30 s of steady growth by 1 MiB/s or more and with
 *                                         more kept than a modest cache holds
 *   either, slower                        after 70 s (all) or 60 s (some), once more is kept than a
 *                                         modest cache holds, or after ten minutes
 *
 * "All" begins at four of five. A modest cache is 16 MiB, or 1/40 of the RSS where that is more.
 * Growth must go on evenly up to now. Until then it is too early, and the judgment says when it is
 * due. What grows while its old blocks are all freed piles up. What grew and stopped is judged by
 * its shape.
 *
 * A leak stays one while it grows and keeps, even unsteadily.
 *
 * What the kernel holds for a target is small and hardly ever a cache: handles and what hangs on
 * them. So there the floor is 4 KiB/s whatever the RSS, 16 KiB/s is fast, 64 KiB is modest, and
 * steady growth of which all or most is kept is called a leak after 8.5 s: in the ninth second.
 * Caches that the kernel gives up by itself when memory is short (inodes, dentries, what the page
 * cache hangs on its pages) grow with each file that is read or written, as long as nobody needs
 * the memory: they are called nothing. Page tables are no handles: they go with what is mapped, a
 * page for every 512. Theirs is the floor of RSS, or four times what its growth needs where that is
 * more.
 */
#include "core/verdict.h"

#include <math.h>
#include <string.h>

#define KIB		1024.0
#define MIB		(1024.0 * 1024.0)
#define FLOOR_SECONDS	24000.0
#define FLOOR_STEP	4096.0
#define WATCH_S		9.5  /* a tick less than 10 s, so that the tenth tick judges */
#define SETTLE_S	5.0  /* after the start, until blocks in flight are all known */
#define MINUTE_SPAN_S	23.0 /* from this span on the minute tells more than the recent past */
#define ALL_KEPT	0.98 /* for the sentence */
#define MOST_KEPT	0.8  /* a full cache that replaces passes slowly from all to less */
#define STILL		0.7  /* of the slope of the minute is left in the last seconds */
#define KEPT_NOTHING	0.002
#define TABLE_PAGES	512.0 /* a last-level page table maps, on machines of 4 KiB pages */
#define TABLES_MOST	4.0   /* times as many as pages side by side need: a healthy spread */
#define GONE_BLOCKS	0.25  /* the oldest row may reach into those that still live */
#define KEPT_BLOCKS	8
#define SLOW_ALL_S	70.0
#define SLOW_SOME_S	60.0
#define LONG_S		600.0
#define PILING_S	30.0
#define SHAPE_SECONDS	20.0 /* what the floor adds up to in so long is no shape */
#define SHAPE_OF_RSS	128.0
#define SITE_FALL	0.6
#define WHOLE_FALL	0.1
#define WHOLE_LEAST	(4 * MIB)
#define LEAK_SHARE	0.5
#define EXPLAINED_LEAST 90.0

static const struct patience {
	double watch_s;
	double fast_bytes_s, fast_all_s;
	double cache_bytes, cache_of_rss;
	double shape_bytes; /* at least */
} patience_table[] = {
	[false] = {.watch_s = WATCH_S,
		   .fast_bytes_s = 1 * MIB,
		   .fast_all_s = 30,
		   .cache_bytes = 16 * MIB,
		   .cache_of_rss = 40,
		   .shape_bytes = 4 * MIB},
	[true] = {.watch_s = WATCH_S - 1,
		  .fast_bytes_s = 16 * KIB,
		  .fast_all_s = WATCH_S - 1,
		  .cache_bytes = 64 * KIB,
		  .cache_of_rss = INFINITY,
		  .shape_bytes = 64 * KIB},
};

static const struct patience *patience_of(const struct site_facts *facts)
{
	return &patience_table[facts->kernel];
}

double verdict_kernel_floor(void)
{
	return FLOOR_STEP;
}

double verdict_page_table_floor(double floor, double rss_rate_bytes_per_s)
{
	return fmax(floor, TABLES_MOST * rss_rate_bytes_per_s / TABLE_PAGES);
}

uint64_t verdict_floor(uint64_t rss_bytes)
{
	double floor = round(rss_bytes / FLOOR_SECONDS / FLOOR_STEP) * FLOOR_STEP;

	return fmax(floor, FLOOR_STEP);
}

void series_take(struct series *series, const struct track *track, const struct timeline *timeline,
		 uint64_t start_ns, uint64_t now_ns, uint64_t now_unix_ns, double current)
{
	uint64_t settled = start_ns + (uint64_t)(SETTLE_S * 1e9);

	series->watch_s = now_ns > start_ns ? (now_ns - start_ns) / 1e9 : 0;
	series->now_unix_ns = now_unix_ns;
	for (unsigned i = 0; i < SCALE_COUNT; i++) {
		uint64_t from = i == SCALE_RECENT ? start_ns : settled;

		series->windows[i].count = track_window(track, timeline, i, now_ns, from, current,
							series->windows[i].points);
		series->windows[i].fit =
			trend_fit(series->windows[i].points, series->windows[i].count);
	}
}

static enum scale main_scale(const struct series *series)
{
	return series->windows[SCALE_MINUTE].fit.span_s >= MINUTE_SPAN_S ? SCALE_MINUTE :
									   SCALE_RECENT;
}

static bool fit_grows(const struct fit *fit, double floor)
{
	return fit->slope > floor && fit->slope > 3 * fit->error;
}

static bool window_steady(const struct series *series, enum scale scale)
{
	return trend_steady(series->windows[scale].points, series->windows[scale].count);
}

static double window_low(const struct series *series, enum scale scale)
{
	double low = INFINITY;

	for (size_t i = 0; i < series->windows[scale].count; i++)
		low = fmin(low, series->windows[scale].points[i].value);
	return low;
}

static void judge(struct judgment *ret, enum verdict verdict, double confidence)
{
	ret->verdict = verdict;
	ret->confidence = confidence;
}

static void judge_early(struct judgment *ret, double due_s)
{
	judge(ret, VERDICT_WARMING_UP, 0);
	ret->due_s = fmax(due_s, 1);
}

/* More confident the longer it was watched; never certain. */
static double confidence_after(double watch_s)
{
	return 0.99 - 0.39 * exp(-watch_s / 60);
}

/* Less up and down than this is no shape: blocks in flight come and go. */
static double shape_amplitude(double floor, double rss)
{
	return fmax(fmax(patience_table[false].shape_bytes, rss / SHAPE_OF_RSS),
		    floor * SHAPE_SECONDS);
}

static double site_amplitude(const struct site_facts *facts)
{
	if (facts->kernel)
		return fmax(patience_of(facts)->shape_bytes,
			    facts->floor_bytes_per_s * SHAPE_SECONDS);
	return shape_amplitude(facts->floor_bytes_per_s, facts->rss_bytes);
}

/* A fall is one by this much at least: by `part` of the height. */
static double fall_of(const struct series *series, enum scale scale, double amplitude, double part)
{
	double high = 0;

	for (size_t i = 0; i < series->windows[scale].count; i++)
		high = fmax(high, series->windows[scale].points[i].value);
	return fmax(amplitude, high * part);
}

/* What does not grow now: by the shape of the last minute, else of the last minutes. */
static void judge_shape(const struct series *series, double amplitude, double part,
			struct judgment *ret)
{
	double level, time_s;

	for (unsigned i = SCALE_MINUTE; i < SCALE_COUNT; i++) {
		const struct point *points = series->windows[i].points;
		size_t count = series->windows[i].count;

		if (trend_falls(points, count, fall_of(series, i, amplitude, part), &level) >= 2) {
			judge(ret, VERDICT_SAWTOOTH, 0.8);
			ret->level_bytes = level;
			return;
		}
		if (trend_step(points, count, amplitude, &level, &time_s)) {
			judge(ret, VERDICT_BURST, 0.8);
			ret->level_bytes = level;
			ret->since_unix_ns = series->now_unix_ns + (int64_t)(time_s * 1e9);
			return;
		}
	}
	judge(ret, VERDICT_STEADY, confidence_after(series->watch_s));
}

/* Growth that runs out, seen over the longest window that says so. */
static bool judge_filling(const struct series *series, struct judgment *ret)
{
	double level;

	for (unsigned i = SCALE_COUNT; i-- > (unsigned)main_scale(series);) {
		if (series->windows[i].fit.span_s < MINUTE_SPAN_S ||
		    !trend_slowing(series->windows[i].points, series->windows[i].count, &level))
			continue;
		judge(ret, VERDICT_FILLING, 0.7);
		ret->level_bytes = level;
		return true;
	}
	return false;
}

static bool is_fast(const struct site_facts *facts)
{
	return facts->live.windows[SCALE_RECENT].fit.slope >= patience_of(facts)->fast_bytes_s;
}

static bool keeps_most(const struct ages *ages)
{
	return ages->kept_ratio >= MOST_KEPT;
}

static bool has_fallen(const struct series *series, double amplitude)
{
	double level;

	for (unsigned i = 0; i < SCALE_COUNT; i++)
		if (trend_falls(series->windows[i].points, series->windows[i].count,
				fall_of(series, i, amplitude, SITE_FALL), &level))
			return true;
	return false;
}

static double current_of(const struct series *series)
{
	return series->windows[SCALE_RECENT].points[series->windows[SCALE_RECENT].count - 1].value;
}

/* No leak is called where growth is uneven, or where all that was kept went away before. */
static bool is_even(const struct site_facts *facts, double amplitude)
{
	const struct series *live = &facts->live;

	if (is_fast(facts) && !keeps_most(facts->ages))
		return window_steady(live, SCALE_RECENT);
	return window_steady(live, main_scale(live)) && !has_fallen(live, amplitude) &&
	       live->windows[SCALE_RECENT].fit.slope >=
		       STILL * live->windows[main_scale(live)].fit.slope;
}

static double modest_cache(const struct site_facts *facts)
{
	const struct patience *patience = patience_of(facts);

	return fmax(patience->cache_bytes, facts->rss_bytes / patience->cache_of_rss);
}

/* Seconds until `facts` may be called a leak; 0 = now. */
static double leak_due_s(const struct site_facts *facts, double slope)
{
	const struct series *live = &facts->live;
	bool all = keeps_most(facts->ages), fast = is_fast(facts);
	double cache = modest_cache(facts);
	double current =
		live->windows[SCALE_LONG].points[live->windows[SCALE_LONG].count - 1].value;
	double kept = fmin(facts->ages->old_bytes, current - window_low(live, SCALE_LONG));
	double by_amount = fmax(cache - kept, 0) / slope;
	double patience;

	if (fast && !all)
		return facts->ages->decaying ? fmax(SLOW_SOME_S - live->watch_s, 0) : 0;
	if (fast)
		patience = patience_of(facts)->fast_all_s;
	else
		patience = all ? SLOW_ALL_S : SLOW_SOME_S;
	by_amount = fmin(by_amount, fmax(LONG_S - live->watch_s, 0));
	return fmax(patience - live->watch_s, by_amount);
}

static void judge_leak(const struct site_facts *facts, double slope, struct judgment *ret)
{
	ret->rate_bytes_per_s = slope; /* steadier than that of the last seconds */
	judge(ret, VERDICT_LEAKING, confidence_after(facts->live.watch_s));
	ret->one_in = facts->ages->kept_ratio >= ALL_KEPT ? NAN : 1 / facts->ages->kept_ratio;
}

/* Blocks in flight wander too: an uneven slope of what is freed is no backlog. */
static void judge_piling(const struct series *live, double amplitude, struct judgment *ret)
{
	if (!window_steady(live, main_scale(live)))
		judge_shape(live, amplitude, SITE_FALL, ret);
	else if (live->watch_s < PILING_S)
		judge_early(ret, PILING_S - live->watch_s);
	else
		judge(ret, VERDICT_GROWING, 0.7);
}

static void judge_growth(const struct site_facts *facts, double amplitude, double slope,
			 struct judgment *ret)
{
	const struct series *live = &facts->live;
	const struct ages *ages = facts->ages;
	bool leaked = facts->before == VERDICT_LEAKING;
	double due_s;

	if (ages && ages->kept_ratio >= KEPT_NOTHING && ages->old_blocks >= KEPT_BLOCKS && leaked) {
		judge_leak(facts, slope, ret);
	} else if (judge_filling(live, ret)) {
		return;
	} else if (ages && isnan(ages->kept_ratio) && ages->oldest_kept < GONE_BLOCKS) {
		/* Lives grow with the backlog, so that none is ever old by its own measure. */
		judge_piling(live, amplitude, ret);
	} else if (!ages || isnan(ages->kept_ratio)) {
		/* Without cohorts no age is known, and growth is all that can be said. */
		due_s = (ages ? ages->old_s : SLOW_ALL_S) - live->watch_s;
		if (due_s > 0 || live->watch_s < SLOW_ALL_S)
			judge_early(ret, due_s);
		else
			judge(ret, VERDICT_GROWING, 0.5);
	} else if (ages->kept_ratio < KEPT_NOTHING || ages->old_blocks < KEPT_BLOCKS) {
		judge_piling(live, amplitude, ret);
	} else {
		due_s = leak_due_s(facts, slope);
		if (due_s > 0)
			judge_early(ret, due_s);
		else if (!is_even(facts, amplitude))
			judge_early(ret, MINUTE_SPAN_S);
		else
			judge_leak(facts, slope, ret);
	}
}

static void judgment_init(struct judgment *ret, double rate)
{
	memset(ret, 0, sizeof(*ret));
	ret->rate_bytes_per_s = rate;
	ret->one_in = NAN;
	ret->explained_percent = NAN;
}

void verdict_none(struct judgment *ret)
{
	judgment_init(ret, NAN);
}

void verdict_quiet(double watch_s, double rate_bytes_per_s, struct judgment *ret)
{
	judgment_init(ret, rate_bytes_per_s);
	if (watch_s < WATCH_S)
		judge_early(ret, WATCH_S - watch_s);
	else
		judge(ret, VERDICT_STEADY, confidence_after(watch_s));
}

void verdict_reclaimable(double watch_s, double rate_bytes_per_s, struct judgment *ret)
{
	judgment_init(ret, rate_bytes_per_s);
	judge(ret, VERDICT_STEADY, confidence_after(watch_s));
}

void verdict_site(const struct site_facts *facts, struct judgment *ret)
{
	const struct series *live = &facts->live;
	const struct fit *recent = &live->windows[SCALE_RECENT].fit;
	const struct fit *trend = &live->windows[main_scale(live)].fit;
	double floor = facts->floor_bytes_per_s;
	double amplitude = site_amplitude(facts);
	const struct patience *patience = patience_of(facts);

	judgment_init(ret, recent->slope);
	if (live->watch_s < patience->watch_s) {
		judge_early(ret, patience->watch_s - live->watch_s);
		return;
	}
	/* What began fast within the last minute is seen before the minute's line follows it. */
	if (recent->slope >= patience->fast_bytes_s && fit_grows(recent, floor) &&
	    !fit_grows(trend, floor) && window_steady(live, SCALE_RECENT))
		trend = recent;
	/* A step leaves a slope in the line of the minute; it is told by its shape. */
	judge_shape(live, amplitude, SITE_FALL, ret);
	if (fit_grows(trend, floor) &&
	    (ret->verdict != VERDICT_BURST || fit_grows(recent, floor))) {
		judgment_init(ret, recent->slope);
		judge_growth(facts, amplitude, trend->slope, ret);
	}
}

static void judge_whole_growth(const struct whole_facts *facts, double slope, struct judgment *ret)
{
	const struct site_sums *sites = facts->sites;
	enum verdict most = VERDICT_GROWING;

	for (unsigned i = 0; i < VERDICT_COUNT; i++)
		if (sites->rates[i] > sites->rates[most])
			most = i;
	if (judge_filling(&facts->rss, ret))
		return;
	if (!sites->known) {
		judge(ret, VERDICT_GROWING, confidence_after(facts->rss.watch_s));
		return;
	}
	if (facts->explained_percent < EXPLAINED_LEAST && facts->grown_bytes >= WHOLE_LEAST &&
	    facts->rss.watch_s >= PILING_S) {
		judge(ret, VERDICT_UNEXPLAINED, 0.5);
		ret->explained_percent = facts->explained_percent;
		return;
	}
	/* Growth is named after the sites that it comes from, where they tell. */
	if (sites->rates[most] < slope * LEAK_SHARE)
		most = VERDICT_GROWING;
	if (most == VERDICT_WARMING_UP) {
		judge_early(ret, sites->due_s);
	} else if (most == VERDICT_FILLING) {
		judge(ret, VERDICT_FILLING, 0.6);
		ret->level_bytes = current_of(&facts->rss) + sites->more_bytes;
	} else if (!window_steady(&facts->rss, main_scale(&facts->rss))) {
		judge_shape(&facts->rss,
			    shape_amplitude(facts->floor_bytes_per_s, current_of(&facts->rss)),
			    WHOLE_FALL, ret);
	} else {
		judge(ret, VERDICT_GROWING, 0.6);
	}
}

void verdict_whole(const struct whole_facts *facts, struct judgment *ret)
{
	const struct series *rss = &facts->rss;
	const struct fit *trend = &rss->windows[main_scale(rss)].fit;
	const struct fit *recent = &rss->windows[SCALE_RECENT].fit;
	double rate = recent->slope, floor = facts->floor_bytes_per_s;
	const struct site_sums *sites = facts->sites;
	const struct judgment *leak = sites->leak;

	judgment_init(ret, rate);
	if (rss->watch_s < WATCH_S && !leak) {
		judge_early(ret, WATCH_S - rss->watch_s);
		return;
	}
	judge_shape(rss, shape_amplitude(floor, current_of(rss)), WHOLE_FALL, ret);
	/* What the kernel holds is not in RSS, which need not grow at all. */
	if (leak && (!fit_grows(trend, floor) ||
		     sites->rates[VERDICT_LEAKING] >= LEAK_SHARE * trend->slope)) {
		*ret = *leak;
		ret->rate_bytes_per_s = rate;
	} else if (fit_grows(trend, floor) &&
		   (ret->verdict != VERDICT_BURST || fit_grows(recent, floor))) {
		judgment_init(ret, rate);
		judge_whole_growth(facts, trend->slope, ret);
	}
}
