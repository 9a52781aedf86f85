/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Unwind tables as the BPF walker reads them and user space writes them.
 *
 * A module's frame information is a sorted array of rows: from `pc` (relative to the module's
 * base) on, the caller's frame is found by `rule`. Rows are found in two steps: the mapping list
 * (sorted, two copies, see struct unwind_state) gives module and base of an address, the module's
 * blocks (512 bytes of text each) bound a binary search to the rows of 256 bytes.
 *
 * Append-only, as memtop/abi.h.
 */
#ifndef MEMTOP_UNWIND_ABI_H
#define MEMTOP_UNWIND_ABI_H

#include <memtop/abi.h>

#define UNWIND_ABI_VERSION 1

/*
 * A rule has 28 bits, so that the rule cache keeps an address and its rule in one word, which
 * cannot tear. Bits 0-2 are the type, the rest is the architecture's.
 */
#define UNWIND_RULE_BITS       28
#define unwind_rule_type(rule) ((rule)&7u)

enum unwind_type {
	UNWIND_NONE = 0, /* no frame information here */
	UNWIND_SP = 1,	 /* CFA = stack pointer + offset */
	UNWIND_FP = 2,	 /* CFA = frame pointer + offset */
	UNWIND_END = 3,	 /* outermost frame */
	UNWIND_DRAP = 4, /* CFA = *(frame pointer - offset): x86-64, realigned stack */
	UNWIND_SIGNAL = 5,
	UNWIND_PLT = 6, /* CFA = sp + 8 + (pc % 16 >= threshold ? 8 : 0): x86-64 */
	UNWIND_UNSUPPORTED = 7,
};

/*
 * x86-64: type 3 | cfa 14 | fp 11. The return address is at CFA - 8.
 * cfa: offset / 8; of UNWIND_PLT the threshold; of UNWIND_SIGNAL where the interrupted stack
 * pointer is kept, / 8 from sp (the interrupted pc is in the next word).
 * fp: 0 = unchanged; n = saved at CFA - 8n; of UNWIND_SIGNAL kept at sp + 8n; or one of the two:
 */
#define UNWIND_X86_CFA_MAX  ((1u << 14) - 1)
#define UNWIND_X86_FP_MAX   2045u
#define UNWIND_X86_FP_LOST  2046u /* not to be had */
#define UNWIND_X86_FP_AT_FP 2047u /* saved where the frame pointer points */
#define unwind_x86_rule(type, cfa, fp) \
	((__mt_u32)(type) | (__mt_u32)(cfa) << 3 | (__mt_u32)(fp) << 17)
#define unwind_x86_cfa(rule) ((rule) >> 3 & UNWIND_X86_CFA_MAX)
#define unwind_x86_fp(rule)  ((rule) >> 17 & 2047u)

/*
 * arm64: type 3 | cfa 11 | fp 12 | ra 2. cfa: offset / 16. fp: 0 = unchanged; n = saved at
 * CFA - 8n; UNWIND_ARM64_FP_LOST. Of UNWIND_SIGNAL: cfa as above from sp, fp kept at sp + 8n.
 */
#define UNWIND_ARM64_CFA_MAX ((1u << 11) - 1)
#define UNWIND_ARM64_FP_MAX  4094u
#define UNWIND_ARM64_FP_LOST 4095u
#define unwind_arm64_rule(type, cfa, fp, ra) \
	((__mt_u32)(type) | (__mt_u32)(cfa) << 3 | (__mt_u32)(fp) << 14 | (__mt_u32)(ra) << 26)
#define unwind_arm64_cfa(rule) ((rule) >> 3 & UNWIND_ARM64_CFA_MAX)
#define unwind_arm64_fp(rule)  ((rule) >> 14 & 4095u)
#define unwind_arm64_ra(rule)  ((rule) >> 26 & 3u)

/* Where arm64 keeps the return address. */
enum unwind_arm64_ra {
	UNWIND_ARM64_RA_LINK = 0,      /* still in the link register */
	UNWIND_ARM64_RA_AFTER_FP = 1,  /* the word above the saved frame pointer */
	UNWIND_ARM64_RA_BELOW_CFA = 2, /* CFA - 8 */
	UNWIND_ARM64_RA_AT_16 = 3,     /* CFA - 16 */
};

struct unwind_row {
	__mt_u32 pc; /* from the module's base */
	__mt_u32 rule;
};

#define UNWIND_BLOCK_SHIFT 9
#define UNWIND_BLOCK_BYTES (1u << UNWIND_BLOCK_SHIFT)

/*
 * 512 bytes of text: the row in force at their start (counted from the module's first row), and how
 * many rows later is the one in force at their second half's start, and at their end.
 */
struct unwind_block {
	__mt_u32 row;
	__mt_u16 middle;
	__mt_u16 end;
};

enum unwind_limit {
	UNWIND_MAX_MAPPINGS = 8192,	     /* a power of two */
	UNWIND_MAX_TABLES = 4096,	     /* a power of two */
	UNWIND_UNMAPPED = UNWIND_MAX_TABLES, /* element of unwind_wanted: code in no mapping */
	UNWIND_CACHE_ENTRIES = 65536,
};

/*
 * Rules by return address. An entry is address >> 16 | generation % 16 | rule, of 32, 4 and 28
 * bits, at the index of the address' low 16 bits: one word, so it cannot tear, and what an older
 * generation put there is not taken. User space clears it when the 4 bits wrap: before the new
 * generation is stored, of what has its tag, and after, of what was written in between. Who writes
 * a word looks at the generation once more and takes it back if that is another one.
 */
#define UNWIND_CACHE_ADDRESS_BITS 48
#define UNWIND_CACHE_EPOCH_BITS	  4
#define unwind_cache_tag(address, generation)         \
	((address) >> 16 << UNWIND_CACHE_EPOCH_BITS | \
	 ((generation) & ((1u << UNWIND_CACHE_EPOCH_BITS) - 1)))

struct unwind_cache {
	__mt_u64 entries[UNWIND_CACHE_ENTRIES];
};

enum unwind_mapping_flag {
	UNWIND_MAPPING_READY = 1u << 0, /* its table is published */
};

/* An executable mapping of the target. */
struct unwind_mapping {
	__mt_u64 start, end; /* addresses, [start, end) */
	__mt_u64 base;	     /* address of pc 0 of its rows */
	__mt_u32 first_row;  /* element of unwind_rows */
	__mt_u32 rows;
	__mt_u32 first_block; /* element of unwind_blocks */
	__mt_u32 blocks;
	__mt_u32 flags;
	__mt_u32 wanted; /* element of unwind_wanted, where walks that lack the table are counted */
};

/*
 * One element, written by user space. The list in force is `generation & 1` of the two halves of
 * unwind_mappings; user space writes the other half, then raises `generation`. Rows and blocks that
 * a list names are not touched while it is in force. So what a look-up found is right if
 * `generation` is the same before and after it.
 */
struct unwind_state {
	__mt_u64 generation;
	__mt_u32 counts[2]; /* mappings in each half */
};

/* abi_thread.truncated: 0, or why the stack ends before its outermost frame. */
enum unwind_truncated {
	UNWIND_COMPLETE = 0,
	UNWIND_TRUNCATED_NO_ROW = 1,	 /* code without usable frame information */
	UNWIND_TRUNCATED_UNREADABLE = 2, /* stack memory could not be read */
	UNWIND_TRUNCATED_TOO_DEEP = 3,	 /* more than ABI_MAX_FRAMES */
	UNWIND_TRUNCATED_PENDING = 4,	 /* the module's table is not there yet */
	UNWIND_TRUNCATED_TRAMPOLINE = 5, /* a return probe that is not memtop's */
	UNWIND_TRUNCATED_FRAME = 6,	 /* the frame's rule leads nowhere: damaged stack */
};

enum unwind_entry_limit {
	UNWIND_ENTRIES = 4096, /* a power of two */
	UNWIND_ENTRY_CHECKS = 194,
	UNWIND_ENTRY_FRAMES = 128,
	UNWIND_ENTRY_PATIENCE = 16, /* misses in a row before an entry gives way */
	UNWIND_BRANCHES = 1024,	    /* a power of two */
	UNWIND_BRANCH_WORDS = 12,
	UNWIND_BRANCH_PATIENCE = 16384, /* misses more than hits before one is learnt anew */
};

/*
 * A check: the word's offset in the low 16 bits, what it was above them, with its sign. All user
 * addresses, and what they are less the stack pointer, have room there; what has none is not kept.
 */
#define UNWIND_CHECK_SHIFT 16
#define UNWIND_CHECK_RELATIVE \
	0x8000u /* in the offset: the value is compared less the stack pointer */

enum unwind_entry_flag {
	UNWIND_ENTRY_USES_FP = 1u << 0, /* the frame pointer at the entry matters */
};

/*
 * A stack that was walked before: each word that the rules read, and what it was. Words are counted
 * from the stack pointer at the entry of the function. `version` is odd while it is written. The
 * checks are dense, since a stack that comes again is mostly no longer in the nearest cache.
 */
struct unwind_entry {
	__mt_u32 version;
	__mt_u32 site;
	__mt_u64 return_address;
	__mt_u64 generation; /* of the tables it was walked by */
	__mt_u64 fp;	     /* less the stack pointer */
	__mt_u32 kind;
	__mt_u32 misses; /* since the last hit */
	__mt_u16 count;	 /* checks */
	__mt_u16 span;	 /* words to read */
	__mt_u32 flags;
	__mt_u64 checks[UNWIND_ENTRY_CHECKS];
};

/*
 * Which words tell stacks apart that enter the same function at the same place: those in which one
 * of them once differed from the entry that was looked at, as the offsets of checks. They choose
 * the entry.
 */
struct unwind_branch {
	__mt_u32 count;
	__mt_u16 offsets[UNWIND_BRANCH_WORDS];
	__mt_u16 span;	 /* words to read for all */
	__mt_u16 misses; /* less the hits, not below 0 */
};

_Static_assert(sizeof(struct unwind_branch) == 32, "abi");
_Static_assert(sizeof(struct unwind_entry) % 64 == 0, "whole cache lines");
_Static_assert(sizeof(struct unwind_row) == 8, "abi");
_Static_assert(sizeof(struct unwind_block) == 8, "abi");
_Static_assert(sizeof(struct unwind_mapping) == 48, "abi");
_Static_assert(sizeof(struct unwind_state) == 16, "abi");

#endif
