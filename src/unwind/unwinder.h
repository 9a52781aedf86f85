/* SPDX-License-Identifier: GPL-2.0-only */
/* The unwinder of a live process: its modules' tables, compiled and published (publisher.h). */
#ifndef MEMTOP_UNWIND_UNWINDER_H
#define MEMTOP_UNWIND_UNWINDER_H

#include "core/unwinder.h"

#include <sys/types.h>

/* Tables of at most `limit_bytes`. Programs that use them must be gone before it is closed. */
struct unwinder *table_unwinder_new(pid_t pid, uint64_t limit_bytes);

#endif
