/* SPDX-License-Identifier: GPL-2.0-only */
#include "tests/unit/unit.h"

#include "capture/lifetime.h"

#include "capture/cgroup.h"
#include "util/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a target does when it is told to go on. */
enum end {
	END_EXIT_7,
	END_SEGFAULT,
	END_EAT_MEMORY,
};

struct target {
	pid_t pid, parent; /* parent = 0: a child of ours */
	int go;
};

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static _Noreturn void target_main(int go, enum end end)
{
	char byte;

	if (read(go, &byte, 1) != 1)
		_exit(1);
	if (end == END_SEGFAULT) {
		signal(SIGSEGV, SIG_DFL);
		raise(SIGSEGV);
	}
	for (size_t i = 0; end == END_EAT_MEMORY && i < 4096; i++) {
		char *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (memory != MAP_FAILED)
			memset(memory, 1, 1 << 20);
	}
	_exit(7);
}

/* A child of ours, or of a process in between, which reaps it or not. */
static struct target start(enum end end, bool own, bool reaped)
{
	struct target target = {0};
	int go[2], up[2];

	assert_int_equal(pipe(go), 0);
	assert_int_equal(pipe(up), 0);
	target.parent = own ? 0 : fork();
	if (own || !target.parent) {
		target.pid = fork();
		if (!target.pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			target_main(go[0], end);
		}
	}
	if (!own && !target.parent) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (write(up[1], &target.pid, sizeof(target.pid)) < 0)
			_exit(1);
		if (reaped)
			waitpid(target.pid, NULL, 0);
		for (;;)
			pause();
	}
	if (!own)
		assert_int_equal(read(up[0], &target.pid, sizeof(target.pid)), sizeof(target.pid));
	target.go = go[1];
	close(go[0]);
	close(up[0]);
	close(up[1]);
	return target;
}

static void clean_up(struct target *target)
{
	pid_t child = target->parent ? target->parent : target->pid;

	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(target->go);
}

static void wait_for_end(const struct lifetime *lifetime)
{
	struct pollfd pollfd = {.fd = lifetime_fd(lifetime), .events = POLLIN};

	assert_int_equal(poll(&pollfd, 1, 120000), 1);
}

static struct target_state watch(struct target *target, int signal_number)
{
	struct target_state state = {.exit_code = -2};
	struct lifetime *lifetime;

	assert_int_equal(lifetime_open(target->pid, &lifetime), 0);
	assert_false(lifetime_has_ended(lifetime, NULL, &state));
	assert_int_equal(state.exit_code, -2);
	if (signal_number)
		kill(target->pid, signal_number);
	else
		assert_int_equal(write(target->go, "x", 1), 1);
	wait_for_end(lifetime);
	assert_true(lifetime_has_ended(lifetime, NULL, &state));
	/* And so it stays. */
	assert_true(lifetime_has_ended(lifetime, NULL, &state));
	lifetime_close(lifetime);
	clean_up(target);
	return state;
}

static void own_child(void **unused)
{
	struct target target = start(END_EXIT_7, true, false);
	struct target_state state = watch(&target, 0);

	(void)unused;
	assert_int_equal(state.status, TARGET_EXITED);
	assert_int_equal(state.exit_code, 7);
	assert_int_equal(state.signal, 0);
}

static void foreign_zombie(void **unused)
{
	struct target target = start(END_EXIT_7, false, false);
	struct target_state state = watch(&target, 0);

	(void)unused;
	assert_int_equal(state.status, TARGET_EXITED);
	assert_int_equal(state.exit_code, 7);
}

static void foreign_killed(void **unused)
{
	struct target target = start(END_EXIT_7, false, false);
	struct target_state state = watch(&target, SIGKILL);

	(void)unused;
	assert_int_equal(state.status, TARGET_KILLED);
	assert_int_equal(state.exit_code, -1);
	assert_int_equal(state.signal, SIGKILL);
}

static void segfault(void **unused)
{
	struct target target = start(END_SEGFAULT, true, false);
	struct target_state state = watch(&target, 0);

	(void)unused;
	assert_int_equal(state.status, TARGET_KILLED);
	assert_int_equal(state.signal, SIGSEGV);
}

/* Reaped before anyone looked: the code is there from Linux 6.15 on, else it is said not to be. */
static void foreign_reaped(void **unused)
{
	struct target target = start(END_EXIT_7, false, true);
	struct target_state state = {0};
	struct lifetime *lifetime;
	char path[32];

	(void)unused;
	assert_int_equal(lifetime_open(target.pid, &lifetime), 0);
	assert_int_equal(write(target.go, "x", 1), 1);
	wait_for_end(lifetime);
	snprintf(path, sizeof(path), "/proc/%d", target.pid);
	for (int i = 0; i < 120000 && !access(path, F_OK); i++)
		usleep(1000);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_true(lifetime_has_ended(lifetime, NULL, &state));
	assert_int_equal(state.status, TARGET_EXITED);
	assert_true(state.exit_code == 7 || state.exit_code == -1);
	lifetime_close(lifetime);
	clean_up(&target);
}

static void no_such_process(void **unused)
{
	struct lifetime *lifetime;

	(void)unused;
	assert_int_equal(lifetime_open(0x7ffffffe, &lifetime), -ESRCH);
	assert_int_equal(lifetime_open(0, &lifetime), -ESRCH);
	lifetime_close(NULL);
}

/* --- the OOM killer --- */

static char *make_small_cgroup(void)
{
	char *directory = xasprintf("/sys/fs/cgroup/memory/memtop-oom-%d", getpid());
	char *path = xasprintf("%s/memory.limit_in_bytes", directory);

	assert_int_equal(mkdir(directory, 0755), 0);
	write_text(path, "33554432");
	free(path);
	return directory;
}

/* By its own memory, or by a signal from outside, in a cgroup of 32 MiB. */
static enum target_status end_in_small_cgroup(bool eat)
{
	struct target target = start(END_EAT_MEMORY, true, false);
	char *directory = make_small_cgroup();
	char *procs = xasprintf("%s/cgroup.procs", directory);
	struct target_state state = {0};
	struct charge_reader *charge;
	struct lifetime *lifetime;
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", target.pid);
	write_text(procs, pid);
	assert_int_equal(charge_open(target.pid, "", &charge), 0);
	assert_int_equal(lifetime_open(target.pid, &lifetime), 0);
	assert_false(lifetime_has_ended(lifetime, charge, &state));
	if (eat)
		assert_int_equal(write(target.go, "x", 1), 1);
	else
		kill(target.pid, SIGKILL);
	wait_for_end(lifetime);
	assert_true(lifetime_has_ended(lifetime, charge, &state));
	lifetime_close(lifetime);
	charge_close(charge);
	clean_up(&target);
	assert_int_equal(remove_cgroup(directory), 0);
	assert_int_equal(state.signal, SIGKILL);
	free(procs);
	free(directory);
	return state.status;
}

static void oom_kill_is_told_from_kill(void **unused)
{
	(void)unused;
	if (access("/sys/fs/cgroup/memory/memory.limit_in_bytes", F_OK) || geteuid())
		skip();
	assert_int_equal(end_in_small_cgroup(true), TARGET_OOM_KILLED);
	assert_int_equal(end_in_small_cgroup(false), TARGET_KILLED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_child),
		cmocka_unit_test(foreign_zombie),
		cmocka_unit_test(foreign_killed),
		cmocka_unit_test(segfault),
		cmocka_unit_test(foreign_reaped),
		cmocka_unit_test(no_such_process),
		cmocka_unit_test(oom_kill_is_told_from_kill),
	};

	return cmocka_run_group_tests_name("lifetime", tests, NULL, NULL);
}
