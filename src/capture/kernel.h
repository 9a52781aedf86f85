/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel side of a target: what the kernel holds on its behalf, by kernel stack, of four kinds:
 * slab objects, pages, vmalloc areas, per-CPU memory. No byte is of two.
 *
 * Its sites are read through its ledger, like the heap's; kernel_side_describe() adds what only a
 * kernel's site has.
 */
#ifndef MEMTOP_CAPTURE_KERNEL_H
#define MEMTOP_CAPTURE_KERNEL_H

#include "capture/ledger.h"
#include "capture/sites.h"
#include "core/snapshot.h"
#include "core/unwinder.h"

struct kernel_side;

/* Sizes that do for a service with some hundred thousand kernel objects. */
void kernel_side_default_sizes(struct ledger_sizes *ret);

/*
 * Watches from now on, after a calibration of some 0.1 s. 0, or -errno with a line for the user in
 * `error`: -EPERM, -EOPNOTSUPP (no BTF, no tracing programs, another PID namespace). `unwinder`
 * gives the user's part of the stacks its tables; without one (NULL) only its innermost frame is
 * there, marked.
 */
int kernel_side_open(pid_t pid, struct unwinder *unwinder, struct kernel_side **ret, char *error,
		     size_t size);
int kernel_side_open_sized(pid_t pid, const struct ledger_sizes *sizes, struct unwinder *unwinder,
			   struct kernel_side **ret, char *error, size_t size);
void kernel_side_close(struct kernel_side *side);

/* Its `control` is what the cohort clock writes. */
struct ledger *kernel_side_ledger(struct kernel_side *side);

/* What its programs did while the kernel told their run time. */
struct kernel_runs {
	uint64_t runs, ns;
};

void kernel_side_runs(const struct kernel_side *side, struct kernel_runs *ret);

/* Takes the programs out: nothing is booked any more. By any thread. */
void kernel_side_detach(struct kernel_side *side);

/*
 * What a site allocates (the name of its cache; of pages their order and class) and whether its
 * frees are seen; valid as long as the side is open, a name until the next.
 */
void kernel_side_describe(struct kernel_side *side, struct sites_describe *ret);

/* Why the kind is not watched; NULL if it is. The text is of unlimited life. */
const char *kernel_side_lacks(const struct kernel_side *side, enum abi_kind kind);

/* Adds what could not be accounted for. */
void kernel_side_losses(const struct kernel_side *side, uint64_t losses[ABI_LOSS_COUNT]);

/*
 * Why it is not known which frees are seen (then every site counts as matched), and which kinds
 * this kernel does not tell of; NULL where nothing is amiss.
 */
const char *kernel_side_doubt(const struct kernel_side *side);

#endif
