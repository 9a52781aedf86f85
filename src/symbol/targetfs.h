/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The target's files as the target sees them. The process directory and the root directory are
 * opened once, so that a PID used again is never mistaken for the target, and files under its root
 * stay reachable after its death.
 *
 * A path of the target is walked inside its root (openat2 with RESOLVE_IN_ROOT): a symbolic link in
 * a container does not lead out of it.
 */
#ifndef MEMTOP_SYMBOL_TARGETFS_H
#define MEMTOP_SYMBOL_TARGETFS_H

#include "core/modules.h"

#include <stdbool.h>
#include <sys/types.h>

struct targetfs {
	pid_t pid;     /* as memtop sees it */
	pid_t own_pid; /* as the target itself does: names its perf map */
	uid_t uid;
	int proc_fd; /* /proc/PID */
	int root_fd; /* its root directory */
};

/* 0 or -errno; a target that is gone leaves only paths of memtop's own root. */
int targetfs_init(struct targetfs *fs, pid_t pid);
void targetfs_deinit(struct targetfs *fs);

/*
 * Opens what is mapped as `module`: map_files first (the very file, even deleted), /proc/PID/exe
 * where that is it, then the path, in the target's root and in memtop's own. Regular files only.
 * Returns a descriptor or -errno; *ret_same says that it is the mapping's own file, not one that
 * now has its path.
 */
int targetfs_open_module(const struct targetfs *fs, const struct module *module, bool *ret_same);
/* A path in the target's root (its links followed inside), regular files only. */
int targetfs_open_path(const struct targetfs *fs, const char *path);
/* A path of memtop's own, regular files only. */
int targetfs_open_own(const char *path);
/* As targetfs_open_path(), only if its last component is no link and its owner is the target's user
 * or root. -EPERM if not. */
int targetfs_open_trusted(const struct targetfs *fs, const char *path);
/* Bytes of the target's memory; how many, or -errno. */
ssize_t targetfs_read_memory(const struct targetfs *fs, uint64_t address, void *ret, size_t size);

#endif
