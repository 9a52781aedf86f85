/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One kernel book: the programs of bpf/kernel.bpf.c and their ledger, for one process. The kernel
 * side has one for its target; the calibration has one for its child.
 */
#ifndef MEMTOP_CAPTURE_KERNEL_BOOK_H
#define MEMTOP_CAPTURE_KERNEL_BOOK_H

#include "capture/kernel_texts.h"
#include "capture/ledger.h"
#include "core/unwinder.h"

#include <stdbool.h>

struct kernel_book;

/*
 * Loads the programs. `unwinder`, NULL for none, gives the walk of user stacks its tables. 0 or
 * -errno with a line in `error`.
 */
int kernel_book_open(const struct ledger_sizes *sizes, struct unwinder *unwinder, uint64_t now_ns,
		     struct kernel_book **ret, char *error, size_t size);
void kernel_book_close(struct kernel_book *book);

/* Takes the programs out: nothing is booked any more. */
void kernel_book_detach(struct kernel_book *book);

/* From now on stacks go on below the system call, into the user's code. */
void kernel_book_walk_user(struct kernel_book *book);

/*
 * From now on allocations called for from certain code are left out, and from the next book on the
 * kinds beside slab are watched, which cannot be told apart without.
 */
void kernel_book_tell_texts(struct kernel_book *book, const struct kernel_texts *texts);

/*
 * Begins an empty book of process `tgid`, attached already or not: no block, site or loss of a
 * former process is left, and none of its blocks is recognised any more. 0 or -errno.
 */
int kernel_book_begin(struct kernel_book *book, pid_t tgid);

/*
 * Until now allocations of the process told where the memory of pages is; needs some large ones.
 * Is it known now? Then blocks leave with their pages.
 */
bool kernel_book_measure_ends(struct kernel_book *book);

struct ledger *kernel_book_ledger(const struct kernel_book *book);

/* Name of the cache at that address, NULL where it is not known. */
const char *kernel_book_cache_name(const struct kernel_book *book, uint64_t cache);

/* Does the kernel take back what is in the cache, or abi_site.cache otherwise, by itself? */
bool kernel_book_cache_reclaimable(const struct kernel_book *book, uint64_t cache);

/* Why memory of that kind is not watched; NULL if it is. */
const char *kernel_book_lacks(const struct kernel_book *book, enum abi_kind kind);

/* Blocks of the site in `slot` that left because their address was given out again. */
uint64_t kernel_book_implicit_frees(const struct kernel_book *book, unsigned slot);

/* Frees that no program saw, of anyone's, since the book was begun. Never less than before. */
uint64_t kernel_book_missed(struct kernel_book *book);

/* All that its programs did while the kernel told their run time: how many runs, in how long. */
void kernel_book_runs(const struct kernel_book *book, uint64_t *ret_runs, uint64_t *ret_ns);

#endif
