/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Numbers and words for people. Every function writes a terminated string into `ret` and returns
 * it; 24 bytes are enough for any number.
 */
#ifndef MEMTOP_CORE_FORMAT_H
#define MEMTOP_CORE_FORMAT_H

#include "core/picture.h"

#define FORMAT_SIZE 24

/* 1024-based, at most 6 columns: "0", "912", "4.0K", "440.3M", "2.00G". */
char *format_bytes(char *ret, uint64_t bytes);
/* Always in megabytes with one decimal and no unit: "440.3"; for sums whose unit is said once. */
char *format_megabytes(char *ret, uint64_t bytes);
/* With sign: "+312.4M", "-4.0K", "0". */
char *format_delta(char *ret, int64_t bytes);
/* "+5.09M/s", "0" when below `floor`; NAN gives "-". */
char *format_rate(char *ret, double bytes_per_s, double floor);
/* Thousands separated: "2,163". */
char *format_count(char *ret, uint64_t count);
/* "11ms", "0.7s", "59s", "1m24s", "3h05m", "2d04h"; NAN gives "-". */
char *format_duration(char *ret, double seconds);
/* "2.1%", "<0.1%"; NAN gives "-". */
char *format_percent(char *ret, double percent);
/* "1 in 7", "all", "none", "12%"; NAN gives "-". */
char *format_kept(char *ret, double ratio);
/* Local wall clock "12:03:11". */
char *format_clock(char *ret, uint64_t unix_ns);

/* Names of enumerations: the token of batch output, and the word on the screen. */
const char *verdict_token(enum verdict verdict); /* "leaking" */
const char *verdict_word(enum verdict verdict);
/* The same in the table, which also says of what there is none. */
const char *site_word(const struct site_stats *site); /* "LEAKING" */
/* The word with its fact: "LEAKING: 1 in 7 never freed". Fits in `size`. */
char *verdict_sentence(char *ret, size_t size, const struct judgment *judgment,
		       uint64_t floor_bytes_per_s);
const char *kind_name(enum abi_kind kind);
/* What a site without a stack is, in words. */
const char *stackless_name(enum abi_kind kind, enum side side);
const char *side_name(enum side side);
const char *level_name(enum level level);
int level_parse(const char *name, enum level *ret);
const char *target_status_name(enum target_status status);
const char *limit_source_name(enum limit_source source);

#endif
