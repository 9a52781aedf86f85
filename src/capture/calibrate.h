/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a trap costs on this machine, measured on functions of memtop's own: the figures that the
 * overhead on the screen is computed from.
 */
#ifndef MEMTOP_CAPTURE_CALIBRATE_H
#define MEMTOP_CAPTURE_CALIBRATE_H

#include "capture/probes.h"

/* Nanoseconds for one call of a probed function, over the call unprobed. */
struct trap_costs {
	double entry_ns;	/* at an instruction that the kernel emulates */
	double entry_return_ns; /* entry and return */
	double single_step_ns;	/* entry at an instruction that it has to single-step */
	double statistics_ns; /* of a program's run time as the kernel tells it, not the program */
};

/*
 * The best kind that this kernel has and that sees all threads, and what it costs. Done in a
 * process of its own, in some 20 ms; -ECHILD if that did not survive. 0 or -errno; the kind is set
 * anyway.
 */
int calibrate_traps(enum probe_kind *kind, struct trap_costs *ret);

/*
 * Does a process whose filter ends it at a system call that it does not know survive a return
 * probe? 0, or -errno: -ECHILD where it does not.
 */
int calibrate_filtered(enum probe_kind kind);

#endif
