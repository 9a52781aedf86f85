/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * RSS and its parts, from /proc/PID/status each tick and /proc/PID/smaps now and then.
 *
 * How exact. status gives the kernel's counters, without walking anything. Up to Linux 6.1 each
 * thread keeps up to 63 pages to itself; from 6.2 on each CPU keeps up to max(32, 2 * CPUs) pages
 * per counter, which status leaves out until 6.17, and adds in from then on: it is exact there
 * (compared with smaps_rollup on 6.18, 32 threads: equal). At worst that is 1 MiB on 8 CPUs and
 * 32 MiB on 64: below what a leak is judged by, and no drift. So RSS is always status's.
 *
 * The walk of smaps holds the target's mmap lock while it runs. It is read in small pieces; at most
 * a millisecond of it is spent a tick, on average: a piece that took longer (one large mapping is
 * walked in one go) is paid back by ticks without any. Parts are of the last whole walk; what the
 * anonymous memory has grown or shrunk since then is taken to be heap, so that the parts of a
 * snapshot always add up:
 *
 *   rss = heap_mapped + anon_maps + stacks + file + shmem
 *
 * smaps.h tells what is counted as what.
 */
#ifndef MEMTOP_CAPTURE_MEMORY_H
#define MEMTOP_CAPTURE_MEMORY_H

#include "core/snapshot.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct memory_reader;

struct memory_reader *memory_open(pid_t pid);
void memory_close(struct memory_reader *reader);

/*
 * One tick. -ESRCH: no such process, or it has no memory any more (`ret` stays as it was). Where
 * smaps may not be read the parts stay unknown. `heap_is_watched`: the heap book is open.
 */
int memory_read(struct memory_reader *reader, bool heap_is_watched, struct memory *ret);

/* The memory was replaced (exec): what was walked is forgotten. */
void memory_restart(struct memory_reader *reader);

/* Another walk of the target's memory took so much CPU time: this one gets less of the next ticks.
 */
void memory_charge(struct memory_reader *reader, uint64_t ns);

/* Another one did that has its own pace: it is counted and no more. */
void memory_count(struct memory_reader *reader, uint64_t ns);

/* Nanoseconds of CPU time spent in walks so far; part of what memtop costs. */
uint64_t memory_walk_ns(const struct memory_reader *reader);
/* Whole walks so far. */
unsigned memory_walk_count(const struct memory_reader *reader);

/*
 * The totals of a text of /proc/PID/status; -ESRCH if it has none (a zombie's, a kernel thread's),
 * and `ret` stays as it was.
 */
int memory_parse_status(const char *text, struct memory *ret);

/* The stack pointer in a text of /proc/PID/task/TID/syscall; 0 if the thread is running. */
uint64_t memory_parse_stack_pointer(const char *text);

#endif
