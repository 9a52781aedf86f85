/* SPDX-License-Identifier: GPL-2.0-only */
/* The gate fails closed: whatever it needs and was not there all the time is named, and 98 given.
 */
#include "command.h"

#include "core/losses.h"
#include "exits.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct gate {
	struct options options;
	struct picture picture; /* of a command that was followed and freed everything */
	struct command *command;
	char said[4096]; /* the report, and what went to standard error */
};

static void open_gate(struct gate *gate)
{
	char error[256];

	memset(gate, 0, sizeof(*gate));
	gate->options.fail_if_leaked = true;
	gate->options.level = LEVEL_HEAP;
	gate->options.budget_percent = NAN;
	gate->picture.generation = 1;
	gate->picture.level = LEVEL_HEAP;
	gate->picture.from_start = true;
	gate->picture.final = true;
	gate->picture.sides[SIDE_USER].known = true;
	gate->picture.target.status = TARGET_EXITED;
	strcpy(gate->picture.target.comm, "command");
	assert_int_equal(command_open(&gate->options, &gate->command, error, sizeof(error)), 0);
}

static void watch(struct gate *gate)
{
	command_watch(gate->command, &gate->picture);
}

/* The end of a child that ends with `status`; gives memtop's exit code, and closes the gate. */
static int end(struct gate *gate, int status, bool ended, int code, bool with_picture)
{
	static const struct resolver_ops ops;
	struct resolver resolver = {.ops = &ops};
	int standard_error = dup(STDERR_FILENO), result;
	FILE *file = tmpfile();
	pid_t child = fork();

	if (!child)
		_exit(status);
	assert_non_null(file);
	fflush(stderr);
	dup2(fileno(file), STDERR_FILENO);
	result = command_end(gate->command, child, ended, code,
			     with_picture ? &gate->picture : NULL, &resolver, false);
	fflush(stderr);
	dup2(standard_error, STDERR_FILENO);
	close(standard_error);
	if (!ended)
		waitpid(child, NULL, 0);
	rewind(file);
	gate->said[fread(gate->said, 1, sizeof(gate->said) - 1, file)] = '\0';
	fclose(file);
	command_close(gate->command);
	return result;
}

static void expect_reason(struct gate *gate, const char *reason)
{
	char line[512];

	snprintf(line, sizeof(line), "memtop: not judged: %s\n", reason);
	watch(gate);
	assert_int_equal(end(gate, 0, true, 0, true), EXITS_NOT_JUDGED);
	if (!strstr(gate->said, line))
		fail_msg("%s is not in %s", line, gate->said);
}

static void judged(void **state)
{
	struct gate gate;

	(void)state;
	open_gate(&gate);
	watch(&gate);
	assert_int_equal(end(&gate, 0, true, 0, true), EXITS_DONE);
	assert_null(strstr(gate.said, "not judged"));
}

static void level(void **state)
{
	struct gate gate;

	(void)state;
	open_gate(&gate);
	gate.picture.level = LEVEL_RSS;
	expect_reason(&gate, "level rss, not heap throughout");
	open_gate(&gate);
	gate.picture.level = LEVEL_PAGES;
	strcpy(gate.picture.level_reason, "because");
	expect_reason(&gate, "level pages, not heap throughout: because");
	/* For a moment is enough. */
	open_gate(&gate);
	gate.picture.level = LEVEL_RSS;
	watch(&gate);
	gate.picture.level = LEVEL_HEAP;
	expect_reason(&gate, "level rss, not heap throughout");
}

static void book(void **state)
{
	struct gate gate;

	(void)state;
	open_gate(&gate);
	gate.picture.sides[SIDE_USER].known = false;
	expect_reason(&gate, "the heap's book was closed before the end");
	open_gate(&gate);
	gate.picture.from_start = false;
	expect_reason(&gate, "command was not followed from its first instruction");
}

static void governor(void **state)
{
	struct gate gate;

	(void)state;
	open_gate(&gate);
	gate.options.level = LEVEL_AUTO;
	gate.options.budget_percent = 100;
	expect_reason(&gate, "the governor is on (--budget); use --level heap or --budget none");
	open_gate(&gate);
	gate.options.level = LEVEL_AUTO;
	watch(&gate);
	assert_int_equal(end(&gate, 0, true, 0, true), EXITS_DONE);
}

static void each_loss(void **state)
{
	char reason[128];
	struct gate gate;

	(void)state;
	for (size_t i = 0; i < ABI_LOSS_COUNT; i++) {
		open_gate(&gate);
		gate.picture.losses[i] = 3;
		if (losses[i].booked || !loss_touches(i, SIDE_USER)) {
			watch(&gate);
			assert_int_equal(end(&gate, 0, true, 0, true), EXITS_DONE);
			continue;
		}
		snprintf(reason, sizeof(reason), "events were lost: %s 3; see memtop --help=losses",
			 losses[i].name ? losses[i].name : "loss");
		expect_reason(&gate, reason);
	}
	/* All at once: as many as there is room for. */
	open_gate(&gate);
	for (size_t i = 0; i < ABI_LOSS_COUNT; i++)
		gate.picture.losses[i] = UINT64_MAX;
	watch(&gate);
	assert_int_equal(end(&gate, 0, true, 0, true), EXITS_NOT_JUDGED);
	assert_non_null(strstr(gate.said, "not judged: events were lost: live_table_full "));
}

static void the_end(void **state)
{
	struct gate gate;

	(void)state;
	open_gate(&gate);
	gate.picture.final = false;
	expect_reason(&gate, "its end was not seen");
	open_gate(&gate);
	gate.picture.target.status = TARGET_RUNNING;
	expect_reason(&gate, "its end was not seen");
	open_gate(&gate);
	assert_int_equal(end(&gate, 0, true, 0, false), EXITS_NOT_JUDGED);
	assert_non_null(strstr(gate.said, "memtop: not judged: its end was not seen\n"));
	/* It runs on, and is not waited for. */
	open_gate(&gate);
	watch(&gate);
	assert_int_equal(end(&gate, 0, false, 0, true), EXITS_NOT_JUDGED);
	assert_non_null(strstr(gate.said, "not judged: memtop ended before the command did\n"));
	open_gate(&gate);
	watch(&gate);
	assert_int_equal(end(&gate, 0, false, EXITS_INTERNAL, true), EXITS_LAUNCH_FAILED);
}

/* The first reason stays; another program has reasons of its own. */
static void first_reason(void **state)
{
	struct gate gate;

	(void)state;
	open_gate(&gate);
	gate.picture.from_start = false;
	watch(&gate);
	gate.picture.losses[ABI_LOSS_EVENT_LOST] = 1;
	expect_reason(&gate, "command was not followed from its first instruction");
	open_gate(&gate);
	gate.picture.from_start = false;
	watch(&gate);
	gate.picture.from_start = true;
	gate.picture.generation++;
	watch(&gate);
	assert_int_equal(end(&gate, 0, true, 0, true), EXITS_DONE);
}

/* What the command itself returned comes first, then memtop's own failure, then the gate. */
static void whose_status(void **state)
{
	struct gate gate;

	(void)state;
	open_gate(&gate);
	gate.picture.from_start = false;
	watch(&gate);
	assert_int_equal(end(&gate, 7, true, EXITS_INTERNAL, true), 7);
	open_gate(&gate);
	gate.picture.from_start = false;
	watch(&gate);
	assert_int_equal(end(&gate, 0, true, EXITS_INTERNAL, true), EXITS_LAUNCH_FAILED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(judged),	cmocka_unit_test(level),
		cmocka_unit_test(book),		cmocka_unit_test(governor),
		cmocka_unit_test(each_loss),	cmocka_unit_test(the_end),
		cmocka_unit_test(first_reason), cmocka_unit_test(whose_status),
	};

	return cmocka_run_group_tests_name("command", tests, NULL, NULL);
}
