/* SPDX-License-Identifier: GPL-2.0-only */
/* What the calibrating child does: takes from the kernel what programs take, and gives all back. */
#ifndef MEMTOP_CAPTURE_KERNEL_EXERCISE_H
#define MEMTOP_CAPTURE_KERNEL_EXERCISE_H

/* How often it does each thing. */
#define KERNEL_EXERCISE_ROUNDS 8

/*
 * Safe in a child forked from a process with threads: system calls only. What this machine does
 * not allow is left out.
 */
void kernel_exercise(void);

#endif
