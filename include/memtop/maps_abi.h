/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the programs of the maps side tell user space: calls that are about to change what is
 * mapped, in the order in which they do it. Append-only, as memtop/abi.h.
 */
#ifndef MEMTOP_MAPS_ABI_H
#define MEMTOP_MAPS_ABI_H

#include <memtop/abi.h>

enum abi_mapping_kind {
	ABI_MAPPING_OTHER = 0,	/* changes no extents, or by a way that is not known */
	ABI_MAPPING_MMAP = 1,	/* address, size, protection, flags, file */
	ABI_MAPPING_MUNMAP = 2, /* address, size */
	ABI_MAPPING_BRK = 3,	/* the end of the heap */
	ABI_MAPPING_MREMAP = 4, /* address, size, new size, flags, new address */
	ABI_MAPPING_AREA = 5,	/* the last call gets this address, for so many bytes */
};

struct abi_mapping_call {
	__mt_u32 kind;
	__mt_u32 site;
	__mt_u64 arguments[5];
	__mt_u64 sequence; /* of the next page fault, as the lock was given */
};

_Static_assert(sizeof(struct abi_mapping_call) == 56, "abi");

#endif
