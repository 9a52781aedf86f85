/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reading DWARF from bytes that nobody vouches for. A read beyond the end gives 0 and makes the
 * cursor bad for good; who reads checks `bad` before it believes.
 */
#ifndef MEMTOP_UNWIND_CURSOR_H
#define MEMTOP_UNWIND_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct cursor {
	const uint8_t *at, *end;
	bool bad;
};

static inline size_t cursor_left(const struct cursor *cursor)
{
	return (size_t)(cursor->end - cursor->at);
}

/* `size` bytes, NULL if they are not there. */
static inline const uint8_t *cursor_bytes(struct cursor *cursor, uint64_t size)
{
	const uint8_t *bytes = cursor->at;

	if (cursor->bad || size > cursor_left(cursor)) {
		cursor->bad = true;
		return NULL;
	}
	cursor->at += size;
	return bytes;
}

/* A little-endian number of `size` bytes, at most 8. */
static inline uint64_t cursor_unsigned(struct cursor *cursor, unsigned size)
{
	const uint8_t *bytes = cursor_bytes(cursor, size);
	uint64_t value = 0;

	for (unsigned i = 0; bytes && i < size; i++)
		value |= (uint64_t)bytes[i] << (8 * i);
	return value;
}

static inline int64_t cursor_signed(struct cursor *cursor, unsigned size)
{
	unsigned unused = 64 - 8 * size;

	return (int64_t)(cursor_unsigned(cursor, size) << unused) >> unused;
}

static inline uint8_t cursor_byte(struct cursor *cursor)
{
	return (uint8_t)cursor_unsigned(cursor, 1);
}

/* Bits beyond 64 are lost; `ret_shift` is where the number's last bit group ended. */
static inline uint64_t cursor_leb128(struct cursor *cursor, unsigned *ret_shift, uint8_t *ret_last)
{
	unsigned shift = 0;
	uint64_t value = 0;
	uint8_t byte;

	do {
		byte = cursor_byte(cursor);
		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		shift += shift < 64 ? 7 : 0;
	} while (byte & 0x80);
	*ret_shift = shift;
	*ret_last = byte;
	return value;
}

static inline uint64_t cursor_uleb(struct cursor *cursor)
{
	unsigned shift;
	uint8_t last;

	return cursor_leb128(cursor, &shift, &last);
}

static inline int64_t cursor_sleb(struct cursor *cursor)
{
	unsigned shift;
	uint8_t last;
	uint64_t value = cursor_leb128(cursor, &shift, &last);

	if (last & 0x40 && shift < 64)
		value |= ~0ull << shift;
	return (int64_t)value;
}

#endif
