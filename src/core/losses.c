/* SPDX-License-Identifier: GPL-2.0-only */
#include "core/losses.h"

#include <stddef.h>

#define USER   (1u << SIDE_USER)
#define KERNEL (1u << SIDE_KERNEL)

const struct loss losses[ABI_LOSS_COUNT] = {
	[ABI_LOSS_LIVE_TABLE_FULL] =
		{
			.name = "live_table_full",
			.meaning = "a new block found no room in the table of live blocks and is "
				   "in no total",
			.remedy = "give memtop more memory (its cgroup or the system is short of "
				  "it), or watch at level pages",
			.sides = USER | KERNEL,
		},
	[ABI_LOSS_SITE_TABLE_FULL] =
		{
			.name = "site_table_full",
			.meaning = "a new call stack found no room in the table of sites; its "
				   "blocks are booked at the unknown site",
			.remedy = "attach anew, so that only the call stacks in use now take "
				  "room",
			.sides = USER | KERNEL,
		},
	[ABI_LOSS_STACK_TRUNCATED] =
		{
			.name = "stack_truncated",
			.meaning = "a call stack ends before its outermost frame; its innermost "
				   "frames, bytes and blocks are right",
			.remedy = "build the module where it ends with unwind tables "
				  "(-fasynchronous-unwind-tables) or frame pointers",
			.booked = true,
			.sides = USER | KERNEL,
		},
	[ABI_LOSS_RETURN_MISSED] =
		{
			.name = "return_missed",
			.meaning = "a call to the allocator was never seen to return; what it "
				   "gave out is in no total",
			.remedy = "expected where a longjmp, an exception or the end of a thread "
				  "leaves an allocator call; else report it",
			.sides = USER,
		},
	[ABI_LOSS_NESTING_TOO_DEEP] =
		{
			.name = "nesting_too_deep",
			.meaning = "too many allocator calls were in flight in one thread; the "
				   "innermost is in no total",
			.remedy = "look for an allocator hook or signal handler that allocates "
				  "without end",
			.sides = USER,
		},
	[ABI_LOSS_EVENT_LOST] =
		{
			.name = "event_lost",
			.meaning = "the kernel skipped a program of memtop, so one event was not "
				   "seen",
			.remedy = "switch other tracers of the same target off",
			.sides = USER | KERNEL,
		},
	[ABI_LOSS_KERNEL_EVENT_MISSED] =
		{
			.name = "kernel_event_missed",
			.meaning = "an interrupt allocated or freed kernel memory while memtop was "
				   "at work on that CPU, so one event of the machine was not seen; "
				   "an object of the target freed so stays live until its address "
				   "is given out again",
			.remedy = "leave the kernel side out with --side user where it is not in "
				  "question; the books of the heap are not touched",
			.sides = KERNEL,
		},
	[ABI_LOSS_THREAD_TABLE_FULL] =
		{
			.name = "thread_table_full",
			.meaning = "the calling thread found no slot in the table of threads; its "
				   "event was not booked",
			.remedy = "the target has more threads than memtop made room for at the "
				  "attach: attach anew",
			.sides = USER,
		},
	[ABI_LOSS_FREE_MISSED] =
		{
			.name = "free_missed",
			.meaning = "an address was given out again though its free was not seen; "
				   "the old block was booked as freed then",
			.remedy = "the target frees by a function that is not probed: name its "
				  "allocator",
			.sides = USER | KERNEL,
		},
	[ABI_LOSS_ADDRESS_TOO_WIDE] =
		{
			.name = "address_too_wide",
			.meaning = "a block lies at an address of 52 bits or more and is in no "
				   "total",
			.remedy = "run the target without five-level page tables or memory "
				  "tagging, or watch at level pages",
			.sides = USER | KERNEL,
		},
	[ABI_LOSS_SIZE_TOO_LARGE] =
		{
			.name = "size_too_large",
			.meaning = "a block of 64G or more is in no total",
			.remedy = "blocks this large are mappings: look at the maps side",
			.sides = USER | KERNEL,
		},
	[ABI_LOSS_RELEASED_IN_BULK] =
		{
			.name = "released_in_bulk",
			.meaning = "a call gave back all blocks of a heap or arena at once "
				   "(mi_heap_destroy, jemalloc's arena.N.reset and .destroy); they "
				   "stay live until their addresses are given out again",
			.remedy = "describe what uses that heap with --function, or free its "
				  "blocks one by one where the books have to be exact",
			.sides = USER,
		},
};

uint64_t losses_total(const uint64_t counts[ABI_LOSS_COUNT])
{
	uint64_t total = 0;

	for (size_t i = 0; i < ABI_LOSS_COUNT; i++)
		if (!losses[i].booked)
			total += counts[i];
	return total;
}

bool loss_touches(size_t loss, enum side side)
{
	return !losses[loss].name || losses[loss].sides & 1u << side;
}

uint64_t losses_of_side(const uint64_t counts[ABI_LOSS_COUNT], enum side side)
{
	uint64_t total = 0;

	for (size_t i = 0; i < ABI_LOSS_COUNT; i++)
		if (!losses[i].booked && loss_touches(i, side))
			total += counts[i];
	return total;
}
