/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/held.h"

#include "capture/clock.h"
#include "capture/fds.h"
#include "capture/procfs.h"
#include "capture/sockets.h"
#include "util/cleanup.h"

#include <errno.h>
#include <string.h>

#define PIECE_NS     1000000ull	   /* of a tick */
#define APART_NS     1900000000ull /* between two looks: two ticks of a second, a little early */
#define APART_FACTOR 500
/* What x86-64 and arm64 give a thread: 16 KiB, or a page where that is more. */
#define THREAD_SIZE 16384

/* A look that is taken in pieces, now and then. */
struct pace {
	bool going;
	uint64_t begun_ns, spent_ns; /* of the look that goes on, or of the last one */
};

struct held {
	pid_t pid;
	struct fds *fds;
	struct sockets *sockets;
	struct pace fds_pace, sockets_pace;
	struct cohorts cohorts[HOLDING_MOST];
	struct holding_sample rows[HOLDING_MOST];
	size_t count;
};

static const char *const untold = "the kernel does not tell";
static const char *const elsewhere = "its network namespace is another one";
static const char *const denied = "may not be looked at";

struct held *held_open(pid_t pid)
{
	struct held *held = xcalloc(1, sizeof(*held));

	held->pid = pid;
	held->fds = fds_open(pid);
	held->sockets = sockets_open();
	held->count = HOLDING_COUNT;
	return held;
}

void held_close(struct held *held)
{
	if (!held)
		return;
	fds_close(held->fds);
	sockets_close(held->sockets);
	free(held);
}

void held_restart(struct held *held)
{
	fds_restart(held->fds);
	sockets_close(held->sockets);
	held->sockets = sockets_open();
	memset(&held->fds_pace, 0, sizeof(held->fds_pace));
	memset(&held->sockets_pace, 0, sizeof(held->sockets_pace));
	memset(held->rows, 0, sizeof(held->rows));
	held->count = HOLDING_COUNT;
}

static bool is_due(const struct pace *pace, uint64_t now_ns)
{
	uint64_t apart = pace->spent_ns * APART_FACTOR;

	if (pace->going || !pace->begun_ns)
		return true;
	return now_ns - pace->begun_ns >= (apart > APART_NS ? apart : APART_NS);
}

static void pace_begin(struct pace *pace, uint64_t now_ns)
{
	if (pace->going)
		return;
	pace->going = true;
	pace->begun_ns = now_ns;
	pace->spent_ns = 0;
}

/* --- rows --- */

static void give(struct held *held, unsigned what, uint64_t value)
{
	held->rows[what].known = true;
	held->rows[what].why = NULL;
	held->rows[what].value = value;
}

static void refuse(struct held *held, unsigned what, const char *why)
{
	held->rows[what].known = false;
	held->rows[what].why = why;
}

/* A holding that is the sum of [from, to) among what is looked at. */
static void give_lives(struct held *held, unsigned what, unsigned from, unsigned to)
{
	const struct lives *lives = fds_lives(held->fds);

	give(held, what, lives_sum(lives, from, to));
	held->rows[what].totals = lives_totals(lives, from, to);
	lives_cohorts(lives, from, to, &held->cohorts[what]);
	held->rows[what].cohorts = &held->cohorts[what];
}

uint64_t held_parse_limit(const char *text)
{
	const char *line = strstr(text, "Max open files");
	uint64_t limit = 0;

	/* "unlimited" is no number. */
	return line && proctext_number(line, "Max open files", &limit) ? limit : 0;
}

static void give_limit(struct held *held)
{
	_cleanup_free_ char *text = NULL;

	held->rows[HOLDING_FDS].limit =
		procfs_read(held->pid, "limits", &text, NULL) ? 0 : held_parse_limit(text);
}

static void give_fds(struct held *held)
{
	unsigned exporters = 0;

	give_lives(held, HOLDING_FDS, HOLDING_FILES, HOLDING_OTHER_FDS + 1);
	for (unsigned what = HOLDING_FILES; what <= HOLDING_OTHER_FDS; what++)
		give_lives(held, what, what, what + 1);
	give_lives(held, HOLDING_MEMFD_BYTES, HOLDING_MEMFD_BYTES, HOLDING_MEMFD_BYTES + 1);
	give_lives(held, HOLDING_DMABUF_BYTES, HOLDING_COUNT, HOLDING_MOST);
	for (; fds_exporter(held->fds, exporters); exporters++) {
		unsigned what = HOLDING_COUNT + exporters;

		give_lives(held, what, what, what + 1);
		held->rows[what].exporter = fds_exporter(held->fds, exporters);
	}
	held->count = HOLDING_COUNT + exporters;
	give_limit(held);
}

static void refuse_fds(struct held *held, const char *why)
{
	for (unsigned what = HOLDING_FDS; what < held->count; what++)
		refuse(held, what, why);
}

/* --- looks --- */

static void look_at_fds(struct held *held, uint64_t now_ns, uint64_t until_ns)
{
	uint64_t before = monotonic_ns();
	int status;

	pace_begin(&held->fds_pace, now_ns);
	status = fds_step(held->fds, until_ns);
	held->fds_pace.spent_ns += monotonic_ns() - before;
	if (!status)
		return;
	held->fds_pace.going = false;
	if (status > 0)
		give_fds(held);
	else if (status != -ESRCH && status != -ENOENT)
		refuse_fds(held, denied);
}

static void ask_sockets(struct held *held, uint64_t now_ns, uint64_t until_ns)
{
	uint64_t before = monotonic_ns(), sum = 0;
	int status;

	pace_begin(&held->sockets_pace, now_ns);
	status = sockets_step(held->sockets, fds_sockets(held->fds), until_ns, &sum);
	held->sockets_pace.spent_ns += monotonic_ns() - before;
	if (!status)
		return;
	held->sockets_pace.going = false;
	if (status > 0)
		give(held, HOLDING_SOCKET_BYTES, sum);
	else
		refuse(held, HOLDING_SOCKET_BYTES, untold);
}

/* The system's sockets are only gone through for who has some. */
static void look_at_sockets(struct held *held, uint64_t now_ns, uint64_t until_ns)
{
	if (!held->rows[HOLDING_SOCKETS].known || !is_due(&held->sockets_pace, now_ns))
		return;
	if (held->sockets_pace.going || fds_sockets(held->fds)->count) {
		if (held->sockets_pace.going || sockets_same_namespace(held->pid))
			ask_sockets(held, now_ns, until_ns);
		else
			refuse(held, HOLDING_SOCKET_BYTES, elsewhere);
	} else {
		give(held, HOLDING_SOCKET_BYTES, 0);
	}
}

void held_tick(struct held *held, uint64_t now_ns, const struct memory *memory, unsigned threads)
{
	uint64_t until = monotonic_ns() + PIECE_NS;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	if (memory->parts_known)
		give(held, HOLDING_PSS, memory->pss_bytes);
	give(held, HOLDING_PAGE_TABLES, memory->page_table_bytes);
	give(held, HOLDING_KERNEL_STACKS, threads * (page > THREAD_SIZE ? page : THREAD_SIZE));
	if (is_due(&held->fds_pace, now_ns))
		look_at_fds(held, now_ns, until);
	if (!held->fds_pace.going && monotonic_ns() < until)
		look_at_sockets(held, now_ns, until);
}

size_t held_rows(const struct held *held, const struct holding_sample **ret)
{
	*ret = held->rows;
	return held->count;
}
