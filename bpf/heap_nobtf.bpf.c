/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The heap book for kernels that do not tell their types: the same programs and maps, but for
 * allocate_session, whose call into the kernel the loader could not resolve and which does nothing.
 */
#define WITHOUT_KERNEL_BTF
#include "heap.bpf.c"
