/* SPDX-License-Identifier: GPL-2.0-only */
#include "tests/unit/unit.h"

#include "capture/memory.h"

#include "capture/smaps.h"
#include "util/alloc.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define KIB 1024ull
#define MIB (1024 * KIB)

/* --- texts --- */

static void status_text(void **state)
{
	static const char text[] = "Name:\tx\nVmRSS:\t 1700 kB\nRssAnon:\t 112 kB\nRssFile:\t 1588 "
				   "kB\nRssShmem:\t 4 kB\nVmSwap:\t 8 kB\nThreads:\t1\n";
	struct memory memory;

	(void)state;
	assert_int_equal(memory_parse_status(text, &memory), 0);
	assert_int_equal(memory.anon_bytes, 112 * KIB);
	assert_int_equal(memory.file_bytes, 1588 * KIB);
	assert_int_equal(memory.shmem_bytes, 4 * KIB);
	assert_int_equal(memory.swap_bytes, 8 * KIB);
	assert_int_equal(memory.rss_bytes, 1704 * KIB);
	assert_false(memory.parts_known);
	assert_int_equal(memory_parse_status("Name:\tkthreadd\nThreads:\t1\n", &memory), -ESRCH);
}

static void stack_pointer_text(void **state)
{
	(void)state;
	assert_int_equal(memory_parse_stack_pointer("running\n"), 0);
	assert_int_equal(memory_parse_stack_pointer(""), 0);
	assert_int_equal(memory_parse_stack_pointer("-1 0x7ffe10 0x400000\n"), 0x7ffe10);
	assert_int_equal(memory_parse_stack_pointer("61 0xffffffff 0x7ffefd9b3920 0x0 0x0 0x1 0x8 "
						    "0x7ffefd9b38f8 0x7f42b64e5bd3\n"),
			 0x7ffefd9b38f8);
}

#define ROW(range, perms, name, kb)                                             \
	range " " perms " 00000000 00:00 0   " name "\nSize: 9 kB\nRss: 9 kB\n" \
	      "Anonymous:   " kb " kB\nVmFlags: rd wr\n"

static const char fixture[] =
	"55d5f7216000-55d5f721b000 rw-p 00002000 fe:10 247134  /usr/bin/cat\nAnonymous: 1 kB\n" ROW(
		"55d636344000-55d636365000", "rw-p", "[heap]", "2")
	/* an arena, and its rest */
	ROW("7f0000000000-7f0000021000", "rw-p", "", "4")
		ROW("7f0000021000-7f0004000000", "---p", "", "0")
	/* a full one */
	ROW("7f0008000000-7f000c000000", "rw-p", "", "8")
	/* at such an address by chance */
	ROW("7f0010000000-7f0010021000", "rw-p", "[anon:pool]", "16")
	/* a thread's */
	ROW("7f1000001000-7f1000801000", "rw-p", "", "32")
	/* code of a JIT, and memory that is only read */
	ROW("7f2000001000-7f2000801000", "rwxp", "", "64")
		ROW("7f2000801000-7f2000802000", "r--p", "", "128")
	/* shared memory is not anonymous */
	ROW("7f3000000000-7f3000001000", "rw-s", "/dev/zero (deleted)", "0")
		ROW("7ffd7350b000-7ffd7352c000", "rw-p", "[stack]", "256");

static bool is_fixture_stack(const struct smaps_entry *entry, void *data)
{
	uint64_t address = *(uint64_t *)data;

	return entry->start <= address && address < entry->end;
}

static void sorted_by_both_rules(void **state)
{
	uint64_t stack = 0x7f1000800e00;
	struct smaps_parts parts;

	(void)state;
	/* However the text is cut. */
	for (size_t piece = 1; piece < sizeof(fixture); piece += piece < 70 ? 1 : 500) {
		struct smaps smaps = {0};

		for (size_t at = 0; at < sizeof(fixture) - 1; at += piece) {
			size_t left = sizeof(fixture) - 1 - at;

			assert_int_equal(
				smaps_feed(&smaps, fixture + at, left < piece ? left : piece), 0);
		}
		assert_int_equal(smaps.count, 11);
		parts = smaps_sort(&smaps, false, is_fixture_stack, &stack);
		assert_int_equal(parts.heap_bytes, (2 + 4 + 8) * KIB);
		assert_int_equal(parts.stacks_bytes, (32 + 256) * KIB);
		assert_int_equal(parts.others_bytes, (1 + 16 + 64 + 128) * KIB);
		parts = smaps_sort(&smaps, true, is_fixture_stack, &stack);
		assert_int_equal(parts.heap_bytes, (2 + 4 + 8 + 16) * KIB);
		assert_int_equal(parts.stacks_bytes, (32 + 256) * KIB);
		assert_int_equal(parts.others_bytes, (1 + 64 + 128) * KIB);
		smaps_deinit(&smaps);
	}
}

static void garbage_is_refused(void **state)
{
	static const char *const texts[] = {"Anonymous: 1 kB\n", "x\n", "\n", "1000 rw-p\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct smaps smaps = {0};

		assert_int_equal(smaps_feed(&smaps, texts[i], strlen(texts[i])), -EINVAL);
		smaps_deinit(&smaps);
	}
}

/* --- a real process --- */

#define THREADS	     8
#define STACK_USED   (256 * KIB)
#define MAPPED_BYTES (24 * MIB)
#define SMALL_BYTES  (8 * MIB)
#define MOST_TICKS   100000 /* one may have to be paid for by a thousand others */

static pthread_barrier_t barrier;

static void *use_stack(void *data)
{
	volatile char used[STACK_USED];

	for (size_t i = 0; i < sizeof(used); i += 1024)
		used[i] = 1;
	pthread_barrier_wait(&barrier);
	for (;;)
		pause();
	return data;
}

static _Noreturn void target_main(int ready)
{
	char *mapped = mmap(NULL, MAPPED_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
	char *shared = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	memset(mapped, 1, MAPPED_BYTES);
	memset(shared, 1, MIB);
	pthread_barrier_init(&barrier, NULL, THREADS + 1);
	for (size_t i = 0; i < SMALL_BYTES / 1024; i++) {
		char *volatile block = malloc(1024);

		memset(block, 1, 1024);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, use_stack, NULL))
			_exit(1);
	}
	pthread_barrier_wait(&barrier);
	if (write(ready, "x", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static pid_t start_target(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		target_main(ready[1]);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void stop_target(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void assert_adds_up(const struct memory *m)
{
	assert_int_equal(m->anon_bytes + m->file_bytes + m->shmem_bytes, m->rss_bytes);
	if (m->parts_known)
		assert_int_equal(m->heap_mapped_bytes + m->anon_maps_bytes + m->stacks_bytes,
				 m->anon_bytes);
}

/* Ticks until another whole walk is in; each one must add up. */
static struct memory next_walk(struct memory_reader *reader, bool heap_is_watched)
{
	unsigned before = memory_walk_count(reader);
	struct memory memory = {0};

	for (int i = 0; i < MOST_TICKS && memory_walk_count(reader) == before; i++) {
		assert_int_equal(memory_read(reader, heap_is_watched, &memory), 0);
		assert_adds_up(&memory);
	}
	assert_true(memory.parts_known);
	return memory;
}

static struct memory settled_stacks(struct memory_reader *reader, bool heap_is_watched)
{
	struct memory memory = next_walk(reader, heap_is_watched);

	/* A thread that was not asleep yet is asked again. */
	for (int i = 0; i < 2000 && memory.stacks_bytes < THREADS * STACK_USED; i++)
		memory = next_walk(reader, heap_is_watched);
	return memory;
}

static void parts_of_a_process(void **state)
{
	pid_t pid = start_target();
	struct memory_reader *reader = memory_open(pid);
	struct memory memory;

	(void)state;
#ifdef __SANITIZE_ADDRESS__
	skip(); /* the sanitizer's own allocator does not use [heap] */
#endif
	memory = settled_stacks(reader, false);
	assert_true(memory.stacks_bytes >= THREADS * STACK_USED);
	assert_true(memory.stacks_bytes < THREADS * STACK_USED + 2 * MIB);
	assert_true(memory.heap_mapped_bytes >= SMALL_BYTES);
	assert_true(memory.heap_mapped_bytes < SMALL_BYTES + 2 * MIB);
	assert_true(memory.anon_maps_bytes >= MAPPED_BYTES);
	assert_true(memory.shmem_bytes >= MIB);
	assert_true(memory.file_bytes > 0);
	/* With the book open, what may be malloc's counts as malloc's. */
	memory = settled_stacks(reader, true);
	assert_true(memory.heap_mapped_bytes >= SMALL_BYTES + MAPPED_BYTES);
	assert_true(memory.stacks_bytes >= THREADS * STACK_USED);
	assert_true(memory.anon_maps_bytes < 2 * MIB);
	assert_true(memory_walk_ns(reader) > 0);
	memory_restart(reader);
	memory = settled_stacks(reader, true);
	assert_true(memory.stacks_bytes >= THREADS * STACK_USED);
	stop_target(pid);
	assert_int_equal(memory_read(reader, true, &memory), -ESRCH);
	memory_close(reader);
}

/* status against the walk of smaps_rollup, which counts pages. */
static void status_is_exact_enough(void **state)
{
	pid_t pid = start_target();
	char *command =
		xasprintf("awk '/^(Rss|Anonymous):/ {print $2}' /proc/%d/smaps_rollup", pid);
	struct memory_reader *reader = memory_open(pid);
	struct memory memory;
	unsigned long rss, anonymous;
	FILE *rollup = popen(command, "r");
	/* Pages that counters of CPUs may keep back, on kernels that leave them out. */
	long tolerance = 64 * 4096 * sysconf(_SC_NPROCESSORS_ONLN) * 3;

	(void)state;
	assert_non_null(rollup);
	assert_int_equal(fscanf(rollup, "%lu %lu", &rss, &anonymous), 2);
	pclose(rollup);
	assert_int_equal(memory_read(reader, false, &memory), 0);
	assert_true(labs((long)memory.rss_bytes - (long)rss * 1024) <= tolerance);
	assert_true(labs((long)memory.anon_bytes - (long)anonymous * 1024) <= tolerance);
	memory_close(reader);
	stop_target(pid);
	free(command);
}

/* No more than a millisecond a tick on average: what a piece took too much, the ticks to come lack.
 */
static void walks_are_paced(void **state)
{
	pid_t pid = start_target();
	struct memory_reader *reader = memory_open(pid);
	struct memory memory;
	int64_t left_ns = 0;

	(void)state;
	for (unsigned tick = 0; tick < 300 || !memory_walk_count(reader); tick++) {
		uint64_t before = memory_walk_ns(reader), spent;

		assert_true(tick < MOST_TICKS);
		assert_int_equal(memory_read(reader, false, &memory), 0);
		spent = memory_walk_ns(reader) - before;
		left_ns = left_ns > 0 ? 1000000 : left_ns + 1000000;
		if (left_ns <= 0)
			assert_int_equal(spent, 0);
		left_ns -= (int64_t)spent;
		if (left_ns < -1000000000) /* the longest that a walk waits is a thousand ticks */
			left_ns = -1000000000;
	}
	memory_close(reader);
	stop_target(pid);
}

static void nobody_there(void **state)
{
	struct memory_reader *reader = memory_open(0x7ffffffe);
	struct memory memory;

	(void)state;
	assert_int_equal(memory_read(reader, false, &memory), -ESRCH);
	memory_close(reader);
	memory_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_text),		cmocka_unit_test(stack_pointer_text),
		cmocka_unit_test(sorted_by_both_rules), cmocka_unit_test(garbage_is_refused),
		cmocka_unit_test(parts_of_a_process),	cmocka_unit_test(status_is_exact_enough),
		cmocka_unit_test(walks_are_paced),	cmocka_unit_test(nobody_there),
	};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
