/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/kernel_matching.h"

#include "capture/kernel_exercise.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHILD_MS                                                                         \
	5000 /* more than fifty times what it takes, even on a machine that stands still \
	      */
#define SETTLE_MS 3000
#define INODES_MS 1000
#define SETTLED	  2 /* rounds without a change */

/* Never returns. The child is let go by a byte, or dies with the pipe. */
static void be_child(const int pipe_ends[2])
{
	char byte;

	close(pipe_ends[1]);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(pipe_ends[0], &byte, 1) == 1)
		kernel_exercise();
	_exit(0);
}

/*
 * By the system call itself: no handlers of fork run, and no signal tells of the child's end, which
 * would be allocated by the child and kept by memtop.
 */
static int start_child(struct kernel_matching *matching)
{
	sigset_t all, before;
	int ends[2];
	long child;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	child = syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
	if (!child)
		be_child(ends);
	if (child < 0)
		child = -errno;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	close(ends[0]);
	if (child < 0) {
		close(ends[1]);
		return child;
	}
	matching->child = child;
	matching->go = ends[1];
	return 0;
}

void kernel_matching_start(struct kernel_matching *matching, struct kernel_book *book)
{
	int status;

	memset(matching, 0, sizeof(*matching));
	matching->go = -1;
	status = start_child(matching);
	if (!status)
		status = kernel_book_begin(book, matching->child);
	if (!status && write(matching->go, "", 1) != 1)
		status = -errno;
	matching->failed = status != 0;
	if (status)
		snprintf(matching->reason, sizeof(matching->reason),
			 "cannot tell which kernel frees are seen: %s", strerror(-status));
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

/* The child's end, by force if it takes too long. */
static bool reap(pid_t child)
{
	const struct timespec pause = {.tv_nsec = 500000};
	uint64_t deadline = now_ms() + CHILD_MS;
	pid_t ended;

	while (!(ended = waitpid(child, NULL, __WALL | WNOHANG)) && now_ms() < deadline)
		nanosleep(&pause, NULL);
	if (ended)
		return true;
	kill(child, SIGKILL);
	waitpid(child, NULL, __WALL);
	return false;
}

static uint64_t live_blocks(const struct ledger *ledger)
{
	uint64_t blocks = 0;
	struct totals totals;

	for (size_t i = 0; i < ledger_site_count(ledger); i++) {
		ledger_totals(ledger, ledger_site_slot(ledger, i), &totals);
		blocks += totals_live_blocks(&totals);
	}
	return blocks;
}

/*
 * Do inodes wait to be freed? Theirs is the one kind of delayed free that all kernels tell of one
 * by one, so it shows how far the callbacks of RCU have come, which a busy machine puts off.
 */
static bool inodes_wait(const struct kernel_book *book)
{
	const struct ledger *ledger = kernel_book_ledger(book);
	struct totals totals;

	for (size_t i = 0; i < ledger_site_count(ledger); i++) {
		unsigned slot = ledger_site_slot(ledger, i);
		const char *name = kernel_book_cache_name(book, ledger->sites[slot].cache);

		ledger_totals(ledger, slot, &totals);
		if (name && strstr(name, "inode_cache") && totals_live_blocks(&totals))
			return true;
	}
	return false;
}

/* Frees that wait for an RCU grace period come in groups: until some periods bring no more. */
static bool settle(const struct kernel_book *book)
{
	const struct timespec pause = {.tv_nsec = 10000000};
	const struct ledger *ledger = kernel_book_ledger(book);
	uint64_t before = live_blocks(ledger), start = now_ms(), passed;
	unsigned unchanged = 0;

	do {
		uint64_t now;

		if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
			nanosleep(&pause, NULL);
		now = live_blocks(ledger);
		unchanged = now == before ? unchanged + 1 : 0;
		before = now;
		passed = now_ms() - start;
		if (unchanged >= SETTLED && (passed >= INODES_MS || !inodes_wait(book)))
			return true;
	} while (passed < SETTLE_MS);
	return false;
}

static uint64_t identity(const struct abi_site *site)
{
	return site->cache > ABI_CACHE_KMALLOC_RECLAIMABLE ? site->cache : site->frames[0];
}

static bool is_unmatched(const struct kernel_matching *matching, uint64_t address)
{
	const uint64_t *unmatched;

	vec_for_each(unmatched, &matching->unmatched)
		if (*unmatched == address)
			return true;
	return false;
}

/*
 * The child did everything KERNEL_EXERCISE_ROUNDS times, so frees that are not seen leave at least
 * about so many blocks; less is what the kernel keeps for the next time.
 */
static void conclude(struct kernel_matching *matching, struct kernel_book *book)
{
	const struct ledger *ledger = kernel_book_ledger(book);

	for (size_t i = 0; i < ledger_site_count(ledger); i++) {
		unsigned slot = ledger_site_slot(ledger, i);
		uint64_t address = identity(&ledger->sites[slot]);
		struct totals totals;
		uint64_t unseen;

		ledger_totals(ledger, slot, &totals);
		unseen = totals_live_blocks(&totals) + kernel_book_implicit_frees(book, slot);
		if (slot && unseen >= KERNEL_EXERCISE_ROUNDS / 2 &&
		    unseen >= totals.allocated_blocks / 2 && !is_unmatched(matching, address))
			*vec_push(&matching->unmatched) = address;
	}
}

void kernel_matching_finish(struct kernel_matching *matching, struct kernel_book *book)
{
	bool ended;

	if (matching->go >= 0)
		close(matching->go);
	matching->go = -1;
	if (!matching->child)
		return;
	ended = reap(matching->child);
	matching->child = 0;
	if (!kernel_book_measure_ends(book) && !*matching->reason)
		snprintf(matching->reason, sizeof(matching->reason),
			 "kernel blocks are not seen to go with their pages: where those are is "
			 "not known");
	if (matching->failed)
		return;
	if (!settle(book) || !ended)
		snprintf(matching->reason, sizeof(matching->reason),
			 "which kernel frees are seen is uncertain: this machine is very busy");
	conclude(matching, book);
}

void kernel_matching_deinit(struct kernel_matching *matching)
{
	vec_deinit(&matching->unmatched);
}

bool kernel_matching_seen(const struct kernel_matching *matching, const struct abi_site *site)
{
	return site->kind != ABI_KIND_SLAB || !is_unmatched(matching, identity(site));
}
