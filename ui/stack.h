/* SPDX-License-Identifier: GPL-2.0-only */
/* Call stacks as text: the SITE column, and the frames of an unfolded site. */
#ifndef MEMTOP_UI_STACK_H
#define MEMTOP_UI_STACK_H

#include "core/picture.h"
#include "core/resolver.h"
#include "ui/canvas.h"

#define STACK_NAME_SIZE 512

struct stack_options {
	bool wrappers;	      /* show frames that only pass memory through */
	bool paths;	      /* full paths */
	bool own_known;	      /* it is known which modules are the user's own */
	const char *own_glob; /* NULL = those outside of the distribution's library folders */
};

/* "symbol ← caller ← caller", the allocating frame first; of a kernel cache its name before. */
void stack_site_text(struct resolver *resolver, const struct modules *modules,
		     const struct site_info *site, const struct stack_options *options, char *ret,
		     size_t size);
/* The first name of that text. */
void stack_site_name(struct resolver *resolver, const struct modules *modules,
		     const struct site_info *site, char *ret, size_t size);

bool stack_own_module(const struct stack_options *options, const char *path);

/*
 * Draws lines [from, from + rows) of the site's frames, and returns how many lines there are in
 * all. rows = 0 only counts.
 */
unsigned stack_draw(struct canvas *canvas, unsigned row, unsigned rows, unsigned from,
		    struct resolver *resolver, const struct modules *modules,
		    const struct site_info *site, const struct stack_options *options);

#endif
