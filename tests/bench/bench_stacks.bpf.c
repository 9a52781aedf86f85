/* SPDX-License-Identifier: GPL-2.0-only */
/* What a capture costs: programs that take a stack one way each, and one that does nothing. */
#include "registers.bpf.h"
#include "types.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, struct abi_thread);
} threads SEC(".maps");

#include "stack_cache.bpf.h"

char LICENSE[] SEC("license") = "GPL";

SEC("uprobe") int empty(struct pt_regs *context)
{
	return 0;
}

static __always_inline u64 return_address_of(struct pt_regs *context)
{
#if RETURN_ADDRESS_ON_STACK
	u64 address = 0;

	bpf_probe_read_user(&address, sizeof(address), (void *)register_sp(context));
	return address;
#else
	return register_link(context);
#endif
}

SEC("uprobe") int walk(struct pt_regs *context)
{
	stack_walk(0, return_address_of(context), register_sp(context), register_frame(context));
	return 0;
}

/* As the heap does. */
SEC("uprobe") int verified(struct pt_regs *context)
{
	u64 sp = register_sp(context), fp = register_frame(context), return_address;
	u32 zero = 0;
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &zero);

	if (!thread)
		return 0;
	return_address = stack_enter(thread, sp, return_link(context));
	if (stack_cache_find(thread, return_address, sp, fp, 1))
		return 0;
	stack_walk(0, return_address, sp, fp);
	stack_cache_add(0, sp, fp, 1, 1);
	return 0;
}

SEC("uprobe") int return_address(struct pt_regs *context)
{
	u32 zero = 0;
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &zero);

	if (thread)
		thread->frames[0] = return_address_of(context);
	return 0;
}

/* Into the same memory. */
SEC("uprobe") int frame_pointers(struct pt_regs *context)
{
	u32 zero = 0;
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &zero);

	if (thread)
		bpf_get_stack(context, thread->frames, ABI_MAX_FRAMES * 8, BPF_F_USER_STACK);
	return 0;
}
