/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A key goes to the mode that is on (the table, help, the sort menu, a prompt, a question); in the
 * table it is looked up in keys.c and answered by the handler of its action. Nothing here waits:
 * what takes time is a request to the application.
 */
#include "ui/screen_state.h"

#include "ui/columns.h"
#include "ui/keys.h"
#include "ui/term.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIDEWAYS_STEP 8
#define SIDEWAYS_MAX  2000
#define DELAY_MIN     0.1
#define DELAY_MAX     3600.0
#define CTRL_U	      21

/* Handlers of actions. */

typedef enum screen_request handler_fn(struct screen *screen, struct view *view);

static enum screen_request on_up(struct screen *screen, struct view *view)
{
	if (screen->table.detail > 0)
		screen->table.detail--;
	else
		view_move(view, -1);
	return SCREEN_NOTHING;
}

static enum screen_request on_down(struct screen *screen, struct view *view)
{
	if (screen->table.detail_hidden > 0) {
		screen->table.detail++;
		return SCREEN_NOTHING;
	}
	screen->table.detail = 0;
	view_move(view, 1);
	return SCREEN_NOTHING;
}

static long page(const struct screen *screen)
{
	return screen->table.page > 1 ? (long)screen->table.page - 1 : 1;
}

static enum screen_request on_page_up(struct screen *screen, struct view *view)
{
	unsigned step = (unsigned)page(screen);

	if (screen->table.detail > 0) {
		screen->table.detail -= step < screen->table.detail ? step : screen->table.detail;
		return SCREEN_NOTHING;
	}
	view_move(view, -page(screen));
	return SCREEN_NOTHING;
}

static enum screen_request on_page_down(struct screen *screen, struct view *view)
{
	if (screen->table.detail_hidden > 0) {
		screen->table.detail += (unsigned)page(screen);
		return SCREEN_NOTHING;
	}
	screen->table.detail = 0;
	view_move(view, page(screen));
	return SCREEN_NOTHING;
}

static enum screen_request on_first(struct screen *screen, struct view *view)
{
	screen->table.detail = 0;
	view_move(view, LONG_MIN);
	return SCREEN_NOTHING;
}

static enum screen_request on_last(struct screen *screen, struct view *view)
{
	screen->table.detail = 0;
	view_move(view, LONG_MAX);
	return SCREEN_NOTHING;
}

static enum screen_request on_left(struct screen *screen, struct view *view)
{
	(void)view;
	screen->sideways -= screen->sideways < SIDEWAYS_STEP ? screen->sideways : SIDEWAYS_STEP;
	return SCREEN_NOTHING;
}

static enum screen_request on_right(struct screen *screen, struct view *view)
{
	(void)view;
	if (screen->sideways < SIDEWAYS_MAX)
		screen->sideways += SIDEWAYS_STEP;
	return SCREEN_NOTHING;
}

static void unfold(struct screen *screen, struct view *view, bool unfolded)
{
	screen->table.detail = 0;
	view_set_unfolded(view, view_selected(view), unfolded);
}

static enum screen_request on_toggle(struct screen *screen, struct view *view)
{
	unfold(screen, view, !view_unfolded(view, view_selected(view)));
	return SCREEN_NOTHING;
}

static enum screen_request on_open(struct screen *screen, struct view *view)
{
	unfold(screen, view, true);
	return SCREEN_NOTHING;
}

static enum screen_request on_close(struct screen *screen, struct view *view)
{
	unfold(screen, view, false);
	return SCREEN_NOTHING;
}

static enum screen_request on_open_all(struct screen *screen, struct view *view)
{
	screen->table.detail = 0;
	view_set_all_unfolded(view, !view_unfolded(view, view_selected(view)));
	return SCREEN_NOTHING;
}

static enum screen_request on_freeze(struct screen *screen, struct view *view)
{
	(void)screen;
	view_set_frozen(view, !view_frozen(view));
	return SCREEN_NOTHING;
}

static enum screen_request on_look_back(struct screen *screen, struct view *view)
{
	screen->table.detail = 0;
	if (!view_look(view, -1))
		screen_message(screen, "Nothing earlier: %s",
			       view_looks_back(view) ? "this is the first generation that is kept" :
						       "no other program ran here");
	return SCREEN_NOTHING;
}

static enum screen_request on_look_forward(struct screen *screen, struct view *view)
{
	screen->table.detail = 0;
	if (!view_look(view, 1))
		screen_message(screen, "This is the present");
	return SCREEN_NOTHING;
}

static enum screen_request ask(struct screen *screen, enum mode mode, const char *text)
{
	screen->mode = mode;
	snprintf(screen->prompt, sizeof(screen->prompt), "%s", text);
	return SCREEN_NOTHING;
}

static enum screen_request on_search(struct screen *screen, struct view *view)
{
	(void)view;
	return ask(screen, MODE_SEARCH, "");
}

static enum screen_request find(struct screen *screen, struct view *view, int direction)
{
	if (!screen->search[0])
		screen_message(screen, "Nothing to search for yet: / asks");
	else if (view_search(view, screen->search, direction) == 0)
		screen->table.detail = 0;
	else if (view_hidden(view))
		screen_message(screen,
			       "Not found: %s (%zu sites are not shown; \\ looks there too)",
			       screen->search, view_hidden(view));
	else
		screen_message(screen, "Not found: %s", screen->search);
	return SCREEN_NOTHING;
}

static enum screen_request on_next(struct screen *screen, struct view *view)
{
	return find(screen, view, 1);
}

static enum screen_request on_earlier(struct screen *screen, struct view *view)
{
	return find(screen, view, -1);
}

static enum screen_request on_filter(struct screen *screen, struct view *view)
{
	const char *filter = view_filter(view);

	return ask(screen, MODE_FILTER, filter ? filter : "");
}

static enum screen_request on_sort(struct screen *screen, struct view *view)
{
	screen->mode = MODE_SORT;
	screen->sort_chosen = view_sort(view, NULL);
	return SCREEN_NOTHING;
}

static enum screen_request sort_aside(struct view *view, int direction)
{
	bool inverted;
	enum sort_column column = view_sort(view, &inverted);

	view_set_sort(view, columns_sort_neighbour(column, direction), inverted);
	return SCREEN_NOTHING;
}

static enum screen_request on_sort_left(struct screen *screen, struct view *view)
{
	(void)screen;
	return sort_aside(view, -1);
}

static enum screen_request on_sort_right(struct screen *screen, struct view *view)
{
	(void)screen;
	return sort_aside(view, 1);
}

static enum screen_request on_invert(struct screen *screen, struct view *view)
{
	bool inverted;
	enum sort_column column = view_sort(view, &inverted);

	(void)screen;
	view_set_sort(view, column, !inverted);
	return SCREEN_NOTHING;
}

static enum screen_request change_side(struct screen *screen, struct view *view, int step)
{
	const struct picture *picture = view_picture(view);
	int side = (int)view_side(view);

	/* Sides that are not watched are skipped, but for one that only waits to be asked for. */
	for (int tries = 0; picture && tries < SIDE_COUNT; tries++) {
		side = (side + SIDE_COUNT + step) % SIDE_COUNT;
		if (picture->sides[side].known || (side == SIDE_KERNEL && picture->kernel_off))
			break;
	}
	screen->table.detail = 0;
	view_set_side(view, (enum side)side);
	return side == SIDE_KERNEL && !view_looks_back(view) ? SCREEN_KERNEL : SCREEN_NOTHING;
}

static enum screen_request on_side(struct screen *screen, struct view *view)
{
	return change_side(screen, view, 1);
}

static enum screen_request on_side_back(struct screen *screen, struct view *view)
{
	return change_side(screen, view, -1);
}

static enum screen_request on_beside(struct screen *screen, struct view *view)
{
	(void)view;
	screen->mode = MODE_BESIDE;
	screen->beside.top = 0;
	return SCREEN_NOTHING;
}

static enum screen_request on_mark(struct screen *screen, struct view *view)
{
	(void)screen;
	(void)view;
	return SCREEN_MARK;
}

static enum screen_request on_delay(struct screen *screen, struct view *view)
{
	(void)view;
	return ask(screen, MODE_DELAY, "");
}

static enum screen_request on_absolute(struct screen *screen, struct view *view)
{
	(void)view;
	screen->absolute = !screen->absolute;
	return SCREEN_NOTHING;
}

static enum screen_request on_wrappers(struct screen *screen, struct view *view)
{
	(void)view;
	screen->stacks.wrappers = !screen->stacks.wrappers;
	screen_message(screen, screen->stacks.wrappers ? "Wrapper frames are shown" :
							 "Wrapper frames are folded away");
	return SCREEN_NOTHING;
}

static enum screen_request on_paths(struct screen *screen, struct view *view)
{
	(void)view;
	screen->stacks.paths = !screen->stacks.paths;
	return SCREEN_NOTHING;
}

static enum screen_request on_level(struct screen *screen, struct view *view)
{
	const struct picture *picture = view_picture(view);

	if (!picture)
		return SCREEN_NOTHING;
	screen->level = picture->level == LEVEL_HEAP ? LEVEL_RSS : LEVEL_HEAP;
	screen->mode = MODE_LEVEL;
	return SCREEN_NOTHING;
}

static enum screen_request on_help(struct screen *screen, struct view *view)
{
	(void)view;
	screen->mode = MODE_HELP;
	screen->help_top = 0;
	return SCREEN_NOTHING;
}

static enum screen_request on_quit(struct screen *screen, struct view *view)
{
	(void)screen;
	(void)view;
	return SCREEN_QUIT;
}

static enum screen_request on_suspend(struct screen *screen, struct view *view)
{
	(void)screen;
	(void)view;
	return SCREEN_SUSPEND;
}

static enum screen_request on_redraw(struct screen *screen, struct view *view)
{
	(void)screen;
	(void)view;
	return SCREEN_REDRAW;
}

/* Back from what was changed last: the sideways scroll, then the filter. */
static enum screen_request on_back(struct screen *screen, struct view *view)
{
	if (screen->sideways)
		screen->sideways = 0;
	else if (view_filter(view))
		view_set_filter(view, NULL, NULL, 0);
	return SCREEN_NOTHING;
}

static handler_fn *const handlers[ACTION_COUNT] = {
	[ACTION_UP] = on_up,
	[ACTION_DOWN] = on_down,
	[ACTION_PAGE_UP] = on_page_up,
	[ACTION_PAGE_DOWN] = on_page_down,
	[ACTION_FIRST] = on_first,
	[ACTION_LAST] = on_last,
	[ACTION_LEFT] = on_left,
	[ACTION_RIGHT] = on_right,
	[ACTION_TOGGLE] = on_toggle,
	[ACTION_OPEN] = on_open,
	[ACTION_CLOSE] = on_close,
	[ACTION_OPEN_ALL] = on_open_all,
	[ACTION_FREEZE] = on_freeze,
	[ACTION_LOOK_BACK] = on_look_back,
	[ACTION_LOOK_FORWARD] = on_look_forward,
	[ACTION_SEARCH] = on_search,
	[ACTION_NEXT] = on_next,
	[ACTION_EARLIER] = on_earlier,
	[ACTION_FILTER] = on_filter,
	[ACTION_SORT] = on_sort,
	[ACTION_SORT_LEFT] = on_sort_left,
	[ACTION_SORT_RIGHT] = on_sort_right,
	[ACTION_INVERT] = on_invert,
	[ACTION_SIDE] = on_side,
	[ACTION_SIDE_BACK] = on_side_back,
	[ACTION_BESIDE] = on_beside,
	[ACTION_MARK] = on_mark,
	[ACTION_DELAY] = on_delay,
	[ACTION_ABSOLUTE] = on_absolute,
	[ACTION_WRAPPERS] = on_wrappers,
	[ACTION_PATHS] = on_paths,
	[ACTION_LEVEL] = on_level,
	[ACTION_HELP] = on_help,
	[ACTION_BACK] = on_back,
	[ACTION_QUIT] = on_quit,
	[ACTION_QUIT_NOW] = on_quit,
	[ACTION_SUSPEND] = on_suspend,
	[ACTION_REDRAW] = on_redraw,
};

/* Keys of the modes. */

typedef enum screen_request mode_fn(struct screen *screen, struct view *view, int key);

static enum screen_request key_table(struct screen *screen, struct view *view, int key)
{
	enum action action = keys_find(key);

	return handlers[action] ? handlers[action](screen, view) : SCREEN_NOTHING;
}

/* What is not of sites works here as it does there. */
static enum screen_request key_beside(struct screen *screen, struct view *view, int key)
{
	enum action action = keys_find(key);

	if (beside_scroll(&screen->beside, action))
		return SCREEN_NOTHING;
	switch (action) {
	case ACTION_FREEZE:
	case ACTION_LOOK_BACK:
	case ACTION_LOOK_FORWARD:
	case ACTION_MARK:
	case ACTION_HELP:
		return handlers[action](screen, view);
	case ACTION_SIDE:
	case ACTION_SIDE_BACK:
		screen->mode = MODE_TABLE;
		return handlers[action](screen, view);
	case ACTION_BESIDE:
	case ACTION_BACK:
	case ACTION_QUIT:
		screen->mode = MODE_TABLE;
		break;
	default:
		break;
	}
	return SCREEN_NOTHING;
}

static enum screen_request key_help(struct screen *screen, struct view *view, int key)
{
	unsigned step = (unsigned)page(screen);
	unsigned *top = &screen->help_top;

	(void)view;
	switch (keys_find(key)) {
	case ACTION_UP:
		*top -= *top ? 1 : 0;
		break;
	case ACTION_DOWN:
		*top += *top < screen->help_last ? 1 : 0;
		break;
	case ACTION_PAGE_UP:
		*top -= *top < step ? *top : step;
		break;
	case ACTION_PAGE_DOWN:
		*top = *top + step < screen->help_last ? *top + step : screen->help_last;
		break;
	default:
		screen->mode = MODE_TABLE;
	}
	return SCREEN_NOTHING;
}

static enum screen_request key_sort(struct screen *screen, struct view *view, int key)
{
	bool inverted;

	view_sort(view, &inverted);
	switch (keys_find(key)) {
	case ACTION_UP:
		screen->sort_chosen = (screen->sort_chosen + SORT_COUNT - 1) % SORT_COUNT;
		break;
	case ACTION_DOWN:
		screen->sort_chosen = (screen->sort_chosen + 1) % SORT_COUNT;
		break;
	case ACTION_INVERT:
		inverted = !inverted;
		/* fall through */
	case ACTION_TOGGLE:
		view_set_sort(view, (enum sort_column)screen->sort_chosen, inverted);
		/* fall through */
	default:
		screen->mode = MODE_TABLE;
	}
	return SCREEN_NOTHING;
}

static enum screen_request answer_search(struct screen *screen, struct view *view)
{
	if (screen->prompt[0])
		strcpy(screen->search, screen->prompt);
	return find(screen, view, 1);
}

static enum screen_request answer_filter(struct screen *screen, struct view *view)
{
	char error[128] = "";

	if (view_set_filter(view, screen->prompt, error, sizeof(error)))
		screen_message(screen, "Not a regular expression: %s (%s)", screen->prompt, error);
	screen->table.detail = 0;
	return SCREEN_NOTHING;
}

static enum screen_request answer_delay(struct screen *screen, struct view *view)
{
	char *end;
	double delay_s = strtod(screen->prompt, &end);

	(void)view;
	if (!screen->prompt[0])
		return SCREEN_NOTHING;
	if (*end || !(delay_s >= DELAY_MIN && delay_s <= DELAY_MAX)) {
		screen_message(screen, "Not a delay: %s (%g to %g seconds)", screen->prompt,
			       DELAY_MIN, DELAY_MAX);
		return SCREEN_NOTHING;
	}
	screen->delay_s = delay_s;
	return SCREEN_DELAY;
}

static const struct {
	const char *question;
	enum screen_request (*answer)(struct screen *screen, struct view *view);
} prompts[MODE_COUNT] = {
	[MODE_SEARCH] = {"Search: ", answer_search},
	[MODE_FILTER] = {"Filter (regular expression, empty = none): ", answer_filter},
	[MODE_DELAY] = {"Seconds between ticks: ", answer_delay},
};

const char *screen_question(const struct screen *screen)
{
	return prompts[screen->mode].question;
}

static void erase_character(char *text)
{
	size_t length = strlen(text);

	while (length > 0 && ((unsigned char)text[--length] & 0xc0) == 0x80)
		;
	text[length] = '\0';
}

static enum screen_request key_prompt(struct screen *screen, struct view *view, int key)
{
	char text[8];
	enum mode mode = screen->mode;

	if (key == KEYS_ENTER || key == '\r') {
		screen->mode = MODE_TABLE;
		return prompts[mode].answer(screen, view);
	}
	if (key == KEYS_ESCAPE) {
		screen->mode = MODE_TABLE;
	} else if (key == KEYS_BACKSPACE || key == '\b') {
		erase_character(screen->prompt);
	} else if (key == CTRL_U) {
		screen->prompt[0] = '\0';
	} else if (key >= ' ' && key < KEYS_SPECIAL && (key < 0x7f || key > 0x9f)) {
		if (strlen(screen->prompt) + utf8_encode((uint32_t)key, text) <
		    sizeof(screen->prompt))
			strcat(screen->prompt, text);
	}
	return SCREEN_NOTHING;
}

static enum screen_request key_level(struct screen *screen, struct view *view, int key)
{
	(void)view;
	screen->mode = MODE_TABLE;
	return key == 'y' || key == 'Y' ? SCREEN_LEVEL : SCREEN_NOTHING;
}

static mode_fn *const modes[MODE_COUNT] = {
	[MODE_TABLE] = key_table,   [MODE_HELP] = key_help,	[MODE_SORT] = key_sort,
	[MODE_SEARCH] = key_prompt, [MODE_FILTER] = key_prompt, [MODE_DELAY] = key_prompt,
	[MODE_LEVEL] = key_level,   [MODE_BESIDE] = key_beside,
};

enum screen_request screen_key(struct screen *screen, struct view *view, int key)
{
	enum action action = keys_find(key);

	if (key == KEYS_NONE || key == KEYS_RESIZE)
		return SCREEN_NOTHING;
	screen->message[0] = '\0';
	/* These work wherever one is. */
	if (action == ACTION_QUIT_NOW || action == ACTION_SUSPEND || action == ACTION_REDRAW)
		return handlers[action](screen, view);
	return modes[screen->mode](screen, view, key);
}
