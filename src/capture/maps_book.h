/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The maps book: every mapped byte of the target, and which call mapped it.
 *
 * It is told of calls in the order in which they change the mappings (bpf/maps.bpf.c), before each
 * is done, and what comes of a call is worked out here: which calls the kernel refuses, where it
 * puts what has no address. From time to time it is told what is mapped, and that is always right:
 * what is not mapped leaves, what no call is known for goes to one of two rows that are no stack's,
 * so the rows add up to the target's virtual size.
 *
 * What becomes of pages (unmapped, covered, moved) is a list of changes, in the order of the calls;
 * the sync is in no such list. A call that needs no chosen address, and a move whose address was
 * chosen, is worked out when it is told, before the target can use what it made.
 *
 * A mapping is allocated by mmap, brk or mremap and freed byte by byte, by whatever unmaps or
 * covers it; it counts as a block until its last byte goes. A successful mremap is a free and an
 * allocation, at the caller of mremap, as realloc is for the heap.
 */
#ifndef MEMTOP_CAPTURE_MAPS_BOOK_H
#define MEMTOP_CAPTURE_MAPS_BOOK_H

#include "capture/pages_table.h"
#include "util/vec.h"

#include <memtop/maps_abi.h>

struct maps_region {
	uint64_t start, end;
	uint32_t mapping; /* element of `mappings` */
	bool confirmed;	  /* was seen to be mapped */
};

struct maps_mapping {
	uint64_t bytes; /* that are left; 0 = element free */
	uint32_t site;
	uint8_t cohort;
};

struct maps_range {
	uint64_t start, end;
};

struct maps_lost {
	uint64_t bytes;
	uint32_t site;
	uint32_t looks; /* since then: a call may be under way in the first */
};

/* Pages of [from, from + bytes) are gone, or are at `to`. */
struct maps_change {
	uint64_t from, to, bytes; /* to: 0 = gone */
	uint64_t sequence;	  /* faults from this one on came later */
};

struct maps_book {
	struct pages_books books;
	VEC(struct maps_region) regions; /* sorted, apart */
	VEC(struct maps_mapping) mappings;
	VEC(uint32_t) unused;		 /* free elements of it */
	VEC(struct maps_lost) lost;	 /* were mapped, but not where it was thought */
	struct abi_mapping_call call;	 /* the last one, not worked out yet; kind OTHER = none */
	uint64_t area, area_bytes;	 /* that were chosen for it; 0 = none */
	uint64_t break_end;		 /* as last set; 0 = not known */
	uint32_t break_site;		 /* that set it while it was not known */
	VEC(struct maps_change) changes; /* for who asks for them, who also empties it */
};

void maps_book_init(struct maps_book *book, const struct pages_books *books);
void maps_book_deinit(struct maps_book *book);

/* A call, or what belongs to the last one. */
void maps_book_call(struct maps_book *book, const struct abi_mapping_call *call);

/*
 * What is mapped now, sorted and apart, all calls up to now having been told; `heap` is the part
 * that brk made, empty where there is none. `first`: all of it is from before the attach.
 */
void maps_book_sync(struct maps_book *book, const struct maps_range *mapped, size_t count,
		    const struct maps_range *heap, bool first);

/* New labels for birth cohorts, see cohorts.h. */
void maps_book_relabel(struct maps_book *book, const uint8_t labels[ABI_COHORTS]);

#endif
