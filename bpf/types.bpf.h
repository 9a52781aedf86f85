/* SPDX-License-Identifier: GPL-2.0-only */
/* What every BPF program of memtop includes first. */
#ifndef MEMTOP_TYPES_BPF_H
#define MEMTOP_TYPES_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <memtop/abi.h>

typedef __mt_u8 u8;
typedef __mt_u16 u16;
typedef __mt_u32 u32;
typedef __mt_u64 u64;
typedef long long s64;
typedef _Bool bool;

/* A load or store that happens once, whole, where it stands. */
#define read_once(x)	 (*(volatile typeof(x) *)&(x))
#define write_once(x, v) (*(volatile typeof(x) *)&(x) = (v))

#endif
