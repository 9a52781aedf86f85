/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * /proc/PID/smaps, taken in piece by piece, and the resident anonymous memory in it sorted by what
 * it is for.
 *
 * A mapping's resident anonymous bytes go to
 *
 *   stacks   [stack], and mappings that a thread's stack pointer was seen in;
 *   heap     [heap], and glibc's arenas: private, writable, beginning at a multiple of 64 MiB and
 *            followed by its inaccessible rest up to the next multiple;
 *   others   everything else, pages of private files that were written to among it.
 *
 * malloc maps each block above its threshold (128 KiB at first, growing to 32 MiB) for itself, and
 * nothing tells such a mapping from one of the program's own, short of touching the memory. So the
 * rule has two forms. While the heap book is open, each live block is known, and all of them must
 * lie in "heap" for the slack (heap mapped, less live) to be a number: then every private,
 * anonymous, writable mapping that is not executable and no stack is heap. A program's own mmap()
 * then shows as slack. Without the book only what is surely malloc's is heap.
 */
#ifndef MEMTOP_CAPTURE_SMAPS_H
#define MEMTOP_CAPTURE_SMAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum smaps_name {
	SMAPS_ANONYMOUS,
	SMAPS_HEAP,  /* [heap] */
	SMAPS_STACK, /* [stack] */
	SMAPS_OTHER, /* files and the kernel's special mappings */
};

struct smaps_entry {
	uint64_t start, end;
	uint64_t anonymous_bytes; /* resident */
	uint64_t pss_bytes;	  /* resident, shared pages divided by who shares them */
	enum smaps_name name;
	char perms[5];
};

struct smaps {
	struct smaps_entry *data;
	size_t count, capacity;
	char *rest; /* of a line that has not come whole */
	size_t rest_size;
};

/* All zero is empty. */
void smaps_deinit(struct smaps *smaps);
void smaps_clear(struct smaps *smaps);
/* Text as it is read, cut anywhere. -EINVAL if it is not of smaps. */
int smaps_feed(struct smaps *smaps, const char *text, size_t size);

struct smaps_parts {
	uint64_t heap_bytes, stacks_bytes, others_bytes;
	uint64_t pss_bytes; /* of all mappings; not one of the parts */
};

/* The parts of a whole walk. `is_stack` is asked for mappings that could be a thread's stack. */
struct smaps_parts smaps_sort(const struct smaps *smaps, bool heap_is_watched,
			      bool (*is_stack)(const struct smaps_entry *entry, void *data),
			      void *data);

#endif
