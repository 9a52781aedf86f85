/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * On which instruction of a function its probe stands.
 *
 * The kernel emulates some instructions when their probe was hit and single-steps the others out of
 * line, which costs ten times as much. So the first instruction that is emulated is taken, as long
 * as everything that the probe reads is still as at the entry, and the instruction runs exactly
 * once whenever the function is entered:
 *
 *   - the registers of the first `arguments` integer arguments are untouched,
 *   - the return address is still where it is at the entry (the return probe takes it from there),
 *   - nothing before it branches, and no branch of the function leads to it or before it, except
 *     to the entry, where a probe would be hit again just the same.
 *
 * Where there is no such instruction the probe stands on the entry and is single-stepped.
 */
#ifndef MEMTOP_CAPTURE_PROBE_SITE_H
#define MEMTOP_CAPTURE_PROBE_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct probe_site {
	uint64_t offset; /* from the entry, bytes */
	bool single_step;
};

/*
 * `code` holds the function from its entry; where its size is not known, some bytes after the entry
 * will do, and no branch after them is seen. -ENOTSUP if the machine (EM_*) is not one of ours.
 */
int probe_site_choose(unsigned machine, const uint8_t *code, size_t size, unsigned arguments,
		      struct probe_site *ret);

/* The machines: private to the files of this module. */
void probe_site_choose_x86_64(const uint8_t *code, size_t size, unsigned arguments,
			      struct probe_site *ret);
void probe_site_choose_aarch64(const uint8_t *code, size_t size, unsigned arguments,
			       struct probe_site *ret);

#endif
