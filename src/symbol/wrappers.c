/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A row is a name without template arguments; a `*` at its end stands for any rest. A function
 * belongs here if the memory that it takes is its caller's in the eyes of who reads the stack. A
 * container's own operations (vector::push_back) do not: they are what the reader looks for.
 */
#include "symbol/wrappers.h"

#include <stddef.h>
#include <string.h>

#define MAX_NAME 512

static const char *const table[] = {
	/* the C library and what takes its place */
	"malloc",
	"calloc",
	"realloc",
	"reallocarray",
	"memalign",
	"posix_memalign",
	"aligned_alloc",
	"valloc",
	"pvalloc",
	"__libc_malloc",
	"__libc_calloc",
	"__libc_realloc",
	"__libc_memalign",
	"__libc_valloc",
	"__libc_pvalloc",
	"__libc_reallocarray",
	"__GI___libc_malloc",
	"__GI___libc_calloc",
	"__GI___libc_realloc",
	"__interceptor_malloc",
	"__interceptor_calloc",
	"__interceptor_realloc",
	"je_*",
	"mi_*",
	"tc_*",
	"rpmalloc",
	"rpcalloc",
	"rprealloc",
	"rpaligned_alloc",
	"scalable_malloc",
	"scalable_calloc",
	"scalable_realloc",
	"scalable_aligned_malloc",
	"tbb::detail::r1::allocate_memory",
	"tbb::detail::r1::cache_aligned_allocate",
	/* text and lines that the C library allocates for its caller */
	"strdup",
	"strndup",
	"__strdup",
	"__strndup",
	"wcsdup",
	"__wcsdup",
	"asprintf",
	"vasprintf",
	"__asprintf",
	"__vasprintf",
	"__asprintf_chk",
	"__vasprintf_chk",
	"___asprintf_chk",
	"___vasprintf_chk",
	"__vasprintf_internal",
	"getline",
	"__getline",
	"getdelim",
	"__getdelim",
	"_IO_getdelim",
	"_IO_getline",
	/* the usual names in C programs */
	"xmalloc",
	"xcalloc",
	"xrealloc",
	"xreallocarray",
	"xzalloc",
	"xstrdup",
	"xstrndup",
	"xasprintf",
	"xvasprintf",
	"xmemdup",
	"zmalloc",
	"zcalloc",
	"zrealloc",
	"zstrdup",
	"safe_malloc",
	"safe_calloc",
	"safe_realloc",
	"checked_malloc",
	/* GLib */
	"g_malloc*",
	"g_try_malloc*",
	"g_realloc*",
	"g_try_realloc*",
	"g_aligned_alloc*",
	"g_slice_alloc*",
	"g_slice_copy",
	"g_memdup*",
	"g_strdup",
	"g_strndup",
	"g_strdup_printf",
	"g_strdup_vprintf",
	"g_vasprintf",
	"g_strconcat",
	/* other libraries' own */
	"av_malloc*",
	"av_mallocz*",
	"av_calloc",
	"av_realloc*",
	"av_strdup",
	"av_strndup",
	"av_memdup",
	"CRYPTO_malloc",
	"CRYPTO_zalloc",
	"CRYPTO_realloc",
	"CRYPTO_strdup",
	"CRYPTO_memdup",
	"sqlite3_malloc*",
	"sqlite3_realloc*",
	"sqlite3Malloc*",
	"sqlite3MemMalloc",
	"PyMem_Malloc",
	"PyMem_Calloc",
	"PyMem_Realloc",
	"PyMem_RawMalloc",
	"PyMem_RawCalloc",
	"PyMem_RawRealloc",
	"PyObject_Malloc",
	"PyObject_Calloc",
	"PyObject_Realloc",
	"_PyMem_RawMalloc",
	"_PyMem_RawCalloc",
	"_PyMem_RawRealloc",
	"_PyObject_Malloc",
	"_PyObject_Calloc",
	"_PyObject_Realloc",
	"cv::fastMalloc",
	"Eigen::internal::aligned_malloc",
	"Eigen::internal::conditional_aligned_malloc",
	"Eigen::internal::conditional_aligned_new*",
	"folly::checkedMalloc",
	"absl::base_internal::LowLevelAlloc::Alloc*",
	"SDL_malloc*",
	"SDL_calloc*",
	"SDL_realloc*",
	/* C++ */
	"operator new",
	"operator new[]",
	"std::allocator::allocate",
	"std::__allocate_guarded*",
	"std::allocator_traits::allocate",
	"std::__new_allocator::allocate",
	"__gnu_cxx::new_allocator::allocate",
	"__gnu_cxx::malloc_allocator::allocate",
	"__gnu_cxx::__alloc_traits::allocate",
	"__gnu_cxx::__pool_alloc::allocate",
	"__gnu_cxx::__mt_alloc::allocate",
	"__gnu_cxx::bitmap_allocator::allocate",
	"std::pmr::memory_resource::allocate",
	"std::pmr::polymorphic_allocator::allocate",
	"std::get_temporary_buffer",
	"std::__detail::__get_temporary_buffer",
	"std::__detail::_Hashtable_alloc::_M_allocate_*",
	"std::__detail::_ReuseOrAllocNode::operator()",
	"std::__detail::_AllocNode::operator()",
	"std::_Vector_base::_M_allocate",
	"std::_Vector_base::_M_create_storage",
	"std::_Bvector_base::_M_allocate",
	"std::_Deque_base::_M_allocate_*",
	"std::_Deque_base::_M_create_nodes",
	"std::_Rb_tree::_M_get_node",
	"std::_Rb_tree::_M_create_node",
	"std::_Rb_tree::_Alloc_node::operator()",
	"std::__cxx11::_List_base::_M_get_node",
	"std::__cxx11::list::_M_create_node",
	"std::_Fwd_list_base::_M_get_node",
	"std::_Fwd_list_base::_M_create_node",
	"std::__cxx11::basic_string::_M_create",
	"std::basic_string::_M_create",
	"std::string::_Rep::_S_create",
	"std::basic_string::_Rep::_S_create",
	"std::__shared_count::__shared_count",
	"std::__shared_ptr::__shared_ptr",
	"std::shared_ptr::shared_ptr",
	"std::make_shared",
	"std::allocate_shared",
	"std::make_unique",
	"std::__make_unique",
	"std::_Function_base::_Base_manager::_M_create",
	"std::__1::allocator::allocate",
	"std::__1::allocator_traits::allocate",
	"std::__1::__libcpp_allocate",
	"std::__1::__libcpp_operator_new",
	"std::__1::__allocate_at_least",
	"std::__1::__split_buffer::__split_buffer",
	"std::__1::make_shared",
	"std::__1::allocate_shared",
	"std::__1::make_unique",
	/* Rust */
	"__rust_alloc",
	"__rust_alloc_zeroed",
	"__rust_realloc",
	"__rdl_alloc",
	"__rdl_alloc_zeroed",
	"__rdl_realloc",
	"__rg_alloc",
	"__rg_alloc_zeroed",
	"__rg_realloc",
	"alloc::alloc::*",
	"alloc::raw_vec::*",
	"alloc::boxed::Box::new",
	"std::alloc::*",
	"std::sys::alloc::*",
	"std::sys::unix::alloc::*",
	"std::sys::pal::unix::alloc::*",
	/* the kernel */
	"kmalloc*",
	"__kmalloc*",
	"__do_kmalloc_node",
	"kzalloc*",
	"kcalloc*",
	"krealloc*",
	"__krealloc*",
	"kvmalloc*",
	"__kvmalloc*",
	"kvrealloc*",
	"kmem_cache_alloc*",
	"__kmem_cache_alloc*",
	"kmemdup*",
	"kvmemdup*",
	"kstrdup*",
	"kstrndup",
	"kasprintf",
	"kvasprintf*",
	"memdup_user*",
	"vmemdup_user*",
	"strndup_user",
	"slab_alloc*",
	"__slab_alloc*",
	"___slab_alloc",
	"alloc_pages*",
	"__alloc_pages*",
	"__alloc_frozen_pages*",
	"alloc_frozen_pages*",
	"__folio_alloc*",
	"folio_alloc*",
	"vma_alloc_folio*",
	"__get_free_pages*",
	"get_zeroed_page*",
	"get_free_pages*",
	"vmalloc*",
	"vzalloc*",
	"__vmalloc*",
	"pcpu_alloc*",
	"__alloc_percpu*",
	"__traceiter_*",
	"trace_event_raw_event_*",
	"bpf_trace_run*",
	"bpf_prog_*",
	"bpf_trampoline_*",
};

/* Whether the `<` at `at` opens template arguments, or is part of an operator's name. */
static bool opens_arguments(const char *name, const char *at)
{
	static const char word[] = "operator";
	const char *from = at;

	while (from > name && (from[-1] == '<' || from[-1] == '-'))
		from--;
	return (size_t)(from - name) < sizeof(word) - 1 ||
	       memcmp(from - (sizeof(word) - 1), word, sizeof(word) - 1) != 0;
}

/* The name without template arguments. Rust's leading "<T as Trait>::" stays: rows name paths. */
static void strip_arguments(const char *name, char *ret)
{
	size_t length = 0;
	unsigned depth = 0;

	for (const char *c = name; *c && length < MAX_NAME - 1; c++) {
		if (*c == '<' && c > name && (depth || opens_arguments(name, c)))
			depth++;
		else if (*c == '>' && depth)
			depth--;
		else if (!depth)
			ret[length++] = *c;
	}
	ret[length] = '\0';
}

static bool matches(const char *row, const char *name)
{
	size_t length = strlen(row);

	if (row[length - 1] == '*')
		return !strncmp(row, name, length - 1);
	return !strcmp(row, name);
}

/* "[abi:cxx11]" and "[clone .cold]" say nothing of what a function does. */
static void strip_marks(char *name)
{
	size_t length = strlen(name);
	char *mark = strstr(name, " [clone ");

	if (mark)
		*mark = '\0';
	mark = strstr(name, "[abi:");
	if (mark && name[length - 1] == ']')
		*mark = '\0';
}

bool wrapper_is(const char *symbol)
{
	char name[MAX_NAME];

	if (!symbol)
		return false;
	strip_arguments(symbol, name);
	strip_marks(name);
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (matches(table[i], name))
			return true;
	return false;
}
