/* SPDX-License-Identifier: GPL-2.0-only */
/* The keys: one table, from which keys are looked up and help and the key line are drawn. */
#ifndef MEMTOP_UI_KEYS_H
#define MEMTOP_UI_KEYS_H

#include <stdbool.h>
#include <stddef.h>

enum action {
	ACTION_NONE,
	ACTION_UP,
	ACTION_DOWN,
	ACTION_PAGE_UP,
	ACTION_PAGE_DOWN,
	ACTION_FIRST,
	ACTION_LAST,
	ACTION_LEFT,
	ACTION_RIGHT,
	ACTION_TOGGLE,
	ACTION_OPEN,
	ACTION_CLOSE,
	ACTION_OPEN_ALL,
	ACTION_FREEZE,
	ACTION_LOOK_BACK,
	ACTION_LOOK_FORWARD,
	ACTION_SEARCH,
	ACTION_NEXT,
	ACTION_EARLIER,
	ACTION_FILTER,
	ACTION_SORT,
	ACTION_SORT_LEFT,
	ACTION_SORT_RIGHT,
	ACTION_INVERT,
	ACTION_SIDE,
	ACTION_SIDE_BACK,
	ACTION_BESIDE,
	ACTION_MARK,
	ACTION_DELAY,
	ACTION_ABSOLUTE,
	ACTION_WRAPPERS,
	ACTION_PATHS,
	ACTION_LEVEL,
	ACTION_HELP,
	ACTION_BACK,
	ACTION_QUIT,
	ACTION_QUIT_NOW,
	ACTION_SUSPEND,
	ACTION_REDRAW,
	ACTION_COUNT,
};

struct key_binding {
	enum action action;
	int keys[5];	  /* 0 = unused */
	const char *name; /* of the keys, in the help */
	const char *help; /* what it does; NULL = told by the binding before */
	const char *foot; /* in the key line; NULL = not there */
	unsigned rank;	  /* in the key line: what goes first when there is no room, goes last */
};

extern const struct key_binding key_bindings[];
extern const size_t key_binding_count;

/* ACTION_NONE = the key has no meaning. */
enum action keys_find(int key);

/* The key line for `width` cells (all its texts are ASCII), in `ret`. */
char *keys_line(char *ret, size_t size, unsigned width);

#endif
