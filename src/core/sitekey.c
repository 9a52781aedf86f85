/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * FNV-1a over bytes in a fixed order, then the finalizer of MurmurHash3 (Appleby, public domain) so
 * that sites that differ in one offset differ in all bits. The order of bytes is part of recordings
 * and of batch output: it must never change.
 */
#include "core/sitekey.h"

#include <string.h>

#define FNV_OFFSET 0xcbf29ce484222325ull
#define FNV_PRIME  0x100000001b3ull

static uint64_t add_bytes(uint64_t hash, const void *bytes, size_t size)
{
	const unsigned char *byte = bytes;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ byte[i]) * FNV_PRIME;
	return hash;
}

static uint64_t add_number(uint64_t hash, uint64_t number)
{
	for (unsigned i = 0; i < 8; i++)
		hash = (hash ^ ((number >> (8 * i)) & 0xff)) * FNV_PRIME;
	return hash;
}

static uint64_t add_frame(uint64_t hash, const struct modules *modules, uint64_t time_ns,
			  uint64_t address)
{
	const struct module *module = modules ? modules_find(modules, address, time_ns) : NULL;

	/* The tag keeps a build-id apart from a path of the same bytes. */
	if (!module)
		return add_number(add_number(hash, 0), address);
	if (module->build_id_size) {
		hash = add_number(hash, 1);
		hash = add_bytes(hash, module->build_id, module->build_id_size);
	} else {
		hash = add_number(hash, 2);
		hash = add_bytes(hash, module->path, strlen(module->path) + 1);
	}
	return add_number(hash, address - module->bias);
}

static uint64_t finish(uint64_t hash)
{
	hash ^= hash >> 33;
	hash *= 0xff51afd7ed558ccdull;
	hash ^= hash >> 33;
	hash *= 0xc4ceb9fe1a85ec53ull;
	hash ^= hash >> 33;
	return hash;
}

uint64_t sitekey(const struct modules *modules, uint64_t time_ns, enum abi_kind kind,
		 const uint64_t *addresses, unsigned count)
{
	uint64_t hash = add_number(FNV_OFFSET, kind);

	for (unsigned i = 0; i < count; i++)
		hash = add_frame(hash, modules, time_ns, addresses[i]);
	hash = finish(hash);
	return hash ? hash : 1;
}
