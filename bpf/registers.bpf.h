/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Registers of the probed thread, one section per architecture. The layouts are the kernel's user
 * ABI (struct pt_regs of x86-64, struct user_pt_regs of arm64) and never change.
 *
 * Each load is spelled in assembly: clang otherwise merges `context + constant` with other pointers
 * and the verifier refuses a modified context pointer.
 */
#ifndef MEMTOP_REGISTERS_BPF_H
#define MEMTOP_REGISTERS_BPF_H

#include "types.bpf.h"

struct pt_regs;

#define register_load(context, offset)                         \
	({                                                     \
		u64 register_value;                            \
		asm volatile("%0 = *(u64 *)(%1 + " #offset ")" \
			     : "=r"(register_value)            \
			     : "r"(context));                  \
		register_value;                                \
	})

#if defined(__TARGET_ARCH_x86)
#define register_frame(context)	    register_load(context, 32)
#define register_result(context)    register_load(context, 80)
#define register_argument5(context) register_load(context, 64)
#define register_argument4(context) register_load(context, 72)
#define register_argument3(context) register_load(context, 88)
#define register_argument2(context) register_load(context, 96)
#define register_argument1(context) register_load(context, 104)
#define register_argument0(context) register_load(context, 112)
#define register_ip(context)	    register_load(context, 128)
#define register_sp(context)	    register_load(context, 152)
/* Of a thread in the kernel, copied to an array of words. */
#define SAVED_REGISTER_BYTES 160
#define saved_frame(words)   ((words)[4])
#define saved_ip(words)	     ((words)[16])
#define saved_sp(words)	     ((words)[19])
#define saved_link(words)    0
/* A call pushes its return address, a return pops it. */
#define RETURN_ADDRESS_ON_STACK 1
#define return_link(context)	0ull
#elif defined(__TARGET_ARCH_arm64)
#define register_argument0(context) register_load(context, 0)
#define register_argument1(context) register_load(context, 8)
#define register_argument2(context) register_load(context, 16)
#define register_argument3(context) register_load(context, 24)
#define register_argument4(context) register_load(context, 32)
#define register_argument5(context) register_load(context, 40)
#define register_result(context)    register_load(context, 0)
#define register_frame(context)	    register_load(context, 232)
#define register_link(context)	    register_load(context, 240)
#define register_sp(context)	    register_load(context, 248)
#define register_ip(context)	    register_load(context, 256)
#define SAVED_REGISTER_BYTES	    264
#define saved_frame(words)	    ((words)[29])
#define saved_link(words)	    ((words)[30])
#define saved_sp(words)		    ((words)[31])
#define saved_ip(words)		    ((words)[32])
#define RETURN_ADDRESS_ON_STACK	    0
#define return_link(context)	    register_link(context)
#else
#error "memtop knows the registers of x86-64 and arm64"
#endif

/* The stack pointer as it was when the function that now returns was entered. */
#if RETURN_ADDRESS_ON_STACK
#define register_sp_at_entry(context) (register_sp(context) - 8)
#else
#define register_sp_at_entry(context) register_sp(context)
#endif

#endif
