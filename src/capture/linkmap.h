/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * In which order the dynamic linker of a target looks names up: the executable, what was preloaded,
 * then the libraries, breadth first. It is read from the target's memory, from the list that the
 * linker keeps for debuggers (struct r_debug, <link.h>); nothing in there is trusted.
 */
#ifndef MEMTOP_CAPTURE_LINKMAP_H
#define MEMTOP_CAPTURE_LINKMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Addresses of the dynamic sections of the loaded files, in look-up order. */
struct linkmap {
	uint64_t *data;
	size_t count, capacity;
	bool is_static; /* the executable has no dynamic linker; the list is empty */
};

/*
 * -EAGAIN: the linker has not built its list yet; -ENOTSUP: not a 64-bit program; else -errno of
 * reading the target's memory. `is_static` is right whenever it is true.
 */
int linkmap_read(pid_t pid, struct linkmap *ret);
void linkmap_deinit(struct linkmap *linkmap);

#endif
