/* SPDX-License-Identifier: GPL-2.0-only */
#include "unwind/unwinder.h"

#include "unwind/publisher.h"
#include "util/alloc.h"
#include "util/vec.h"

#include <memtop/unwind_abi.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KERNEL_FROM (1ull << 63) /* not the target's */

/* What the programs have beside the rows, whatever the target: of one set of maps. */
#define FIXED_BYTES                                                \
	(2 * UNWIND_MAX_MAPPINGS * sizeof(struct unwind_mapping) + \
	 UNWIND_ENTRIES * sizeof(struct unwind_entry) +            \
	 UNWIND_BRANCHES * sizeof(struct unwind_branch) + sizeof(struct unwind_cache))

struct table_unwinder {
	struct unwinder unwinder;
	struct publisher *publisher;
	size_t seen;	      /* rows of the modules that were looked at */
	VEC(uint32_t) mapped; /* indexes of those that are mapped still */
	VEC(struct unwinder_range) anonymous;
	bool opened; /* the maps exist */
};

static void update(struct unwinder *base, const struct modules *modules)
{
	struct table_unwinder *unwinder = (struct table_unwinder *)base;
	size_t count = modules_count(modules), kept = 0;

	for (size_t i = 0; i < unwinder->mapped.count; i++) {
		uint32_t index = unwinder->mapped.data[i];
		const struct module *module = modules_get(modules, index);

		if (module->to_ns == UINT64_MAX)
			unwinder->mapped.data[kept++] = index;
		else
			publisher_remove(unwinder->publisher, module->id);
	}
	unwinder->mapped.count = kept;
	for (; unwinder->seen < count; unwinder->seen++) {
		const struct module *module = modules_get(modules, unwinder->seen);

		if (module->to_ns != UINT64_MAX || module->start >= KERNEL_FROM)
			continue;
		publisher_add(unwinder->publisher, module);
		*vec_push(&unwinder->mapped) = unwinder->seen;
	}
	if (unwinder->opened)
		publisher_publish(unwinder->publisher);
}

/* Ids above those of modules, which are counted from 1. */
static uint32_t anonymous_id(size_t index)
{
	return UINT32_MAX - (uint32_t)index;
}

static void anonymous(struct unwinder *base, const struct unwinder_range *ranges, size_t count)
{
	struct table_unwinder *unwinder = (struct table_unwinder *)base;

	if (count == unwinder->anonymous.count &&
	    (!count || !memcmp(ranges, unwinder->anonymous.data, count * sizeof(*ranges))))
		return;
	for (size_t i = 0; i < unwinder->anonymous.count; i++)
		publisher_remove(unwinder->publisher, anonymous_id(i));
	unwinder->anonymous.count = 0;
	for (size_t i = 0; i < count; i++) {
		struct module module = {
			.id = anonymous_id(i),
			.start = ranges[i].start,
			.end = ranges[i].end,
			.path = "",
		};

		publisher_add(unwinder->publisher, &module);
		*vec_push(&unwinder->anonymous) = ranges[i];
	}
}

static uint64_t plan(struct unwinder *base, uint64_t most)
{
	return publisher_plan(((struct table_unwinder *)base)->publisher, most);
}

static int prepare(struct unwinder *base, struct bpf_object *object)
{
	struct table_unwinder *unwinder = (struct table_unwinder *)base;

	return unwinder->opened ? publisher_share(unwinder->publisher, object) :
				  publisher_size_maps(unwinder->publisher, object);
}

static int adopt(struct unwinder *base, struct bpf_object *object)
{
	struct table_unwinder *unwinder = (struct table_unwinder *)base;
	int error;

	if (unwinder->opened)
		return 0;
	error = publisher_open(unwinder->publisher, object);
	unwinder->opened = !error;
	return error;
}

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static unsigned work(struct unwinder *base, unsigned milliseconds)
{
	struct table_unwinder *unwinder = (struct table_unwinder *)base;
	double end = now_ms() + milliseconds;
	unsigned left;

	if (!unwinder->opened)
		return 0;
	do {
		left = publisher_step(unwinder->publisher);
	} while (left && now_ms() < end);
	publisher_publish(unwinder->publisher);
	return left;
}

static uint64_t unmapped(const struct unwinder *base)
{
	return publisher_unmapped(((const struct table_unwinder *)base)->publisher);
}

static void status(const struct unwinder *base, struct unwinder_status *ret)
{
	struct publisher_status published;

	publisher_read_status(((const struct table_unwinder *)base)->publisher, &published);
	ret->tables_ready = published.tables_ready;
	ret->tables_pending = published.tables_pending;
	ret->tables_without = published.tables_without;
	ret->tables_refused = published.tables_refused;
	ret->bytes = published.bytes_used;
	ret->bytes_reserved = ((const struct table_unwinder *)base)->opened ?
				      published.bytes_limit + FIXED_BYTES :
				      0;
}

static void table_unwinder_close(struct unwinder *base)
{
	struct table_unwinder *unwinder = (struct table_unwinder *)base;

	publisher_free(unwinder->publisher);
	vec_deinit(&unwinder->mapped);
	vec_deinit(&unwinder->anonymous);
	free(unwinder);
}

static const struct unwinder_ops ops = {
	.update = update,
	.anonymous = anonymous,
	.plan = plan,
	.prepare = prepare,
	.adopt = adopt,
	.work = work,
	.unmapped = unmapped,
	.status = status,
	.close = table_unwinder_close,
};

struct unwinder *table_unwinder_new(pid_t pid, uint64_t limit_bytes)
{
	struct table_unwinder *unwinder = xcalloc(1, sizeof(*unwinder));

	unwinder->unwinder.ops = &ops;
	unwinder->publisher = publisher_new(pid, limit_bytes);
	return &unwinder->unwinder;
}
