/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The little that placing an ELF file in a target's memory needs: its segments and its build-id.
 */
#ifndef MEMTOP_CAPTURE_ELFIMAGE_H
#define MEMTOP_CAPTURE_ELFIMAGE_H

#include "core/modules.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf_segment {
	uint64_t address, offset;
	uint64_t file_size, memory_size;
	bool executable;
};

struct elf_image {
	struct elf_segment *segments; /* PT_LOAD, in the file's order */
	size_t segment_count;
	uint8_t build_id[BUILD_ID_MAX];
	unsigned build_id_size; /* 0 = none */
	unsigned machine;	/* EM_* */
	unsigned type;		/* ET_* */
};

/* -ENOEXEC if it is no ELF file. The descriptor stays the caller's. */
int elf_image_read(int fd, struct elf_image *ret);
/* The same for an image that lies in memory as it does in its file. */
int elf_image_read_memory(char *data, size_t size, struct elf_image *ret);
void elf_image_deinit(struct elf_image *image);

/* bias such that mapped address - bias = the file's own address; false if no segment is there. */
bool elf_image_bias(const struct elf_image *image, uint64_t start, uint64_t offset, uint64_t *ret);
/* The place in the file of one of its own addresses; false if none. */
bool elf_image_file_offset(const struct elf_image *image, uint64_t address, uint64_t *ret);

#endif
