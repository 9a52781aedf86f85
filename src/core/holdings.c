/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Holdings are judged by the rules of the sites (verdict.c), which are written in bytes. A
 * descriptor weighs 64 KiB there: growth is then above one in 16 s, fast is 16 a second, and a
 * modest cache is one of 256. Their lives are known as closely as they are looked at.
 *
 * What has no lives (page tables, stacks) is not judged: it grows because something else does.
 */
#include "core/holdings.h"

#include "core/ages.h"
#include "core/format.h"
#include "core/verdict.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PIECE_BYTES 65536.0
#define RATE_NS	    10500000000ull /* as that of sites */
#define LEAST_RATE  0.05	   /* less is 0 with one decimal */

const struct holding_kind holding_kinds[HOLDING_COUNT] = {
	[HOLDING_PSS] = {"pss", "PSS", "resident, shared pages divided by who shares them",
			 HOLDING_BYTES, false},
	[HOLDING_PAGE_TABLES] = {"page_tables", "page tables", "of the process (VmPTE)",
				 HOLDING_BYTES, false},
	[HOLDING_KERNEL_STACKS] = {"kernel_stacks", "kernel stacks",
				   "threads × what the kernel gives each as its stack",
				   HOLDING_BYTES, false},
	[HOLDING_FDS] = {"fds", "descriptors", "all that are open", HOLDING_PIECES, true},
	[HOLDING_FILES] = {"files", "files", "files and directories", HOLDING_PIECES, false},
	[HOLDING_DEVICES] = {"devices", "devices", "under /dev", HOLDING_PIECES, false},
	[HOLDING_PIPES] = {"pipes", "pipe ends", "ends of pipes and fifos without a name",
			   HOLDING_PIECES, false},
	[HOLDING_SOCKETS] = {"sockets", "sockets", "of all families", HOLDING_PIECES, false},
	[HOLDING_EVENTFDS] = {"eventfds", "eventfds", "eventfd()", HOLDING_PIECES, false},
	[HOLDING_EPOLLS] = {"epolls", "epoll sets", "epoll_create()", HOLDING_PIECES, false},
	[HOLDING_MEMFDS] = {"memfds", "memfds", "descriptors of memfd_create()'s files",
			    HOLDING_PIECES, false},
	[HOLDING_DMABUFS] = {"dmabufs", "dma-buf fds", "descriptors of buffers shared with devices",
			     HOLDING_PIECES, false},
	[HOLDING_OTHER_FDS] = {"other_fds", "other fds", "timers, signals, inotify, BPF and others",
			       HOLDING_PIECES, false},
	[HOLDING_SOCKET_BYTES] = {"socket_bytes", "socket memory",
				  "queued in TCP, UDP and Unix sockets, and reserved by them",
				  HOLDING_BYTES, false},
	[HOLDING_MEMFD_BYTES] = {"memfd_bytes", "memfd memory",
				 "pages of memfds, each file once, mapped or not", HOLDING_BYTES,
				 false},
	[HOLDING_DMABUF_BYTES] = {"dmabuf_bytes", "dma-buf memory",
				  "size of dma-bufs, each buffer once", HOLDING_BYTES, true},
};

static const struct holding_kind exporter_kind = {
	"dmabuf_exporter", "dma-buf exporter", "dma-bufs of this exporter", HOLDING_BYTES, false};

const struct holding_kind *holding_kind_of(size_t index)
{
	return index < HOLDING_COUNT ? &holding_kinds[index] : &exporter_kind;
}

const char *holding_name(const struct picture *picture, size_t index)
{
	const char *exporter = picture->holdings[index].exporter;

	return *exporter ? exporter : holding_kind_of(index)->name;
}

char *holding_format_rate(char *ret, size_t index, double per_s)
{
	if (holding_kind_of(index)->unit == HOLDING_BYTES)
		return format_rate(ret, per_s, 0);
	if (isnan(per_s))
		snprintf(ret, FORMAT_SIZE, "-");
	else if (fabs(per_s) < LEAST_RATE)
		snprintf(ret, FORMAT_SIZE, "0");
	else
		snprintf(ret, FORMAT_SIZE, "%+.*f/s", fabs(per_s) < 9.95 ? 1 : 0,
			 fmax(fmin(per_s, 1e12), -1e12));
	return ret;
}

char *holding_format_value(char *ret, size_t index, uint64_t value)
{
	return holding_kind_of(index)->unit == HOLDING_BYTES ? format_bytes(ret, value) :
							       format_count(ret, value);
}

char *holding_format_delta(char *ret, size_t index, int64_t delta)
{
	char number[FORMAT_SIZE];
	uint64_t size = delta < 0 ? -(uint64_t)delta : (uint64_t)delta;

	if (holding_kind_of(index)->unit == HOLDING_BYTES)
		return format_delta(ret, delta);
	snprintf(ret, FORMAT_SIZE, "%s%.22s",
		 delta > 0 ? "+" :
		 delta < 0 ? "-" :
			     "",
		 format_count(number, size));
	return ret;
}

static double weight_of(size_t index)
{
	return holding_kind_of(index)->unit == HOLDING_PIECES ? PIECE_BYTES : 1;
}

static double rate_of(const struct holding_track *track, const struct timeline *timeline,
		      uint64_t now_ns, uint64_t value)
{
	struct point points[TRACK_WINDOW];
	uint64_t from = now_ns > RATE_NS ? now_ns - RATE_NS : 0;
	size_t count;

	if (from < track->from_ns)
		from = track->from_ns;
	count = track_window(&track->values, timeline, SCALE_RECENT, now_ns, from, value, points);
	return trend_fit(points, count).slope;
}

static void series_weigh(struct series *series, double weight)
{
	for (unsigned i = 0; i < SCALE_COUNT; i++) {
		for (size_t p = 0; p < series->windows[i].count; p++)
			series->windows[i].points[p].value *= weight;
		series->windows[i].fit.slope *= weight;
		series->windows[i].fit.error *= weight;
	}
}

static void judge(const struct holding_track *track, const struct timeline *timeline,
		  const struct snapshot *snapshot, size_t index, struct holding_stats *stats)
{
	double weight = weight_of(index);
	struct ages ages = ages_of(snapshot->holdings[index].cohorts, snapshot->time_ns);
	struct site_facts facts = {.ages = &ages,
				   .totals = &stats->totals,
				   .floor_bytes_per_s = (double)verdict_floor(0),
				   .before = stats->judgment.verdict};

	stats->kept_ratio = ages.kept_ratio;
	series_take(&facts.live, &track->values, timeline, track->from_ns, snapshot->time_ns,
		    snapshot->time_unix_ns, (double)stats->value);
	series_weigh(&facts.live, weight);
	ages.old_bytes = (uint64_t)((double)ages.old_bytes * weight);
	verdict_site(&facts, &stats->judgment);
	stats->judgment.rate_bytes_per_s /= weight;
	stats->judgment.level_bytes = (uint64_t)((double)stats->judgment.level_bytes / weight);
}

/* Nothing is known of before: it was as it is. */
static void track_begin(struct holding_track *track, uint64_t now_ns, double value)
{
	track->from_ns = now_ns;
	for (unsigned scale = 0; scale < SCALE_COUNT; scale++)
		for (unsigned i = 0; i < TRACK_POINTS; i++)
			track->values.values[scale][i] = value;
}

static void holding_update(struct holding_track *track, const struct timeline *timeline,
			   const struct snapshot *snapshot, size_t index,
			   struct holding_stats *stats)
{
	const struct holding_sample *sample = &snapshot->holdings[index];
	bool lost = stats->known && !sample->known;

	stats->known = sample->known;
	stats->why = sample->why;
	stats->lives_known = sample->known && sample->cohorts;
	snprintf(stats->exporter, sizeof(stats->exporter), "%s",
		 sample->exporter ? sample->exporter : "");
	stats->value = sample->value;
	stats->limit = sample->limit;
	stats->totals = sample->totals;
	stats->delta = 0;
	stats->rate_per_s = stats->kept_ratio = NAN;
	if (!sample->known) {
		if (lost || !track->from_ns)
			verdict_none(&stats->judgment);
		track->from_ns = 0;
		track->marked = false;
		return;
	}
	if (!track->from_ns)
		track_begin(track, snapshot->time_ns, (double)sample->value);
	if (!track->marked)
		track->mark = sample->value;
	track->marked = true;
	stats->delta = (int64_t)(sample->value - track->mark);
	track_push(&track->values, timeline, (double)sample->value);
	stats->rate_per_s = rate_of(track, timeline, snapshot->time_ns, sample->value);
	if (stats->lives_known)
		judge(track, timeline, snapshot, index, stats);
	else
		verdict_none(&stats->judgment);
}

/* A part is blamed before the sum that it is in. */
static bool blamed_before(const struct picture *picture, size_t a, size_t b)
{
	bool sum_a = holding_kind_of(a)->sum, sum_b = holding_kind_of(b)->sum;

	if (sum_a != sum_b)
		return sum_b;
	return picture->holdings[a].judgment.rate_bytes_per_s * weight_of(a) >
	       picture->holdings[b].judgment.rate_bytes_per_s * weight_of(b);
}

void holdings_update(struct holdings *holdings, const struct timeline *timeline,
		     const struct snapshot *snapshot, struct picture *picture)
{
	size_t count =
		snapshot->holding_count < HOLDING_MOST ? snapshot->holding_count : HOLDING_MOST;

	picture->holding_count = count;
	picture->leaking_holding = 0;
	for (size_t i = 0; i < count; i++) {
		holding_update(&holdings->tracks[i], timeline, snapshot, i, &picture->holdings[i]);
		if (picture->holdings[i].judgment.verdict == VERDICT_LEAKING &&
		    (!picture->leaking_holding ||
		     blamed_before(picture, i, picture->leaking_holding - 1)))
			picture->leaking_holding = (unsigned)i + 1;
	}
}

void holdings_mark(struct holdings *holdings, const struct picture *picture)
{
	for (size_t i = 0; i < picture->holding_count; i++)
		holdings->tracks[i].mark = picture->holdings[i].value;
}
