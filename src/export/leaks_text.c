/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The report of what a command never freed, in the form of LeakSanitizer's, so that people and
 * programs that read those can read it: a paragraph for each site with its whole stack, the
 * suppressions that were used, a line SUMMARY. Lines are cleaned and not cut: it is a document.
 */
#include "export/leaks.h"

#include "core/format.h"
#include "core/losses.h"
#include "export/export.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SIZE 8192
#define RULE	  "-----------------------------------------------------"

__attribute__((format(printf, 2, 3))) static void say(FILE *out, const char *format, ...)
{
	char line[LINE_SIZE];
	va_list arguments;
	char *clean;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	clean = export_clean(line, true);
	fprintf(out, "%s\n", clean);
	free(clean);
}

static const char *plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

/* "9,800 bytes in 10 blocks" without the commas, for programs. */
static const char *amount(char ret[80], uint64_t bytes, uint64_t blocks)
{
	snprintf(ret, 80, "%" PRIu64 " byte%s in %" PRIu64 " block%s", bytes, plural(bytes), blocks,
		 plural(blocks));
	return ret;
}

/* Where the source is known, that; else the place in the module, as addr2line takes it. */
static void write_frame(FILE *out, unsigned number, const struct frame *frame)
{
	const char *symbol = frame->symbol ? frame->symbol : "<unknown>";
	const char *module = *frame->module ? frame->module : "<unknown module>";

	if (frame->file && frame->line)
		say(out, "    #%u 0x%" PRIx64 " in %s %s:%u", number, frame->address, symbol,
		    frame->file, frame->line);
	else if (*frame->build_id)
		say(out, "    #%u 0x%" PRIx64 " in %s (%s+0x%" PRIx64 ") (BuildId: %s)", number,
		    frame->address, symbol, module, frame->module_offset, frame->build_id);
	else
		say(out, "    #%u 0x%" PRIx64 " in %s (%s+0x%" PRIx64 ")", number, frame->address,
		    symbol, module, frame->module_offset);
}

static void write_stack(FILE *out, const struct leaks *leaks, const struct site_info *info)
{
	struct frame frames[RESOLVER_MAX_INLINED + 1];
	unsigned number = 0;

	for (unsigned i = 0; i < info->nframes; i++) {
		size_t count = resolver_resolve(leaks->resolver, leaks->picture->modules, info, i,
						frames, RESOLVER_MAX_INLINED + 1);

		for (size_t f = 0; f < count; f++)
			write_frame(out, number++, &frames[f]);
	}
	if (!info->nframes)
		say(out, "    %s",
		    info->flags & SITE_UNKNOWN ? "(sites the table could not hold)" : "(no stack)");
	else if (info->flags & SITE_TRUNCATED)
		say(out, "    (the stack may go on: it was cut short)");
}

static void write_leak(FILE *out, const struct leaks *leaks, const struct leak *leak)
{
	const struct totals *totals = &leak->site->totals;
	char now[80], before[80];

	if (leak->known)
		say(out, "%s allocated by %s (%s in the baseline) from:",
		    amount(now, totals_live_bytes(totals), totals_live_blocks(totals)),
		    kind_name(leak->site->info->kind),
		    amount(before, leak->before.bytes, leak->before.blocks));
	else
		say(out, "%s allocated by %s from:",
		    amount(now, totals_live_bytes(totals), totals_live_blocks(totals)),
		    kind_name(leak->site->info->kind));
	write_stack(out, leaks, leak->site->info);
	fputc('\n', out);
}

static void write_leaks(FILE *out, const struct leak_report *report)
{
	const struct leaks *leaks = report->leaks;
	struct leak_sum rest = {0};
	size_t written = 0;
	char text[80];

	for (size_t i = 0; i < leaks->count; i++) {
		const struct leak *leak = &leaks->data[i];

		if (!leak_counts(leak))
			continue;
		if (!report->top || written < report->top) {
			write_leak(out, leaks, leak);
			written++;
			continue;
		}
		rest.bytes += totals_live_bytes(&leak->site->totals);
		rest.blocks += totals_live_blocks(&leak->site->totals);
		rest.sites++;
	}
	if (rest.sites)
		say(out, "and %s at %zu more site%s (--top 0 lists all)\n",
		    amount(text, rest.bytes, rest.blocks), rest.sites, plural(rest.sites));
}

/* Used ones as LeakSanitizer lists them; and those that are of no use any more. */
static void write_suppressions(FILE *out, const struct suppressions *suppressions)
{
	bool used = false;

	if (!suppressions)
		return;
	for (size_t i = 0; i < suppressions->count; i++) {
		const struct suppression *s = &suppressions->data[i];

		if (!s->blocks)
			continue;
		if (!used)
			fprintf(out, RULE "\nSuppressions used:\n  count      bytes template\n");
		used = true;
		say(out, "%7" PRIu64 " %10" PRIu64 " %s", s->blocks, s->bytes, s->pattern);
	}
	if (used)
		fprintf(out, RULE "\n\n");
	for (size_t i = 0; i < suppressions->count; i++)
		if (!suppressions->data[i].blocks)
			say(out, "unused suppression, line %u: leak:%s", suppressions->data[i].line,
			    suppressions->data[i].pattern);
}

static void write_doubts(FILE *out, const struct leak_report *report)
{
	const struct picture *picture = report->leaks->picture;
	char count[FORMAT_SIZE];

	for (size_t i = 0; i < ABI_LOSS_COUNT; i++)
		if (picture->losses[i] && loss_touches(i, SIDE_USER))
			say(out, "loss: %s %s: %s", losses[i].name ? losses[i].name : "(no name)",
			    format_count(count, picture->losses[i]),
			    losses[i].meaning ? losses[i].meaning : "of a later version");
	if (picture->unwind.tables_refused)
		say(out, "unwind tables refused for %u modules (--unwind-memory)",
		    picture->unwind.tables_refused);
	if (report->verdict.children)
		say(out,
		    "note: %s had child processes; they were not followed, and are not in this "
		    "report",
		    picture->target.comm);
}

static void write_summary(FILE *out, const struct leak_report *report)
{
	const struct leaks *leaks = report->leaks;
	char leaked[80], part[80], more[200] = "";
	size_t length = 0;

	if (leaks->suppressed.sites)
		length += (size_t)snprintf(
			more, sizeof(more), "; suppressed: %s",
			amount(part, leaks->suppressed.bytes, leaks->suppressed.blocks));
	if (leaks->before.blocks)
		snprintf(more + length, sizeof(more) - length, "; in the baseline: %s",
			 amount(part, leaks->before.bytes, leaks->before.blocks));
	say(out, "SUMMARY: memtop: %s never freed at %zu site%s%s",
	    amount(leaked, leaks->leaked.bytes, leaks->leaked.blocks), leaks->leaked.sites,
	    plural(leaks->leaked.sites), more);
}

static void write_verdict(FILE *out, const struct leak_verdict *verdict)
{
	if (!verdict->gated)
		return;
	if (verdict->not_judged)
		say(out, "memtop: not judged: %s", verdict->not_judged);
	else if (verdict->failed && verdict->limit_bytes)
		say(out, "memtop: leaked: more than %" PRIu64 " bytes", verdict->limit_bytes);
	else if (verdict->failed)
		say(out, "memtop: leaked");
}

static int flush(FILE *out)
{
	errno = 0;
	if (fflush(out) || ferror(out))
		return errno ? -errno : -EIO;
	return 0;
}

int export_leaks(FILE *out, const struct leak_report *report)
{
	const struct picture *picture = report->leaks->picture;
	const struct target_state *target = &picture->target;
	char all[80];

	if (!picture->sides[SIDE_USER].known) {
		say(out, "memtop: %s[%d] ended; blocks were not followed at level %s%s%s",
		    target->comm, (int)target->pid, level_name(picture->level),
		    *picture->level_reason ? ": " : "", picture->level_reason);
		write_verdict(out, &report->verdict);
		return flush(out);
	}
	say(out, "memtop: %s[%d] ended; never freed: %s", target->comm, (int)target->pid,
	    amount(all, report->leaks->all.bytes, report->leaks->all.blocks));
	fputc('\n', out);
	write_leaks(out, report);
	write_suppressions(out, report->leaks->suppressions);
	write_doubts(out, report);
	write_summary(out, report);
	write_verdict(out, &report->verdict);
	return flush(out);
}
