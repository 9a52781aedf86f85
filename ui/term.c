/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Curses draws into a memory file, never to the terminal: what it wrote is taken from there and
 * sent to the tty without blocking. While the tty has not taken all of the last paint, the next
 * paints are dropped; once it has, the latest is drawn. So curses' idea of the screen and what the
 * terminal was sent never come apart, and nothing waits for a terminal.
 *
 * The tty is opened anew, so that O_NONBLOCK is set on memtop's own file description and not on
 * the shell's. Keys are read from it and decoded here, by the terminal's own sequences and those
 * of xterm.
 *
 * What term_restore() needs is kept ready made in `restore`, since it may run in a signal handler.
 */
#include "ui/term.h"

#include "ui/theme.h"
#include "util/alloc.h"

#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define ESCAPE_MS     25  /* that the rest of a key's sequence may take */
#define RESTORE_MS    200 /* that giving the terminal back may take */
#define INPUT_SIZE    256
#define SEQUENCE_SIZE 16
#define MAX_SEQUENCES 64

struct sequence {
	char text[SEQUENCE_SIZE];
	int key;
};

struct term {
	int fd;
	bool shared; /* the description is the shell's: its flags are put back */
	int shared_flags;
	int memory_fd; /* curses' output */
	FILE *memory, *input;
	SCREEN *screen;
	bool utf8, colour;
	unsigned rows, columns; /* as last told to the reader of keys */
	struct termios raw;

	char *output; /* owned; not yet taken by the tty */
	size_t output_size, output_sent, output_capacity;
	bool redraw;

	struct cell *painted; /* owned; what curses was last told */
	unsigned painted_rows, painted_columns;

	char keypad_on[32], enter[32];
	struct sequence sequences[MAX_SEQUENCES];
	size_t sequence_count;
	char typed[INPUT_SIZE];
	size_t typed_size;
};

/* Read by term_restore(), maybe in a signal handler; written while `active` is 0. */
static struct {
	volatile sig_atomic_t active;
	int fd;
	struct termios termios;
	char text[256];
	size_t size;
	bool shared;
	int shared_flags;
} restore;

/* Locale and TERM. */

static void note(char *notice, size_t size, const char *format, const char *value)
{
	size_t used = strlen(notice);

	if (used + 2 >= size)
		return;
	if (used)
		used += (size_t)snprintf(notice + used, size - used, "; ");
	snprintf(notice + used, size - used, format, value);
}

static bool open_locale(char *notice, size_t size)
{
	const char *name = getenv("LC_ALL");

	if (!name || !*name)
		name = getenv("LC_CTYPE");
	if (!name || !*name)
		name = getenv("LANG");
	if (!name || !*name) {
		setlocale(LC_CTYPE, "C.UTF-8");
	} else if (!setlocale(LC_CTYPE, "")) {
		note(notice, size, "locale %s is not installed, using C.UTF-8", name);
		setlocale(LC_CTYPE, "C.UTF-8");
	}
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

/* newterm() installs handlers of its own where there were none; signals are the application's. */
static SCREEN *new_screen(const char *name, FILE *output, FILE *input)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGTSTP, SIGWINCH};
	struct sigaction old[sizeof(signals) / sizeof(signals[0])];
	const char *padding = getenv("NCURSES_NO_PADDING");
	SCREEN *screen;

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], NULL, &old[i]);
	setenv("NCURSES_NO_PADDING", "1", 0);
	screen = newterm(name, output, input);
	if (!padding)
		unsetenv("NCURSES_NO_PADDING");
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &old[i], NULL);
	return screen;
}

static bool can_address(void)
{
	const char *cup = tigetstr("cup");

	return cup && cup != (char *)-1 && *cup;
}

static SCREEN *open_screen(FILE *output, FILE *input, char *notice, size_t size)
{
	static const char *const fallbacks[] = {"xterm-256color", "xterm", "linux", "vt100",
						"ansi"};
	const char *name = getenv("TERM");
	SCREEN *screen;

	if (name && *name) {
		screen = new_screen(name, output, input);
		if (screen && can_address())
			return screen;
		if (screen) {
			endwin();
			delscreen(screen);
		}
	}
	for (size_t i = 0; i < sizeof(fallbacks) / sizeof(fallbacks[0]); i++) {
		char text[160];

		screen = new_screen(fallbacks[i], output, input);
		if (!screen)
			continue;
		snprintf(text, sizeof(text), "TERM %s%.60s, using %s",
			 name && *name ? "cannot be used: " : "is not set",
			 name && *name ? name : "", fallbacks[i]);
		note(notice, size, "%s", text);
		return screen;
	}
	return NULL;
}

/* The tty. */

static int open_same(const char *path, const struct stat *wanted)
{
	struct stat found;
	int fd = path ? open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1;

	if (fd >= 0 && (!isatty(fd) || fstat(fd, &found) || found.st_rdev != wanted->st_rdev)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int open_tty(struct term *term)
{
	struct stat wanted;

	if (!isatty(STDOUT_FILENO) || fstat(STDOUT_FILENO, &wanted))
		return -ENOTTY;
	term->fd = open_same(ttyname(STDOUT_FILENO), &wanted);
	if (term->fd < 0) /* of another mount namespace: the controlling terminal has no name */
		term->fd = open("/dev/tty", O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (term->fd >= 0)
		return 0;
	term->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	if (term->fd < 0)
		return -errno;
	term->shared = true;
	term->shared_flags = fcntl(term->fd, F_GETFL);
	return fcntl(term->fd, F_SETFL, term->shared_flags | O_NONBLOCK) ? -errno : 0;
}

static void set_raw(struct term *term)
{
	term->raw = restore.termios;
	term->raw.c_iflag &= ~(tcflag_t)(BRKINT | ICRNL | INLCR | IGNCR | INPCK | ISTRIP | IXON);
	term->raw.c_oflag &= ~(tcflag_t)OPOST;
	term->raw.c_lflag &= ~(tcflag_t)(ECHO | ICANON | IEXTEN | ISIG);
	term->raw.c_cflag |= CS8;
	term->raw.c_cc[VMIN] = 0;
	term->raw.c_cc[VTIME] = 0;
	tcsetattr(term->fd, TCSADRAIN, &term->raw);
}

/* Output. */

/* Sends what the tty takes now; true when nothing is left. */
static bool drain(struct term *term)
{
	while (term->output_sent < term->output_size) {
		ssize_t sent = write(term->fd, term->output + term->output_sent,
				     term->output_size - term->output_sent);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno != EAGAIN) {
			/* The terminal is gone: SIGHUP tells the application. */
			term->output_sent = term->output_size;
			break;
		}
		if (sent <= 0)
			return false;
		term->output_sent += (size_t)sent;
	}
	term->output_size = term->output_sent = 0;
	return true;
}

static void queue(struct term *term, const char *text, size_t size)
{
	if (term->output_size + size > term->output_capacity) {
		term->output_capacity = (term->output_size + size) * 2;
		term->output = xreallocarray(term->output, term->output_capacity, 1);
	}
	memcpy(term->output + term->output_size, text, size);
	term->output_size += size;
}

/* Takes over what curses wrote. */
static void collect(struct term *term)
{
	char buffer[16384];
	off_t at = 0;
	ssize_t got;

	fflush(term->memory);
	while ((got = pread(term->memory_fd, buffer, sizeof(buffer), at)) > 0) {
		queue(term, buffer, (size_t)got);
		at += got;
	}
	if (at > 0 && ftruncate(term->memory_fd, 0) == 0)
		lseek(term->memory_fd, 0, SEEK_SET);
}

static void discard(struct term *term)
{
	if (ftruncate(term->memory_fd, 0) == 0)
		lseek(term->memory_fd, 0, SEEK_SET);
}

/* A capability without its padding, or "". */
static void capability(const char *name, char *ret, size_t size)
{
	const char *text = tigetstr(name);
	size_t used = 0;

	if (!text || text == (char *)-1)
		text = "";
	while (*text && used + 1 < size) {
		if (text[0] == '$' && text[1] == '<') {
			const char *end = strchr(text, '>');

			if (end) {
				text = end + 1;
				continue;
			}
		}
		ret[used++] = *text++;
	}
	ret[used] = '\0';
}

static void prepare_restore(struct term *term)
{
	static const char *const order[] = {"sgr0", "op", "rmkx", "rmcup", "cnorm"};
	char text[64];

	restore.size = 0;
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		size_t length;

		/* Without an alternative screen the shell starts anew on an empty one. */
		capability(order[i], text, sizeof(text));
		if (!text[0] && strcmp(order[i], "rmcup") == 0)
			capability("clear", text, sizeof(text));
		length = strlen(text);
		if (restore.size + length >= sizeof(restore.text))
			break;
		memcpy(restore.text + restore.size, text, length);
		restore.size += length;
	}
	restore.fd = term->fd;
	restore.shared = term->shared;
	restore.shared_flags = term->shared_flags;
}

void term_restore(void)
{
	size_t sent = 0;
	int saved = errno;

	if (!restore.active)
		return;
	restore.active = 0;
	/* An unfinished sequence of a paint ends here; what the tty will not take it does not get.
	 */
	tcflush(restore.fd, TCOFLUSH);
	while (sent < restore.size) {
		ssize_t now = write(restore.fd, restore.text + sent, restore.size - sent);
		struct pollfd writable = {.fd = restore.fd, .events = POLLOUT};

		if (now > 0)
			sent += (size_t)now;
		else if (now == 0 || (errno != EAGAIN && errno != EINTR) ||
			 poll(&writable, 1, RESTORE_MS) <= 0)
			break;
	}
	/* TCSADRAIN could wait for ever for a stopped terminal. */
	tcsetattr(restore.fd, TCSANOW, &restore.termios);
	if (restore.shared)
		fcntl(restore.fd, F_SETFL, restore.shared_flags);
	errno = saved;
}

/* Takes the terminal (again), whatever was on it. */
static void take(struct term *term)
{
	char text[64];

	tcgetattr(term->fd, &restore.termios);
	restore.active = 1;
	if (term->shared)
		fcntl(term->fd, F_SETFL, term->shared_flags | O_NONBLOCK);
	set_raw(term);
	term->output_size = term->output_sent = 0;
	queue(term, term->enter, strlen(term->enter));
	queue(term, term->keypad_on, strlen(term->keypad_on));
	capability("civis", text, sizeof(text));
	queue(term, text, strlen(text));
	drain(term);
	term->redraw = true;
}

/* Keys. */

static void add_sequence(struct term *term, const char *text, int key)
{
	struct sequence *sequence = &term->sequences[term->sequence_count];

	if (strlen(text) < 2 || strlen(text) >= SEQUENCE_SIZE ||
	    term->sequence_count == MAX_SEQUENCES)
		return;
	strcpy(sequence->text, text);
	sequence->key = key;
	term->sequence_count++;
}

static void learn_keys(struct term *term)
{
	static const struct {
		const char *name; /* of the capability, or the sequence itself */
		int key;
	} keys[] = {
		{"kcuu1", KEYS_UP},	   {"kcud1", KEYS_DOWN},	{"kcub1", KEYS_LEFT},
		{"kcuf1", KEYS_RIGHT},	   {"kpp", KEYS_PAGE_UP},	{"knp", KEYS_PAGE_DOWN},
		{"khome", KEYS_HOME},	   {"kend", KEYS_END},		{"kcbt", KEYS_BACK_TAB},
		{"kf1", KEYS_F1},	   {"kf2", KEYS_F1 + 1},	{"kf3", KEYS_F1 + 2},
		{"kf4", KEYS_F1 + 3},	   {"kf5", KEYS_F1 + 4},	{"kf6", KEYS_F1 + 5},
		{"kf7", KEYS_F1 + 6},	   {"kf8", KEYS_F1 + 7},	{"kf9", KEYS_F1 + 8},
		{"kf10", KEYS_F10},	   {"\033[A", KEYS_UP},		{"\033[B", KEYS_DOWN},
		{"\033[D", KEYS_LEFT},	   {"\033[C", KEYS_RIGHT},	{"\033OA", KEYS_UP},
		{"\033OB", KEYS_DOWN},	   {"\033OD", KEYS_LEFT},	{"\033OC", KEYS_RIGHT},
		{"\033[5~", KEYS_PAGE_UP}, {"\033[6~", KEYS_PAGE_DOWN}, {"\033[1~", KEYS_HOME},
		{"\033[4~", KEYS_END},	   {"\033[7~", KEYS_HOME},	{"\033[8~", KEYS_END},
		{"\033[H", KEYS_HOME},	   {"\033[F", KEYS_END},	{"\033OH", KEYS_HOME},
		{"\033OF", KEYS_END},	   {"\033[Z", KEYS_BACK_TAB},	{"\033OP", KEYS_F1},
		{"\033OR", KEYS_F1 + 2},   {"\033OS", KEYS_F1 + 3},	{"\033[11~", KEYS_F1},
		{"\033[13~", KEYS_F1 + 2}, {"\033[14~", KEYS_F1 + 3},	{"\033[17~", KEYS_F1 + 5},
		{"\033[21~", KEYS_F10},	   {"\033OM", KEYS_ENTER},
	};
	char text[64];

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (keys[i].name[0] == '\033') {
			add_sequence(term, keys[i].name, keys[i].key);
			continue;
		}
		capability(keys[i].name, text, sizeof(text));
		add_sequence(term, text, keys[i].key);
	}
}

static void fill_typed(struct term *term)
{
	ssize_t got = read(term->fd, term->typed + term->typed_size,
			   sizeof(term->typed) - term->typed_size);

	if (got > 0)
		term->typed_size += (size_t)got;
}

static void consume(struct term *term, size_t size)
{
	memmove(term->typed, term->typed + size, term->typed_size - size);
	term->typed_size -= size;
}

/* The key of a known sequence at the start; *more is set where one may still become whole. */
static int find_sequence(struct term *term, size_t *length, bool *more)
{
	*more = false;
	for (size_t i = 0; i < term->sequence_count; i++) {
		const struct sequence *sequence = &term->sequences[i];
		size_t size = strlen(sequence->text);
		size_t have = size < term->typed_size ? size : term->typed_size;

		if (memcmp(sequence->text, term->typed, have) != 0)
			continue;
		if (have == size) {
			*length = size;
			return sequence->key;
		}
		*more = true;
	}
	return KEYS_NONE;
}

/* Length of a control sequence (ESC [ … final byte, ESC O x); 0 = not whole yet. */
static size_t unknown_length(const char *typed, size_t size)
{
	if (size < 3)
		return 0;
	if (typed[1] == 'O')
		return 3;
	for (size_t i = 2; i < size; i++)
		if (typed[i] >= 0x40 && typed[i] <= 0x7e)
			return i + 1;
	return size > 32 ? size : 0;
}

static int read_escape(struct term *term)
{
	struct pollfd readable = {.fd = term->fd, .events = POLLIN};
	bool more, control;
	size_t length = 0;
	int key;

	for (;;) {
		key = find_sequence(term, &length, &more);
		control = term->typed_size > 1 && (term->typed[1] == '[' || term->typed[1] == 'O');
		if (key == KEYS_NONE && !more && control)
			length = unknown_length(term->typed, term->typed_size);
		if (key != KEYS_NONE || length > 0) {
			consume(term, length);
			return key;
		}
		if (term->typed_size > 1 && !more && !control)
			break;
		if (term->typed_size == sizeof(term->typed) || poll(&readable, 1, ESCAPE_MS) <= 0)
			break;
		length = term->typed_size;
		fill_typed(term);
		if (term->typed_size == length)
			break;
		length = 0;
	}
	/* A sequence that broke off is dropped; a key of its own is ESC. */
	if (control) {
		consume(term, term->typed_size);
		return KEYS_NONE;
	}
	consume(term, 1);
	return KEYS_ESCAPE;
}

static int read_character(struct term *term)
{
	uint32_t character;
	size_t taken = utf8_decode(term->typed, term->typed_size, &character);

	if (taken == 0) { /* the rest of the character has not come */
		if (term->typed_size < 4)
			return KEYS_NONE;
		taken = 1;
	}
	consume(term, taken);
	if (character == '\r')
		return KEYS_ENTER;
	if (character == '\b')
		return KEYS_BACKSPACE;
	return character == 0xfffd ? KEYS_NONE : (int)character;
}

int term_read_key(struct term *term)
{
	unsigned rows, columns;

	drain(term);
	term_size(term, &rows, &columns);
	if (rows != term->rows || columns != term->columns) {
		term->rows = rows;
		term->columns = columns;
		return KEYS_RESIZE;
	}
	fill_typed(term);
	while (term->typed_size > 0) {
		size_t before = term->typed_size;
		int key = term->typed[0] == KEYS_ESCAPE ? read_escape(term) : read_character(term);

		if (key != KEYS_NONE || term->typed_size == before)
			return key;
	}
	return KEYS_NONE;
}

/* Painting. */

static void open_colours(struct term *term)
{
	const char *plain = getenv("NO_COLOR");

	if ((plain && *plain) || !has_colors() || start_color() != OK)
		return;
	term->colour = use_default_colors() == OK;
	for (int i = 0; term->colour && i < STYLE_COUNT; i++)
		init_pair((short)(i + 1), theme[i].foreground, theme[i].background);
}

static attr_t attributes_of(const struct term *term, uint8_t style)
{
	const struct look *look = &theme[style];

	return (look->bold ? A_BOLD : 0) | (look->dim ? A_DIM : 0) |
	       (look->reverse || (look->reverse_without_colour && !term->colour) ? A_REVERSE : 0);
}

static void paint_row(struct term *term, const struct canvas *canvas, unsigned row)
{
	const struct cell *cells = &canvas->cells[(size_t)row * canvas->columns];

	for (unsigned column = 0; column < canvas->columns; column++) {
		wchar_t text[2] = {cells[column].character, 0};
		uint8_t style = cells[column].style;
		cchar_t cell;

		if (!text[0])
			continue;
		setcchar(&cell, text, attributes_of(term, style),
			 (short)(term->colour ? style + 1 : 0), NULL);
		mvadd_wch((int)row, (int)column, &cell);
	}
}

static void fit(struct term *term, const struct canvas *canvas)
{
	size_t cells = (size_t)canvas->rows * canvas->columns;

	if (canvas->rows == term->painted_rows && canvas->columns == term->painted_columns)
		return;
	resizeterm((int)canvas->rows, (int)canvas->columns);
	term->painted = xreallocarray(term->painted, cells, sizeof(*term->painted));
	memset(term->painted, 0xff, cells * sizeof(*term->painted));
	term->painted_rows = canvas->rows;
	term->painted_columns = canvas->columns;
	term->redraw = true;
}

void term_paint(struct term *term, const struct canvas *canvas)
{
	if (!canvas->rows || !canvas->columns || !drain(term))
		return;
	fit(term, canvas);
	for (unsigned row = 0; row < canvas->rows; row++) {
		size_t at = (size_t)row * canvas->columns;
		size_t size = canvas->columns * sizeof(struct cell);

		if (!term->redraw && memcmp(&term->painted[at], &canvas->cells[at], size) == 0)
			continue;
		paint_row(term, canvas, row);
		memcpy(&term->painted[at], &canvas->cells[at], size);
	}
	if (term->redraw)
		clearok(stdscr, TRUE);
	term->redraw = false;
	refresh();
	collect(term);
	drain(term);
}

void term_redraw(struct term *term)
{
	term->redraw = true;
}

/* Life. */

static int open_curses(struct term *term, char *notice, size_t size)
{
	int input_fd;

	term->memory_fd = memfd_create("memtop-screen", MFD_CLOEXEC);
	if (term->memory_fd < 0)
		return -errno;
	term->memory = fdopen(term->memory_fd, "w+");
	input_fd = fcntl(term->fd, F_DUPFD_CLOEXEC, 3);
	term->input = input_fd >= 0 ? fdopen(input_fd, "r") : NULL;
	if (!term->memory || !term->input)
		return -errno;
	term->screen = open_screen(term->memory, term->input, notice, size);
	if (!term->screen)
		return -ENOTSUP;
	open_colours(term);
	scrollok(stdscr, FALSE);
	leaveok(stdscr, TRUE);
	capability("smcup", term->enter, sizeof(term->enter));
	capability("smkx", term->keypad_on, sizeof(term->keypad_on));
	learn_keys(term);
	discard(term);
	return 0;
}

int term_open(struct term **ret, char *notice, size_t size)
{
	struct term *term = xcalloc(1, sizeof(*term));
	int error;

	if (size > 0)
		notice[0] = '\0';
	term->fd = term->memory_fd = -1;
	error = open_tty(term);
	if (error)
		goto out;
	term->utf8 = open_locale(notice, size);
	error = open_curses(term, notice, size);
	if (error)
		goto out;
	prepare_restore(term);
	take(term);
	term_size(term, &term->rows, &term->columns);
	*ret = term;
	return 0;
out:
	term_close(term);
	return error;
}

void term_close(struct term *term)
{
	if (!term)
		return;
	term_restore();
	if (term->screen) {
		endwin();
		delscreen(term->screen);
	}
	if (term->memory)
		fclose(term->memory);
	else if (term->memory_fd >= 0)
		close(term->memory_fd);
	if (term->input)
		fclose(term->input);
	if (term->fd >= 0)
		close(term->fd);
	free(term->output);
	free(term->painted);
	free(term);
}

int term_fd(const struct term *term)
{
	return term->fd;
}

bool term_utf8(const struct term *term)
{
	return term->utf8;
}

void term_size(const struct term *term, unsigned *rows, unsigned *columns)
{
	struct winsize size;

	*rows = 24;
	*columns = 80;
	if (ioctl(term->fd, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col) {
		*rows = size.ws_row;
		*columns = size.ws_col;
	}
}

void term_suspend(struct term *term)
{
	struct sigaction plain = {.sa_handler = SIG_DFL}, old;
	sigset_t stop, mask;

	term_restore();
	/* Only memtop stops: a target that it launched may be in its process group. */
	sigemptyset(&stop);
	sigaddset(&stop, SIGTSTP);
	sigaction(SIGTSTP, &plain, &old);
	sigprocmask(SIG_UNBLOCK, &stop, &mask);
	raise(SIGTSTP);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	sigaction(SIGTSTP, &old, NULL);
	take(term);
}
