/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stacks that the BPF walker took against those that the target itself recorded, frame by frame.
 *
 *     stacks DIRECTORY...     each with a stack_target
 *
 * A stack is right if it is what backtrace() said in the target and contains the shadow stack in
 * order. A wrong frame fails; truncated stacks must be right as far as they go, marked, and fewer
 * than one in a thousand. TAP on standard output.
 */
#include <memtop/abi.h> /* of what the skeleton holds */

#include "capture.h"
#include "stack_record.h"

#include "stacks.skel.h"
#include "tests/unwind/target.h"
#include "unwind/publisher.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	WRONG_SHOWN = 3,
	LIMIT_BYTES = 256 << 20
};

struct counts {
	unsigned taken, missing, wrong, truncated, too_deep, by_reason[8], by_cached[3];
};

static unsigned test_number, tests_failed;

static void check(bool good, const char *name, const char *what)
{
	tests_failed += !good;
	printf("%sok %u - %s: %s\n", good ? "" : "not ", ++test_number, name, what);
	fflush(stdout);
}

static bool same_frame(uint64_t captured, uint64_t told)
{
	/* An interrupted frame is stored one further. */
	return captured == told || captured == told + 1;
}

static bool frames_match(const struct capture *capture, const struct stack_record *record)
{
	unsigned count = record->count < ABI_MAX_FRAMES ? record->count : ABI_MAX_FRAMES;

	if (capture->count > count || (!capture->truncated && capture->count != record->count))
		return false;
	/* [0] is in the function that calls both: one after the one, one after the other. */
	for (unsigned i = 1; i < capture->count; i++)
		if (!same_frame(capture->frames[i], record->frames[i]))
			return false;
	return true;
}

static bool shadow_is_in(const struct capture *capture, const struct stack_record *record)
{
	unsigned at = 0;

	if (capture->truncated || record->shadow_count > STACK_FRAMES_MAX)
		return true;
	for (unsigned i = 0; i < record->shadow_count; i++) {
		while (at < capture->count && capture->frames[at] != record->shadow[i])
			at++;
		if (at++ == capture->count)
			return false;
	}
	return true;
}

static void show(const struct capture *capture, const struct stack_record *record)
{
	unsigned most = record->count > capture->count ? record->count : capture->count;

	printf("# wrong stack%s, %u frames, truncated %u, told %u\n",
	       record->async ? " (async)" : "", capture->count, capture->truncated, record->count);
	for (unsigned i = 0; i < most && i < ABI_MAX_FRAMES; i++)
		printf("#  %3u %16" PRIx64 " %16" PRIx64 "%s\n", i,
		       i < capture->count ? (uint64_t)capture->frames[i] : 0,
		       i < record->count ? record->frames[i] : 0,
		       i && i < capture->count && i < record->count &&
				       !same_frame(capture->frames[i], record->frames[i]) ?
			       " <" :
			       "");
}

static void compare(const struct capture *capture, const struct stack_record *record,
		    struct counts *counts)
{
	if (!capture->taken) {
		counts->missing++;
		return;
	}
	counts->taken++;
	if (capture->truncated == UNWIND_TRUNCATED_TOO_DEEP && record->count >= ABI_MAX_FRAMES)
		counts->too_deep++;
	else
		counts->truncated += capture->truncated != 0;
	counts->by_reason[capture->truncated & 7]++;
	counts->by_cached[capture->cached % 3]++;
	if (!frames_match(capture, record) || !shadow_is_in(capture, record)) {
		if (counts->wrong++ < WRONG_SHOWN)
			show(capture, record);
	}
}

static int prepare(struct stacks_bpf *skeleton, struct target *target, bool plain,
		   struct publisher *publisher)
{
	struct publisher_status status;
	int error;

	target_mappings(target, publisher);
	skeleton->rodata->cfg_unwind_plain = plain;
	error = publisher_size_maps(publisher, skeleton->obj);
	if (!error)
		error = stacks_bpf__load(skeleton);
	if (!error)
		error = publisher_open(publisher, skeleton->obj);
	if (error)
		return error;
	while (publisher_step(publisher))
		;
	publisher_publish(publisher);
	publisher_read_status(publisher, &status);
	printf("# %u mappings, %u tables, %u without, %u refused, %" PRIu64 " of %" PRIu64
	       " bytes\n",
	       status.mappings, status.tables_ready, status.tables_without, status.tables_refused,
	       status.bytes_used, status.bytes_limit);
	skeleton->links.probe_enter = target_attach(target, skeleton->progs.probe_enter);
	return skeleton->links.probe_enter ? 0 : -errno;
}

static void read_records(const struct target *target, const struct capture *captures,
			 struct counts *counts)
{
	struct stack_record record;

	fputc('\n', target->in);
	fflush(target->in);
	for (unsigned i = 0; i < CAPTURES_MAX; i++) {
		if (fread(&record, sizeof(record), 1, target->out) != 1)
			break;
		compare(&captures[i], &record, counts);
	}
}

static void report(const char *name, const struct counts *counts, double truncated_limit)
{
	printf("# %u stacks, %u wrong, %u truncated (", counts->taken, counts->wrong,
	       counts->truncated);
	for (unsigned i = 1; i < 8; i++)
		printf("%s%u", i > 1 ? " " : "", counts->by_reason[i]);
	printf("), %u deeper than is kept, %u from the cache\n", counts->too_deep,
	       counts->by_cached[CAPTURE_CACHED]);
	check(counts->taken > 200 && !counts->missing, name, "every stack was taken");
	check(!counts->wrong, name, "no wrong frame");
	check(counts->by_cached[CAPTURE_CACHED] && !counts->by_cached[CAPTURE_CACHED_WRONG], name,
	      "what the cache knows is what a walk gives");
	check(counts->truncated <= counts->taken * truncated_limit, name, "few are truncated");
}

static void run(const char *directory, const char *mode, bool plain)
{
	_cleanup_free_ char *name =
		xasprintf("%s %s%s", strrchr(directory, '/') + 1, mode, plain ? " plain" : "");
	_cleanup_free_ char *path = xasprintf("%s/stack_target", directory);
	char *argv[] = {"stack_target", "3", "4", (char *)mode, NULL};
	struct stacks_bpf *skeleton = stacks_bpf__open();
	size_t size = CAPTURES_MAX * sizeof(struct capture);
	struct publisher *publisher = NULL;
	struct counts counts = {0};
	struct target target = {0};
	void *captures = MAP_FAILED;
	int error;

	error = skeleton ? target_start(path, argv, &target) : -errno;
	if (!error) {
		publisher = publisher_new(target.pid, LIMIT_BYTES);
		error = prepare(skeleton, &target, plain, publisher);
	}
	if (!error) {
		captures = mmap(NULL, size, PROT_READ, MAP_SHARED,
				bpf_map__fd(skeleton->maps.captures), 0);
		error = captures == MAP_FAILED ? -errno : 0;
	}
	if (error)
		printf("# %s: %s\n", name, strerror(-error));
	else
		read_records(&target, captures, &counts);
	/* A timer interrupts prologues that have no rule, too. */
	report(name, &counts, !strcmp(mode, "async") ? 0.05 : 0.001);
	if (captures != MAP_FAILED)
		munmap(captures, size);
	publisher_free(publisher);
	stacks_bpf__destroy(skeleton);
	target_end(&target);
}

int main(int argc, char **argv)
{
	printf("1..%d\n", (argc - 1) * 12);
	fflush(stdout);
	for (int i = 1; i < argc; i++) {
		run(argv[i], "sync", false);
		run(argv[i], "sync", true);
		run(argv[i], "async", false);
	}
	return tests_failed ? 1 : 0;
}
