/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * No key signals or changes the target. A binding that nothing answers to is not here: what the
 * help lists, works.
 */
#include "ui/keys.h"

#include "ui/term.h"

#include <stdio.h>
#include <string.h>

#define F(n) (KEYS_F1 + (n)-1)

const struct key_binding key_bindings[] = {
	{ACTION_UP, {KEYS_UP, 'k'}, "Up Down j k", "move", NULL, 0},
	{ACTION_DOWN, {KEYS_DOWN, 'j'}, NULL, NULL, NULL, 0},
	{ACTION_PAGE_UP, {KEYS_PAGE_UP}, "PgUp PgDn", "a page up, down", NULL, 0},
	{ACTION_PAGE_DOWN, {KEYS_PAGE_DOWN}, NULL, NULL, NULL, 0},
	{ACTION_FIRST,
	 {'g', KEYS_HOME},
	 "g Home",
	 "to the first site, and stay on the first",
	 NULL,
	 0},
	{ACTION_LAST, {'G', KEYS_END}, "G End", "to the last site", NULL, 0},
	{ACTION_LEFT, {KEYS_LEFT}, "Left Right", "scroll sideways", NULL, 0},
	{ACTION_RIGHT, {KEYS_RIGHT}, NULL, NULL, NULL, 0},
	{ACTION_HELP, {'?', 'h', F(1)}, "? h F1", "this help", "?Help", 1},
	{ACTION_TOGGLE, {KEYS_ENTER, '\r'}, "Enter", "unfold or fold the site", "Enter:unfold", 2},
	{ACTION_OPEN, {'+'}, "+ -", "unfold, fold the site", NULL, 0},
	{ACTION_CLOSE, {'-'}, NULL, NULL, NULL, 0},
	{ACTION_OPEN_ALL, {'*'}, "*", "unfold or fold all sites", NULL, 0},
	{ACTION_FREEZE,
	 {' '},
	 "Space",
	 "freeze the display, resume (capture goes on)",
	 "Space:freeze",
	 3},
	{ACTION_LOOK_BACK, {'['}, "[ ]", "back to what ran before an exec, forward", NULL, 0},
	{ACTION_LOOK_FORWARD, {']'}, NULL, NULL, NULL, 0},
	{ACTION_MARK, {'m'}, "m", "set a mark: growth counts from now", "m:mark", 5},
	{ACTION_SORT, {'s', F(6)}, "s F6", "sort menu", "s:sort", 4},
	{ACTION_SORT_LEFT, {'<', ','}, "< >", "sort by the column to the left, right", NULL, 0},
	{ACTION_SORT_RIGHT, {'>', '.'}, NULL, NULL, NULL, 0},
	{ACTION_INVERT, {'I'}, "I", "invert the order", NULL, 0},
	{ACTION_SEARCH, {'/', F(3)}, "/ F3", "search", "/find", 7},
	{ACTION_NEXT, {'n'}, "n N", "next, earlier match", NULL, 0},
	{ACTION_EARLIER, {'N'}, NULL, NULL, NULL, 0},
	{ACTION_FILTER,
	 {'\\', F(4)},
	 "\\ F4",
	 "filter by a regular expression over frames and verdict",
	 "\\filter",
	 8},
	{ACTION_SIDE, {KEYS_TAB}, "Tab", "side: user, maps, kernel", "Tab:side", 6},
	{ACTION_SIDE_BACK, {KEYS_BACK_TAB}, NULL, NULL, NULL, 0},
	{ACTION_BESIDE,
	 {'b'},
	 "b",
	 "beside memory: descriptors, buffers, page tables",
	 "b:beside",
	 10},
	{ACTION_ABSOLUTE, {'a'}, "a", "change since the mark, or all ever allocated", "a:abs", 14},
	{ACTION_WRAPPERS, {'w'}, "w", "show or fold wrapper frames", "w:wrappers", 12},
	{ACTION_PATHS, {'p'}, "p", "full paths", "p:paths", 13},
	{ACTION_DELAY, {'d'}, "d", "seconds between ticks", "d:delay", 11},
	{ACTION_LEVEL, {'l'}, "l", "level: what is watched and at what cost (asks)", "l:level", 9},
	{ACTION_REDRAW, {KEYS_CTRL_L}, "Ctrl-L", "draw the screen anew", NULL, 0},
	{ACTION_SUSPEND, {KEYS_CTRL_Z}, "Ctrl-Z", "suspend memtop", NULL, 0},
	{ACTION_BACK, {KEYS_ESCAPE}, "Esc", "back", NULL, 0},
	{ACTION_QUIT, {'q'}, "q", "back; at the top, quit", "q:quit", 1},
	{ACTION_QUIT_NOW, {F(10), KEYS_CTRL_C}, "F10 Ctrl-C", "quit at once", NULL, 0},
};

const size_t key_binding_count = sizeof(key_bindings) / sizeof(key_bindings[0]);

enum action keys_find(int key)
{
	if (key == KEYS_NONE)
		return ACTION_NONE;
	for (size_t i = 0; i < key_binding_count; i++)
		for (size_t k = 0; k < sizeof(key_bindings[0].keys) / sizeof(int); k++)
			if (key_bindings[i].keys[k] == key)
				return key_bindings[i].action;
	return ACTION_NONE;
}

/* The highest rank for which all texts up to it fit. */
static unsigned rank_for(unsigned width)
{
	unsigned rank;

	for (rank = 1; rank < 20; rank++) {
		size_t needed = 0;

		for (size_t i = 0; i < key_binding_count; i++)
			if (key_bindings[i].foot && key_bindings[i].rank <= rank)
				needed += strlen(key_bindings[i].foot) + 1;
		if (needed > width + 1u)
			return rank - 1;
	}
	return rank;
}

char *keys_line(char *ret, size_t size, unsigned width)
{
	unsigned rank = rank_for(width);
	size_t used = 0;

	ret[0] = '\0';
	for (size_t i = 0; i < key_binding_count; i++) {
		const struct key_binding *binding = &key_bindings[i];

		if (!binding->foot || binding->rank > rank ||
		    used + strlen(binding->foot) + 2 > size)
			continue;
		used += (size_t)snprintf(ret + used, size - used, "%s%s", used ? " " : "",
					 binding->foot);
	}
	return ret;
}
