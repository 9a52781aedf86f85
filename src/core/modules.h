/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The executable mappings of the target over time. Append-only: a mapping that went away keeps its
 * row, closed by `to_ns`; the same addresses later open a new row. So an address together with the
 * time it was seen names one module for ever.
 */
#ifndef MEMTOP_CORE_MODULES_H
#define MEMTOP_CORE_MODULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUILD_ID_MAX 32

struct module {
	uint32_t id;	      /* > 0 */
	uint64_t start, end;  /* addresses in the target, [start, end) */
	uint64_t file_offset; /* of `start` in the file */
	uint64_t bias;	      /* address - bias = address in the file's own ELF addresses */
	uint64_t device, inode;
	uint8_t build_id[BUILD_ID_MAX];
	unsigned build_id_size; /* 0 = the file has none */
	bool deleted;
	const char *path;	 /* as the target sees it; "[vdso]"; owned by the modules */
	uint64_t from_ns, to_ns; /* to_ns = UINT64_MAX while mapped */
};

struct modules;

struct modules *modules_new(void);
void modules_free(struct modules *modules);

/* Adds a mapping (path is copied, id assigned); returns its id. */
uint32_t modules_add(struct modules *modules, const struct module *module);
/* The mapping `id` went away at `now_ns`. */
void modules_remove(struct modules *modules, uint32_t id, uint64_t now_ns);

/*
 * Brings a copy in step with the modules it copies (it started empty and has no other rows): for
 * a reader in another thread than the one that adds.
 */
void modules_follow(struct modules *copy, const struct modules *modules);

size_t modules_count(const struct modules *modules);
/* Rows in the order added; the pointer is valid until the modules are freed. */
const struct module *modules_get(const struct modules *modules, size_t index);
/* What was mapped at `address` at `time_ns`; NULL if nothing. */
const struct module *modules_find(const struct modules *modules, uint64_t address,
				  uint64_t time_ns);

/* Lower-case hexadecimal of the build-id into ret (at least 2 * BUILD_ID_MAX + 1 bytes). */
void module_build_id_text(const struct module *module, char *ret);
/* Part of the path after the last slash. */
const char *module_basename(const struct module *module);

#endif
