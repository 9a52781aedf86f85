/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The seam through which facts come in: a live target (capture/) or a recording (record/).
 * An implementation embeds `struct source` first and fills in `ops`.
 */
#ifndef MEMTOP_CORE_SOURCE_H
#define MEMTOP_CORE_SOURCE_H

#include "core/snapshot.h"

struct source;

struct source_ops {
	/*
	 * Facts as of now. 0, or -errno: -ESRCH once nothing more will come (the target ended and
	 * its final snapshot was given), -EAGAIN while there is no target. O(sites), never
	 * O(blocks).
	 */
	int (*read)(struct source *source, uint64_t now_ns, struct snapshot *ret);
	/* Cohorts of site `index` of the last snapshot; -ENODATA where the source keeps none. */
	int (*cohorts)(struct source *source, size_t index, struct cohorts *ret);
	/* Step to another level; -EOPNOTSUPP, -EPERM with the reason in the next snapshot. */
	int (*set_level)(struct source *source, enum level level);
	/* Watch the kernel side or not. */
	int (*watch_kernel)(struct source *source, bool on);
	/*
	 * A descriptor that polls readable when the next read should not wait for its time: the
	 * target ended, or runs another program. Or -1.
	 */
	int (*wait_fd)(struct source *source);
	void (*close)(struct source *source); /* frees the source; NULL is never passed */
};

struct source {
	const struct source_ops *ops;
};

static inline int source_read(struct source *source, uint64_t now_ns, struct snapshot *ret)
{
	return source->ops->read(source, now_ns, ret);
}

static inline int source_cohorts(struct source *source, size_t index, struct cohorts *ret)
{
	return source->ops->cohorts(source, index, ret);
}

static inline void source_close(struct source *source)
{
	if (source)
		source->ops->close(source);
}

#endif
