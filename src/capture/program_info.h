/* SPDX-License-Identifier: GPL-2.0-only */
/* What the kernel counts of a program: runs and their time while that is measured, and misses. */
#ifndef MEMTOP_CAPTURE_PROGRAM_INFO_H
#define MEMTOP_CAPTURE_PROGRAM_INFO_H

#include <bpf/bpf.h>
#include <stdbool.h>
#include <string.h>

/* False, and all zero, where there is no such program or it cannot be asked. */
static inline bool program_info(int fd, struct bpf_prog_info *ret)
{
	__u32 size = sizeof(*ret);

	memset(ret, 0, sizeof(*ret));
	return fd >= 0 && !bpf_obj_get_info_by_fd(fd, ret, &size);
}

#endif
