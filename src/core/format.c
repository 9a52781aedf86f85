/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Numbers are scaled by tables of units. The unit is chosen after rounding, so that no number ever
 * shows as 1024 of its unit, and megabytes begin at 0.1M, so that small and large rows of a column
 * read alike. Where rounding would turn a little into nothing, or almost into all, the text says so
 * (`<0.1%`, `>99%`): 0, 100%, `all` and `none` are said only where they are true.
 */
#include "core/format.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define KIBI 1024.0

struct unit {
	double size;
	double last; /* greatest value shown in this unit, in units, after rounding */
	char letter;
	int decimals;
};

static const struct unit units[] = {
	{KIBI, 99.9, 'K', 1},
	{KIBI * KIBI, 1023, 'M', 1},
	{KIBI * KIBI * KIBI, 1023, 'G', 2},
	{KIBI * KIBI * KIBI * KIBI, 1023, 'T', 2},
	{KIBI * KIBI * KIBI * KIBI * KIBI, 1023, 'P', 2},
	{KIBI * KIBI * KIBI * KIBI * KIBI * KIBI, 1023, 'E', 2},
};

#define UNIT_COUNT (sizeof(units) / sizeof(units[0]))

/* Decimals that keep a value within `digits` digits. */
static int decimals_for(double value, int digits, int most)
{
	int decimals = most;

	for (int whole = 1; whole < digits; whole++)
		if (value + 0.5 * pow(10, -(digits - whole)) >= pow(10, whole) &&
		    decimals > digits - whole - 1)
			decimals = digits - whole - 1;
	return decimals;
}

static double rounded(double value, int decimals)
{
	double scale = pow(10, decimals);

	return round(value * scale) / scale;
}

/* `digits` digits, at most `decimals` of them (-1 = those of the unit) behind the point. */
static void format_scaled(char *ret, double value, int digits, int decimals)
{
	const struct unit *unit = units;
	int places;

	for (;; unit++) {
		places = decimals_for(value / unit->size, digits,
				      decimals < 0 ? unit->decimals : decimals);
		if (unit == &units[UNIT_COUNT - 1] ||
		    rounded(value / unit->size, places) <= unit->last)
			break;
	}
	snprintf(ret, FORMAT_SIZE - 4, "%.*f%c", places, value / unit->size, unit->letter);
}

char *format_bytes(char *ret, uint64_t bytes)
{
	if (bytes < 1024)
		snprintf(ret, FORMAT_SIZE, "%u", (unsigned)bytes);
	else
		format_scaled(ret, bytes, 4, -1);
	return ret;
}

char *format_megabytes(char *ret, uint64_t bytes)
{
	snprintf(ret, FORMAT_SIZE, "%.1f", bytes / (KIBI * KIBI));
	return ret;
}

char *format_delta(char *ret, int64_t bytes)
{
	if (!bytes)
		return strcpy(ret, "0");
	ret[0] = bytes < 0 ? '-' : '+';
	format_bytes(ret + 1, bytes < 0 ? -(uint64_t)bytes : (uint64_t)bytes);
	return ret;
}

char *format_rate(char *ret, double bytes_per_s, double floor)
{
	double size = fabs(bytes_per_s);

	if (!isfinite(bytes_per_s))
		return strcpy(ret, "-");
	if (size < floor || size < 0.5)
		return strcpy(ret, "0");
	ret[0] = bytes_per_s < 0 ? '-' : '+';
	if (size < 1023.5)
		snprintf(ret + 1, FORMAT_SIZE - 1, "%.0f", size);
	else
		format_scaled(ret + 1, fmin(size, 9e18), 3, 2);
	return strcat(ret, "/s");
}

char *format_count(char *ret, uint64_t count)
{
	char digits[FORMAT_SIZE];
	int length = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)count);
	char *out = ret;

	if (length > 18) { /* with separators it would not fit */
		snprintf(ret, FORMAT_SIZE, "%.3e", (double)count);
		return ret;
	}
	for (int i = 0; i < length; i++) {
		if (i && (length - i) % 3 == 0)
			*out++ = ',';
		*out++ = digits[i];
	}
	*out = '\0';
	return ret;
}

static void format_pair(char *ret, unsigned long long value, unsigned small, const char *units_of)
{
	snprintf(ret, FORMAT_SIZE, "%llu%c%02llu%c", value / small, units_of[0], value % small,
		 units_of[1]);
}

char *format_duration(char *ret, double seconds)
{
	if (!isfinite(seconds) || seconds < 0)
		strcpy(ret, "-");
	else if (seconds == 0)
		strcpy(ret, "0s");
	else if (seconds < 0.0005)
		strcpy(ret, "<1ms");
	else if (seconds < 0.0995)
		snprintf(ret, FORMAT_SIZE, "%.0fms", seconds * 1000);
	else if (seconds < 9.95)
		snprintf(ret, FORMAT_SIZE, "%.1fs", seconds);
	else if (seconds < 59.5)
		snprintf(ret, FORMAT_SIZE, "%.0fs", seconds);
	else if (seconds < 3599.5)
		format_pair(ret, llround(seconds), 60, "ms");
	else if (seconds < 86370)
		format_pair(ret, llround(seconds / 60), 60, "hm");
	else if (seconds < 100 * 86400.0)
		format_pair(ret, llround(seconds / 3600), 24, "dh");
	else if (seconds < 10000 * 86400.0)
		snprintf(ret, FORMAT_SIZE, "%.0fd", seconds / 86400);
	else
		strcpy(ret, ">9999d");
	return ret;
}

char *format_percent(char *ret, double percent)
{
	double size = fabs(percent);
	const char *sign = percent < 0 ? "-" : "";

	if (!isfinite(percent))
		strcpy(ret, "-");
	else if (size == 0)
		strcpy(ret, "0%");
	else if (size < 0.05)
		strcpy(ret, "<0.1%");
	else if (size < 9.95)
		snprintf(ret, FORMAT_SIZE, "%s%.1f%%", sign, size);
	else if (size >= 99.5 && size < 100)
		snprintf(ret, FORMAT_SIZE, "%s>99%%", sign);
	else
		snprintf(ret, FORMAT_SIZE, "%s%.0f%%", sign, fmin(size, 1e15));
	return ret;
}

char *format_kept(char *ret, double ratio)
{
	double one_in = 1 / ratio;

	if (!isfinite(ratio))
		strcpy(ret, "-");
	else if (ratio <= 0)
		strcpy(ret, "none");
	else if (ratio >= 1)
		strcpy(ret, "all");
	else if (ratio < 0.001)
		strcpy(ret, "<0.1%");
	else if (ratio < 0.01)
		snprintf(ret, FORMAT_SIZE, "%.1f%%", ratio * 100);
	else if (one_in >= 1.75 && (one_in >= 9.5 || fabs(one_in - round(one_in)) <= 0.25))
		snprintf(ret, FORMAT_SIZE, "1 in %.0f", one_in);
	else
		format_percent(ret, ratio * 100);
	return ret;
}

static void format_time(char *ret, uint64_t unix_ns, const char *format)
{
	time_t seconds = unix_ns / 1000000000u;
	struct tm local;

	if (!localtime_r(&seconds, &local) || !strftime(ret, FORMAT_SIZE, format, &local))
		strcpy(ret, "-");
}

char *format_clock(char *ret, uint64_t unix_ns)
{
	format_time(ret, unix_ns, "%H:%M:%S");
	return ret;
}

/* For sentences: "64M", "40K", "1.5G"; decimals only where they tell something. */
static char *format_about(char *ret, double bytes)
{
	if (!(bytes > 0))
		return strcpy(ret, "0");
	if (bytes < 1023.5)
		snprintf(ret, FORMAT_SIZE, "%.0f", bytes);
	else
		format_scaled(ret, fmin(bytes, 9e18), 2, 1);
	return ret;
}

struct verdict_names {
	const char *token, *word;
};

static const struct verdict_names verdicts[VERDICT_COUNT] = {
	[VERDICT_UNKNOWN] = {"unknown", "UNKNOWN"},
	[VERDICT_WARMING_UP] = {"warming-up", "TOO EARLY"},
	[VERDICT_STEADY] = {"steady", "STEADY"},
	[VERDICT_FILLING] = {"filling", "FILLING"},
	[VERDICT_SAWTOOTH] = {"sawtooth", "UP AND DOWN"},
	[VERDICT_BURST] = {"burst", "STEPPED UP"},
	[VERDICT_GROWING] = {"growing", "PILING UP"},
	[VERDICT_LEAKING] = {"leaking", "LEAKING"},
	[VERDICT_UNEXPLAINED] = {"unexplained", "CAN'T TELL"},
};

const char *verdict_token(enum verdict verdict)
{
	return verdicts[verdict < VERDICT_COUNT ? verdict : VERDICT_UNKNOWN].token;
}

const char *verdict_word(enum verdict verdict)
{
	return verdicts[verdict < VERDICT_COUNT ? verdict : VERDICT_UNKNOWN].word;
}

const char *site_word(const struct site_stats *site)
{
	return site->info->flags & SITE_UNMATCHED   ? "UNMATCHED" :
	       site->info->flags & SITE_RECLAIMABLE ? "RECLAIMABLE" :
						      verdict_word(site->judgment.verdict);
}

/* The fact behind the word; empty where there is none. */
static void verdict_fact(char *ret, size_t size, const struct judgment *judgment, uint64_t floor)
{
	char number[FORMAT_SIZE], when[FORMAT_SIZE];

	ret[0] = '\0';
	switch (judgment->verdict) {
	case VERDICT_LEAKING:
		if (isfinite(judgment->one_in) && judgment->one_in > 1)
			snprintf(ret, size, "%s never freed",
				 format_kept(number, 1 / judgment->one_in));
		else
			snprintf(ret, size, "never freed");
		break;
	case VERDICT_GROWING:
		snprintf(ret, size, "freed slower than allocated");
		break;
	case VERDICT_FILLING:
		snprintf(ret, size, "slowing, about %s at the end",
			 format_about(number, judgment->level_bytes));
		break;
	case VERDICT_BURST:
		format_time(when, judgment->since_unix_ns, "%H:%M");
		snprintf(ret, size, "+%s at %s, flat since",
			 format_about(number, judgment->level_bytes), when);
		break;
	case VERDICT_SAWTOOTH:
		snprintf(ret, size, "always returns to %s",
			 format_about(number, judgment->level_bytes));
		break;
	case VERDICT_STEADY:
		snprintf(ret, size, "nothing above %s/s", format_about(number, floor));
		break;
	case VERDICT_WARMING_UP:
		if (judgment->due_s > 0)
			snprintf(ret, size, "due in %s", format_duration(number, judgment->due_s));
		break;
	case VERDICT_UNEXPLAINED:
		if (isfinite(judgment->explained_percent))
			snprintf(ret, size, "only %s explained",
				 format_percent(number, judgment->explained_percent));
		break;
	default:
		break;
	}
}

char *verdict_sentence(char *ret, size_t size, const struct judgment *judgment,
		       uint64_t floor_bytes_per_s)
{
	char fact[64];

	verdict_fact(fact, sizeof(fact), judgment, floor_bytes_per_s);
	snprintf(ret, size, "%s%s%s", verdict_word(judgment->verdict), fact[0] ? ": " : "", fact);
	return ret;
}

const char *kind_name(enum abi_kind kind)
{
	static const char *const names[] = {
		[ABI_KIND_NONE] = "none",
		[ABI_KIND_MALLOC] = "malloc",
		[ABI_KIND_CALLOC] = "calloc",
		[ABI_KIND_REALLOC] = "realloc",
		[ABI_KIND_REALLOCARRAY] = "reallocarray",
		[ABI_KIND_MEMALIGN] = "memalign",
		[ABI_KIND_POSIX_MEMALIGN] = "posix_memalign",
		[ABI_KIND_ALIGNED_ALLOC] = "aligned_alloc",
		[ABI_KIND_VALLOC] = "valloc",
		[ABI_KIND_PVALLOC] = "pvalloc",
		[ABI_KIND_NEW] = "new",
		[ABI_KIND_XALLOCX] = "xallocx",
		[ABI_KIND_REALLOCF] = "reallocf",
		[ABI_KIND_FUNCTION] = "function",
		[ABI_KIND_FUNCTION_REALLOC] = "function",
		[ABI_KIND_MMAP] = "mmap",
		[ABI_KIND_BRK] = "brk",
		[ABI_KIND_SLAB] = "slab",
		[ABI_KIND_PAGE] = "page",
		[ABI_KIND_VMALLOC] = "vmalloc",
		[ABI_KIND_PERCPU] = "percpu",
		[ABI_KIND_PAGE_FAULT] = "page-fault",
		[ABI_KIND_POPULATED] = "populated",
		[ABI_KIND_BEFORE_ATTACH] = "before-attach",
	};
	size_t number = kind;

	if (number >= sizeof(names) / sizeof(names[0]) || !names[number])
		return "other";
	return names[number];
}

const char *stackless_name(enum abi_kind kind, enum side side)
{
	switch (kind) {
	case ABI_KIND_POPULATED:
		return side == SIDE_MAPS ? "(mapped by the kernel, or unseen)" :
					   "(populated: pages that no fault was seen for)";
	case ABI_KIND_BEFORE_ATTACH:
		return side == SIDE_MAPS ? "(mapped before the attach)" :
					   "(pages from before the attach)";
	default:
		return "(no stack)";
	}
}

const char *side_name(enum side side)
{
	static const char *const names[SIDE_COUNT] = {
		[SIDE_USER] = "user",
		[SIDE_MAPS] = "maps",
		[SIDE_KERNEL] = "kernel",
	};

	return side < SIDE_COUNT ? names[side] : "other";
}

static const char *const levels[] = {
	[LEVEL_AUTO] = "auto",
	[LEVEL_RSS] = "rss",
	[LEVEL_PAGES] = "pages",
	[LEVEL_HEAP] = "heap",
};

#define LEVEL_NAMES (sizeof(levels) / sizeof(levels[0]))

const char *level_name(enum level level)
{
	return level < LEVEL_NAMES ? levels[level] : "other";
}

int level_parse(const char *name, enum level *ret)
{
	for (size_t i = 0; i < LEVEL_NAMES; i++)
		if (!strcmp(name, levels[i])) {
			*ret = (enum level)i;
			return 0;
		}
	return -EINVAL;
}

const char *target_status_name(enum target_status status)
{
	static const char *const names[] = {
		[TARGET_RUNNING] = "running",
		[TARGET_EXITED] = "exited",
		[TARGET_OOM_KILLED] = "oom-killed",
		[TARGET_KILLED] = "killed",
	};

	return status < sizeof(names) / sizeof(names[0]) ? names[status] : "other";
}

const char *limit_source_name(enum limit_source source)
{
	static const char *const names[] = {
		[LIMIT_NONE] = "none",
		[LIMIT_CGROUP] = "cgroup",
		[LIMIT_SYSTEM] = "system",
		[LIMIT_USER] = "user",
	};

	return source < sizeof(names) / sizeof(names[0]) ? names[source] : "other";
}
