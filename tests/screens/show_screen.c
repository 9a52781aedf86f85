/* SPDX-License-Identifier: GPL-2.0-only */
/* Shows the screen of the fixture in a terminal, for the eye: keys work as in memtop. */
#include "tests/screens/fixture.h"
#include "ui/term.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

static bool keys(struct term *term, struct screen *screen, struct view *view)
{
	int key;

	while ((key = term_read_key(term)) != KEYS_NONE)
		switch (screen_key(screen, view, key)) {
		case SCREEN_QUIT:
			return false;
		case SCREEN_SUSPEND:
			term_suspend(term);
			break;
		case SCREEN_REDRAW:
			term_redraw(term);
			break;
		default:
			break;
		}
	return true;
}

int main(int argc, char **argv)
{
	struct fixture fixture;
	struct view *view = view_new();
	struct screen *screen = screen_new();
	struct term *term;
	char notice[256];

	fixture_init(&fixture);
	if (argc > 1 && strcmp(argv[1], "hostile") == 0)
		fixture_hostile(&fixture);
	if (term_open(&term, notice, sizeof(notice)))
		return 1;
	if (notice[0])
		screen_message(screen, "%s", notice);
	do {
		struct pollfd poll_fd = {.fd = term_fd(term), .events = POLLIN};
		struct canvas canvas;
		unsigned rows, columns;

		view_sync(view, &fixture.picture);
		term_size(term, &rows, &columns);
		canvas_init(&canvas, rows, columns, term_utf8(term));
		screen_draw(screen, &canvas, view, &fixture.resolver, &fixture.status);
		term_paint(term, &canvas);
		canvas_deinit(&canvas);
		poll(&poll_fd, 1, 200);
	} while (keys(term, screen, view));
	term_close(term);
	screen_free(screen);
	view_free(view);
	return 0;
}
