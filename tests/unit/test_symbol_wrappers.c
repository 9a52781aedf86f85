/* SPDX-License-Identifier: GPL-2.0-only */
#include "symbol/wrappers.h"

#include "tests/unit/unit.h"

static void test_wrappers(void **state)
{
	static const char *const names[] = {
		"malloc",
		"__libc_malloc",
		"operator new",
		"operator new[]",
		"strdup",
		"getline",
		"g_malloc0_n",
		"je_malloc",
		"xmalloc",
		"std::allocator<int>::allocate",
		"std::__new_allocator<std::pair<int const, char> >::allocate",
		"__gnu_cxx::new_allocator<std::_Rb_tree_node<std::pair<int const, long> > >::allocate",
		"std::allocator_traits<std::allocator<char> >::allocate",
		"std::_Vector_base<int, std::allocator<int> >::_M_allocate",
		"std::__detail::_Hashtable_alloc<std::allocator<int> >::_M_allocate_node<int const&>",
		"std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >::_M_create",
		"alloc::raw_vec::finish_grow",
		"kmem_cache_alloc_noprof",
		"std::_Rb_tree<int, std::less<int> >::_M_create_node [clone .isra.0]",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!wrapper_is(names[i]))
			fail_msg("%s is a wrapper", names[i]);
}

static void test_others(void **state)
{
	static const char *const names[] = {
		"",
		"mallocator",
		"my_malloc_user",
		"jpeg_decode_frame",
		"operator<<",
		"operator new_thing",
		"vision::FramePool::get",
		"std::vector<int, std::allocator<int> >::push_back",
		"std::vector<std::allocator<int>::allocate>::resize",
		"vision::operator< <int>",
		"FeatureCache::put",
		"strdup_all",
		"std::allocator<int>",
		"<<<<<<",
		">>>",
	};

	(void)state;
	assert_false(wrapper_is(NULL));
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (wrapper_is(names[i]))
			fail_msg("%s is no wrapper", names[i]);
}

static void test_long_names(void **state)
{
	static char name[100000];

	(void)state;
	for (size_t i = 0; i < sizeof(name) - 1; i++)
		name[i] = i % 3 ? '<' : 'a';
	assert_false(wrapper_is(name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrappers),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_long_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
