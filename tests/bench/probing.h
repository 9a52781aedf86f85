/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For benchmarks: a target that is told what to do, and the ways to watch it. Whatever cannot be
 * had ends the program with a line that says so.
 */
#ifndef BENCH_PROBING_H
#define BENCH_PROBING_H

#include "capture/heap.h"

#include <stdio.h>

/* tests/bench/pair_target.c */
struct bench_target {
	pid_t pid;
	FILE *in, *out;
};

/* The program stands beside the one that runs. */
void bench_target_start(struct bench_target *target);
/* Nanoseconds for a pair; a pair_target's shape and its two numbers. */
double bench_target_ask(const struct bench_target *target, const char *shape, unsigned a,
			unsigned b, unsigned pairs);
void bench_target_end(struct bench_target *target);

enum watch_kind {
	WATCH_NOTHING,
	WATCH_BARE_SESSION, /* empty programs on malloc and free, the least there can be */
	WATCH_SESSION,	    /* memtop's programs */
	WATCH_BARE_MULTI,   /* on kernels without sessions: entry, return, entry */
	WATCH_MULTI,
	WATCH_KINDS
};

extern const char *const watch_names[WATCH_KINDS];
/* Of memtop's kinds, the bare one; nothing for itself. */
enum watch_kind watch_bare_of(enum watch_kind kind);

struct watcher;

/* Finds the allocator of a process that has it mapped. `everywhere`: bare probes too. */
struct watcher *watcher_new(pid_t pid, const struct ledger_sizes *sizes, bool everywhere);
void watcher_free(struct watcher *watcher);
void watcher_attach(struct watcher *watcher, enum watch_kind kind);
void watcher_detach(struct watcher *watcher);
/* NULL while no programs of memtop's are attached. */
struct heap *watcher_heap(struct watcher *watcher);

double median_of(const double *numbers, unsigned count);
_Noreturn void die(const char *what);

/* A figure by name, for tests/bench/bench.py: a line "= NAME VALUE". */
__attribute__((format(printf, 2, 3))) void figure(double value, const char *name, ...);

#endif
