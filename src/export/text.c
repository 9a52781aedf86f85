/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Text for people without a screen: a block of lines a tick, as `top -b` writes it. Each line is
 * cleaned and cut in one place, write_line().
 */
#include "export/export.h"

#include "core/format.h"
#include "core/holdings.h"
#include "core/losses.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SIZE 8192

struct line {
	char text[LINE_SIZE];
	size_t length;
};

__attribute__((format(printf, 2, 3))) static void add(struct line *line, const char *format, ...)
{
	size_t left = sizeof(line->text) - line->length;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(line->text + line->length, left, format, arguments);
	va_end(arguments);
	if (length > 0)
		line->length += (size_t)length < left ? (size_t)length : left - 1;
}

/* Bytes of the first `columns` characters; a character counts as one column. */
static size_t cut(const char *text, unsigned columns)
{
	size_t i = 0;

	for (; text[i]; i++)
		if ((text[i] & 0xc0) != 0x80 && !columns--)
			break;
	return i;
}

static void write_line(FILE *out, struct line *line, unsigned width)
{
	char *clean = export_clean(line->text, true);
	size_t length = cut(clean, width);

	if (clean[length])
		fprintf(out, "%.*s…\n", (int)cut(clean, width - 1), clean);
	else
		fprintf(out, "%s\n", clean);
	free(clean);
	*line = (struct line){0};
}

static void add_frame(struct line *line, const struct frame *frame)
{
	const char *slash = strrchr(frame->module, '/');

	if (frame->symbol)
		add(line, "%s", frame->symbol);
	else if (*frame->module)
		add(line, "%s+0x%llx", slash ? slash + 1 : frame->module,
		    (unsigned long long)frame->module_offset);
	else
		add(line, "0x%llx", (unsigned long long)frame->address);
}

/* Innermost first; wrappers are left out unless there is nothing else. */
static void add_stack(struct line *line, const struct selection *selection,
		      const struct site_info *info)
{
	struct frame frames[RESOLVER_MAX_INLINED + 1], wrapper = {0};
	bool any = false;

	if (info->object)
		add(line, "%s: ", info->object);
	for (unsigned i = 0; i < info->nframes && line->length < LINE_SIZE / 2; i++) {
		size_t count = resolver_resolve(selection->resolver, selection->picture->modules,
						info, i, frames, RESOLVER_MAX_INLINED + 1);

		for (size_t f = 0; f < count; f++) {
			if (frames[f].wrapper) {
				wrapper = frames[f];
				continue;
			}
			add(line, "%s", any ? " ← " : "");
			add_frame(line, &frames[f]);
			any = true;
		}
	}
	if (!any && wrapper.module)
		add_frame(line, &wrapper);
	else if (!any)
		add(line, "%s",
		    info->flags & SITE_UNKNOWN ? "(sites the table could not hold)" :
						 stackless_name(info->kind, info->side));
}

static void write_header(FILE *out, const struct selection *selection, unsigned width)
{
	const struct picture *picture = selection->picture;
	const struct target_state *target = &picture->target;
	char clock[FORMAT_SIZE], elapsed[FORMAT_SIZE], cost[FORMAT_SIZE], names[FORMAT_SIZE];
	char lost[FORMAT_SIZE], tables[FORMAT_SIZE];
	struct line line = {0};

	add(&line, "%s  %s[%d] %s", format_clock(clock, picture->time_unix_ns), target->comm,
	    (int)target->pid, target_status_name(target->status));
	if (target->exit_code >= 0 && target->status != TARGET_RUNNING)
		add(&line, " with %d", target->exit_code);
	if (target->signal)
		add(&line, " by signal %d", target->signal);
	add(&line, "  tick %llu  attached %s  level %s  lost %s", (unsigned long long)picture->tick,
	    format_duration(elapsed, picture->elapsed_s), level_name(picture->level),
	    format_count(lost, picture->losses_total));
	if (picture->level != LEVEL_RSS && !isnan(picture->overhead.target_percent))
		add(&line, "  cost %s of its CPU",
		    format_percent(cost, picture->overhead.target_percent));
	if (picture->overhead.kernel_core_percent >= OVERHEAD_KERNEL_DEAR)
		add(&line, "  kernel side %s of a core",
		    format_percent(cost, picture->overhead.kernel_core_percent));
	if (picture->overhead.tables_bytes)
		add(&line, "  tables %s", format_bytes(tables, picture->overhead.tables_bytes));
	if (!isnan(selection->names_percent))
		add(&line, "  names %s", format_percent(names, selection->names_percent));
	write_line(out, &line, width);
	if (picture->level_reason[0]) {
		add(&line, "level %s: %s", level_name(picture->level), picture->level_reason);
		write_line(out, &line, width);
	}
}

static const struct site_stats *top_site(const struct picture *picture)
{
	for (size_t i = 0; picture->top_site && i < picture->site_count; i++)
		if (picture->sites[i].info->id == picture->top_site)
			return &picture->sites[i];
	return NULL;
}

static void write_verdict(FILE *out, const struct selection *selection, unsigned width)
{
	const struct picture *picture = selection->picture;
	const struct site_stats *top = top_site(picture);
	char low[FORMAT_SIZE], high[FORMAT_SIZE], rate[FORMAT_SIZE], sentence[160];
	struct line line = {0};

	add(&line, "%s",
	    verdict_sentence(sentence, sizeof(sentence), &picture->judgment,
			     picture->floor_bytes_per_s));
	if (top) {
		add(&line, "  %s  ",
		    format_rate(rate, top->rate_bytes_per_s,
				picture_floor(picture, top->info->side)));
		add_stack(&line, selection, top->info);
	}
	write_line(out, &line, width);
	if (!isnan(picture->forecast.low_s)) {
		add(&line, "limit reached in %s to %s",
		    format_duration(low, picture->forecast.low_s),
		    format_duration(high, picture->forecast.high_s));
		write_line(out, &line, width);
	}
}

static void write_memory(FILE *out, const struct picture *picture, unsigned width)
{
	const struct memory *memory = &picture->memory;
	const struct charge *charge = &picture->charge;
	char a[FORMAT_SIZE], b[FORMAT_SIZE], c[FORMAT_SIZE], d[FORMAT_SIZE], e[FORMAT_SIZE];
	char rate[FORMAT_SIZE];
	struct line line = {0};

	add(&line, "RSS %s", format_bytes(a, memory->rss_bytes));
	if (!isnan(picture->rss_rate_bytes_per_s))
		add(&line, " %s", format_rate(rate, picture->rss_rate_bytes_per_s, 0));
	add(&line, " = anon %s + file %s + shmem %s; swap %s", format_bytes(b, memory->anon_bytes),
	    format_bytes(c, memory->file_bytes), format_bytes(d, memory->shmem_bytes),
	    format_bytes(e, memory->swap_bytes));
	if (charge->source != LIMIT_NONE)
		add(&line, "  limit (%s) %s, headroom %s", limit_source_name(charge->source),
		    format_bytes(a, charge->limit_bytes), format_bytes(b, charge->headroom_bytes));
	write_line(out, &line, width);
}

static void write_sides(FILE *out, const struct picture *picture, unsigned width)
{
	char live[FORMAT_SIZE], blocks[FORMAT_SIZE], delta[FORMAT_SIZE], rate[FORMAT_SIZE];
	struct line line = {0};

	for (unsigned side = 0; side < SIDE_COUNT; side++) {
		const struct side_stats *stats = &picture->sides[side];

		if (!stats->known)
			continue;
		add(&line, "%-6s live %s in %s blocks, %s since the mark, %s", side_name(side),
		    format_bytes(live, totals_live_bytes(&stats->totals)),
		    format_count(blocks, totals_live_blocks(&stats->totals)),
		    format_delta(delta, stats->delta_bytes),
		    format_rate(rate, stats->rate_bytes_per_s, 0));
		write_line(out, &line, width);
	}
}

/* The kernel side in its parts. */
static void write_kinds(FILE *out, const struct picture *picture, unsigned width)
{
	char live[FORMAT_SIZE], delta[FORMAT_SIZE];
	struct line line = {0};

	for (unsigned i = 0; i < KERNEL_KINDS; i++) {
		const struct side_stats *stats = &picture->kernel_kinds[i];

		if (!stats->known)
			continue;
		add(&line, "%s%s %s",
		    line.length ? ", " : "kernel = ", kind_name(ABI_KIND_SLAB + i),
		    format_bytes(live, totals_live_bytes(&stats->totals)));
		if (stats->delta_bytes)
			add(&line, " %s", format_delta(delta, stats->delta_bytes));
	}
	if (line.length)
		write_line(out, &line, width);
}

/* What leaks first, then what there is of the others. */
static void write_holdings(FILE *out, const struct picture *picture, unsigned width)
{
	char value[FORMAT_SIZE], delta[FORMAT_SIZE], rate[FORMAT_SIZE], limit[FORMAT_SIZE];
	struct line line = {0};

	if (picture->leaking_holding) {
		size_t leak = picture->leaking_holding - 1;
		const struct holding_stats *stats = &picture->holdings[leak];

		add(&line, "%s: %s %s", verdict_word(VERDICT_LEAKING), holding_name(picture, leak),
		    holding_format_rate(rate, leak, stats->judgment.rate_bytes_per_s));
		write_line(out, &line, width);
	}
	for (size_t i = 0; i < picture->holding_count; i++) {
		const struct holding_stats *stats = &picture->holdings[i];

		if (!stats->known || (!stats->value && !stats->delta))
			continue;
		add(&line, "%s%s %s", line.length ? ", " : "beside: ", holding_name(picture, i),
		    holding_format_value(value, i, stats->value));
		if (stats->limit)
			add(&line, " of %s", holding_format_value(limit, i, stats->limit));
		if (stats->delta)
			add(&line, " %s", holding_format_delta(delta, i, stats->delta));
	}
	if (line.length)
		write_line(out, &line, width);
}

static void write_losses(FILE *out, const struct picture *picture, unsigned width)
{
	char count[FORMAT_SIZE];
	struct line line = {0};

	for (size_t i = 0; i < ABI_LOSS_COUNT; i++)
		if (losses[i].name && picture->losses[i])
			add(&line, "%s %s %s", line.length ? "," : "loss:", losses[i].name,
			    format_count(count, picture->losses[i]));
	if (picture->losses[ABI_LOSS_LIVE_TABLE_FULL])
		add(&line, "; room for more blocks with --max-blocks");
	if (line.length)
		write_line(out, &line, width);
}

static void write_stacks(FILE *out, const struct picture *picture, unsigned width)
{
	const struct unwinder_status *unwind = &picture->unwind;
	char percent[FORMAT_SIZE];
	struct line line = {0};

	if (picture->truncated_percent > 0)
		add(&line, "stacks cut short %s",
		    format_percent(percent, picture->truncated_percent));
	if (unwind->tables_refused)
		add(&line, "%sunwind tables refused for %u modules (--unwind-memory)",
		    line.length ? "; " : "", unwind->tables_refused);
	if (line.length)
		write_line(out, &line, width);
}

static void write_site(FILE *out, const struct selection *selection, const struct site_stats *site,
		       unsigned width)
{
	char live[FORMAT_SIZE], delta[FORMAT_SIZE], rate[FORMAT_SIZE], blocks[FORMAT_SIZE];
	char kept[FORMAT_SIZE], oldest[FORMAT_SIZE];
	struct line line = {0};

	if (site->info->flags & SITE_UNMATCHED)
		add(&line, "%-11s %8s %9s %10s %8s %7s %6s  ", site_word(site), "-", "-", "-", "-",
		    "-", "-");
	else
		add(&line, "%-11s %8s %9s %10s %8s %7s %6s  ", site_word(site),
		    format_bytes(live, totals_live_bytes(&site->totals)),
		    format_delta(delta, site->delta_bytes),
		    format_rate(rate, site->rate_bytes_per_s, 0),
		    format_count(blocks, totals_live_blocks(&site->totals)),
		    format_kept(kept, site->kept_ratio), format_duration(oldest, site->oldest_s));
	add_stack(&line, selection, site->info);
	write_line(out, &line, width);
}

static int flush(FILE *out)
{
	errno = 0;
	if (fflush(out) || ferror(out))
		return errno ? -errno : -EIO;
	return 0;
}

int export_text(FILE *out, const struct selection *selection, unsigned width)
{
	struct line line = {0};

	write_header(out, selection, width);
	write_verdict(out, selection, width);
	write_memory(out, selection->picture, width);
	write_sides(out, selection->picture, width);
	write_kinds(out, selection->picture, width);
	write_holdings(out, selection->picture, width);
	write_losses(out, selection->picture, width);
	write_stacks(out, selection->picture, width);
	if (selection->total) {
		add(&line, "%-11s %8s %9s %10s %8s %7s %6s  %s", "VERDICT", "LIVE", "DELTA", "RATE",
		    "BLOCKS", "KEPT", "OLDEST", "ALLOCATED BY ← CALLERS");
		write_line(out, &line, width);
	}
	for (size_t i = 0; i < selection->count; i++)
		write_site(out, selection, selection->sites[i], width);
	if (selection->total > selection->count)
		fprintf(out, "%zu of %zu sites\n", selection->count, selection->total);
	fputc('\n', out);
	return flush(out);
}
