/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One thread, one poll(): timer, target, signals, terminal. A tick is taken at once after the
 * attach and then at absolute times start + n * delay, so that it does not drift; ticks that could
 * not be taken in time are skipped, not made up for. The end of the target is a tick of its own.
 *
 * Capture does not wait for the terminal: it is non-blocking and paints that do not fit are
 * dropped. Only batch output waits, for its reader, and for names within a bound.
 */
#include "app.h"

#include "core/format.h"
#include "core/model.h"
#include "core/view.h"
#include "exits.h"
#include "export/export.h"
#include "ui/screen.h"
#include "ui/term.h"
#include "util/alloc.h"
#include "util/log.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S	   1000000000ll
#define FIRST_SETTLE_MS	   2000
#define MIN_SETTLE_MS	   200
#define LAST_SETTLE_MS	   10000 /* no other object will have the names */
#define DEFAULT_TEXT_WIDTH 120
#define NAMED_ROWS	   32 /* rows of the screen that the share of names is taken of */
#define NEWS_APART_NS	   50000000ull
#define MOST_NEWS	   4   /* an end, or the end of a program and the next one */
#define REDRAW_MS	   200 /* how soon a better name is drawn */

struct app {
	const struct app_config *config;
	const struct options *options;
	struct model *model;
	struct view *view;
	struct screen *screen;
	struct term *term; /* NULL in batch */
	struct canvas canvas;
	struct screen_status status;
	regex_t filter;
	bool filtered;
	int timer_fd;
	int wait_fd;   /* -1 once the target ended */
	unsigned news; /* ticks out of time, one right after the other */
	unsigned generation;
	uint64_t news_ns; /* when the last one was taken */
	double delay_s;
	uint64_t revision; /* of the names that were drawn */
	unsigned long ticks;
	size_t text_hint; /* of view_text() */
	bool ended;	  /* the source has no more */
	bool done;
	int code;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static struct timespec to_timespec(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S),
				 .tv_nsec = (long)(ns % NS_PER_S)};
}

static int timer_set(struct app *app, double delay_s)
{
	uint64_t delay_ns = (uint64_t)(delay_s * NS_PER_S);
	struct itimerspec times = {.it_value = to_timespec(now_ns() + delay_ns),
				   .it_interval = to_timespec(delay_ns)};

	app->delay_s = delay_s;
	app->status.delay_s = delay_s;
	return timerfd_settime(app->timer_fd, TFD_TIMER_ABSTIME, &times, NULL) ? -errno : 0;
}

static unsigned text_width(void)
{
	const char *text = getenv("COLUMNS");
	char *end;
	unsigned long width = text ? strtoul(text, &end, 10) : 0;

	if (!text || *end || width < 40 || width > 4096)
		return DEFAULT_TEXT_WIDTH;
	return (unsigned)width;
}

static struct export_choice make_choice(const struct app *app)
{
	return (struct export_choice){
		.sides = app->options->sides,
		.sort = app->options->sort,
		.top = app->options->top,
		.filter = app->filtered ? &app->filter : NULL,
		.older_s = app->options->older_s,
		.min_size_bytes = app->options->min_size_bytes,
	};
}

static void write_failed(struct app *app, int err)
{
	app->done = true;
	/* The reader has seen enough, or we were asked to end while it took nothing. */
	if (err == -EPIPE || err == -ECANCELED)
		return;
	log_error("cannot write the output: %s", strerror(-err));
	app->code = EXITS_INTERNAL;
}

static void batch_write(struct app *app)
{
	struct export_choice choice = make_choice(app);
	const struct picture *picture = model_picture(app->model);
	unsigned settle_ms = (unsigned)(app->delay_s * 500);
	struct selection selection;
	int err;

	if (settle_ms < MIN_SETTLE_MS)
		settle_ms = MIN_SETTLE_MS;
	if (app->ticks == 1 || settle_ms > FIRST_SETTLE_MS)
		settle_ms = FIRST_SETTLE_MS;
	if (picture->final && picture->target.status != TARGET_RUNNING)
		settle_ms = LAST_SETTLE_MS;
	selection_init(&selection, picture, app->config->resolver, &choice, settle_ms);
	if (app->options->format == FORMAT_JSON)
		err = export_json(app->config->out, &selection);
	else
		err = export_text(app->config->out, &selection, text_width());
	selection_deinit(&selection);
	if (err)
		write_failed(app, err);
}

static void update_names(struct app *app)
{
	const struct picture *picture = view_picture(app->view);
	struct frame frames[RESOLVER_MAX_INLINED + 1];
	size_t named = 0, all = 0;

	for (size_t row = 0; picture && row < NAMED_ROWS && row < view_count(app->view); row++) {
		const struct site_info *info = view_row(app->view, row)->info;

		for (unsigned i = 0; i < info->nframes; i++, all++) {
			size_t count = resolver_resolve(app->config->resolver, picture->modules,
							info, i, frames, RESOLVER_MAX_INLINED + 1);

			named += count && frames[count - 1].symbol;
		}
	}
	model_set_names_percent(app->model, all ? 100.0 * (double)named / (double)all : NAN);
}

static void fit_canvas(struct app *app)
{
	unsigned rows, columns;

	term_size(app->term, &rows, &columns);
	if (rows == app->canvas.rows && columns == app->canvas.columns)
		return;
	canvas_deinit(&app->canvas);
	canvas_init(&app->canvas, rows, columns, term_utf8(app->term));
}

static void draw(struct app *app)
{
	struct resolver *resolver = app->config->resolver;

	if (!app->term || !view_picture(app->view))
		return;
	fit_canvas(app);
	app->revision = resolver->ops->revision(resolver);
	canvas_clear(&app->canvas);
	screen_draw(app->screen, &app->canvas, app->view, resolver, &app->status);
	term_paint(app->term, &app->canvas);
}

/* -ESRCH before the first tick means that there was nothing to see. */
static void read_failed(struct app *app, int err)
{
	app->ended = true;
	app->wait_fd = -1;
	app->status.live = false;
	if (err == -ESRCH && app->ticks) {
		app->done = !app->term;
		return;
	}
	app->done = true;
	if (err == -ESRCH) {
		log_error("the target ended before the first tick");
		app->code = EXITS_NO_TARGET;
	} else {
		log_error("cannot read the target's state: %s", strerror(-err));
		app->code = EXITS_INTERNAL;
	}
}

static const char *wanted_name(const struct app *app)
{
	return app->options->name ? app->options->name : app->options->match;
}

/* The target ended, and the next one of its name is waited for. */
static void start_waiting(struct app *app)
{
	app->status.live = false;
	app->status.waiting_for = wanted_name(app);
	if (!app->term)
		log_error("waiting for %s to start again", app->status.waiting_for);
}

static void begin_generation(struct app *app)
{
	if (!app->status.waiting_for)
		return;
	app->status.waiting_for = NULL;
	app->status.live = true;
	if (app->term)
		screen_message(app->screen, "Started again: generation %u; [ looks back",
			       app->generation);
	follow_forget(app->config->follow, view_oldest_generation(app->view));
}

static void tick(struct app *app)
{
	struct snapshot snapshot;
	int err;

	if (app->ended)
		return;
	err = source_read(app->config->source, now_ns(), &snapshot);
	if (err == -EAGAIN) {
		draw(app);
		return;
	}
	if (err) {
		read_failed(app, err);
		return;
	}
	app->ticks++;
	/* That was news: not one of those that find nothing. */
	if (snapshot.final || snapshot.generation != app->generation)
		app->news = 0;
	app->generation = snapshot.generation;
	model_update(app->model, app->config->source, &snapshot);
	view_sync(app->view, model_picture(app->model));
	begin_generation(app);
	if (app->config->command)
		command_watch(app->config->command, model_picture(app->model));
	if (app->term)
		update_names(app);
	if (app->options->batch)
		batch_write(app);
	if (snapshot.followed) {
		start_waiting(app);
	} else if (snapshot.final && snapshot.target.status != TARGET_RUNNING) {
		app->ended = true;
		app->wait_fd = -1;
		app->status.live = false;
		if (!app->term)
			app->done = true;
	}
	if (app->options->iterations && app->ticks >= app->options->iterations)
		app->done = true;
	draw(app);
}

static void set_level(struct app *app)
{
	struct source *source = app->config->source;
	enum level level = screen_level(app->screen);
	int err = source->ops->set_level ? source->ops->set_level(source, level) : -EOPNOTSUPP;

	if (err)
		screen_message(app->screen, "level %s cannot be had: %s", level_name(level),
			       strerror(-err));
	else
		tick(app);
}

/* Who looks at it keeps it, whatever it costs. */
static void ask_for_kernel(struct app *app)
{
	struct source *source = app->config->source;
	int err;

	if (app->ended)
		return;
	err = source->ops->watch_kernel ? source->ops->watch_kernel(source, true) : -EOPNOTSUPP;
	if (view_picture(app->view)->sides[SIDE_KERNEL].known)
		return;
	if (err)
		screen_message(app->screen, "The kernel side cannot be had: %s", strerror(-err));
	else
		tick(app);
}

static void set_mark(struct app *app)
{
	char name[16];

	if (!model_picture(app->model))
		return;
	snprintf(name, sizeof(name), "lap%lu", app->ticks);
	model_mark(app->model, name);
	tick(app);
}

static void handle_key(struct app *app, int key)
{
	switch (screen_key(app->screen, app->view, key)) {
	case SCREEN_QUIT:
		app->done = true;
		break;
	case SCREEN_MARK:
		set_mark(app);
		break;
	case SCREEN_LEVEL:
		set_level(app);
		break;
	case SCREEN_KERNEL:
		ask_for_kernel(app);
		break;
	case SCREEN_DELAY:
		timer_set(app, screen_delay(app->screen));
		break;
	case SCREEN_SUSPEND:
		term_suspend(app->term);
		tick(app);
		break;
	case SCREEN_REDRAW:
		term_redraw(app->term);
		break;
	case SCREEN_NOTHING:
		break;
	}
}

static void handle_keys(struct app *app)
{
	int key;

	while (!app->done && (key = term_read_key(app->term)) != KEYS_NONE)
		handle_key(app, key);
	if (!app->done)
		draw(app);
}

/* While a command runs, what would end memtop goes to the command: its end ends memtop. */
static void handle_end_signal(struct app *app, const struct signalfd_siginfo *info)
{
	pid_t launched = app->config->launched;

	bool passed = info->ssi_signo == SIGUSR1 || info->ssi_signo == SIGUSR2;

	if (launched && !app->ended && (!app->term || passed)) {
		/* What the terminal sent, the command has got already. */
		if (info->ssi_code != SI_KERNEL)
			kill(launched, (int)info->ssi_signo);
		return;
	}
	app->done = app->done || !passed;
}

static void ignore(struct app *app, const struct signalfd_siginfo *info)
{
	(void)app;
	(void)info; /* SIGCHLD: the source tells of the target's end */
}

static void handle_stop(struct app *app, const struct signalfd_siginfo *info)
{
	(void)info;
	if (!app->term) {
		raise(SIGSTOP);
		return;
	}
	term_suspend(app->term);
	tick(app);
}

static void handle_resize(struct app *app, const struct signalfd_siginfo *info)
{
	(void)info;
	if (!app->term)
		return;
	term_redraw(app->term);
	handle_key(app, KEYS_RESIZE);
	draw(app);
}

static void handle_signals(struct app *app)
{
	static const struct {
		unsigned signal;
		void (*handle)(struct app *app, const struct signalfd_siginfo *info);
	} rows[] = {
		{SIGCHLD, ignore},
		{SIGTSTP, handle_stop},
		{SIGCONT, handle_resize}, /* others may have written meanwhile */
		{SIGWINCH, handle_resize},
	};
	struct signalfd_siginfo info;

	while (read(app->config->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		size_t i = 0;

		while (i < sizeof(rows) / sizeof(rows[0]) && rows[i].signal != info.ssi_signo)
			i++;
		if (i < sizeof(rows) / sizeof(rows[0]))
			rows[i].handle(app, &info);
		else
			handle_end_signal(app, &info);
	}
}

static int source_wait_fd(struct app *app)
{
	struct source *source = app->config->source;

	return source->ops->wait_fd ? source->ops->wait_fd(source) : -1;
}

/* Asked a few times: where the source sees nothing new yet, the next tick on time does. */
static void handle_news(struct app *app)
{
	uint64_t now = now_ns();

	app->news = now - app->news_ns < NEWS_APART_NS ? app->news + 1 : 1;
	if (app->news >= MOST_NEWS)
		app->wait_fd = -1;
	tick(app);
	app->news_ns = now_ns();
}

static void handle_timer(struct app *app)
{
	uint64_t expirations;

	/* More than one: ticks that were missed, skipped. */
	if (read(app->timer_fd, &expirations, sizeof(expirations)) != sizeof(expirations))
		return;
	tick(app);
	if (!app->ended)
		app->wait_fd = source_wait_fd(app);
}

static void loop(struct app *app)
{
	while (!app->done) {
		struct pollfd fds[] = {
			{.fd = app->config->signal_fd, .events = POLLIN},
			{.fd = app->timer_fd, .events = POLLIN},
			{.fd = app->wait_fd, .events = POLLIN},
			{.fd = app->term ? term_fd(app->term) : -1, .events = POLLIN},
		};
		struct resolver *resolver = app->config->resolver;
		int count = poll(fds, sizeof(fds) / sizeof(fds[0]), app->term ? REDRAW_MS : -1);

		if (count < 0 && errno != EINTR) {
			log_error("poll: %s", strerror(errno));
			app->code = EXITS_INTERNAL;
			return;
		}
		if (count < 0)
			continue;
		if (fds[0].revents)
			handle_signals(app);
		if (!app->done && fds[2].revents)
			handle_news(app);
		else if (!app->done && fds[1].revents)
			handle_timer(app);
		if (!app->done && fds[3].revents & (POLLHUP | POLLERR | POLLNVAL))
			app->done = true; /* the terminal is gone */
		else if (!app->done && fds[3].revents)
			handle_keys(app);
		if (!count && app->revision != resolver->ops->revision(resolver))
			draw(app);
	}
}

/* The view asks in the order of the picture: the site is the last one's neighbour. */
static void view_text(void *context, const struct picture *picture, const struct site_info *info,
		      char *ret, size_t size)
{
	struct app *app = context;

	for (size_t n = 0; n < picture->site_count; n++) {
		size_t i = (app->text_hint + n) % picture->site_count;

		if (picture->sites[i].info != info)
			continue;
		export_site_text(picture, app->config->resolver, &picture->sites[i], ret, size);
		app->text_hint = i + 1;
		return;
	}
	*ret = 0;
}

static int setup_view(struct app *app)
{
	const struct options *options = app->options;
	char error[128];

	app->view = view_new();
	view_set_text(app->view, view_text, app);
	view_set_minimum(app->view,
			 options->min_size_given ? options->min_size_bytes : VIEW_MINIMUM_AUTO,
			 options->older_s);
	view_set_sort(app->view, options->sort, false);
	if (options->sides == 1u << SIDE_KERNEL)
		view_set_side(app->view, SIDE_KERNEL);
	else if (options->sides == 1u << SIDE_MAPS)
		view_set_side(app->view, SIDE_MAPS);
	if (!options->filter)
		return 0;
	app->filtered = !regcomp(&app->filter, options->filter, REG_EXTENDED | REG_NOSUB);
	if (!app->filtered || view_set_filter(app->view, options->filter, error, sizeof(error)))
		return -EINVAL;
	return 0;
}

static int setup_screen(struct app *app)
{
	char notice[160];
	int err;

	if (app->options->batch || (app->options->command && !app->options->tui))
		return 0;
	err = term_open(&app->term, notice, sizeof(notice));
	if (err) {
		log_error("cannot use the terminal: %s; try --batch", strerror(-err));
		return err;
	}
	alloc_on_failure(term_restore);
	log_hold(true);
	app->screen = screen_new();
	app->status.live = true;
	app->status.own_modules_known = true;
	fit_canvas(app);
	if (notice[0])
		screen_message(app->screen, "%s", notice);
	return 0;
}

static int setup(struct app *app)
{
	int err;

	app->wait_fd = source_wait_fd(app);
	app->model = model_new();
	app->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (app->timer_fd < 0)
		return -errno;
	err = timer_set(app, app->options->delay_s);
	if (!err)
		err = setup_view(app);
	if (!err)
		err = setup_screen(app);
	return err;
}

/* The terminal is its user's again: what is said from here on stands below the screen. */
static void close_screen(struct app *app)
{
	alloc_on_failure(NULL);
	term_close(app->term);
	app->term = NULL;
	log_hold(false);
}

static void teardown(struct app *app)
{
	screen_free(app->screen);
	canvas_deinit(&app->canvas);
	view_free(app->view);
	model_free(app->model);
	if (app->filtered)
		regfree(&app->filter);
	if (app->timer_fd >= 0)
		close(app->timer_fd);
}

int app_run(const struct app_config *config)
{
	struct app app = {
		.config = config,
		.options = config->options,
		.timer_fd = -1,
		.wait_fd = -1,
	};
	bool shown;
	int code;

	signal(SIGPIPE, SIG_IGN);
	if (setup(&app)) {
		app.code = EXITS_INTERNAL;
	} else {
		tick(&app);
		loop(&app);
	}
	code = app.code;
	shown = app.term || app.options->batch;
	close_screen(&app);
	if (config->command)
		code = command_end(config->command, config->launched, app.ended, code,
				   app.ticks ? model_picture(app.model) : NULL, config->resolver,
				   shown);
	teardown(&app);
	return code;
}
