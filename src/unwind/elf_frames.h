/* SPDX-License-Identifier: GPL-2.0-only */
/* What unwinding needs of an ELF file: its frame sections, load addresses, build-id. */
#ifndef MEMTOP_UNWIND_ELF_FRAMES_H
#define MEMTOP_UNWIND_ELF_FRAMES_H

#include "unwind/rows.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ELF_FRAMES_BUILD_ID_MAX = 32,
	ELF_FRAMES_SEGMENTS_MAX = 16,
};

/* An executable segment. */
struct elf_segment {
	uint64_t address;
	uint64_t file_offset;
	uint64_t file_size;
};

struct elf_frames {
	struct rows_input input; /* .eh_frame; size 0 = the file has none */
	struct rows_input debug; /* .debug_frame; the same */
	uint64_t text_end; /* address after the last executable byte; input.base is the first */
	uint8_t build_id[ELF_FRAMES_BUILD_ID_MAX];
	unsigned build_id_size;
	struct elf_segment segments[ELF_FRAMES_SEGMENTS_MAX]; /* more of them are left out */
	unsigned segment_count;
	void *elf; /* owned */
};

/* The file at `fd`, which may be closed after. 0 or -errno; -ENOEXEC: not an ELF file for us. */
int elf_frames_open(int fd, struct elf_frames *ret);
/* The same from an image in memory, borrowed until elf_frames_close(): the vdso. */
int elf_frames_open_image(void *image, size_t size, struct elf_frames *ret);
/* All that they say: .debug_frame of what .eh_frame is silent about. As rows_compile(). */
int elf_frames_compile(const struct elf_frames *frames, struct rows *ret);
void elf_frames_close(struct elf_frames *frames);

/*
 * What to subtract from an address in a mapping of the file to have the file's own: the mapping of
 * [file_offset, file_offset + size) is at `start`. -ENOENT if none of the segments is there.
 */
int elf_segments_bias(const struct elf_segment *segments, unsigned count, uint64_t start,
		      uint64_t file_offset, uint64_t size, uint64_t *ret_bias);

#endif
