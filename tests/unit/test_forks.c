/* SPDX-License-Identifier: GPL-2.0-only */
#include "tests/unit/unit.h"

#include "capture/forks.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child that touches memory, so that its faults are told, and waits for its end. */
static pid_t begin_child(void)
{
	pid_t pid = fork();

	if (!pid) {
		size_t size = 1 << 20;
		char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				    -1, 0);

		if (memory != MAP_FAILED)
			memset(memory, 1, size);
		for (;;)
			pause();
	}
	assert_true(pid > 0);
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Nothing new once everything was seen: where very much goes on a look may be one of the others. */
static void is_quiet(struct forks *forks)
{
	unsigned looks = 0;

	while (forks_look(forks))
		assert_true(++looks < 100);
}

static void a_child_is_seen_once(void **state)
{
	struct forks forks;
	pid_t first, second;

	(void)state;
	forks_init(&forks, getpid());
	is_quiet(&forks);
	first = begin_child();
	assert_true(forks_look(&forks));
	is_quiet(&forks);
	second = begin_child();
	assert_true(forks_look(&forks));
	is_quiet(&forks);
	end_child(first);
	end_child(second);
	forks_deinit(&forks);
}

static void a_child_that_came_and_went_is_seen(void **state)
{
	struct forks forks;

	(void)state;
	forks_init(&forks, getpid());
	is_quiet(&forks);
	end_child(begin_child());
	assert_true(forks_look(&forks));
	is_quiet(&forks);
	forks_deinit(&forks);
}

static void children_of_before_are_not_seen(void **state)
{
	pid_t child = begin_child();
	struct forks forks;

	(void)state;
	forks_init(&forks, getpid());
	is_quiet(&forks);
	forks.newest = forks.newest_before = 0; /* as where it is not told */
	assert_true(forks_look(&forks));	/* the list is read for the first time */
	forks.newest = forks.newest_before = 0;
	assert_false(forks_look(&forks));
	end_child(child);
	forks_deinit(&forks);
}

static void *fork_in_thread(void *ret)
{
	*(pid_t *)ret = begin_child();
	return NULL;
}

static void a_child_of_a_thread_is_seen(void **state)
{
	struct forks forks;
	pthread_t thread;
	pid_t child;

	(void)state;
	forks_init(&forks, getpid());
	is_quiet(&forks);
	assert_int_equal(pthread_create(&thread, NULL, fork_in_thread, &child), 0);
	pthread_join(thread, NULL);
	assert_true(forks_look(&forks));
	is_quiet(&forks);
	end_child(child);
	forks_deinit(&forks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_is_seen_once),
		cmocka_unit_test(a_child_that_came_and_went_is_seen),
		cmocka_unit_test(children_of_before_are_not_seen),
		cmocka_unit_test(a_child_of_a_thread_is_seen),
	};

	return cmocka_run_group_tests_name("forks", tests, NULL, NULL);
}
