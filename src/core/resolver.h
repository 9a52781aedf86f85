/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The seam through which names come in: from a live target's files (symbol/) or from a recording.
 * Never blocks: what is not known yet is answered as module + offset and asked for in the
 * background.
 */
#ifndef MEMTOP_CORE_RESOLVER_H
#define MEMTOP_CORE_RESOLVER_H

#include "core/modules.h"
#include "core/snapshot.h"

#define RESOLVER_MAX_INLINED 16

/*
 * One line of a stack. Strings are never NULL except where said, belong to the resolver and stay
 * valid until it is closed. Control bytes may be in them: who draws them cleans them.
 */
struct frame {
	const char *symbol;	/* demangled; NULL = no name, show module + module_offset */
	uint64_t offset;	/* of the address in the symbol */
	const char *module;	/* path; "[kernel]"; "" = unknown mapping */
	const char *build_id;	/* hexadecimal; "" = none */
	uint64_t module_offset; /* address in the module's own ELF addresses */
	const char *file;	/* source file, NULL = not known */
	unsigned line;		/* 0 = not known */
	bool inlined;		/* shares its address with the next outer frame */
	bool wrapper; /* passes memory through: operator new, STL allocators, strdup … */
	bool pending; /* a better answer is being worked on */
	uint64_t address;
};

struct resolver;

struct resolver_ops {
	/*
	 * Frame `index` of the site: 1 frame, more where calls were inlined (innermost first), at
	 * most `cap`. Returns how many.
	 */
	size_t (*resolve)(struct resolver *resolver, const struct modules *modules,
			  const struct site_info *site, unsigned index, struct frame *ret,
			  size_t cap);
	/* Why the module of frame `index` has no names or lines: another file is in its place, it
	 * cannot be read … NULL: no reason known. Valid until it is closed. May be NULL itself. */
	const char *(*reason)(struct resolver *resolver, const struct modules *modules,
			      const struct site_info *site, unsigned index);
	/* Rises whenever an answer got better: what was drawn before may be drawn again. */
	uint64_t (*revision)(struct resolver *resolver);
	/* Until nothing is being worked on, at most timeout_ms (batch output waits, the screen
	 * not). */
	void (*settle)(struct resolver *resolver, unsigned timeout_ms);
	void (*close)(struct resolver *resolver);
};

struct resolver {
	const struct resolver_ops *ops;
};

static inline size_t resolver_resolve(struct resolver *resolver, const struct modules *modules,
				      const struct site_info *site, unsigned index,
				      struct frame *ret, size_t cap)
{
	return resolver->ops->resolve(resolver, modules, site, index, ret, cap);
}

static inline const char *resolver_reason(struct resolver *resolver, const struct modules *modules,
					  const struct site_info *site, unsigned index)
{
	return resolver->ops->reason ? resolver->ops->reason(resolver, modules, site, index) : NULL;
}

static inline void resolver_close(struct resolver *resolver)
{
	if (resolver)
		resolver->ops->close(resolver);
}

#endif
