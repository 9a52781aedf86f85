/* SPDX-License-Identifier: GPL-2.0-only */
/* Reading call frame information: entries, and the program of an entry run over its addresses. */
#ifndef MEMTOP_UNWIND_CFI_H
#define MEMTOP_UNWIND_CFI_H

#include "unwind/cursor.h"
#include "unwind/rows.h"
#include "unwind/rows_arch.h"

struct cfi_cie {
	bool usable;
	bool augmented; /* FDEs carry the length of their augmentation */
	bool signal_frame;
	uint8_t encoding; /* of the addresses in FDEs */
	uint8_t address_size, segment_size;
	uint64_t code_alignment;
	int64_t data_alignment;
	uint64_t ra_column;
	struct cursor program;
	struct frame_state initial; /* after the CIE's own program */
};

struct cfi_entry {
	uint64_t offset;     /* in the section */
	uint64_t cie_offset; /* of an FDE */
	bool is_cie;
	struct cursor body; /* what follows the CIE pointer */
};

struct cfi_fde {
	uint64_t start, end; /* addresses */
	struct cursor program;
};

/*
 * The entry at `offset`: its end in ret_next. 1; 0 at the end of the section; -EINVAL where nothing
 * further can be read.
 */
int cfi_entry_at(const struct rows_input *input, uint64_t offset, struct cfi_entry *ret,
		 uint64_t *ret_next);

/* Not usable where it is not understood. */
void cfi_cie_read(const struct rows_input *input, const struct rows_arch *arch,
		  const struct cfi_entry *entry, struct cfi_cie *ret);

/* 0 or -EINVAL. */
int cfi_fde_read(const struct rows_input *input, const struct cfi_cie *cie,
		 const struct cfi_entry *entry, struct cfi_fde *ret);

/* Called for each stretch of addresses with one state, in order; state NULL where damaged. */
typedef void cfi_row_fn(void *context, uint64_t pc, const struct frame_state *state);

/* Runs the program of an FDE over [start, end). 0 or -EINVAL. */
int cfi_run(const struct rows_input *input, const struct rows_arch *arch, const struct cfi_cie *cie,
	    const struct cfi_fde *fde, cfi_row_fn *row, void *context);

#endif
