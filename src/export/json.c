/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The batch contract, schema memtop/1: one object a line, append-only. The order of the fields is
 * the documented one. What is not known, and what a double could not carry exactly (2^53 and
 * above), is null.
 *
 * The text of an object is plain ASCII: names come from the target and may hold anything.
 */
#include "export/export.h"
#include "export/leaks.h"

#include "core/format.h"
#include "core/holdings.h"
#include "core/losses.h"
#include "util/alloc.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#define EXACT_LIMIT (1ull << 53)
/* A name that the resolver works on, and that was waited for long enough: a later object has it. */
#define NOT_READ_YET "not read yet"

/* Length of the valid UTF-8 sequence at `text`; 0 if there is none (RFC 3629). */
static size_t utf8_length(const unsigned char *text)
{
	size_t length;

	if (text[0] < 0x80)
		return 1;
	if (text[0] < 0xc2 || text[0] > 0xf4)
		return 0;
	length = text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
	for (size_t i = 1; i < length; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
	    (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
		return 0;
	return length;
}

static bool is_control(const unsigned char *text)
{
	return text[0] < 0x20 || text[0] == 0x7f || (text[0] == 0xc2 && text[1] < 0xa0);
}

char *export_clean(const char *text, bool controls)
{
	const unsigned char *from = (const unsigned char *)text;
	char *clean = xmalloc(3 * strlen(text) + 1);
	char *to = clean;

	while (*from) {
		size_t length = utf8_length(from);

		if (!length || (controls && is_control(from))) {
			memcpy(to, "\xef\xbf\xbd", 3);
			to += 3;
			from += length ? length : 1;
			continue;
		}
		memcpy(to, from, length);
		to += length;
		from += length;
	}
	*to = 0;
	return clean;
}

static void put(json_t *object, const char *name, json_t *value)
{
	json_object_set_new_nocheck(object, name, value);
}

static void put_count(json_t *object, const char *name, uint64_t value)
{
	put(object, name, value < EXACT_LIMIT ? json_integer((json_int_t)value) : json_null());
}

static void put_delta(json_t *object, const char *name, int64_t value)
{
	bool exact = value < (int64_t)EXACT_LIMIT && value > -(int64_t)EXACT_LIMIT;

	put(object, name, exact ? json_integer(value) : json_null());
}

static void put_known(json_t *object, const char *name, uint64_t value, bool known)
{
	if (known)
		put_count(object, name, value);
	else
		put(object, name, json_null());
}

static void put_real(json_t *object, const char *name, double value)
{
	put(object, name, isfinite(value) ? json_real(value) : json_null());
}

/* NULL and "" are not known. */
static void put_text(json_t *object, const char *name, const char *text)
{
	char *clean;

	if (!text || !*text) {
		put(object, name, json_null());
		return;
	}
	clean = export_clean(text, false);
	put(object, name, json_string(clean));
	free(clean);
}

static json_t *target_object(const struct picture *picture)
{
	const struct target_state *target = &picture->target;
	json_t *object = json_object();

	put_count(object, "pid", (uint64_t)target->pid);
	put_text(object, "comm", target->comm);
	put_text(object, "exe", target->exe);
	put_text(object, "state", target_status_name(target->status));
	put_known(object, "exit_code", (uint64_t)target->exit_code, target->exit_code >= 0);
	put_known(object, "signal", (uint64_t)target->signal, target->signal > 0);
	put_count(object, "threads", target->threads);
	put_count(object, "generation", picture->generation);
	return object;
}

/* Whose functions are probed, and since when: on the scale of elapsed_s. */
static json_t *allocators_array(const struct picture *picture)
{
	json_t *array = json_array();

	for (size_t i = 0; i < picture->allocator_count; i++) {
		const struct watched_allocator *allocator = &picture->allocators[i];
		double ago_s = ((double)picture->time_ns - (double)allocator->since_ns) / 1e9;
		json_t *object = json_object();

		put_text(object, "module", allocator->module);
		put_count(object, "functions", allocator->functions);
		put_real(object, "since_s", fmax(picture->elapsed_s - ago_s, 0));
		json_array_append_new(array, object);
	}
	return array;
}

static json_t *rss_object(const struct picture *picture)
{
	const struct memory *memory = &picture->memory;
	const struct charge *charge = &picture->charge;
	bool limited = charge->source != LIMIT_NONE;
	json_t *object = json_object();

	put_count(object, "bytes", memory->rss_bytes);
	put_count(object, "anon_bytes", memory->anon_bytes);
	put_count(object, "file_bytes", memory->file_bytes);
	put_count(object, "shmem_bytes", memory->shmem_bytes);
	put_count(object, "swap_bytes", memory->swap_bytes);
	put_known(object, "limit_bytes", charge->limit_bytes, limited);
	put_text(object, "limit_source", limit_source_name(charge->source));
	put_known(object, "limit_used_bytes", charge->used_bytes, limited);
	put_known(object, "headroom_bytes", charge->headroom_bytes, limited);
	put_real(object, "rate_bytes_per_s", picture->rss_rate_bytes_per_s);
	put_text(object, "verdict", verdict_token(picture->judgment.verdict));
	put_real(object, "confidence", picture->judgment.confidence);
	put_real(object, "seconds_to_limit_low", picture->forecast.low_s);
	put_real(object, "seconds_to_limit_high", picture->forecast.high_s);
	return object;
}

static json_t *accounting_object(const struct accounting *parts)
{
	json_t *object = json_object();

	put_known(object, "heap_live_bytes", parts->heap_live_bytes, parts->live_known);
	/*
	 * One part until slack and what is older than the attach can be told apart; all of the
	 * heap where live blocks are not known.
	 */
	put(object, "allocator_slack_bytes", json_null());
	put_known(object, "anon_maps_bytes", parts->anon_maps_bytes, parts->known);
	put_known(object, "stacks_bytes", parts->stacks_bytes, parts->known);
	put_known(object, "file_bytes", parts->file_bytes, parts->known);
	put_known(object, "shmem_bytes", parts->shmem_bytes, parts->known);
	put(object, "before_attach_bytes", json_null());
	put_known(object, "unexplained_bytes", parts->unexplained_bytes, parts->known);
	put_real(object, "explained_percent", parts->known ? parts->explained_percent : NAN);
	put_known(object, "slack_or_before_attach_bytes", parts->slack_or_before_bytes,
		  parts->known);
	return object;
}

static void put_totals(json_t *object, const struct totals *totals, bool known)
{
	put_known(object, "live_bytes", totals_live_bytes(totals), known);
	put_known(object, "live_blocks", totals_live_blocks(totals), known);
	put_known(object, "allocated_bytes", totals->allocated_bytes, known);
	put_known(object, "allocated_blocks", totals->allocated_blocks, known);
	put_known(object, "freed_bytes", totals->freed_bytes, known);
	put_known(object, "freed_blocks", totals->freed_blocks, known);
}

static json_t *kinds_object(const struct picture *picture)
{
	json_t *kinds = json_object();

	for (unsigned i = 0; i < KERNEL_KINDS; i++) {
		const struct side_stats *stats = &picture->kernel_kinds[i];
		json_t *object = json_object();

		put_totals(object, &stats->totals, stats->known);
		put_text(object, "reason", stats->known ? NULL : picture->kernel_kind_why[i]);
		put(kinds, kind_name(ABI_KIND_SLAB + i), object);
	}
	return kinds;
}

static json_t *side_object(const struct picture *picture, enum side side)
{
	const struct side_stats *stats = &picture->sides[side];
	json_t *object = json_object();

	put_totals(object, &stats->totals, stats->known);
	if (side == SIDE_USER)
		put_known(object, "before_attach_frees", stats->before_attach_frees, stats->known);
	if (side == SIDE_KERNEL)
		put(object, "kinds", kinds_object(picture));
	return object;
}

static json_t *losses_object(const struct picture *picture)
{
	json_t *object = json_object();

	put_count(object, "total", picture->losses_total);
	for (size_t i = 0; i < ABI_LOSS_COUNT; i++)
		if (losses[i].name)
			put_count(object, losses[i].name, picture->losses[i]);
	return object;
}

static json_t *overhead_object(const struct selection *selection)
{
	const struct picture *picture = selection->picture;
	const struct unwinder_status *unwind = &picture->unwind;
	const struct overhead *overhead = &selection->picture->overhead;
	json_t *object = json_object();

	put_real(object, "events_per_s", overhead->events_per_s);
	put_real(object, "ns_per_event", overhead->ns_per_event);
	put_real(object, "target_percent", overhead->target_percent);
	put_real(object, "worst_thread_percent", overhead->worst_thread_percent);
	put_real(object, "names_percent", selection->names_percent);
	put_real(object, "self_cpu_percent", overhead->self_cpu_percent);
	put_count(object, "self_rss_bytes", overhead->self_rss_bytes);
	put_count(object, "tables_bytes", overhead->tables_bytes);
	put_real(object, "truncated_percent", picture->truncated_percent);
	put_known(object, "unwind_bytes", unwind->bytes, picture->sides[SIDE_USER].known);
	put_known(object, "unwind_tables_pending", unwind->tables_pending,
		  picture->sides[SIDE_USER].known);
	put_known(object, "unwind_tables_refused", unwind->tables_refused,
		  picture->sides[SIDE_USER].known);
	put_real(object, "kernel_core_percent", overhead->kernel_core_percent);
	return object;
}

static json_t *frame_object(const struct frame *frame, const char *reason)
{
	json_t *object = json_object();
	char address[24];

	put_text(object, "symbol", frame->symbol);
	put_known(object, "offset", frame->offset, frame->symbol);
	put_text(object, "module", frame->module);
	put_text(object, "build_id", frame->build_id);
	put_known(object, "module_offset", frame->module_offset, *frame->module);
	put_text(object, "file", frame->file);
	put_known(object, "line", frame->line, frame->line);
	put(object, "inlined", json_boolean(frame->inlined));
	put(object, "wrapper", json_boolean(frame->wrapper));
	snprintf(address, sizeof(address), "0x%" PRIx64, frame->address);
	put_text(object, "address", address);
	put_text(object, "reason", !reason && frame->pending ? NOT_READ_YET : reason);
	return object;
}

static json_t *frames_array(const struct selection *selection, const struct site_info *info)
{
	struct frame frames[RESOLVER_MAX_INLINED + 1];
	json_t *array = json_array();

	for (unsigned i = 0; i < info->nframes; i++) {
		size_t count = resolver_resolve(selection->resolver, selection->picture->modules,
						info, i, frames, RESOLVER_MAX_INLINED + 1);
		const char *reason =
			resolver_reason(selection->resolver, selection->picture->modules, info, i);

		for (size_t f = 0; f < count; f++)
			json_array_append_new(array, frame_object(&frames[f], reason));
	}
	return array;
}

static json_t *site_object(const struct selection *selection, const struct site_stats *site)
{
	const struct site_info *info = site->info;
	bool matched = !(info->flags & SITE_UNMATCHED);
	json_t *object = json_object();
	char key[17];

	put_count(object, "id", info->id);
	snprintf(key, sizeof(key), "%016" PRIx64, info->key);
	put_text(object, "key", key);
	put_text(object, "side", side_name(info->side));
	put_text(object, "kind", kind_name(info->kind));
	put_totals(object, &site->totals, matched);
	put_delta(object, "delta_bytes", site->delta_bytes);
	put_delta(object, "delta_blocks", site->delta_blocks);
	put_real(object, "rate_bytes_per_s", site->rate_bytes_per_s);
	put_real(object, "oldest_s", matched ? site->oldest_s : NAN);
	put_real(object, "kept_ratio", matched ? site->kept_ratio : NAN);
	put_text(object, "verdict", verdict_token(site->judgment.verdict));
	put_real(object, "confidence", site->judgment.confidence);
	put(object, "truncated", json_boolean(info->flags & SITE_TRUNCATED));
	put(object, "frames", frames_array(selection, info));
	put_text(object, "object", info->object);
	put(object, "unmatched", json_boolean(!matched));
	put_known(object, "resident_bytes", site->resident_bytes, site->resident_known);
	put(object, "ended", json_boolean(site->ended));
	put(object, "reclaimable", json_boolean(info->flags & SITE_RECLAIMABLE));
	return object;
}

static json_t *holding_object(const struct picture *picture, size_t index)
{
	const struct holding_stats *stats = &picture->holdings[index];
	const struct holding_kind *kind = holding_kind_of(index);
	json_t *object = json_object();

	put_text(object, "name", kind->token);
	put_text(object, "exporter", stats->exporter);
	put_text(object, "unit", kind->unit == HOLDING_BYTES ? "bytes" : "count");
	put_known(object, "value", stats->value, stats->known);
	put_known(object, "limit", stats->limit, stats->known && stats->limit);
	put_delta(object, "delta", stats->delta);
	put_real(object, "rate_per_s", stats->rate_per_s);
	put_known(object, "came", stats->totals.allocated_bytes, stats->lives_known);
	put_known(object, "gone", stats->totals.freed_bytes, stats->lives_known);
	put_real(object, "kept_ratio", stats->kept_ratio);
	put_text(object, "verdict", verdict_token(stats->judgment.verdict));
	put_real(object, "confidence", stats->judgment.confidence);
	put_text(object, "reason", stats->known ? NULL : stats->why);
	return object;
}

static json_t *picture_object(const struct selection *selection)
{
	const struct picture *picture = selection->picture;
	json_t *object = json_object();
	json_t *sites = json_array();
	json_t *rest = json_object();
	json_t *holdings = json_array();

	put_text(object, "schema", "memtop/1");
	put_count(object, "tick", picture->tick);
	/* Nanoseconds since 1970 are above 2^53: the one number that is only an integer. */
	put(object, "time_unix_ns", json_integer((json_int_t)picture->time_unix_ns));
	put_real(object, "elapsed_s", picture->elapsed_s);
	put(object, "target", target_object(picture));
	put_text(object, "level", level_name(picture->level));
	put_text(object, "level_reason", picture->level_reason);
	put(object, "allocators", allocators_array(picture));
	put(object, "rss", rss_object(picture));
	put(object, "accounting", accounting_object(&picture->accounting));
	put(object, "user", side_object(picture, SIDE_USER));
	put(object, "maps", side_object(picture, SIDE_MAPS));
	put(object, "kernel", side_object(picture, SIDE_KERNEL));
	put(object, "losses", losses_object(picture));
	put(object, "overhead", overhead_object(selection));
	for (size_t i = 0; i < selection->count; i++)
		json_array_append_new(sites, site_object(selection, selection->sites[i]));
	put(object, "sites", sites);
	put_count(object, "sites_total", selection->total);
	put_totals(rest, &selection->rest, true);
	put(object, "rest", rest);
	put(object, "final", json_boolean(picture->final));
	for (size_t i = 0; i < picture->holding_count; i++)
		json_array_append_new(holdings, holding_object(picture, i));
	put(object, "holdings", holdings);
	return object;
}

static json_t *sum_object(const struct leak_sum *sum)
{
	json_t *object = json_object();

	put_count(object, "bytes", sum->bytes);
	put_count(object, "blocks", sum->blocks);
	put_count(object, "sites", sum->sites);
	return object;
}

static json_t *suppressions_array(const struct suppressions *suppressions)
{
	json_t *array = json_array();

	for (size_t i = 0; suppressions && i < suppressions->count; i++) {
		const struct suppression *suppression = &suppressions->data[i];
		json_t *object = json_object();

		put_text(object, "pattern", suppression->pattern);
		put_count(object, "line", suppression->line);
		put_count(object, "bytes", suppression->bytes);
		put_count(object, "blocks", suppression->blocks);
		put_count(object, "sites", suppression->sites);
		json_array_append_new(array, object);
	}
	return array;
}

static json_t *leaks_object(const struct leak_report *report)
{
	const struct leaks *leaks = report->leaks;
	const struct leak_verdict *verdict = &report->verdict;
	bool judged = verdict->gated && !verdict->not_judged;
	json_t *object = json_object();

	put(object, "all", sum_object(&leaks->all));
	put(object, "suppressed", sum_object(&leaks->suppressed));
	put(object, "baseline", sum_object(&leaks->before));
	put(object, "leaked", sum_object(&leaks->leaked));
	put_known(object, "limit_bytes", verdict->limit_bytes, verdict->gated);
	put(object, "judged", json_boolean(judged));
	put_text(object, "not_judged", verdict->gated ? verdict->not_judged : NULL);
	put(object, "failed", judged ? json_boolean(verdict->failed) : json_null());
	put(object, "children", json_boolean(verdict->children));
	put(object, "suppressions", suppressions_array(leaks->suppressions));
	return object;
}

static json_t *leak_object(const struct selection *selection, const struct leak *leak)
{
	json_t *object = site_object(selection, leak->site);

	put_text(object, "suppressed_by", leak->suppression ? leak->suppression->pattern : NULL);
	put_known(object, "baseline_bytes", leak->before.bytes, leak->known);
	put_known(object, "baseline_blocks", leak->before.blocks, leak->known);
	return object;
}

static int write_object(FILE *out, json_t *object)
{
	int err;

	errno = 0;
	err = json_dumpf(object, out, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(12));
	json_decref(object);
	if (err || fputc('\n', out) == EOF || fflush(out))
		return errno ? -errno : -EIO;
	return 0;
}

int export_json(FILE *out, const struct selection *selection)
{
	json_set_alloc_funcs(xmalloc, free); /* never NULL: nothing can be left out */
	return write_object(out, picture_object(selection));
}

/* A tick's object whose sites are those that hold blocks; `rest` are all others. */
int export_leaks_json(FILE *out, const struct leak_report *report)
{
	const struct leaks *leaks = report->leaks;
	struct selection selection = {.picture = leaks->picture,
				      .resolver = leaks->resolver,
				      .total = leaks->picture->site_count,
				      .names_percent = NAN};
	json_t *object, *sites;

	json_set_alloc_funcs(xmalloc, free);
	leaks_rest(leaks, &selection.rest);
	object = picture_object(&selection);
	sites = json_object_get(object, "sites");
	for (size_t i = 0; i < leaks->count; i++)
		json_array_append_new(sites, leak_object(&selection, &leaks->data[i]));
	put(object, "leaks", leaks_object(report));
	return write_object(out, object);
}
