/* SPDX-License-Identifier: GPL-2.0-only */
#include "tests/unit/unit.h"

#include "capture/kernel_modules.h"
#include "core/sitekey.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NOTE "\4\0\0\0\4\0\0\0\3\0\0\0GNU"

static void write_file(const char *root, const char *name, const char *text, size_t size)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", root, name);
	FILE *file;

	for (char *slash = strchr(path + strlen(root) + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

/* A machine whose kernel starts at `text` and whose module at `module`. */
static struct modules *boot(uint64_t text, uint64_t module, char build)
{
	char root[] = "/tmp/memtop-kernel-XXXXXX", lines[512], note[20] = NOTE;
	_cleanup_free_ char *rm = NULL;
	struct modules *modules = modules_new();

	assert_non_null(mkdtemp(root));
	snprintf(lines, sizeof(lines),
		 "0000000000000000 A fixed_percpu_data\n%016" PRIx64 " T _stext\n%016" PRIx64
		 " T _text\n",
		 text, text);
	write_file(root, "proc/kallsyms", lines, strlen(lines));
	snprintf(lines, sizeof(lines),
		 "ext4 4096 1 jbd2,mbcache, Live 0x%016" PRIx64
		 "\nloop 8192 0 - Live 0x0000000000000000\nbroken line\n",
		 module);
	write_file(root, "proc/modules", lines, strlen(lines));
	note[16] = build;
	write_file(root, "sys/kernel/notes", note, sizeof(note));
	write_file(root, "sys/module/ext4/notes/.note.gnu.build-id", note, sizeof(note) - 5);
	kernel_modules_update(modules, root, 10);
	kernel_modules_update(modules, root, 20);
	rm = xasprintf("rm -r %s", root);
	assert_int_equal(system(rm), 0);
	return modules;
}

static uint64_t key(const struct modules *modules, uint64_t first, uint64_t second)
{
	uint64_t frames[] = {first, second};

	return sitekey(modules, 30, ABI_KIND_SLAB, frames, 2);
}

static void test_keys_survive_a_boot(void **state)
{
	struct modules *once = boot(0xffffffff81000000, 0xffffffffc0000000, 'a');
	struct modules *again = boot(0xffffffff9c200000, 0xffffffffc0471000, 'a');
	struct modules *other = boot(0xffffffff81000000, 0xffffffffc0000000, 'b');
	uint64_t expected = key(once, 0xffffffff81234567, 0xffffffffc0000123);

	(void)state;
	assert_int_equal(key(again, 0xffffffff9c434567, 0xffffffffc0471123), expected);
	assert_int_not_equal(key(again, 0xffffffff9c434568, 0xffffffffc0471123), expected);
	assert_int_not_equal(key(other, 0xffffffff81234567, 0xffffffffc0000123), expected);
	modules_free(once);
	modules_free(again);
	modules_free(other);
}

static void test_rows(void **state)
{
	struct modules *modules = boot(0xffffffff81000000, 0xffffffff82000000, 'a');
	const struct module *row;

	(void)state;
	assert_int_equal(modules_count(modules), 2);
	row = modules_find(modules, 0xffffffff81000000, 30);
	assert_string_equal(row->path, "[kernel]");
	assert_int_equal(row->bias, 0xffffffff81000000);
	assert_int_equal(row->end, 0xffffffff82000000);
	assert_int_equal(row->build_id_size, 4);
	row = modules_find(modules, 0xffffffff82000fff, 30);
	assert_string_equal(row->path, "[ext4]");
	/* Its note is cut short. */
	assert_int_equal(row->build_id_size, 0);
	assert_null(modules_find(modules, 0xffffffff82001000, 30));
	modules_free(modules);
}

static void test_hidden(void **state)
{
	struct modules *modules = boot(0, 0, 'a');

	(void)state;
	assert_int_equal(modules_count(modules), 0);
	modules_free(modules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys_survive_a_boot),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_hidden),
	};

	return cmocka_run_group_tests_name("kernel_modules", tests, NULL, NULL);
}
