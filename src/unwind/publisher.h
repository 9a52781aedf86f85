/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Gives the BPF walker its tables: the modules of a process compiled to rows, and where they are
 * mapped.
 *
 *     publisher_new(), publisher_add() each mapping, publisher_size_maps() before the programs are
 *     loaded, publisher_open() after, then publisher_step() until it returns 0 and
 *     publisher_publish() to make what was done so far seen. Later mappings: add, step, publish.
 *
 * Until it is published, a mapping is not known to the walker; until its table is compiled, walks
 * end there, marked. Tables are compiled in the order in which walks lack them, small ones first.
 */
#ifndef MEMTOP_UNWIND_PUBLISHER_H
#define MEMTOP_UNWIND_PUBLISHER_H

#include "core/modules.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct bpf_object;
struct publisher;

struct publisher_status {
	unsigned mappings;	/* known */
	unsigned mappings_over; /* left out: more than the list holds */
	unsigned tables_ready;
	unsigned tables_pending;
	unsigned tables_without; /* files without frame information, or not to be read */
	unsigned tables_refused; /* no memory left within the limit */
	uint64_t bytes_used;	 /* of the BPF maps */
	uint64_t bytes_limit;	 /* what the maps were made for; 0 before publisher_size_maps() */
};

/* Tables of the process `pid`, of at most `limit_bytes`. */
struct publisher *publisher_new(pid_t pid, uint64_t limit_bytes);
void publisher_free(struct publisher *publisher);

/* A mapping of the process; `module` need not outlive the call. */
void publisher_add(struct publisher *publisher, const struct module *module);
/* Forgets a mapping; publish before its addresses are used again. */
void publisher_remove(struct publisher *publisher, uint32_t module_id);

/*
 * Before publisher_size_maps(): the bytes that the maps will take, at most `most`; where that is
 * less than what was allowed to it, it is the limit from now on. Once the maps exist, their bytes.
 */
uint64_t publisher_plan(struct publisher *publisher, uint64_t most);
/* Sets the sizes of the maps, by the mappings so far and a reserve for more. 0 or -errno. */
int publisher_size_maps(struct publisher *publisher, struct bpf_object *object);
/* Takes the maps of the loaded object into use, until the publisher is freed. 0 or -errno. */
int publisher_open(struct publisher *publisher, struct bpf_object *object);
/* Before `other` is loaded: it uses the same maps. 0 or -errno. */
int publisher_share(struct publisher *publisher, struct bpf_object *other);

/* Compiles one table; returns how many are still to do. */
unsigned publisher_step(struct publisher *publisher);
/* Makes walks see all that was added, removed and compiled, at once. Cheap if there is nothing. */
void publisher_publish(struct publisher *publisher);

/* How often walks met code that was in no published mapping. */
uint64_t publisher_unmapped(const struct publisher *publisher);

void publisher_read_status(const struct publisher *publisher, struct publisher_status *ret);

#endif
