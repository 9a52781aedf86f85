/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the page fault programs tell user space: a ring of faults for each CPU.
 *
 * A ring has one writer, the programs on its CPU, and one reader. `head` and `tail` only rise;
 * record n is element n of the CPU's part of the map, modulo the records a ring has. A fault that
 * finds its ring full is a named loss, and its page is found by residency.
 *
 * Append-only, as memtop/abi.h.
 */
#ifndef MEMTOP_PAGES_ABI_H
#define MEMTOP_PAGES_ABI_H

#include <memtop/abi.h>

enum abi_fault_flag {
	ABI_FAULT_PRESENT = 1u << 0, /* the page was there and could not be used so */
	ABI_FAULT_KERNEL = 1u << 1,  /* the kernel touched it, in a system call */
};

struct abi_fault {
	__mt_u64 address;
	__mt_u64 sequence; /* orders the rings among each other */
	__mt_u32 site;
	__mt_u32 flags;
};

struct abi_fault_ring {
	__mt_u64 head; /* records written */
	__mt_u64 tail; /* records read */
	__mt_u64 reserved[6];
};

_Static_assert(sizeof(struct abi_fault) == 24, "abi");
_Static_assert(sizeof(struct abi_fault_ring) == 64, "one cache line");

#endif
