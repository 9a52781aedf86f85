/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A thread's stack is where its stack pointer is. That is told (task/TID/syscall) only while the
 * thread sleeps, and a stack stays where it is: each thread is asked until it has answered once,
 * and the address is remembered for as long as the thread lives.
 */
#include "capture/memory.h"

#include "capture/clock.h"
#include "capture/procfs.h"
#include "capture/smaps.h"
#include "util/alloc.h"
#include "util/cleanup.h"
#include "util/map.h"
#include "util/vec.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define WALK_BUDGET_NS	  1000000		     /* per tick */
#define MAX_QUESTIONS	  64			     /* threads asked for their stack in one tick */
#define MAX_REMEMBERED_NS (1000ull * WALK_BUDGET_NS) /* of debt: no walk waits longer than that */

struct memory_reader {
	pid_t pid;
	int smaps_fd; /* -1: between two walks */
	int64_t budget_ns;
	struct smaps smaps;
	struct map stack_by_thread; /* TID -> a stack pointer of it */
	VEC(uint64_t) stacks;	    /* the same, of threads that live, sorted */
	bool parts_known, heap_was_watched;
	struct smaps_parts parts;
	uint64_t walk_ns;
	unsigned walk_count;
};

struct memory_reader *memory_open(pid_t pid)
{
	struct memory_reader *reader = xcalloc(1, sizeof(*reader));

	reader->pid = pid;
	reader->smaps_fd = -1;
	return reader;
}

static void end_walk(struct memory_reader *reader)
{
	if (reader->smaps_fd >= 0)
		close(reader->smaps_fd);
	reader->smaps_fd = -1;
	smaps_clear(&reader->smaps);
}

void memory_restart(struct memory_reader *reader)
{
	end_walk(reader);
	map_clear(&reader->stack_by_thread);
	reader->stacks.count = 0;
	reader->parts_known = false;
}

void memory_close(struct memory_reader *reader)
{
	if (!reader)
		return;
	end_walk(reader);
	smaps_deinit(&reader->smaps);
	map_deinit(&reader->stack_by_thread);
	vec_deinit(&reader->stacks);
	free(reader);
}

uint64_t memory_walk_ns(const struct memory_reader *reader)
{
	return reader->walk_ns;
}

void memory_count(struct memory_reader *reader, uint64_t ns)
{
	reader->walk_ns += ns;
}

void memory_charge(struct memory_reader *reader, uint64_t ns)
{
	memory_count(reader, ns);
	reader->budget_ns -= (int64_t)ns;
}

unsigned memory_walk_count(const struct memory_reader *reader)
{
	return reader->walk_count;
}

/* --- totals --- */

int memory_parse_status(const char *text, struct memory *ret)
{
	static const struct {
		const char *key;
		size_t at;
	} fields[] = {
		{"RssAnon", offsetof(struct memory, anon_bytes)},
		{"RssFile", offsetof(struct memory, file_bytes)},
		{"RssShmem", offsetof(struct memory, shmem_bytes)},
		{"VmSwap", offsetof(struct memory, swap_bytes)},
	};
	struct memory read = {0};

	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		if (!proctext_number(text, fields[i].key,
				     (uint64_t *)((char *)&read + fields[i].at)))
			return -ESRCH;
	/* Kernels without an MMU's page tables have no such line. */
	proctext_number(text, "VmPTE", &read.page_table_bytes);
	read.rss_bytes = read.anon_bytes + read.file_bytes + read.shmem_bytes;
	*ret = read;
	return 0;
}

/* --- stacks --- */

uint64_t memory_parse_stack_pointer(const char *text)
{
	/* "running", or a call's number and arguments, or -1, and then "SP PC": the last but one.
	 */
	const char *pc = strrchr(text, ' '), *sp = pc;

	while (sp && sp > text && sp[-1] != ' ')
		sp--;
	return sp && sp > text ? strtoull(sp, NULL, 16) : 0;
}

static uint64_t ask_thread(pid_t pid, pid_t tid)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/task/%d/syscall", pid, tid);
	_cleanup_free_ char *text = NULL;

	return procfs_read_path(path, &text, NULL) ? 0 : memory_parse_stack_pointer(text);
}

static int compare_addresses(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

/* Threads that ended drop out: a TID or a mapping that is used again is not taken for theirs. */
static void learn_stacks(struct memory_reader *reader)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/task", reader->pid);
	struct map known = {0};
	unsigned questions = 0;
	struct dirent *entry;
	DIR *directory = opendir(path);

	reader->stacks.count = 0;
	while (directory && (entry = readdir(directory))) {
		pid_t tid = isdigit(entry->d_name[0]) ? atoi(entry->d_name) : 0;
		uint64_t address = 0;

		if (tid <= 0)
			continue;
		if (!map_get(&reader->stack_by_thread, (uint64_t)tid, &address) &&
		    questions++ < MAX_QUESTIONS)
			address = ask_thread(reader->pid, tid);
		if (!address)
			continue;
		map_set(&known, (uint64_t)tid, address);
		*vec_push(&reader->stacks) = address;
	}
	if (directory)
		closedir(directory);
	if (reader->stacks.count)
		qsort(reader->stacks.data, reader->stacks.count, sizeof(uint64_t),
		      compare_addresses);
	map_deinit(&reader->stack_by_thread);
	reader->stack_by_thread = known;
}

static bool holds_stack(const struct smaps_entry *entry, void *data)
{
	const struct memory_reader *reader = data;
	size_t low = 0, high = reader->stacks.count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (reader->stacks.data[middle] < entry->start)
			low = middle + 1;
		else
			high = middle;
	}
	return low < reader->stacks.count && reader->stacks.data[low] < entry->end;
}

/* --- the walk --- */

/* True at the end of a whole walk; on an error the walk starts anew at the next tick. */
static bool read_piece(struct memory_reader *reader)
{
	char piece[4096];
	ssize_t n = read(reader->smaps_fd, piece, sizeof(piece));

	if (n > 0 && !smaps_feed(&reader->smaps, piece, (size_t)n))
		return false;
	if (n < 0 && errno == EINTR)
		return false;
	if (!n && reader->smaps.count)
		return true;
	end_walk(reader);
	return false;
}

static bool start_walk(struct memory_reader *reader)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/smaps", reader->pid);

	reader->smaps_fd = open(path, O_RDONLY | O_CLOEXEC);
	return reader->smaps_fd >= 0;
}

static void take_parts(struct memory_reader *reader, bool heap_is_watched)
{
	learn_stacks(reader);
	reader->parts = smaps_sort(&reader->smaps, heap_is_watched, holds_stack, reader);
	reader->parts_known = true;
	reader->heap_was_watched = heap_is_watched;
	reader->walk_count++;
	end_walk(reader);
}

static void walk(struct memory_reader *reader, bool heap_is_watched)
{
	reader->budget_ns += WALK_BUDGET_NS;
	if (reader->budget_ns > WALK_BUDGET_NS)
		reader->budget_ns = WALK_BUDGET_NS;
	if (reader->budget_ns <= 0 || (reader->smaps_fd < 0 && !start_walk(reader)))
		return;
	while (reader->budget_ns > 0 && reader->smaps_fd >= 0) {
		uint64_t before = thread_cpu_ns(), spent;
		bool whole = read_piece(reader);

		spent = thread_cpu_ns() - before;
		reader->walk_ns += spent;
		reader->budget_ns -= (int64_t)spent;
		if (reader->budget_ns < -(int64_t)MAX_REMEMBERED_NS)
			reader->budget_ns = -(int64_t)MAX_REMEMBERED_NS;
		if (whole)
			take_parts(reader, heap_is_watched);
	}
}

/* --- a tick --- */

static uint64_t take_from(uint64_t *part, uint64_t wanted)
{
	uint64_t taken = *part < wanted ? *part : wanted;

	*part -= taken;
	return wanted - taken;
}

/* Fits the parts to the anonymous memory of now: what it grew or shrank by is heap first. */
static void give_parts(const struct smaps_parts *parts, struct memory *ret)
{
	uint64_t sum = parts->heap_bytes + parts->stacks_bytes + parts->others_bytes;

	ret->parts_known = true;
	ret->pss_bytes = parts->pss_bytes;
	ret->heap_mapped_bytes = parts->heap_bytes;
	ret->stacks_bytes = parts->stacks_bytes;
	ret->anon_maps_bytes = parts->others_bytes;
	if (ret->anon_bytes >= sum) {
		ret->heap_mapped_bytes += ret->anon_bytes - sum;
		return;
	}
	sum -= ret->anon_bytes;
	sum = take_from(&ret->heap_mapped_bytes, sum);
	sum = take_from(&ret->anon_maps_bytes, sum);
	take_from(&ret->stacks_bytes, sum);
}

int memory_read(struct memory_reader *reader, bool heap_is_watched, struct memory *ret)
{
	_cleanup_free_ char *text = NULL;
	int error;

	/* The two rules for heap do not mix: a walk sorted by the other one is of no use. */
	if (reader->heap_was_watched != heap_is_watched)
		reader->parts_known = false;
	walk(reader, heap_is_watched);
	error = procfs_read(reader->pid, "status", &text, NULL);
	if (!error)
		error = memory_parse_status(text, ret);
	if (error)
		return error;
	if (reader->parts_known)
		give_parts(&reader->parts, ret);
	return 0;
}
