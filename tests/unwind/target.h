/* SPDX-License-Identifier: GPL-2.0-only */
/* Targets of the tests that walk stacks: started, known by their mappings, probed, ended. */
#ifndef MEMTOP_TESTS_UNWIND_TARGET_H
#define MEMTOP_TESTS_UNWIND_TARGET_H

#include <bpf/libbpf.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct publisher;

struct target {
	pid_t pid;
	FILE *in, *out;
	uint64_t probe;	       /* address of the function to probe, its first line of output */
	char *probe_path;      /* owned; after target_mappings() */
	uint64_t probe_offset; /* in the file */
};

/* 0 or -errno. */
int target_start(const char *path, char *const argv[], struct target *ret);
/* Kills it. A target that was not started is fine. */
void target_end(struct target *target);
/* Finds the probe's file; adds the executable mappings to the publisher, if there is one. */
void target_mappings(struct target *target, struct publisher *publisher);
/* NULL with errno set if it cannot be. */
struct bpf_link *target_attach(const struct target *target, const struct bpf_program *program);

#endif
