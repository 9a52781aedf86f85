/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page faults of the target, by user stack.
 *
 * A fault is a record in its CPU's ring: address, site, and how to order it among the others. What
 * a page is and whether it is still there is user space's to say; nothing is booked here.
 *
 * The faults come from where the kernel and the architecture have them: from the tracepoints of the
 * exception itself (x86), which see a fault before it is handled and tell whether the page was
 * there; else from the software event that counts faults, which sees it after it was handled, if it
 * succeeded, on all architectures. Either way faults of the kernel on the target's behalf (a system
 * call that fills a fresh buffer) are among them. The stack is the user's: it begins at the
 * registers that the thread entered the kernel with, by whatever way.
 *
 * Faults that the kernel's own careful reads run into (of other programs, of this one's stack walk)
 * bring no page in: they are told by pagefault_disabled.
 */
#include "kernel_types.h"
#include "registers.bpf.h"

#include <memtop/pages_abi.h>

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
#include "stack_cache.bpf.h"

LEDGER_ARRAY(fault_rings, struct abi_fault_ring); /* by CPU */
LEDGER_ARRAY(faults, struct abi_fault);		  /* by CPU, a ring's records each */

#if defined(__TARGET_ARCH_x86)
#define COUNTED_ADDRESS 176 /* in struct bpf_perf_event_data */
#else
#define COUNTED_ADDRESS 280
#endif

#define ERROR_PRESENT 1 /* x86: bit 0 of a fault's error code */

const volatile unsigned int cfg_ring_mask = 0; /* records of a ring, less one */

char LICENSE[] SEC("license") = "GPL";

/* The site of the user stack that `regs` are the innermost frame of. */
static __always_inline u32 fault_site(u32 cpu, struct abi_thread *thread, struct pt_regs *regs)
{
	u64 pc = register_ip(regs), fp = register_frame(regs), link = 0;
	/* As if a call to the faulting place had just been made: the cache's form of a stack. */
	u64 sp = register_sp(regs) - ENTRY_CFA(0);
	u64 hash;
	u32 site;

#if !RETURN_ADDRESS_ON_STACK
	link = register_link(regs);
#endif
	stack_expect(thread, sp);
	site = stack_cache_find(thread, pc + 1, sp, fp, ABI_KIND_PAGE_FAULT);
	if (site)
		return site;
	hash = stack_walk_at(cpu, pc, ENTRY_CFA(sp), fp, link);
	site = site_find(cpu, hash, 0, ABI_KIND_PAGE_FAULT);
	if (thread->truncated)
		loss_count(ABI_LOSS_STACK_TRUNCATED);
	else if (site)
		stack_cache_add(cpu, sp, fp, ABI_KIND_PAGE_FAULT, site);
	return site;
}

/* The CPU's element is held: nobody else writes its ring. */
static __always_inline void ring_add(u32 cpu, u64 address, u32 site, u32 flags)
{
	struct abi_fault_ring *ring = bpf_map_lookup_elem(&fault_rings, &cpu);
	struct abi_fault *record;
	u64 head;
	u32 index;

	if (!ring)
		return;
	head = read_once(ring->head);
	index = cpu * (cfg_ring_mask + 1) + ((u32)head & cfg_ring_mask);
	record = bpf_map_lookup_elem(&faults, &index);
	if (!record || head - read_once(ring->tail) > cfg_ring_mask) {
		loss_count(ABI_LOSS_EVENT_LOST);
		return;
	}
	record->address = address;
	record->sequence = __sync_fetch_and_add(&fault_sequence, 1);
	record->site = site;
	record->flags = flags;
	/* Atomic, so that what was written is seen before it. */
	__sync_fetch_and_add(&ring->head, 1);
}

/*
 * Preemption is off where faults are told of, so only what interrupts this program can be in its
 * way, and that is over before it goes on: a mark that is no atomic is enough.
 */
static __always_inline int take(struct pt_regs *regs, u64 address, u32 flags)
{
	u32 cpu = bpf_get_smp_processor_id();
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &cpu);

	if (!thread || read_once(thread->depth)) {
		loss_count(ABI_LOSS_EVENT_LOST);
		return 0;
	}
	write_once(thread->depth, 1);
	thread->events++;
	ring_add(cpu, address, fault_site(cpu, thread, regs), flags);
	write_once(thread->depth, 0);
	return 0;
}

/* What the thread entered the kernel with, by whatever way. */
static __always_inline struct pt_regs *entry_registers(struct task_struct *task)
{
	return (struct pt_regs *)bpf_task_pt_regs(task);
}

/* page_fault_user(address, regs, error_code); these are what it entered the kernel with. */
SEC("tp_btf/page_fault_user") int page_fault_user(u64 *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (!is_own(task) || (s64)ctx[0] < 0)
		return 0;
	return take((struct pt_regs *)ctx[1], ctx[0],
		    ctx[2] & ERROR_PRESENT ? ABI_FAULT_PRESENT : 0);
}

/* page_fault_kernel(address, regs, error_code) */
SEC("tp_btf/page_fault_kernel") int page_fault_kernel(u64 *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (!is_own(task) || (s64)ctx[0] < 0 || task->pagefault_disabled)
		return 0;
	return take(entry_registers(task), ctx[0],
		    ABI_FAULT_KERNEL | (ctx[2] & ERROR_PRESENT ? ABI_FAULT_PRESENT : 0));
}

SEC("perf_event") int page_fault_counted(void *context)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 address;

	if (!is_own(task))
		return 0;
	asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(address) : "r"(context), "i"(COUNTED_ADDRESS));
	return (s64)address < 0 ? 0 : take(entry_registers(task), address, 0);
}
