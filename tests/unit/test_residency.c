/* SPDX-License-Identifier: GPL-2.0-only */
/* Residency of memory of the test's own, by whatever the kernel has and by words. */
#include "unit.h"

#include "capture/residency.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE  4096ul
#define PAGES 20000ul

static char *memory;

/* Pages whose number is a multiple of `step` are found, and no others. */
static void check_pages(struct residency *residency, unsigned step)
{
	uint64_t start = (uintptr_t)memory, end = start + PAGES * PAGE, at = start, found = 0;
	unsigned reads = 0;

	while (at < end) {
		struct pages_run runs[RESIDENCY_RUNS];
		uint64_t cursor = at, reached;
		size_t count;

		assert_int_equal(residency_read(residency, at, end, runs, &count, &reached), 0);
		assert_true(reached > at && reached <= end);
		assert_true(count <= RESIDENCY_RUNS);
		for (size_t i = 0; i < count; i++) {
			assert_true(runs[i].start >= cursor && runs[i].end > runs[i].start);
			assert_true(runs[i].end <= reached);
			assert_false(runs[i].flags & PAGES_RUN_FILE);
			cursor = runs[i].end;
			for (uint64_t a = runs[i].start; a < runs[i].end; a += PAGE, found++)
				assert_int_equal((a - start) / PAGE % step, 0);
		}
		at = reached;
		reads++;
	}
	assert_int_equal(found, (PAGES + step - 1) / step);
	assert_true(reads > 1); /* each is bounded */
}

static void check_all(bool plain)
{
	struct residency residency;
	volatile char sum = 0;

	memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	assert_ptr_not_equal(memory, MAP_FAILED);
	madvise(memory, PAGES * PAGE, MADV_NOHUGEPAGE);
	assert_int_equal(residency_open(&residency, getpid(), plain), 0);
	assert_false(plain && residency.scans);
	/* What is only read is the page of zeros, and not counted (words: if it can be told). */
	if (!plain || residency.zero_frame)
		for (unsigned long i = 0; i < PAGES; i++)
			sum += memory[i * PAGE];
	for (unsigned long i = 0; i < PAGES; i += 3)
		memory[i * PAGE] = 1;
	check_pages(&residency, 3);
	for (unsigned long i = 0; i < PAGES; i++)
		memory[i * PAGE] = 1;
	check_pages(&residency, 1);
	residency_close(&residency);
	munmap(memory, PAGES * PAGE);
}

static void test_scan(void **state)
{
	(void)state;
	check_all(false);
}

static void test_words(void **state)
{
	(void)state;
	check_all(true);
}

static void test_shared_memory_is_a_file(void **state)
{
	struct pages_run runs[RESIDENCY_RUNS];
	struct residency residency;
	uint64_t end;
	size_t count;
	char *page;

	(void)state;
	for (int plain = 0; plain < 2; plain++) {
		page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		assert_ptr_not_equal(page, MAP_FAILED);
		*page = 1;
		assert_int_equal(residency_open(&residency, getpid(), plain), 0);
		assert_int_equal(residency_read(&residency, (uintptr_t)page, (uintptr_t)page + PAGE,
						runs, &count, &end),
				 0);
		assert_int_equal(count, 1);
		assert_true(runs[0].flags & PAGES_RUN_FILE);
		residency_close(&residency);
		munmap(page, PAGE);
	}
}

static void test_no_process(void **state)
{
	struct residency residency;
	pid_t child = fork();

	(void)state;
	if (!child)
		_exit(0);
	waitpid(child, NULL, 0);
	assert_int_equal(residency_open(&residency, child, false), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scan),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_shared_memory_is_a_file),
		cmocka_unit_test(test_no_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
