/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Calls of the target that change what is mapped, by user stack, in the order in which they did.
 *
 * Watched is the moment when a thread of the target is given the lock of its mappings for writing:
 * whoever holds it is alone, so the records are in the order of the changes, whatever thread makes
 * them, and which call it is in, with which arguments, the registers tell that it entered the
 * kernel with. Where the kernel chooses an address, a record of that follows. Each record has the
 * number of the page fault that comes next (pages.bpf.c), which puts it in its place among those.
 * Whether a call did what was asked is not told: user space knows what is mapped, and looks.
 *
 * That costs other processes a look at each of their locks, and not one at each system call.
 */
#include "kernel_types.h"
#include "registers.bpf.h"

#include <bpf/bpf_core_read.h>
#include <memtop/maps_abi.h>

/* One element per CPU: the stack being captured there. `depth` tells that one is. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct abi_thread);
} threads SEC(".maps");

#include "ledger.bpf.h"
#include "fault_sequence.bpf.h"
#include "own_memory.bpf.h"
#include "unwind.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} mapping_calls SEC(".maps");

/* Numbers of system calls, and the registers that they and their arguments are in. */
#if defined(__TARGET_ARCH_x86)
#define CALL_MMAP	      9
#define CALL_MUNMAP	      11
#define CALL_BRK	      12
#define CALL_MREMAP	      25
#define register_call(regs)   register_load(regs, 120)
#define register_first(regs)  register_load(regs, 112)
#define register_second(regs) register_load(regs, 104)
#define register_third(regs)  register_load(regs, 96)
#define register_fourth(regs) register_load(regs, 56)
#define register_fifth(regs)  register_load(regs, 72)
#else
#define CALL_MMAP	      222
#define CALL_MUNMAP	      215
#define CALL_BRK	      214
#define CALL_MREMAP	      216
#define register_call(regs)   register_load(regs, 64)
#define register_first(regs)  register_load(regs, 0)
#define register_second(regs) register_load(regs, 8)
#define register_third(regs)  register_load(regs, 16)
#define register_fourth(regs) register_load(regs, 24)
#define register_fifth(regs)  register_load(regs, 32)
#endif

char LICENSE[] SEC("license") = "GPL";

static __always_inline u32 call_kind(u64 call)
{
	switch (call) {
	case CALL_MMAP:
		return ABI_MAPPING_MMAP;
	case CALL_MUNMAP:
		return ABI_MAPPING_MUNMAP;
	case CALL_BRK:
		return ABI_MAPPING_BRK;
	case CALL_MREMAP:
		return ABI_MAPPING_MREMAP;
	default:
		return ABI_MAPPING_OTHER;
	}
}

static __always_inline u32 call_site(struct pt_regs *regs, u32 kind)
{
	u32 cpu = bpf_get_smp_processor_id(), site;
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &cpu);
	u64 pc = register_ip(regs), fp = register_frame(regs), link = 0;
	u64 sp = register_sp(regs);
	u64 hash;

	if (!thread || __sync_val_compare_and_swap(&thread->depth, 0, 1)) {
		loss_count(ABI_LOSS_EVENT_LOST);
		return 0;
	}
	__sync_fetch_and_add(&thread->events, 1);
#if !RETURN_ADDRESS_ON_STACK
	link = register_link(regs);
#endif
	hash = stack_walk_at(cpu, pc, sp, fp, link);
	if (thread->truncated)
		loss_count(ABI_LOSS_STACK_TRUNCATED);
	site = site_find(cpu, hash, 0, kind);
	write_once(thread->depth, 0);
	return site;
}

/* mmap_lock_acquire_returned(mm, write, success) */
SEC("tp_btf/mmap_lock_acquire_returned") int mappings_locked(u64 *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct abi_mapping_call *record;
	struct pt_regs *regs;
	u32 kind;

	if (!(ctx[1] & 0xff) || !(ctx[2] & 0xff) || !is_own(task) || ctx[0] != (u64)task->mm)
		return 0;
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	kind = call_kind(register_call(regs));
	record = bpf_ringbuf_reserve(&mapping_calls, sizeof(*record), 0);
	if (!record) {
		loss_count(ABI_LOSS_EVENT_LOST);
		return 0;
	}
	record->kind = kind;
	record->sequence = read_once(fault_sequence);
	record->arguments[0] = register_first(regs);
	record->arguments[1] = register_second(regs);
	record->arguments[2] = register_third(regs);
	record->arguments[3] = register_fourth(regs);
	record->arguments[4] = register_fifth(regs);
	record->site = 0;
	if (kind == ABI_MAPPING_MMAP || kind == ABI_MAPPING_MREMAP)
		record->site = call_site(regs, ABI_KIND_MMAP);
	else if (kind == ABI_MAPPING_BRK)
		record->site = call_site(regs, ABI_KIND_BRK);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}

/* vm_unmapped_area(addr, info) */
SEC("tp_btf/vm_unmapped_area") int address_chosen(u64 *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct vm_unmapped_area_info *info = (void *)ctx[1];
	struct abi_mapping_call *record;

	if (!is_own(task))
		return 0;
	record = bpf_ringbuf_reserve(&mapping_calls, sizeof(*record), 0);
	if (!record) {
		loss_count(ABI_LOSS_EVENT_LOST);
		return 0;
	}
	record->kind = ABI_MAPPING_AREA;
	record->site = 0;
	record->sequence = 0;
	record->arguments[0] = ctx[0];
	record->arguments[1] = info->length;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}
