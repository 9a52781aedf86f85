/*
 * The thunks of ledger.h. A thunk stores its own return address through its last argument and
 * jumps, so the allocator returns straight to the thunk's caller and no frame of the thunk is ever
 * on a stack. Written in assembly because a compiler only may, but need not, make a jump of it.
 */
#include "ledger.h"

#define THUNK_HEAD(name)                                                          \
	".text\n.p2align 4\n.globl ledger_call_" name "\n.type ledger_call_" name \
	", %function\nledger_call_" name ":\n.cfi_startproc\n"
#define THUNK_TAIL(name) ".cfi_endproc\n.size ledger_call_" name ", .-ledger_call_" name "\n"

#if defined(__x86_64__)
#define ARG_2 "rsi"
#define ARG_3 "rdx"
#define ARG_4 "rcx"
/* rax is free at a function's entry; endbr64 is a no-op where there is no branch tracking. */
#define THUNK(name, arg)                                   \
	__asm__(THUNK_HEAD(name) "endbr64\n"               \
				 "movq (%rsp), %rax\n"     \
				 "movq %rax, (%" arg ")\n" \
				 "jmp " name "@PLT\n" THUNK_TAIL(name))
#elif defined(__aarch64__)
#define ARG_2 "x1"
#define ARG_3 "x2"
#define ARG_4 "x3"
#define THUNK(name, arg)                                \
	__asm__(THUNK_HEAD(name) "hint #34\n"           \
				 "str x30, [" arg "]\n" \
				 "b " name "\n" THUNK_TAIL(name))
#else
#error "no allocation thunk for this processor"
#endif

THUNK("malloc", ARG_2);
THUNK("calloc", ARG_3);
THUNK("realloc", ARG_3);
THUNK("posix_memalign", ARG_4);
THUNK("aligned_alloc", ARG_3);
THUNK("memalign", ARG_3);
THUNK("valloc", ARG_2);
THUNK("pvalloc", ARG_2);
THUNK("reallocarray", ARG_4);
