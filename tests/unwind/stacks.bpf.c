/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Captures the stack of each call of the target's stack_probe(number), by number: always
 * by a full walk, which is held against what the verified cache says.
 */
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

#include "capture.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, CAPTURES_MAX);
	__type(key, u32);
	__type(value, struct capture);
} captures SEC(".maps");

char LICENSE[] SEC("license") = "GPL";

/* Keeps the frames of thread `index` as capture `number`. */
__noinline int capture_keep(u32 index, u32 number, u64 hash, u32 cached)
{
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &index);
	struct capture *capture = bpf_map_lookup_elem(&captures, &number);

	if (!thread || !capture)
		return 0;
	capture->taken++;
	capture->count = thread->frame_count;
	capture->truncated = thread->truncated;
	capture->hash = hash;
	capture->cached = cached;
	for (u32 i = 0; i < ABI_MAX_FRAMES; i++)
		capture->frames[i] = thread->frames[i];
	return 0;
}

SEC("uprobe") int probe_enter(struct pt_regs *context)
{
	u32 index = (u32)bpf_get_current_pid_tgid() & (CAPTURE_THREADS - 1);
	u32 number = (u32)register_argument0(context), cached, site;
	u64 sp = register_sp(context), fp = register_frame(context), return_address, hash;
	struct abi_thread *thread = bpf_map_lookup_elem(&threads, &index);

	if (!thread)
		return 0;
	return_address = stack_enter(thread, sp, return_link(context));
	cached = stack_cache_find(thread, return_address, sp, fp, 1);
	hash = stack_walk(index, return_address, sp, fp);
	site = (u32)(hash >> 32) | 1;
	capture_keep(index, number, hash,
		     cached ? cached == site ? CAPTURE_CACHED : CAPTURE_CACHED_WRONG :
			      CAPTURE_NOT_CACHED);
	if (!cached)
		stack_cache_add(index, sp, fp, 1, site);
	return 0;
}
