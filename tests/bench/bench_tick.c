/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a tick costs memtop, part by part, by the number of sites: medians of the ticks after the
 * first, painted on a terminal that takes everything.
 */
#include "tests/bench/fake_sites.h"
#include "tests/bench/probing.h"

#include "ui/term.h"

#include <pthread.h>
#include <pty.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define TICKS 60

enum part {
	PART_READ,
	PART_MODEL,
	PART_VIEW,
	PART_PAINT,
	PART_ALL,
	PARTS
};

static const char *const part_names[PARTS] = {
	[PART_READ] = "read",	[PART_MODEL] = "model", [PART_VIEW] = "view",
	[PART_PAINT] = "paint", [PART_ALL] = "all",
};

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

/* The other end of the terminal. */
static void *take_all(void *argument)
{
	char bytes[65536];

	while (read(*(int *)argument, bytes, sizeof(bytes)) > 0)
		;
	return NULL;
}

static void tick(struct fake_sites *fake, struct term *term, double ret[PARTS])
{
	double times[PARTS];

	fake_sites_churn(fake);
	times[0] = now_us();
	fake_sites_read(fake);
	times[1] = now_us();
	fake_sites_model(fake);
	times[2] = now_us();
	fake_sites_view(fake);
	times[3] = now_us();
	fake_sites_draw(fake);
	term_paint(term, &fake->canvas);
	times[4] = now_us();
	for (unsigned i = 0; i < PART_ALL; i++)
		ret[i] = times[i + 1] - times[i];
	ret[PART_ALL] = times[PART_ALL] - times[0];
}

static void bench(FILE *out, struct term *term, size_t count)
{
	double costs[PARTS][TICKS], first[PARTS], one[PARTS];
	struct fake_sites fake;

	fake_sites_init(&fake, count);
	tick(&fake, term, first);
	for (unsigned i = 0; i < TICKS; i++) {
		tick(&fake, term, one);
		for (unsigned j = 0; j < PARTS; j++)
			costs[j][i] = one[j];
	}
	fprintf(out, "%7zu", count);
	for (unsigned j = 0; j < PARTS; j++)
		fprintf(out, " %9.0f", median_of(costs[j], TICKS));
	fprintf(out, " %9.0f\n", first[PART_ALL]);
	for (unsigned j = 0; j < PARTS; j++)
		fprintf(out, "= tick.%zu.%s.us %.1f\n", count, part_names[j],
			median_of(costs[j], TICKS));
	fake_sites_deinit(&fake);
}

int main(void)
{
	struct winsize size = {.ws_row = 40, .ws_col = 120};
	int master, slave, report = dup(STDOUT_FILENO);
	FILE *out = report < 0 ? NULL : fdopen(report, "w");
	struct term *term;
	pthread_t reader;
	char notice[160];

	if (!out || openpty(&master, &slave, NULL, NULL, &size) || dup2(slave, STDOUT_FILENO) < 0 ||
	    dup2(slave, STDIN_FILENO) < 0 || pthread_create(&reader, NULL, take_all, &master))
		die("no terminal");
	setenv("TERM", "xterm-256color", 1);
	if (term_open(&term, notice, sizeof(notice)))
		die("cannot use the terminal");
	fprintf(out, "%7s %9s %9s %9s %9s %9s %9s\n", "sites", "read, us", "model", "view", "paint",
		"all", "first");
	for (size_t count = 100; count <= 100000; count *= 10)
		bench(out, term, count);
	term_close(term);
	fclose(out);
	return 0;
}
