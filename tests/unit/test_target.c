/* SPDX-License-Identifier: GPL-2.0-only */
#include "tests/unit/unit.h"

#include "capture/target.h"

#include "capture/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A child that waits for its end; killed by release(). */
static pid_t spawn(const char *comm)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (comm)
			prctl(PR_SET_NAME, comm);
		if (write(ready[1], "x", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void release(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void check_children(void **state)
{
	char error[256] = "";
	pid_t pid = spawn(NULL);
	siginfo_t info;

	(void)state;
	assert_int_equal(target_check(pid, error, sizeof(error)), 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(target_check(pid, error, sizeof(error)), -ESRCH);
	assert_non_null(strstr(error, "already ended"));
	waitpid(pid, NULL, 0);
	assert_int_equal(target_check(pid, error, sizeof(error)), -ESRCH);
	assert_non_null(strstr(error, "no process"));
}

static void check_what_cannot_be(void **state)
{
	char error[256];
	struct procstat stat;

	(void)state;
	assert_int_equal(target_check(0, error, sizeof(error)), -ESRCH);
	assert_int_equal(target_check(-5, error, sizeof(error)), -ESRCH);
	assert_int_equal(target_check(getpid(), error, sizeof(error)), -ELOOP);
	assert_non_null(strstr(error, "memtop itself"));
	/* kthreadd, where the PID namespace shows it. */
	if (!procstat_read(2, &stat) && (stat.flags & PROCSTAT_KTHREAD)) {
		assert_int_equal(target_check(2, error, sizeof(error)), -EINVAL);
		assert_non_null(strstr(error, "kernel thread"));
	}
}

static void *thread_main(void *data)
{
	int *fds = data;
	pid_t tid = gettid();
	char byte;

	if (write(fds[1], &tid, sizeof(tid)) == sizeof(tid))
		while (read(fds[2], &byte, 1) < 0 && errno == EINTR)
			;
	return NULL;
}

static void check_thread_names_its_process(void **state)
{
	int up[2], down[2], fds[3];
	char error[256], expected[32];
	struct target_state self;
	pthread_t thread;
	pid_t tid;

	(void)state;
	assert_int_equal(pipe(up), 0);
	assert_int_equal(pipe(down), 0);
	fds[0] = up[0];
	fds[1] = up[1];
	fds[2] = down[0];
	assert_int_equal(pthread_create(&thread, NULL, thread_main, fds), 0);
	assert_int_equal(read(up[0], &tid, sizeof(tid)), sizeof(tid));
	assert_int_equal(target_check(tid, error, sizeof(error)), -ESRCH);
	snprintf(expected, sizeof(expected), "process %d", getpid());
	assert_non_null(strstr(error, expected));
	assert_int_equal(target_state_read(getpid(), &self), 0);
	assert_int_equal(self.threads, 2);
	assert_int_equal(write(down[1], "x", 1), 1);
	pthread_join(thread, NULL);
	for (int i = 0; i < 2; i++) {
		close(up[i]);
		close(down[i]);
	}
}

static void state_of_child(void **state)
{
	struct target_state target;
	char self[256] = "";
	pid_t pid = spawn("a) b (c");

	(void)state;
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	assert_int_equal(target_state_read(pid, &target), 0);
	assert_int_equal(target.pid, pid);
	assert_string_equal(target.comm, "a) b (c");
	assert_string_equal(target.exe, self);
	assert_int_equal(target.status, TARGET_RUNNING);
	assert_int_equal(target.exit_code, -1);
	assert_int_equal(target.threads, 1);
	release(pid);
	assert_int_equal(target_state_read(pid, &target), -ESRCH);
}

static bool holds(const pid_t *pids, int count, pid_t pid)
{
	for (int i = 0; i < count; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

static void find_by_name(void **state)
{
	pid_t pids[256] = {0}, one, two;
	char self[256] = "", name[16], *base;
	int count;

	(void)state;
	snprintf(name, sizeof(name), "mt-%d", getpid()); /* nobody else's */
	one = spawn(name);
	two = spawn(name);
	assert_int_equal(target_find_by_name(name, pids, 8), 2);
	assert_true(holds(pids, 2, one) && holds(pids, 2, two) && pids[0] < pids[1]);
	/* More than there is room for: the count tells. */
	pids[1] = -1;
	assert_int_equal(target_find_by_name(name, pids, 1), 2);
	assert_int_equal(pids[1], -1);
	assert_int_equal(target_find_by_name("mt-no-such-name", pids, 8), 0);
	/* By the executable's name: the children, but never oneself. */
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	base = strrchr(self, '/') + 1;
	count = target_find_by_name(base, pids, 256);
	assert_in_range(count, 2, 256);
	assert_true(holds(pids, count, one));
	assert_false(holds(pids, count, getpid()));
	release(one);
	release(two);
}

static void find_by_match(void **state)
{
	pid_t pids[8] = {0}, pid = fork();
	char error[256] = "", pattern[64];
	struct timespec nap = {.tv_nsec = 1000000};
	int count = 0;

	(void)state;
	if (!pid) {
		char tag[32];

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		snprintf(tag, sizeof(tag), "mt-match-%d", getppid());
		execlp("sleep", tag, "60", NULL);
		_exit(127);
	}
	snprintf(pattern, sizeof(pattern), "^mt-match-%d (60|61)$", getpid());
	for (int i = 0; i < 5000 && count != 1; i++) {
		count = target_find_by_match(pattern, pids, 8, error, sizeof(error));
		nanosleep(&nap, NULL);
	}
	assert_int_equal(count, 1);
	assert_int_equal(pids[0], pid);
	release(pid);
	assert_int_equal(target_find_by_match("a(b", pids, 8, error, sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, "a(b"));
}

static int settled_identity(pid_t pid, struct target_identity *ret)
{
	int status;

	while ((status = target_identity_read(pid, ret)) == -EAGAIN)
		usleep(100);
	return status;
}

static void identity_changes_at_exec(void **state)
{
	struct target_identity before, after;
	int go[2], closed[2];
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	assert_int_equal(pipe2(closed, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(go[1]);
		if (read(go[0], &byte, 1) == 1)
			execlp("sleep", "sleep", "60", NULL);
		_exit(127);
	}
	close(closed[1]);
	assert_int_equal(target_identity_read(pid, &before), 0);
	assert_int_equal(target_identity_read(pid, &after), 0);
	assert_int_equal(target_identity_compare(&before, &after), TARGET_SAME);
	assert_int_equal(write(go[1], "x", 1), 1);
	/* Closed by the exec, before its end. */
	assert_int_equal(read(closed[0], &byte, 1), 0);
	assert_int_equal(settled_identity(pid, &after), 0);
	assert_int_equal(target_identity_compare(&before, &after), TARGET_EXECED);
	after.start_time++;
	assert_int_equal(target_identity_compare(&before, &after), TARGET_REPLACED);
	release(pid);
	assert_int_equal(target_identity_read(pid, &after), -ESRCH);
	close(go[0]);
	close(go[1]);
	close(closed[0]);
}

/* Becomes itself so many times, then waits for its end. */
static _Noreturn void exec_again(unsigned times)
{
	char left[16];

	snprintf(left, sizeof(left), "%u", times - 1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (times)
		execl("/proc/self/exe", "test_target", "exec", left, NULL);
	else if (write(STDOUT_FILENO, "x", 1) == 1)
		pause();
	_exit(1);
}

/* In the middle of an exec, where some of it is the new program's and some of it not there yet. */
static void a_process_lives_through_execs(void **state)
{
	struct target_identity identity;
	int ready[2], status, seen = 0;
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(ready, O_CLOEXEC | O_NONBLOCK), 0);
	pid = fork();
	if (!pid) {
		dup2(ready[1], STDOUT_FILENO);
		exec_again(100);
	}
	close(ready[1]);
	while (read(ready[0], &byte, 1) != 1) {
		status = target_identity_read(pid, &identity);
		assert_true(status == 0 || status == -EAGAIN);
		seen += status == 0;
		if (!status)
			assert_true(identity.start_code && identity.start_stack);
	}
	assert_true(seen > 0);
	release(pid);
	close(ready[0]);
}

/* While the kernel takes its memory apart it is no zombie yet, and nothing else either. */
static void a_dying_process_is_no_other(void **state)
{
	const size_t size = (size_t)256 << 20;
	struct target_identity before, now;
	int ready[2], status;
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				    -1, 0);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		madvise(memory, size, MADV_NOHUGEPAGE);
		memset(memory, 1, size);
		if (write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(target_identity_read(pid, &before), 0);
	kill(pid, SIGKILL);
	while (!(status = target_identity_read(pid, &now)))
		assert_int_equal(target_identity_compare(&before, &now), TARGET_SAME);
	assert_int_equal(status, -ESRCH);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(ready[0]);
	close(ready[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(check_children),
		cmocka_unit_test(check_what_cannot_be),
		cmocka_unit_test(check_thread_names_its_process),
		cmocka_unit_test(state_of_child),
		cmocka_unit_test(find_by_name),
		cmocka_unit_test(find_by_match),
		cmocka_unit_test(identity_changes_at_exec),
		cmocka_unit_test(a_process_lives_through_execs),
		cmocka_unit_test(a_dying_process_is_no_other),
	};

	if (argc == 3)
		exec_again((unsigned)strtoul(argv[2], NULL, 10));

	return cmocka_run_group_tests_name("target", tests, NULL, NULL);
}
