/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The gate fails closed: a command is only let through (0) if every condition of a judgment held
 * all the time. The command's own failure comes first, then memtop's, then the gate's.
 */
#include "command.h"

#include "capture/launch.h"
#include "core/format.h"
#include "core/losses.h"
#include "exits.h"
#include "export/leaks.h"
#include "util/alloc.h"
#include "util/log.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* For names of a report: suppressions go by them. */
#define SETTLE_MS 30000

struct command {
	const struct options *options;
	struct suppressions suppressions;
	struct baseline baseline;
	FILE *file; /* NULL: standard error */
	bool json;
	unsigned generation;
	char not_judged[256]; /* the first reason; empty = none so far */
};

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), more = strlen(end);

	return length >= more && !strcmp(text + length - more, end);
}

int command_open(const struct options *options, struct command **ret, char *error, size_t size)
{
	struct command *command = xcalloc(1, sizeof(*command));
	const char *report = options->report;
	int status = 0;

	command->options = options;
	command->json = report && ends_with(report, ".json");
	command->json |= options->format == FORMAT_JSON && (report || !options->batch);
	if (options->suppress)
		status = suppressions_read(options->suppress, &command->suppressions, error, size);
	if (!status && options->baseline)
		status = baseline_read(options->baseline, &command->baseline, error, size);
	if (!status && report) {
		command->file = fopen(report, "we");
		status = command->file ? 0 : -errno;
		if (status)
			snprintf(error, size, "cannot write %s: %s", report, strerror(-status));
	}
	*ret = command;
	if (status) {
		command_close(command);
		*ret = NULL;
	}
	return status;
}

void command_close(struct command *command)
{
	if (!command)
		return;
	suppressions_deinit(&command->suppressions);
	baseline_deinit(&command->baseline);
	if (command->file)
		fclose(command->file);
	free(command);
}

/* Why it cannot be judged; the first reason stays. */
__attribute__((format(printf, 2, 3))) static void doubt(struct command *command, const char *format,
							...)
{
	va_list arguments;

	if (*command->not_judged)
		return;
	va_start(arguments, format);
	vsnprintf(command->not_judged, sizeof(command->not_judged), format, arguments);
	va_end(arguments);
}

static void doubt_losses(struct command *command, const struct picture *picture)
{
	char text[160] = "", count[FORMAT_SIZE];
	size_t length = 0;

	for (size_t i = 0; i < ABI_LOSS_COUNT && length < sizeof(text); i++)
		if (picture->losses[i] && !losses[i].booked && loss_touches(i, SIDE_USER))
			length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s %s",
						   length ? ", " : "",
						   losses[i].name ? losses[i].name : "loss",
						   format_count(count, picture->losses[i]));
	if (length)
		doubt(command, "events were lost: %s; see memtop --help=losses", text);
}

void command_watch(struct command *command, const struct picture *picture)
{
	const struct options *options = command->options;

	if (picture->generation != command->generation)
		*command->not_judged = '\0'; /* another program: a book of its own */
	command->generation = picture->generation;
	if (picture->level != LEVEL_HEAP)
		doubt(command, "level %s, not heap throughout%s%s", level_name(picture->level),
		      *picture->level_reason ? ": " : "", picture->level_reason);
	else if (!picture->sides[SIDE_USER].known)
		doubt(command, "the heap's book was closed before the end");
	else if (!picture->from_start)
		doubt(command, "%s was not followed from its first instruction",
		      picture->target.comm);
	if (options->level == LEVEL_AUTO && !isnan(options->budget_percent))
		doubt(command, "the governor is on (--budget); use --level heap or --budget none");
	doubt_losses(command, picture);
}

/* The status as a shell would tell it; -1 if it cannot be had. */
static int wait_status(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFSIGNALED(status) ? EXITS_SIGNAL_BASE + WTERMSIG(status) : WEXITSTATUS(status);
}

static struct leak_verdict judge(const struct command *command, const struct leaks *leaks,
				 bool children)
{
	uint64_t limit = command->options->leak_limit_bytes;

	return (struct leak_verdict){
		.gated = command->options->fail_if_leaked,
		.limit_bytes = limit,
		.failed = limit ? leaks->leaked.bytes > limit : leaks->leaked.sites > 0,
		.not_judged = *command->not_judged ? command->not_judged : NULL,
		.children = children,
	};
}

/* For those who see the report's file only later. */
static void say_verdict(const struct command *command, const struct leak_report *document)
{
	const struct leak_verdict *verdict = &document->verdict;
	const char *file = command->options->report;

	if (!command->file || !verdict->gated)
		return;
	if (verdict->not_judged)
		log_error("not judged: %s", verdict->not_judged);
	else if (verdict->failed)
		log_error("leaked: %llu bytes in %llu blocks; see %s",
			  (unsigned long long)document->leaks->leaked.bytes,
			  (unsigned long long)document->leaks->leaked.blocks, file);
}

/* The judgment as an exit code; written down if somebody wants to read it. */
static int report(struct command *command, const struct picture *picture, struct resolver *resolver,
		  bool shown, bool children)
{
	const struct options *options = command->options;
	FILE *out = command->file ? command->file : stderr;
	struct leak_report document = {.top = options->top_given ? options->top : 0};
	struct leaks leaks;
	int err = 0;

	leaks_init(&leaks, picture, resolver, &command->suppressions,
		   options->baseline ? &command->baseline : NULL, SETTLE_MS);
	document.leaks = &leaks;
	document.verdict = judge(command, &leaks, children);
	if (command->file || options->fail_if_leaked || !shown)
		err = command->json ? export_leaks_json(out, &document) :
				      export_leaks(out, &document);
	say_verdict(command, &document);
	leaks_deinit(&leaks);
	if (err && err != -EPIPE) {
		log_error("cannot write the report: %s", strerror(-err));
		return EXITS_LAUNCH_FAILED;
	}
	if (!document.verdict.gated)
		return EXITS_DONE;
	if (document.verdict.not_judged)
		return EXITS_NOT_JUDGED;
	return document.verdict.failed ? EXITS_LEAKED : EXITS_DONE;
}

/* What the report says beside its text, for those who see only the exit code's line. */
static int judge_unseen(struct command *command)
{
	if (!command->options->fail_if_leaked)
		return EXITS_DONE;
	log_error("not judged: %s", command->not_judged);
	return EXITS_NOT_JUDGED;
}

int command_end(struct command *command, pid_t pid, bool ended, int code,
		const struct picture *picture, struct resolver *resolver, bool shown)
{
	bool children = ended && launch_had_children(pid);
	int status = 0, judgment;

	if (!ended) {
		log_error("process %d runs on without memtop", (int)pid);
		*command->not_judged = '\0';
		doubt(command, "memtop ended before the command did");
		judgment = judge_unseen(command);
		return code ? EXITS_LAUNCH_FAILED : judgment;
	}
	status = wait_status(pid);
	if (!picture || !picture->final || picture->target.status == TARGET_RUNNING)
		doubt(command, "its end was not seen");
	judgment = picture ? report(command, picture, resolver, shown, children) :
			     judge_unseen(command);
	if (status > 0)
		return status;
	return code || status < 0 ? EXITS_LAUNCH_FAILED : judgment;
}
