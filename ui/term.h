/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The terminal: keys in, canvas out. The only user of curses. Whatever ends memtop, the terminal is
 * given back as it was. Paints never block: the tty is non-blocking and a paint that does not fit
 * is dropped.
 */
#ifndef MEMTOP_UI_TERM_H
#define MEMTOP_UI_TERM_H

#include "ui/canvas.h"

/* A key: a Unicode character, or one of these. */
enum key {
	KEYS_NONE = 0,
	KEYS_TAB = '\t',
	KEYS_ENTER = '\n',
	KEYS_ESCAPE = 27,
	KEYS_CTRL_C = 3,
	KEYS_CTRL_L = 12,
	KEYS_CTRL_Z = 26,
	KEYS_BACKSPACE = 127,
	KEYS_SPECIAL = 0x110000,
	KEYS_UP,
	KEYS_DOWN,
	KEYS_LEFT,
	KEYS_RIGHT,
	KEYS_PAGE_UP,
	KEYS_PAGE_DOWN,
	KEYS_HOME,
	KEYS_END,
	KEYS_BACK_TAB,
	KEYS_RESIZE,
	KEYS_F1,
	KEYS_F10 = KEYS_F1 + 9,
};

struct term;

/*
 * Takes the terminal over. An unknown TERM or locale falls back to a built-in one and says so in
 * `notice` ("" = nothing to say). -ENOTTY, -errno.
 */
int term_open(struct term **ret, char *notice, size_t size);
/* Gives it back; NULL is fine. */
void term_close(struct term *term);

int term_fd(const struct term *term); /* to poll for keys */
bool term_utf8(const struct term *term);
void term_size(const struct term *term, unsigned *rows, unsigned *columns);
int term_read_key(struct term *term); /* KEYS_NONE when there is none */
void term_paint(struct term *term, const struct canvas *canvas);
void term_redraw(struct term *term); /* forget what is on it: the next paint draws all */
/* Gives the terminal back, stops memtop (Ctrl-Z), takes it over again when continued. */
void term_suspend(struct term *term);
/* Restores the terminal from a fatal signal's or memory's end; async-signal-safe. */
void term_restore(void);

#endif
