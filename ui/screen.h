/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The screen: draws a view onto a canvas and turns keys into changes of the view, or into requests
 * that only the application can fulfil. Holds what is on screen beside the view: help, menus,
 * prompts, the message line, sideways scroll, unfolded wrappers.
 */
#ifndef MEMTOP_UI_SCREEN_H
#define MEMTOP_UI_SCREEN_H

#include "core/resolver.h"
#include "core/view.h"
#include "ui/canvas.h"

enum screen_request {
	SCREEN_NOTHING,
	SCREEN_QUIT,
	SCREEN_MARK,	/* set a mark now */
	SCREEN_LEVEL,	/* step the level up or down; screen_level() says to which */
	SCREEN_KERNEL,	/* the kernel side is looked at */
	SCREEN_DELAY,	/* screen_delay() says the new tick in seconds */
	SCREEN_SUSPEND, /* Ctrl-Z */
	SCREEN_REDRAW,
};

/* What the header shows of memtop itself; set by the application before drawing. */
struct screen_status {
	double delay_s;
	bool live;		 /* the target is being watched; false: it ended */
	const char *waiting_for; /* it ended, and the next of this name is waited for; or NULL */
	bool own_modules_known;
	const char *own_glob; /* modules that are the user's own; NULL = not distribution's */
};

struct screen;

struct screen *screen_new(void);
void screen_free(struct screen *screen);

enum screen_request screen_key(struct screen *screen, struct view *view, int key);
enum level screen_level(const struct screen *screen);
double screen_delay(const struct screen *screen);
/* A line for the user, shown until the next key. */
void screen_message(struct screen *screen, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

void screen_draw(struct screen *screen, struct canvas *canvas, struct view *view,
		 struct resolver *resolver, const struct screen_status *status);

#endif
