/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Calls that give back all blocks of a heap at once. Nothing tells which blocks those are, so each
 * such call is counted as a loss.
 *
 * jemalloc has one function for everything, which takes a name ("arena.4.reset"), or the numbers
 * that it gave for one: for those, the place that the numbers were written to is remembered, and at
 * the first call with that place what they are; the second of the three is the arena's, and
 * changes.
 */
#ifndef MEMTOP_BULK_BPF_H
#define MEMTOP_BULK_BPF_H

#include "types.bpf.h"

#define BULK_NAME    32
#define BULK_NUMBERS 3

enum bulk_name {
	BULK_OTHER,
	BULK_RESET,
	BULK_DESTROY,
	BULK_NAMES,
};

struct bulk_numbers {
	u64 place; /* 0 = not looked up */
	u64 known;
	u64 first, last;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BULK_NAMES);
	__type(key, u32);
	__type(value, struct bulk_numbers);
} bulk_numbers SEC(".maps");

#define bulk_equals(text, constant)                                                           \
	({                                                                                    \
		int equal_ = 1;                                                               \
                                                                                              \
		_Pragma("unroll") for (u32 i_ = 0; i_ < sizeof(constant) - 1; i_++) equal_ &= \
			(text)[i_] == (constant)[i_];                                         \
		equal_;                                                                       \
	})

__noinline u32 bulk_name(u64 address)
{
	char name[BULK_NAME] = "", tail[8] = "";
	long length = bpf_probe_read_user_str(name, sizeof(name), (void *)address);

	if (length < (long)sizeof("arena.0.reset") || !bulk_equals(name, "arena.") ||
	    bpf_probe_read_user(tail, sizeof(tail), (void *)(address + length - sizeof(tail))))
		return BULK_OTHER;
	/* With the byte that ends it. */
	if (bulk_equals(tail + 1, ".reset\0"))
		return BULK_RESET;
	return bulk_equals(tail, "destroy\0") ? BULK_DESTROY : BULK_OTHER;
}

/* Where the numbers of a name will be: of one that gives back, or of another there from now on. */
__noinline int bulk_lookup(u64 name, u64 place)
{
	u32 which = bulk_name(name);

	for (u32 i = BULK_RESET; i < BULK_NAMES; i++) {
		u32 index = i;
		struct bulk_numbers *numbers = bpf_map_lookup_elem(&bulk_numbers, &index);

		if (!numbers)
			return 0;
		if (i == which)
			write_once(numbers->place, place);
		else if (read_once(numbers->place) == place)
			write_once(numbers->place, 0ull);
	}
	return 0;
}

__noinline int bulk_numbered(u64 place, u64 count)
{
	u64 seen[BULK_NUMBERS] = {0};

	if (count != BULK_NUMBERS || bpf_probe_read_user(seen, sizeof(seen), (void *)place))
		return 0;
	for (u32 i = BULK_RESET; i < BULK_NAMES; i++) {
		u32 index = i;
		struct bulk_numbers *numbers = bpf_map_lookup_elem(&bulk_numbers, &index);

		if (!numbers)
			return 0;
		if (!read_once(numbers->known) && read_once(numbers->place) == place) {
			numbers->first = seen[0];
			numbers->last = seen[2];
			write_once(numbers->known, 1ull);
		}
		if (read_once(numbers->known) && numbers->first == seen[0] &&
		    numbers->last == seen[2])
			return 1;
	}
	return 0;
}

/* Does the call give back in bulk? */
static __always_inline int is_in_bulk(u64 cookie, u64 first, u64 second)
{
	switch (cookie) {
	case ABI_BULK_ALWAYS:
		return 1;
	case ABI_BULK_NAMED:
		return bulk_name(first) != BULK_OTHER;
	case ABI_BULK_LOOKUP:
		return bulk_lookup(first, second) != 0;
	case ABI_BULK_NUMBERED:
		return bulk_numbered(first, second) != 0;
	}
	return 0;
}

#endif
