/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A picture as a document: each format is one function from picture and resolver to a stream.
 * Writers look at a selection, made once a tick: which sites, in which order, and the rest.
 */
#ifndef MEMTOP_EXPORT_EXPORT_H
#define MEMTOP_EXPORT_EXPORT_H

#include "core/picture.h"
#include "core/resolver.h"
#include "core/view.h"

#include <regex.h>
#include <stdio.h>

struct export_choice {
	unsigned sides; /* a bit for each enum side */
	enum sort_column sort;
	size_t top;	       /* 0 = all */
	const regex_t *filter; /* NULL = none */
	double older_s;
	uint64_t min_size_bytes;
};

/* What is written of a picture. Borrows from the picture. */
struct selection {
	const struct picture *picture;
	struct resolver *resolver;
	const struct site_stats **sites; /* sorted and cut */
	size_t count;
	size_t total;	      /* sites of the picture */
	struct totals rest;   /* of the sites that are not in `sites` */
	double names_percent; /* of the frames of `sites`; NAN = no frames */
};

/* Lets the resolver work on the frames of the selection, at most `settle_ms`. */
void selection_init(struct selection *selection, const struct picture *picture,
		    struct resolver *resolver, const struct export_choice *choice,
		    unsigned settle_ms);
void selection_deinit(struct selection *selection);

/* "inner ← outer" of a site without wrappers, and its modules and verdict; what --filter sees. */
void export_site_text(const struct picture *picture, struct resolver *resolver,
		      const struct site_stats *site, char *ret, size_t size);

/*
 * A copy of untrusted text that is safe to print: bytes that are not UTF-8 become U+FFFD, and
 * with `controls` so do control characters. The caller frees it.
 */
char *export_clean(const char *text, bool controls);

/* One object on one line, schema memtop/1; the stream is flushed. -errno of the stream. */
int export_json(FILE *out, const struct selection *selection);
/* A block of lines at most `width` columns wide; the stream is flushed. */
int export_text(FILE *out, const struct selection *selection, unsigned width);

#endif
