/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/allocator_table.h"

/* What a row's last column says. */
#define FAMILY	     ALLOCATOR_FAMILY
#define OPERATOR     ALLOCATOR_OPERATOR
#define OPERATOR_NEW (ALLOCATOR_OPERATOR | ALLOCATOR_THROWS)
#define OWN	     ALLOCATOR_OWN_NAME
#define OWN_NEW	     (ALLOCATOR_OWN_NAME | ALLOCATOR_THROWS)
#define FAMILY_BULK  (ALLOCATOR_FAMILY | ALLOCATOR_BULK)
#define OWN_BULK     (ALLOCATOR_OWN_NAME | ALLOCATOR_BULK)

/* clang-format off */
const struct allocator_function allocator_functions[] = {
	/* what gives back many blocks at once: jemalloc's arenas, heaps of mimalloc and rpmalloc */
	{"mallctl", SHAPE_BULK_NAMED, ABI_KIND_NONE, FAMILY_BULK},
	{"mallctlnametomib", SHAPE_BULK_LOOKUP, ABI_KIND_NONE, FAMILY_BULK},
	{"mallctlbymib", SHAPE_BULK_NUMBERED, ABI_KIND_NONE, FAMILY_BULK},
	{"mi_heap_destroy", SHAPE_BULK, ABI_KIND_NONE, OWN_BULK},
	{"rpmalloc_heap_free_all", SHAPE_BULK, ABI_KIND_NONE, OWN_BULK},
	/* what frees */
	{"free", SHAPE_FREE, ABI_KIND_NONE, FAMILY},
	{"cfree", SHAPE_FREE, ABI_KIND_NONE, FAMILY},
	/* C23, jemalloc */
	{"free_sized", SHAPE_FREE, ABI_KIND_NONE, FAMILY},
	{"free_aligned_sized", SHAPE_FREE, ABI_KIND_NONE, FAMILY},
	{"dallocx", SHAPE_FREE, ABI_KIND_NONE, FAMILY},
	{"sdallocx", SHAPE_FREE, ABI_KIND_NONE, FAMILY},
	/* operator delete and delete[]: plain, sized, aligned, both, and each nothrow */
	{"_ZdlPv", SHAPE_FREE, ABI_KIND_NONE, OPERATOR},
	{"_ZdaPv", SHAPE_FREE, ABI_KIND_NONE, OPERATOR},
	{"_ZdlPvm", SHAPE_FREE, ABI_KIND_NONE, OPERATOR},
	{"_ZdaPvm", SHAPE_FREE, ABI_KIND_NONE, OPERATOR},
	{"_ZdlPvSt11align_val_t", SHAPE_FREE, ABI_KIND_NONE, OPERATOR},
	{"_ZdaPvSt11align_val_t", SHAPE_FREE, ABI_KIND_NONE, OPERATOR},
	{"_ZdlPvmSt11align_val_t", SHAPE_FREE, ABI_KIND_NONE, OPERATOR},
	{"_ZdaPvmSt11align_val_t", SHAPE_FREE, ABI_KIND_NONE, OPERATOR},
	{"_ZdlPvRKSt9nothrow_t", SHAPE_FREE, ABI_KIND_NONE, OPERATOR},
	{"_ZdaPvRKSt9nothrow_t", SHAPE_FREE, ABI_KIND_NONE, OPERATOR},
	{"_ZdlPvSt11align_val_tRKSt9nothrow_t", SHAPE_FREE, ABI_KIND_NONE, OPERATOR},
	{"_ZdaPvSt11align_val_tRKSt9nothrow_t", SHAPE_FREE, ABI_KIND_NONE, OPERATOR},
	/* tcmalloc */
	{"tc_delete", SHAPE_FREE, ABI_KIND_NONE, OWN},
	{"tc_delete_sized", SHAPE_FREE, ABI_KIND_NONE, OWN},
	{"tc_delete_nothrow", SHAPE_FREE, ABI_KIND_NONE, OWN},
	{"tc_delete_aligned", SHAPE_FREE, ABI_KIND_NONE, OWN},
	{"tc_delete_sized_aligned", SHAPE_FREE, ABI_KIND_NONE, OWN},
	{"tc_delete_aligned_nothrow", SHAPE_FREE, ABI_KIND_NONE, OWN},
	{"tc_deletearray", SHAPE_FREE, ABI_KIND_NONE, OWN},
	{"tc_deletearray_sized", SHAPE_FREE, ABI_KIND_NONE, OWN},
	{"tc_deletearray_nothrow", SHAPE_FREE, ABI_KIND_NONE, OWN},
	{"tc_deletearray_aligned", SHAPE_FREE, ABI_KIND_NONE, OWN},
	{"tc_deletearray_sized_aligned", SHAPE_FREE, ABI_KIND_NONE, OWN},
	{"tc_deletearray_aligned_nothrow", SHAPE_FREE, ABI_KIND_NONE, OWN},
	/* mimalloc */
	{"mi_free_size", SHAPE_FREE, ABI_KIND_NONE, OWN},
	{"mi_free_size_aligned", SHAPE_FREE, ABI_KIND_NONE, OWN},
	{"mi_free_aligned", SHAPE_FREE, ABI_KIND_NONE, OWN},
	/* the Threading Building Blocks */
	{"scalable_aligned_free", SHAPE_FREE, ABI_KIND_NONE, OWN},
	/* what gives out */
	{"malloc", SHAPE_SIZE0, ABI_KIND_MALLOC, FAMILY},
	{"calloc", SHAPE_COUNT_SIZE, ABI_KIND_CALLOC, FAMILY},
	{"realloc", SHAPE_OLD_SIZE, ABI_KIND_REALLOC, FAMILY},
	{"reallocarray", SHAPE_OLD_COUNT_SIZE, ABI_KIND_REALLOCARRAY, FAMILY},
	{"memalign", SHAPE_SIZE1, ABI_KIND_MEMALIGN, FAMILY},
	{"aligned_alloc", SHAPE_SIZE1, ABI_KIND_ALIGNED_ALLOC, FAMILY},
	{"posix_memalign", SHAPE_POSIX_MEMALIGN, ABI_KIND_POSIX_MEMALIGN, FAMILY},
	{"valloc", SHAPE_SIZE0, ABI_KIND_VALLOC, FAMILY},
	{"pvalloc", SHAPE_SIZE0, ABI_KIND_PVALLOC, FAMILY},
	{"reallocf", SHAPE_OLD_SIZE, ABI_KIND_REALLOCF, FAMILY},
	/* jemalloc */
	{"mallocx", SHAPE_SIZE0, ABI_KIND_MALLOC, FAMILY},
	{"rallocx", SHAPE_OLD_SIZE, ABI_KIND_REALLOC, FAMILY},
	{"xallocx", SHAPE_OLD_SIZE, ABI_KIND_XALLOCX, FAMILY},
	/* operator new and new[]: plain, aligned, and each nothrow, which may call what throws */
	{"_Znwm", SHAPE_SIZE0, ABI_KIND_NEW, OPERATOR_NEW},
	{"_Znam", SHAPE_SIZE0, ABI_KIND_NEW, OPERATOR_NEW},
	{"_ZnwmSt11align_val_t", SHAPE_SIZE0, ABI_KIND_NEW, OPERATOR_NEW},
	{"_ZnamSt11align_val_t", SHAPE_SIZE0, ABI_KIND_NEW, OPERATOR_NEW},
	{"_ZnwmRKSt9nothrow_t", SHAPE_SIZE0, ABI_KIND_NEW, OPERATOR_NEW},
	{"_ZnamRKSt9nothrow_t", SHAPE_SIZE0, ABI_KIND_NEW, OPERATOR_NEW},
	{"_ZnwmSt11align_val_tRKSt9nothrow_t", SHAPE_SIZE0, ABI_KIND_NEW, OPERATOR_NEW},
	{"_ZnamSt11align_val_tRKSt9nothrow_t", SHAPE_SIZE0, ABI_KIND_NEW, OPERATOR_NEW},
	/* tcmalloc */
	{"tc_new", SHAPE_SIZE0, ABI_KIND_NEW, OWN_NEW},
	{"tc_new_nothrow", SHAPE_SIZE0, ABI_KIND_NEW, OWN_NEW},
	{"tc_new_aligned", SHAPE_SIZE0, ABI_KIND_NEW, OWN_NEW},
	{"tc_new_aligned_nothrow", SHAPE_SIZE0, ABI_KIND_NEW, OWN_NEW},
	{"tc_newarray", SHAPE_SIZE0, ABI_KIND_NEW, OWN_NEW},
	{"tc_newarray_nothrow", SHAPE_SIZE0, ABI_KIND_NEW, OWN_NEW},
	{"tc_newarray_aligned", SHAPE_SIZE0, ABI_KIND_NEW, OWN_NEW},
	{"tc_newarray_aligned_nothrow", SHAPE_SIZE0, ABI_KIND_NEW, OWN_NEW},
	{"tc_malloc_skip_new_handler", SHAPE_SIZE0, ABI_KIND_MALLOC, OWN},
	{"tcmalloc_size_returning_operator_new", SHAPE_SIZE0, ABI_KIND_NEW, OWN_NEW},
	{"tcmalloc_size_returning_operator_new_nothrow", SHAPE_SIZE0, ABI_KIND_NEW, OWN_NEW},
	{"tcmalloc_size_returning_operator_new_aligned", SHAPE_SIZE0, ABI_KIND_NEW, OWN_NEW},
	{"tcmalloc_size_returning_operator_new_aligned_nothrow", SHAPE_SIZE0, ABI_KIND_NEW,
	 OWN_NEW},
	/* mimalloc */
	{"mi_malloc_small", SHAPE_SIZE0, ABI_KIND_MALLOC, OWN},
	{"mi_zalloc_small", SHAPE_SIZE0, ABI_KIND_CALLOC, OWN},
	{"mi_zalloc", SHAPE_SIZE0, ABI_KIND_CALLOC, OWN},
	{"mi_mallocn", SHAPE_COUNT_SIZE, ABI_KIND_MALLOC, OWN},
	{"mi_reallocn", SHAPE_OLD_COUNT_SIZE, ABI_KIND_REALLOCARRAY, OWN},
	{"mi_rezalloc", SHAPE_OLD_SIZE, ABI_KIND_REALLOC, OWN},
	{"mi_recalloc", SHAPE_OLD_COUNT_SIZE, ABI_KIND_REALLOCARRAY, OWN},
	{"mi_expand", SHAPE_OLD_SIZE, ABI_KIND_REALLOC, OWN},
	{"mi_malloc_aligned", SHAPE_SIZE0, ABI_KIND_ALIGNED_ALLOC, OWN},
	{"mi_malloc_aligned_at", SHAPE_SIZE0, ABI_KIND_ALIGNED_ALLOC, OWN},
	{"mi_zalloc_aligned", SHAPE_SIZE0, ABI_KIND_ALIGNED_ALLOC, OWN},
	{"mi_zalloc_aligned_at", SHAPE_SIZE0, ABI_KIND_ALIGNED_ALLOC, OWN},
	{"mi_calloc_aligned", SHAPE_COUNT_SIZE, ABI_KIND_CALLOC, OWN},
	{"mi_calloc_aligned_at", SHAPE_COUNT_SIZE, ABI_KIND_CALLOC, OWN},
	{"mi_realloc_aligned", SHAPE_OLD_SIZE, ABI_KIND_REALLOC, OWN},
	{"mi_realloc_aligned_at", SHAPE_OLD_SIZE, ABI_KIND_REALLOC, OWN},
	{"mi_rezalloc_aligned", SHAPE_OLD_SIZE, ABI_KIND_REALLOC, OWN},
	{"mi_rezalloc_aligned_at", SHAPE_OLD_SIZE, ABI_KIND_REALLOC, OWN},
	{"mi_recalloc_aligned", SHAPE_OLD_COUNT_SIZE, ABI_KIND_REALLOCARRAY, OWN},
	{"mi_recalloc_aligned_at", SHAPE_OLD_COUNT_SIZE, ABI_KIND_REALLOCARRAY, OWN},
	{"mi_heap_malloc", SHAPE_SIZE1, ABI_KIND_MALLOC, OWN},
	{"mi_heap_malloc_small", SHAPE_SIZE1, ABI_KIND_MALLOC, OWN},
	{"mi_heap_zalloc", SHAPE_SIZE1, ABI_KIND_CALLOC, OWN},
	{"mi_heap_calloc", SHAPE_ANY_COUNT_SIZE, ABI_KIND_CALLOC, OWN},
	{"mi_heap_mallocn", SHAPE_ANY_COUNT_SIZE, ABI_KIND_MALLOC, OWN},
	{"mi_heap_realloc", SHAPE_ANY_OLD_SIZE, ABI_KIND_REALLOC, OWN},
	{"mi_heap_reallocf", SHAPE_ANY_OLD_SIZE, ABI_KIND_REALLOCF, OWN},
	{"mi_heap_reallocn", SHAPE_ANY_OLD_COUNT_SIZE, ABI_KIND_REALLOCARRAY, OWN},
	{"mi_heap_rezalloc", SHAPE_ANY_OLD_SIZE, ABI_KIND_REALLOC, OWN},
	{"mi_heap_recalloc", SHAPE_ANY_OLD_COUNT_SIZE, ABI_KIND_REALLOCARRAY, OWN},
	{"mi_heap_malloc_aligned", SHAPE_SIZE1, ABI_KIND_ALIGNED_ALLOC, OWN},
	{"mi_heap_malloc_aligned_at", SHAPE_SIZE1, ABI_KIND_ALIGNED_ALLOC, OWN},
	{"mi_heap_zalloc_aligned", SHAPE_SIZE1, ABI_KIND_ALIGNED_ALLOC, OWN},
	{"mi_heap_zalloc_aligned_at", SHAPE_SIZE1, ABI_KIND_ALIGNED_ALLOC, OWN},
	{"mi_heap_calloc_aligned", SHAPE_ANY_COUNT_SIZE, ABI_KIND_CALLOC, OWN},
	{"mi_heap_calloc_aligned_at", SHAPE_ANY_COUNT_SIZE, ABI_KIND_CALLOC, OWN},
	{"mi_heap_realloc_aligned", SHAPE_ANY_OLD_SIZE, ABI_KIND_REALLOC, OWN},
	{"mi_heap_realloc_aligned_at", SHAPE_ANY_OLD_SIZE, ABI_KIND_REALLOC, OWN},
	{"mi_heap_rezalloc_aligned", SHAPE_ANY_OLD_SIZE, ABI_KIND_REALLOC, OWN},
	{"mi_heap_rezalloc_aligned_at", SHAPE_ANY_OLD_SIZE, ABI_KIND_REALLOC, OWN},
	{"mi_heap_recalloc_aligned", SHAPE_ANY_OLD_COUNT_SIZE, ABI_KIND_REALLOCARRAY, OWN},
	{"mi_heap_recalloc_aligned_at", SHAPE_ANY_OLD_COUNT_SIZE, ABI_KIND_REALLOCARRAY, OWN},
	{"mi_new", SHAPE_SIZE0, ABI_KIND_NEW, OWN_NEW},
	{"mi_new_n", SHAPE_COUNT_SIZE, ABI_KIND_NEW, OWN_NEW},
	{"mi_new_nothrow", SHAPE_SIZE0, ABI_KIND_NEW, OWN_NEW},
	{"mi_new_aligned", SHAPE_SIZE0, ABI_KIND_NEW, OWN_NEW},
	{"mi_new_aligned_nothrow", SHAPE_SIZE0, ABI_KIND_NEW, OWN_NEW},
	{"mi_new_realloc", SHAPE_OLD_SIZE, ABI_KIND_REALLOC, OWN_NEW},
	{"mi_new_reallocn", SHAPE_OLD_COUNT_SIZE, ABI_KIND_REALLOCARRAY, OWN_NEW},
	{"mi_heap_alloc_new", SHAPE_SIZE1, ABI_KIND_NEW, OWN_NEW},
	{"mi_heap_alloc_new_n", SHAPE_ANY_COUNT_SIZE, ABI_KIND_NEW, OWN_NEW},
	/* the Threading Building Blocks */
	{"scalable_aligned_malloc", SHAPE_SIZE0, ABI_KIND_ALIGNED_ALLOC, OWN},
	{"scalable_aligned_realloc", SHAPE_OLD_SIZE, ABI_KIND_REALLOC, OWN},
};
/* clang-format on */

const size_t allocator_function_count = sizeof(allocator_functions) / sizeof(*allocator_functions);

/* jemalloc, as it is, in Arrow and in Rust; tcmalloc, mimalloc, rpmalloc, snmalloc, TBB, dlmalloc.
 */
const char *const allocator_prefixes[] = {"je_", "je_arrow_", "_rjem_",	   "tc_", "mi_",
					  "rp",	 "sn_",	      "scalable_", "dl"};
const size_t allocator_prefix_count = sizeof(allocator_prefixes) / sizeof(*allocator_prefixes);

#define NO ABI_COOKIE_NO_ARGUMENT

/* Which arguments of a shape are what. */
static const struct {
	uint8_t arguments, size, count, block;
} shapes[SHAPE_COUNT] = {
	[SHAPE_SIZE0] = {1, 0, NO, NO},
	[SHAPE_SIZE1] = {2, 1, NO, NO},
	[SHAPE_COUNT_SIZE] = {2, 1, 0, NO},
	[SHAPE_ANY_COUNT_SIZE] = {3, 2, 1, NO},
	[SHAPE_POSIX_MEMALIGN] = {3, 2, NO, 0},
	[SHAPE_OLD_SIZE] = {2, 1, NO, 0},
	[SHAPE_ANY_OLD_SIZE] = {3, 2, NO, 1},
	[SHAPE_OLD_COUNT_SIZE] = {3, 2, 1, 0},
	[SHAPE_ANY_OLD_COUNT_SIZE] = {4, 3, 2, 1},
	[SHAPE_FREE] = {1, NO, NO, 0},
	[SHAPE_BULK] = {1, NO, NO, NO},
	[SHAPE_BULK_NAMED] = {1, NO, NO, NO},
	[SHAPE_BULK_LOOKUP] = {2, NO, NO, NO},
	[SHAPE_BULK_NUMBERED] = {2, NO, NO, NO},
};

/* What the programs take for the arguments of a kind if the cookie does not tell. */
static enum allocator_shape shape_of_kind(enum abi_kind kind)
{
	switch (kind) {
	case ABI_KIND_NONE:
		return SHAPE_FREE;
	case ABI_KIND_CALLOC:
		return SHAPE_COUNT_SIZE;
	case ABI_KIND_REALLOC:
	case ABI_KIND_REALLOCF:
	case ABI_KIND_XALLOCX:
		return SHAPE_OLD_SIZE;
	case ABI_KIND_REALLOCARRAY:
		return SHAPE_OLD_COUNT_SIZE;
	case ABI_KIND_MEMALIGN:
	case ABI_KIND_ALIGNED_ALLOC:
		return SHAPE_SIZE1;
	case ABI_KIND_POSIX_MEMALIGN:
		return SHAPE_POSIX_MEMALIGN;
	default:
		return SHAPE_SIZE0;
	}
}

unsigned allocator_arguments(enum allocator_shape shape)
{
	return shapes[shape].arguments;
}

uint64_t allocator_cookie(const struct allocator_function *function)
{
	uint64_t cookie = function->kind;

	if (function->flags & ALLOCATOR_BULK)
		return ABI_BULK_ALWAYS + (function->shape - SHAPE_BULK);
	if (function->shape == shape_of_kind(function->kind))
		return cookie;
	return cookie | ABI_COOKIE_SHAPED |
	       (uint64_t)shapes[function->shape].size << ABI_COOKIE_SIZE_SHIFT |
	       (uint64_t)shapes[function->shape].count << ABI_COOKIE_COUNT_SHIFT |
	       (uint64_t)shapes[function->shape].block << ABI_COOKIE_ADDRESS_SHIFT;
}
