/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The key of a site: a hash over kind and the (build-id, module offset) of its frames, so that the
 * same site has the same key in every run and on every machine with the same files. A module
 * without a build-id counts by its path.
 */
#ifndef MEMTOP_CORE_SITEKEY_H
#define MEMTOP_CORE_SITEKEY_H

#include "core/modules.h"
#include "core/snapshot.h"

uint64_t sitekey(const struct modules *modules, uint64_t time_ns, enum abi_kind kind,
		 const uint64_t *addresses, unsigned count);

#endif
