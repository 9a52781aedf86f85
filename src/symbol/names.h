/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The names of one module: where they come from (its file, the vdso in memory, kallsyms, a perf
 * map), whether that is believed, and what an address is called. The slow half of the resolver:
 * used by its worker thread only.
 */
#ifndef MEMTOP_SYMBOL_NAMES_H
#define MEMTOP_SYMBOL_NAMES_H

#include "core/modules.h"
#include "core/resolver.h"

#include <stdatomic.h>

struct fetcher;
struct targetfs;

enum names_kind {
	NAMES_FILE,
	NAMES_VDSO,
	NAMES_KERNEL,
	NAMES_JIT
};

enum names_step {
	NAMES_QUICK, /* the file's own symbols */
	NAMES_DEEP,  /* debug file, lines, inlined calls */
	NAMES_STEPS
};

struct names_context {
	const struct targetfs *fs;
	const char *debug_dir;	 /* NULL = none */
	struct fetcher *fetcher; /* NULL = no network */
	atomic_bool stop;	 /* end soon: memtop ends */
};

/* One line of an answer. Strings are owned by it. */
struct name {
	char *symbol; /* demangled; NULL = none */
	char *file;
	char *module;	/* kernel: its module; else NULL */
	uint64_t start; /* of the symbol, in the module's own addresses */
	unsigned line;
	bool inlined;
};

struct names;

/* `module` (path included) and `context` are borrowed until names_free(); NULL for the kernel and
 * for JITs. */
struct names *names_new(enum names_kind kind, const struct module *module,
			struct names_context *context);
void names_free(struct names *names);

/*
 * Gets ready for names_find() of this step. 0; -errno if there will be no (further) names, then
 * names_reason() says why (an absent debug file is no error: -ENODATA without a reason). -EAGAIN of
 * the deep step: a file is being fetched; try again once the fetcher has called.
 */
int names_load(struct names *names, enum names_step step);
/* Innermost first, the physical function last; returns how many, 0 = no name. */
size_t names_find(struct names *names, enum names_step step, uint64_t address, struct name *ret,
		  size_t cap);
void name_deinit(struct name *name);

/* NULL = none. Valid until names_free(). */
const char *names_reason(const struct names *names);
/* It is mapped code but no ELF file: a JIT's perhaps. */
bool names_not_elf(const struct names *names);
/* Kernel: where its text starts. */
uint64_t names_base(const struct names *names);
/* JIT: its map is another one than was loaded. */
bool names_changed(const struct names *names);

/* Memory that names_unload() would give back; names_load() reads it anew. */
size_t names_bytes(const struct names *names);
/* That part of it which grows as names_find() is asked. */
size_t names_grown_bytes(const struct names *names);
void names_unload(struct names *names);

#endif
