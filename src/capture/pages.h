/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The page fault programs (bpf/pages.bpf.c) of one target, their sites and their rings.
 *
 * Of the ledger only the sites are the programs'; totals and cohorts are pages_table's.
 */
#ifndef MEMTOP_CAPTURE_PAGES_H
#define MEMTOP_CAPTURE_PAGES_H

#include "capture/ledger.h"
#include "core/unwinder.h"

#include <memtop/pages_abi.h>

struct pages;

/* Where faults are seen, the better one first. */
enum pages_events {
	PAGES_EVENTS_EXCEPTION, /* the exception's tracepoints */
	PAGES_EVENTS_COUNTER,	/* the software event that counts faults, on each CPU */
	PAGES_EVENTS_COUNT,
};

/* 0 or -errno with a line in `error`: -EPERM, -EOPNOTSUPP. Nothing is watched yet. */
int pages_open(pid_t pid, enum pages_events events, unsigned sites, struct unwinder *unwinder,
	       uint64_t now_ns, struct pages **ret, char *error, size_t size);
void pages_close(struct pages *pages);

/* Watches from now on. 0 or -errno. */
int pages_attach(struct pages *pages);

struct ledger *pages_ledger(struct pages *pages);

/* The number of the next fault, and the map that has it, for other programs to read. */
uint64_t pages_sequence(const struct pages *pages);
int pages_sequence_fd(const struct pages *pages);

/* Takes all faults whose numbers are below `limit` out of the rings, in their order. */
void pages_drain(struct pages *pages, uint64_t limit,
		 void (*take)(const struct abi_fault *fault, void *context), void *context);

/* Since the attach: faults seen, how often the kernel skipped a program, what programs took. */
struct pages_statistics {
	uint64_t faults;
	uint64_t missed;
	uint64_t runs, run_time_ns; /* counted while run time is measured */
};
void pages_read_statistics(const struct pages *pages, struct pages_statistics *ret);

#endif
