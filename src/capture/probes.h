/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Attaching programs to instructions of a user process: thin wrappers of bpf(2) for what libbpf 1.1
 * does not know, chosen at run time by what the running kernel has.
 *
 * A link is a descriptor: closing it, or the death of memtop, takes the probes out.
 */
#ifndef MEMTOP_CAPTURE_PROBES_H
#define MEMTOP_CAPTURE_PROBES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Best first. */
enum probe_kind {
	PROBE_SESSION, /* one program at entry and return, many places a link (6.13) */
	PROBE_MULTI,   /* entry and return apart, many places a link (6.6) */
	PROBE_PERF,    /* one perf event a place (5.15 for cookies) */
	PROBE_KIND_COUNT,
};

struct bpf_program;

/* A place in a file as the kernel may open it. */
struct probe {
	const char *path;
	uint64_t offset; /* in the file */
	uint64_t cookie;
};

/* Which kinds this kernel takes; PROBE_KIND_COUNT = none.  */
enum probe_kind probe_kind_best(void);
/*
 * May memtop place probes at all? 0, or -EPERM or -EOPNOTSUPP with a line for the user that names
 * what is missing.
 */
int probe_permission(char *error, size_t size);

/* How a program is to be loaded for a kind: sets its expected attach type. */
int probe_prepare_program(struct bpf_program *program, enum probe_kind kind);

/*
 * Attaches a loaded program (its descriptor) to all probes in process `pid` (all of its threads).
 * `returns` asks for the functions' returns (ignored for sessions, which have both). Appends link
 * descriptors to `links` (room for `count`), `*link_count` long. 0 or -errno; links made so far
 * stay in `links`.
 */
int probes_attach(int program, enum probe_kind kind, bool returns, pid_t pid,
		  const struct probe *probes, size_t count, int *links, size_t *link_count);

/* A loaded program that does nothing, to try a kind with and to measure it. Its descriptor. */
int probe_load_empty(enum probe_kind kind);
/* One that counts its runs in the one 64-bit value of an array. */
int probe_load_counting(enum probe_kind kind, int map);

/* Closes links, all at once, and returns when their probes are out. */
void probes_detach(int *links, size_t *link_count);

#endif
