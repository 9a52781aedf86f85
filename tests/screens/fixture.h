/* SPDX-License-Identifier: GPL-2.0-only */
/* A picture of a leaking service and a resolver that knows its names, to draw screens from. */
#ifndef MEMTOP_TESTS_SCREENS_FIXTURE_H
#define MEMTOP_TESTS_SCREENS_FIXTURE_H

#include "core/picture.h"
#include "core/resolver.h"
#include "ui/canvas.h"
#include "ui/screen.h"

#define FIXTURE_SITES	6
#define FIXTURE_HISTORY 85
#define FIXTURE_FRAMES	4

struct fixture {
	struct picture picture;
	struct site_info infos[FIXTURE_SITES];
	struct site_stats sites[FIXTURE_SITES];
	uint64_t addresses[FIXTURE_SITES][FIXTURE_FRAMES];
	struct history_point history[FIXTURE_HISTORY];
	struct resolver resolver;
	struct screen_status status;
};

/* Fills in the whole; UTC and a UTF-8 locale are set for the process. */
void fixture_init(struct fixture *fixture);
/* Names that try to harm the terminal. */
void fixture_hostile(struct fixture *fixture);

/* Memory is steady, and descriptors of memfds are not closed. */
void fixture_fd_leak(struct fixture *fixture);

/* Resident pages of stacks, none of which is known to be a live block. */
void fixture_pages(struct fixture *fixture);

/* What the kernel holds grows slower than what RSS is judged from: a leak, or a cache of its own.
 */
void fixture_kernel_grows(struct fixture *fixture, bool cache);

/* The cells as UTF-8 text, a line a row, trailing blanks cut; the caller frees it. */
char *fixture_dump(const struct canvas *canvas);

#endif
