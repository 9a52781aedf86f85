/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/residency.h"

#include "capture/procfs.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE_BYTES (1ull << PAGES_SHIFT)
#define READ_PAGES 4096 /* that one read finds at most */
#define READ_WORDS 4096

/* linux/fs.h of 6.7 and later. */
struct scan_region {
	uint64_t start, end, categories;
};

struct scan_argument {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN	     _IOWR('f', 16, struct scan_argument)
#define SCAN_FILE    (1u << 2)
#define SCAN_PRESENT (1u << 3)
#define SCAN_ZERO    (1u << 5)
#define SCAN_HUGE    (1u << 6)
#define WORD_PRESENT (1ull << 63)
#define WORD_FILE    (1ull << 61)
#define WORD_FRAME   ((1ull << 55) - 1)

_Static_assert(sizeof(((struct residency *)0)->page_regions) ==
		       RESIDENCY_RUNS * sizeof(struct scan_region),
	       "room for the regions of a read");

/* Frame number of the page that a read of untouched memory gets: memtop's own such page. */
static uint64_t find_zero_frame(void)
{
	volatile char *page = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	_cleanup_close_ int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t word = 0;

	if (page == MAP_FAILED)
		return 0;
	(void)*page;
	if (fd >= 0 && pread(fd, &word, sizeof(word), (off_t)((uintptr_t)page / PAGE_BYTES * 8)) !=
			       sizeof(word))
		word = 0;
	munmap((void *)page, PAGE_BYTES);
	return word & WORD_PRESENT ? word & WORD_FRAME : 0;
}

int residency_open(struct residency *residency, pid_t pid, bool plain)
{
	struct scan_argument argument = {.size = sizeof(argument), .return_mask = SCAN_PRESENT};
	pid_t thread = procfs_live_thread(pid);
	_cleanup_free_ char *path = procfs_path(pid, thread ? thread : pid, "pagemap");

	memset(residency, 0, sizeof(*residency));
	residency->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (residency->fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	/* An empty range: tells whether the kernel knows the call. */
	residency->scans = !plain && !ioctl(residency->fd, SCAN, &argument);
	if (residency->scans)
		return 0;
	residency->zero_frame = find_zero_frame();
	residency->words = xcalloc(READ_WORDS, sizeof(*residency->words));
	return 0;
}

void residency_close(struct residency *residency)
{
	if (residency->fd >= 0)
		close(residency->fd);
	residency->fd = -1;
	free(residency->words);
	residency->words = NULL;
}

static int scan(struct residency *residency, uint64_t start, uint64_t end, struct pages_run *runs,
		size_t *ret_count, uint64_t *ret_end)
{
	const struct scan_region *regions = (const struct scan_region *)residency->page_regions;
	struct scan_argument argument = {
		.size = sizeof(argument),
		.start = start,
		.end = end,
		.vec = (uintptr_t)residency->page_regions,
		.vec_len = RESIDENCY_RUNS,
		.max_pages = READ_PAGES,
		.category_inverted = SCAN_ZERO,
		.category_mask = SCAN_PRESENT | SCAN_ZERO,
		.return_mask = SCAN_FILE | SCAN_HUGE,
	};
	int count = ioctl(residency->fd, SCAN, &argument);

	if (count < 0)
		return -errno;
	for (int i = 0; i < count; i++)
		runs[i] = (struct pages_run){
			.start = regions[i].start,
			.end = regions[i].end,
			.flags = (regions[i].categories & SCAN_FILE ? PAGES_RUN_FILE : 0) |
				 (regions[i].categories & SCAN_HUGE ? PAGES_RUN_HUGE : 0),
		};
	*ret_count = (size_t)count;
	/* All that it looked at, never nothing. */
	*ret_end = argument.walk_end > start ? argument.walk_end : end;
	return 0;
}

static bool is_counted(const struct residency *residency, uint64_t word)
{
	return word & WORD_PRESENT &&
	       (!residency->zero_frame || (word & WORD_FRAME) != residency->zero_frame);
}

static int read_words(struct residency *residency, uint64_t start, uint64_t end,
		      struct pages_run *runs, size_t *ret_count, uint64_t *ret_end)
{
	uint64_t pages = (end - start) >> PAGES_SHIFT, address = start;
	size_t count = 0;
	ssize_t bytes;

	if (pages > READ_WORDS)
		pages = READ_WORDS;
	bytes = pread(residency->fd, residency->words, pages * 8,
		      (off_t)((start >> PAGES_SHIFT) * 8));
	if (bytes < 0)
		return -errno;
	if (bytes < 8)
		return -ESRCH;
	for (ssize_t i = 0; i < bytes / 8; i++, address += PAGE_BYTES) {
		uint64_t word = residency->words[i];
		uint32_t flags = word & WORD_FILE ? PAGES_RUN_FILE : 0;

		if (!is_counted(residency, word))
			continue;
		if (count && runs[count - 1].end == address && runs[count - 1].flags == flags) {
			runs[count - 1].end += PAGE_BYTES;
			continue;
		}
		if (count == RESIDENCY_RUNS)
			break;
		runs[count++] = (struct pages_run){address, address + PAGE_BYTES, flags};
	}
	*ret_count = count;
	*ret_end = address;
	return 0;
}

int residency_read(struct residency *residency, uint64_t start, uint64_t end,
		   struct pages_run runs[RESIDENCY_RUNS], size_t *ret_count, uint64_t *ret_end)
{
	return residency->scans ? scan(residency, start, end, runs, ret_count, ret_end) :
				  read_words(residency, start, end, runs, ret_count, ret_end);
}
