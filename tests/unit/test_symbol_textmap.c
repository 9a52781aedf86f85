/* SPDX-License-Identifier: GPL-2.0-only */
#include "symbol/textmap.h"

#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void test_kallsyms(void **state)
{
	static const char text[] = "ffffffff81000000 T _stext\n"
				   "ffffffff81000000 T _text\n"
				   "ffffffff81000000 T startup_64\n"
				   "ffffffff81000100 t local\n"
				   "ffffffff81000200 D data\n"
				   "ffffffffc0a01000 t nft_do_chain\t[nf_tables]\n"
				   "not a line\n"
				   "ffffffff\n"
				   "ffffffff81000300 T";
	const struct symtab_entry *entry;
	struct textmap map;

	(void)state;
	textmap_parse_kallsyms(&map, strdup(text), strlen(text));
	assert_int_equal(map.base, 0xffffffff81000000);
	entry = symtab_find(map.symtab, 0xffffffff810000ff);
	assert_string_equal(entry->name, "startup_64");
	assert_string_equal(textmap_kernel_module(entry), "[kernel]");
	entry = symtab_find(map.symtab, 0xffffffff81000180);
	assert_string_equal(entry->name, "local");
	assert_true(textmap_kernel_is_text(entry));
	assert_false(textmap_kernel_is_text(symtab_find(map.symtab, 0xffffffff81000200)));
	entry = symtab_find(map.symtab, 0xffffffffc0a01010);
	assert_string_equal(entry->name, "nft_do_chain");
	assert_string_equal(textmap_kernel_module(entry), "[nf_tables]");
	assert_true(textmap_kernel_is_text(entry));
	/* a gap is no function */
	assert_null(symtab_find(map.symtab, 0xffffffff90000000));
	textmap_deinit(&map);
}

static void test_hidden_kallsyms(void **state)
{
	static const char text[] = "0000000000000000 T _text\n0000000000000000 T schedule\n";
	struct textmap map;

	(void)state;
	textmap_parse_kallsyms(&map, strdup(text), strlen(text));
	assert_int_equal(symtab_count(map.symtab), 0);
	textmap_deinit(&map);
}

static void test_perf_map(void **state)
{
	static const char text[] = "7f0000001000 20 LazyCompile:~old file.js:1\n"
				   "7f0000001000 20 new name with blanks\n"
				   "0x7f0000002000 0x10 prefixed\n"
				   "7f0000003000 0 empty\n"
				   "7f0000004000 10\n"
				   "zzz\n\n"
				   "7f0000005000 ffffffffffffffff long";
	struct textmap map;

	(void)state;
	textmap_parse_perf(&map, strdup(text), strlen(text));
	assert_string_equal(symtab_find(map.symtab, 0x7f000000101f)->name, "new name with blanks");
	assert_null(symtab_find(map.symtab, 0x7f0000001020));
	assert_string_equal(symtab_find(map.symtab, 0x7f0000002001)->name, "prefixed");
	assert_null(symtab_find(map.symtab, 0x7f0000003000));
	assert_null(symtab_find(map.symtab, 0x7f0000004001));
	assert_string_equal(symtab_find(map.symtab, 0x7f0000005001)->name, "long");
	textmap_deinit(&map);
}

static void test_read_is_bounded(void **state)
{
	int fd = memfd_create("textmap", MFD_CLOEXEC);
	char *text;
	size_t size;

	(void)state;
	assert_int_equal(write(fd, "some text", 9), 9);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(textmap_read(fd, &text, &size), 0);
	assert_int_equal(size, 9);
	assert_string_equal(text, "some text");
	free(text);
	assert_int_equal(ftruncate(fd, TEXTMAP_MAX_BYTES + 1), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(textmap_read(fd, &text, &size), -EFBIG);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kallsyms),
		cmocka_unit_test(test_hidden_kallsyms),
		cmocka_unit_test(test_perf_map),
		cmocka_unit_test(test_read_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
