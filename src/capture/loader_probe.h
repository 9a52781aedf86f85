/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the target's dynamic linker tells debuggers that it is about to change, or has changed,
 * what is mapped: _dl_debug_state(), which does nothing. glibc and musl call it at dlopen() and
 * dlclose(), before and after.
 */
#ifndef MEMTOP_CAPTURE_LOADER_PROBE_H
#define MEMTOP_CAPTURE_LOADER_PROBE_H

#include "capture/probes.h"
#include "capture/procmaps.h"

/* False if there is none: a static program. The caller frees ret->path. */
bool loader_probe_find(pid_t pid, const struct procmaps *maps, struct probe *ret);

#endif
