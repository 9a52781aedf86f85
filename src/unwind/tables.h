/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The files a process has mapped, each once (by build-id, else by device and inode), and what
 * became of their tables. The files are read as the process sees them.
 */
#ifndef MEMTOP_UNWIND_TABLES_H
#define MEMTOP_UNWIND_TABLES_H

#include "core/modules.h"
#include "unwind/elf_frames.h"
#include "unwind/rows.h"

#include <stdint.h>
#include <sys/types.h>

enum table_state {
	TABLE_UNUSED = 0,
	TABLE_PENDING, /* to be compiled */
	TABLE_READY,
	TABLE_WITHOUT, /* no frame information, or the file cannot be read */
	TABLE_REFUSED, /* no room */
};

struct table {
	enum table_state state;
	unsigned references; /* mappings */
	uint8_t build_id[BUILD_ID_MAX];
	unsigned build_id_size;
	uint64_t device, inode;
	uint64_t start, end; /* a mapping of it, to open the file by */
	char *path;	     /* owned */
	uint64_t base;	     /* the file's address of pc 0 of its rows */
	struct elf_segment segments[ELF_FRAMES_SEGMENTS_MAX];
	unsigned segment_count;
	uint32_t first_row, rows, first_block, blocks; /* in the maps, while ready */
};

struct tables;

struct tables *tables_new(pid_t pid);
void tables_free(struct tables *tables);

/* The table of a module's file, with one reference more; UINT32_MAX if there is no room. */
uint32_t tables_reference(struct tables *tables, const struct module *module);
void tables_release(struct tables *tables, uint32_t index);
struct table *tables_get(const struct tables *tables, uint32_t index);

/*
 * The pending table that is wanted most (`wanted` counts by index), of those the smallest;
 * UINT32_MAX if none is pending.
 */
uint32_t tables_next(const struct tables *tables, const uint64_t *wanted);
unsigned tables_pending(const struct tables *tables);
void tables_count(const struct tables *tables, enum table_state state, unsigned *ret);

/* Reads the file and compiles its rows; fills base and segments. 0 or -errno. */
int tables_compile(struct tables *tables, uint32_t index, struct rows *ret);

/* Takes a table without references out, a copy into ret; UINT32_MAX if there is none. */
uint32_t tables_take_unused(struct tables *tables, struct table *ret);

#endif
