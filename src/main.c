/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Takes the command line in, finds or starts the target, opens what watches it, and turns what went
 * wrong into one line and an exit code. All else is the application's.
 */
#include "config.h"

#include "app.h"
#include "capture/launch.h"
#include "capture/live.h"
#include "capture/probes.h"
#include "capture/site_report.h"
#include "capture/target.h"
#include "check.h"
#include "command.h"
#include "exits.h"
#include "follow.h"
#include "options.h"
#include "output.h"
#include "signals.h"
#include "symbol/demangle.h"
#include "symbol/symbol.h"
#include "unwind/unwinder.h"
#include "util/log.h"

#include <errno.h>
#include <locale.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ERROR_SIZE 512
#define MAX_LISTED 64
#define WAIT_NS	   100000000 /* between looks for a program that is not there yet */

/* Exit code of a failed live_open(). */
static int code_of(int err)
{
	switch (err) {
	case -ESRCH:
		return EXITS_NO_TARGET;
	case -ELOOP:
		return EXITS_USAGE;
	case -EINVAL: /* a kernel thread */
	case -EPERM:
	case -EACCES:
	case -EOPNOTSUPP:
		return EXITS_NOT_PERMITTED;
	default:
		return EXITS_INTERNAL;
	}
}

static int find(const struct options *options, pid_t *pids, char *error, size_t size)
{
	if (options->name)
		return target_find_by_name(options->name, pids, MAX_LISTED);
	return target_find_by_match(options->match, pids, MAX_LISTED, error, size);
}

static void list_targets(const struct options *options, const pid_t *pids, int count)
{
	const char *wanted = options->name ? options->name : options->match;
	char text[ERROR_SIZE / 2] = "";
	size_t length = 0;

	for (int i = 0; i < count && i < MAX_LISTED && length < sizeof(text) - 16; i++)
		length +=
			(size_t)snprintf(text + length, sizeof(text) - length, " %d", (int)pids[i]);
	log_error("%d processes match '%s', choose one with --pid:%s", count, wanted, text);
}

/* Waits for the first process that matches. 0 or the exit code. */
static int find_target(const struct options *options, pid_t *ret)
{
	const struct timespec pause = {.tv_nsec = WAIT_NS};
	char error[ERROR_SIZE] = "";
	pid_t pids[MAX_LISTED];
	bool told = false;
	int count;

	if (options->pid) {
		*ret = options->pid;
		return 0;
	}
	while (!(count = find(options, pids, error, sizeof(error)))) {
		if (!told && options->match)
			log_error("waiting for a process that matches '%s'", options->match);
		else if (!told)
			log_error("waiting for %s to start", options->name);
		told = true;
		nanosleep(&pause, NULL);
	}
	if (count < 0) {
		log_error("%s", error[0] ? error : strerror(-count));
		return count == -EINVAL ? EXITS_USAGE : EXITS_INTERNAL;
	}
	if (count > 1) {
		list_targets(options, pids, count);
		return EXITS_NO_TARGET;
	}
	*ret = pids[0];
	return 0;
}

/* Reaps a command that ended before it could be watched; its status is ours. */
static int reap(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return EXITS_LAUNCH_FAILED;
	return WIFSIGNALED(status) ? EXITS_SIGNAL_BASE + WTERMSIG(status) : WEXITSTATUS(status);
}

static int launch(const struct options *options, pid_t *ret)
{
	char error[ERROR_SIZE] = "";
	pid_t pid = 0;
	int err = launch_held(options->command, &pid, error, sizeof(error));

	*ret = pid;
	if (!err)
		return 0;
	if (err == -ECHILD && pid > 0)
		return reap(pid);
	if (error[0])
		log_error("%s", error);
	else
		log_error("cannot execute %s: %s", options->command[0], strerror(-err));
	if (err == -ENOENT || err == -ENOTDIR)
		return EXITS_NOT_FOUND;
	return err == -EACCES || err == -ENOEXEC ? EXITS_NOT_EXECUTABLE : EXITS_LAUNCH_FAILED;
}

/* A command that could not be watched has not begun: it never will. */
static void abandon(pid_t launched)
{
	if (launched <= 0)
		return;
	kill(launched, SIGKILL);
	waitpid(launched, NULL, 0);
}

/* Where memory runs out, memtop goes first: not the target, whose children inherit nothing of it.
 */
static void go_first(void)
{
	FILE *file = fopen("/proc/self/oom_score_adj", "we");

	if (!file)
		return; /* no reason not to watch */
	fputs("1000", file);
	fclose(file);
}

static struct allocators_options allocators_of(const struct options *options)
{
	return (struct allocators_options){
		.prefixes = options->prefixes,
		.prefix_count = options->prefix_count,
		.functions = options->functions,
		.function_count = options->function_count,
		.demangle = demangle,
		.no_return_probes = options->no_return_probes,
	};
}

/* What the machine allows, and what would be probed: in the process named, else in memtop. */
static void check(const struct options *options)
{
	const struct allocators_options allocators = allocators_of(options);
	char error[ERROR_SIZE];

	check_machine(stdout);
	putchar('\n');
	if (probe_permission(error, sizeof(error)))
		printf("%s\n", error);
	else
		site_report(stdout, options->pid ? options->pid : getpid(), &allocators);
}

static int open_process(const struct options *options, pid_t pid, pid_t launched, uint32_t last_id,
			const enum level *level, struct follow_process *ret, char *error,
			size_t size)
{
	const struct live_options live = {
		.pid = pid,
		.level = level ? *level : options->level,
		.last_id = last_id,
		.budget_percent = options->budget_percent,
		.kernel = options->sides & 1u << SIDE_KERNEL,
		.kernel_asked = options->sides_given,
		.limit_bytes = options->limit_bytes,
		.max_blocks = options->max_blocks,
		.launched = launched,
		.allocators = allocators_of(options),
		.unwinder = table_unwinder_new(pid, options->unwind_bytes),
	};
	int err = live_open(&live, &ret->source, error, size);

	if (err)
		return err;
	err = symbol_resolver_new(pid, options->debug_dir, &ret->resolver);
	if (!err && launched)
		err = launch_go(launched);
	if (err) {
		snprintf(error, size, "process %d: %s", (int)pid, strerror(-err));
		source_close(ret->source);
		resolver_close(ret->resolver);
		memset(ret, 0, sizeof(*ret));
	}
	return err;
}

static int find_next(void *context, pid_t *pids, size_t capacity)
{
	char error[ERROR_SIZE];

	(void)capacity;
	return find(context, pids, error, sizeof(error));
}

static int open_next(void *context, pid_t pid, uint32_t last_id, const enum level *level,
		     struct follow_process *ret, char *error, size_t size)
{
	return open_process(context, pid, 0, last_id, level, ret, error, size);
}

/* What was asked for by a name is followed, as long as there will be processes of that name. */
static int follow(const struct options *options, const struct follow_process *first,
		  struct app_config *config)
{
	static const struct follow_ops ops = {.find = find_next, .open = open_next};
	int err;

	config->source = first->source;
	config->resolver = first->resolver;
	if (!options->name && !options->match)
		return 0;
	err = follow_new(&ops, (void *)options, first, &config->follow);
	if (err)
		return err;
	config->source = follow_source(config->follow);
	config->resolver = follow_resolver(config->follow);
	return 0;
}

static int watch(const struct options *options, pid_t pid, pid_t launched, struct command *command)
{
	struct app_config config = {.options = options, .launched = launched, .command = command};
	struct follow_process first = {0};
	char error[ERROR_SIZE] = "";
	sigset_t old;
	int err, code;

	go_first();
	config.signal_fd = signals_open(launched > 0, &old);
	config.out = output_open(STDOUT_FILENO);
	err = !config.out ?
		      -ENOMEM :
	      config.signal_fd < 0 ?
		      config.signal_fd :
		      open_process(options, pid, launched, 0, NULL, &first, error, sizeof(error));
	if (!err)
		err = follow(options, &first, &config);
	if (err) {
		log_error("%s", error[0] ? error : strerror(-err));
		abandon(launched);
		return launched ? EXITS_LAUNCH_FAILED : code_of(err);
	}
	code = app_run(&config);
	if (config.out)
		fclose(config.out);
	source_close(config.source);
	resolver_close(config.resolver);
	follow_free(config.follow);
	return code;
}

static int check_output(const struct options *options)
{
	if (options->batch || (options->command && !options->tui))
		return 0;
	if (isatty(STDOUT_FILENO) && isatty(STDIN_FILENO))
		return 0;
	log_error("standard %s is not a terminal; use --batch (-b) to write without a screen",
		  isatty(STDOUT_FILENO) ? "input" : "output");
	return EXITS_USAGE;
}

/* What the report and the gate need is read first: a command is not started in vain. */
static int run_command(const struct options *options)
{
	struct command *command;
	char error[ERROR_SIZE];
	pid_t launched = 0;
	int code;

	if (command_open(options, &command, error, sizeof(error))) {
		log_error("%s", error);
		return EXITS_LAUNCH_FAILED;
	}
	code = launch(options, &launched);
	if (!code && launched)
		code = watch(options, launched, launched, command);
	command_close(command);
	return code;
}

static int run(const struct options *options)
{
	int code = check_output(options);
	pid_t pid = 0;

	if (code)
		return code;
	if (options->command)
		return run_command(options);
	code = find_target(options, &pid);
	return code ? code : watch(options, pid, 0, NULL);
}

/* What was asked for has to arrive, or it is an error. */
static int written(FILE *out)
{
	if (!fflush(out) && !ferror(out))
		return EXITS_DONE;
	if (errno == EPIPE)
		return EXITS_DONE;
	log_error("cannot write the output: %s", strerror(errno));
	return EXITS_INTERNAL;
}

static int act(const struct options *options)
{
	switch (options->action) {
	case ACTION_HELP:
		options_write_help(stdout);
		return written(stdout);
	case ACTION_HELP_LOSSES:
		options_write_losses(stdout);
		return written(stdout);
	case ACTION_VERSION:
		puts(PACKAGE_STRING);
		return written(stdout);
	case ACTION_CHECK:
		check(options);
		return written(stdout);
	case ACTION_COMPLETION:
		options_write_completion(stdout);
		return written(stdout);
	case ACTION_WATCH:
		break;
	}
	return run(options);
}

int main(int argc, char **argv)
{
	struct options options;
	char error[ERROR_SIZE];
	int code;

	setlocale(LC_CTYPE, "");
	if (options_parse(argc, argv, &options, error, sizeof(error))) {
		log_error("%s", error);
		options_deinit(&options);
		return EXITS_USAGE;
	}
	code = act(&options);
	options_deinit(&options);
	return code;
}
