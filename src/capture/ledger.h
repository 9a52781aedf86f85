/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * User space's side of a ledger (bpf/ledger.bpf.h): its maps, mapped into memory, read without a
 * system call, and its cohort clock. One for the heap, one for the kernel side.
 */
#ifndef MEMTOP_CAPTURE_LEDGER_H
#define MEMTOP_CAPTURE_LEDGER_H

#include "capture/cohorts.h"
#include "core/snapshot.h"

#include <stddef.h>

struct bpf_object;

/* Powers of two. */
struct ledger_sizes {
	unsigned buckets; /* of ABI_BLOCKS_PER_BUCKET blocks */
	unsigned sites;	  /* at most ABI_SITE_MAX */
	unsigned threads; /* elements of `threads` */
};

struct ledger {
	struct ledger_sizes sizes;
	struct abi_bucket *buckets;
	struct abi_site *sites;
	uint64_t *order;
	struct abi_totals *totals;
	struct abi_cohorts *cohorts;
	int64_t *lost_blocks;
	int64_t *overflows;
	struct abi_control *control;
	struct abi_counters *counters;
	struct abi_thread *threads; /* NULL where the map is per CPU */
	struct cohort_clock clock;
	uint64_t advanced_ns;
	/* Relabelling of merged cohorts, a part of the table at a time. */
	bool relabelling;
	bool relabelled; /* this pass changed something */
	size_t relabel_bucket;
	uint8_t labels[ABI_COHORTS];
};

/* Sets the maps' sizes and the programs' masks, before the object is loaded. */
int ledger_size_maps(struct bpf_object *object, const struct ledger_sizes *sizes);

/* Maps the loaded object's maps and starts the clock. 0 or -errno; ledger_deinit() either way. */
int ledger_init(struct ledger *ledger, struct bpf_object *object, const struct ledger_sizes *sizes,
		uint64_t now_ns);
void ledger_deinit(struct ledger *ledger);

/* Sites made so far, in order; slot 0 (unknown) is not among them. */
size_t ledger_site_count(const struct ledger *ledger);
/* Slot of the index-th site, 0 if it is not written down yet. */
unsigned ledger_site_slot(const struct ledger *ledger, size_t index);

/* A closed site keeps its blocks and takes no more: its stack makes a new one. */
void ledger_site_set_closed(struct ledger *ledger, unsigned slot, bool closed);

/* Totals of a slot: freed is loaded before allocated, so live is never negative. */
void ledger_totals(const struct ledger *ledger, unsigned slot, struct totals *ret);
void ledger_cohorts(const struct ledger *ledger, unsigned slot, uint64_t now_ns,
		    struct cohorts *ret);

/* Keeps the clock going; call it at least as often as cohorts are wanted, any rate will do. */
/*
 * A block that is in the totals and not in the table is gone, nobody knows where: booked as freed,
 * and should it be freed one day, that will be known for the free of a lost block.
 */
void ledger_lose(struct ledger *ledger, uint64_t address, uint64_t value);
void ledger_tick(struct ledger *ledger, uint64_t now_ns);
/* The clock alone, for who keeps the blocks' labels in a table of its own; true if it moved. */
bool ledger_advance(struct ledger *ledger, uint64_t now_ns);

/* Bytes of all tables. */
uint64_t ledger_bytes(const struct ledger_sizes *sizes);

#endif
