/* SPDX-License-Identifier: GPL-2.0-only */
/* What stack_target says of one stack. */
#ifndef MEMTOP_TESTS_UNWIND_STACK_RECORD_H
#define MEMTOP_TESTS_UNWIND_STACK_RECORD_H

#include <stdint.h>

enum {
	STACK_RECORDS_MAX = 32768,
	STACK_FRAMES_MAX = 200
};

struct stack_record {
	uint32_t count;	       /* frames, as backtrace() has them: [0] is in the function itself */
	uint32_t shadow_count; /* return addresses on the shadow stack, innermost first */
	uint32_t async;	       /* taken by the timer: no shadow stack */
	uint32_t reserved;
	uint64_t frames[STACK_FRAMES_MAX];
	uint64_t shadow[STACK_FRAMES_MAX];
};

#endif
