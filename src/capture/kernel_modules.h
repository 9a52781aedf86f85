/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel and its modules as rows of core/modules, so that a kernel address becomes an offset
 * that is the same after the next boot: "[kernel]" from _stext on, "[name]" for each module.
 */
#ifndef MEMTOP_CAPTURE_KERNEL_MODULES_H
#define MEMTOP_CAPTURE_KERNEL_MODULES_H

#include "core/modules.h"

/* Addresses from here on are the kernel's, on every machine of 64 bits. */
#define KERNEL_MODULES_FROM (1ull << 63)

/*
 * Adds what is there and has no row yet. `root` stands before /proc and /sys: "" for the machine's.
 * Where the kernel hides its addresses there is nothing to add.
 */
void kernel_modules_update(struct modules *modules, const char *root, uint64_t now_ns);

#endif
