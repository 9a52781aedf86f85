/* SPDX-License-Identifier: GPL-2.0-only */
#include "tests/unit/unit.h"

#include "capture/procmaps.h"

#include "capture/elfimage.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static const char fixture[] =
	"55d5f7216000-55d5f721b000 r-xp 00002000 fe:10 247134                     /usr/bin/cat\n"
	"55d636344000-55d636365000 rw-p 00000000 00:00 0                          [heap]\n"
	"7f29797a8000-7f29797ca000 rw-p 00000000 00:00 0 \n"
	"7f29797ca000-7f2979821000 r--s 00000000 00:01 3                          /memfd:a b (deleted)\n"
	"7f2979821000-7f2979822000 r-xp 00001000 fe:00 4                          /tmp/new\\012line\\011 "
	"(deleted) x\n"
	"7f2979a20000-7f2979a22000 r-xp 00000000 00:00 0                          [vdso]\n"
	"7ffd7350b000-7ffd7352c000 rw-p 00000000 00:00 0                          [stack]\n"
	"7fffffffe000-7ffffffff000 --xp 00000000 00:00 0                          [uprobes]\n"
	"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";

static void fields(void **state)
{
	struct procmaps maps;
	const struct mapping *m;

	(void)state;
	assert_int_equal(procmaps_parse(strdup(fixture), &maps), 0);
	assert_int_equal(maps.count, 9);
	m = maps.data;
	assert_int_equal(m->start, 0x55d5f7216000);
	assert_int_equal(m->end, 0x55d5f721b000);
	assert_int_equal(m->offset, 0x2000);
	assert_int_equal(m->device, makedev(0xfe, 0x10));
	assert_int_equal(m->inode, 247134);
	assert_string_equal(m->perms, "r-xp");
	assert_string_equal(m->path, "/usr/bin/cat");
	assert_false(m->deleted);
	assert_string_equal(m[1].path, "[heap]");
	assert_string_equal(m[2].path, "");
	assert_string_equal(m[3].path, "/memfd:a b");
	assert_true(m[3].deleted);
	/* A newline is all that the kernel escapes. */
	assert_string_equal(m[4].path, "/tmp/new\nline\\011 (deleted) x");
	assert_false(m[4].deleted);
	assert_string_equal(m[7].path, "[uprobes]");
	assert_int_equal(m[8].end, 0xffffffffff601000);
	procmaps_deinit(&maps);
}

static void finds_by_address(void **state)
{
	struct procmaps maps;

	(void)state;
	assert_int_equal(procmaps_parse(strdup(fixture), &maps), 0);
	assert_ptr_equal(procmaps_find(&maps, 0x55d636344000), &maps.data[1]);
	assert_ptr_equal(procmaps_find(&maps, 0x55d636364fff), &maps.data[1]);
	assert_null(procmaps_find(&maps, 0x55d636365000));
	assert_null(procmaps_find(&maps, 0));
	assert_null(procmaps_find(&maps, UINT64_MAX));
	procmaps_deinit(&maps);
}

static void very_long_path(void **state)
{
	static const char head[] = "1000-2000 r-xp 00000000 fe:00 5 /";
	size_t length = sizeof(head) - 1 + 60000;
	char *text = malloc(length + 2);
	struct procmaps maps;

	(void)state;
	memset(text, 'p', length);
	memcpy(text, head, sizeof(head) - 1);
	strcpy(text + length, "\n");
	assert_int_equal(procmaps_parse(text, &maps), 0);
	assert_int_equal(maps.count, 1);
	assert_int_equal(strlen(maps.data[0].path), 60001);
	procmaps_deinit(&maps);
}

static void refuses_garbage(void **state)
{
	static const char *const lines[] = {
		"x",
		"1000",
		"1000-",
		"1000-2000",
		"1000-2000 r-x",
		"1000-2000 r-xp 0",
		"1000-2000 r-xp 0 fe:00",
		"1000-2000 r-xp 0 fe:00 z",
		"2000-1000 r-xp 0 fe:00 1 /a",
		"1000-2000 r-xp 0 fe:00 1 /a\n\n1000-2000 r-xp 0 fe:00 1 /a",
	};
	struct procmaps maps;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		assert_int_equal(procmaps_parse(strdup(lines[i]), &maps), -EINVAL);
		assert_null(maps.data);
		assert_null(maps.text);
	}
	assert_int_equal(procmaps_read(0x7ffffffe, &maps), -ESRCH);
	procmaps_deinit(&maps);
}

static void zombie_has_no_memory(void **state)
{
	struct procmaps maps;
	siginfo_t info;
	pid_t pid = fork();

	(void)state;
	if (!pid)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(procmaps_read(pid, &maps), -ESRCH);
	procmaps_deinit(&maps);
	waitpid(pid, NULL, 0);
}

static const struct module *module_at(struct modules *modules, const void *address)
{
	for (size_t i = 0; i < modules_count(modules); i++) {
		const struct module *row = modules_get(modules, i);

		if (row->to_ns == UINT64_MAX && (uintptr_t)address >= row->start &&
		    (uintptr_t)address < row->end)
			return row;
	}
	return NULL;
}

static int update(struct modules *modules, uint64_t now_ns)
{
	struct procmaps maps;
	int changes;

	assert_int_equal(procmaps_read(getpid(), &maps), 0);
	changes = procmaps_update_modules(modules, &maps, getpid(), now_ns);
	procmaps_deinit(&maps);
	return changes;
}

/* Each row's bias against what the dynamic linker itself says, [vdso] and executable included. */
static int compare_bias(struct dl_phdr_info *info, size_t size, void *data)
{
	struct modules *modules = data;

	(void)size;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		const struct module *row;

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_X))
			continue;
		row = module_at(modules, (void *)(info->dlpi_addr + p->p_vaddr));
		assert_non_null(row);
		/* The vdso is linked for address 0, whatever its dlpi_addr is called. */
		assert_int_equal(row->bias, info->dlpi_addr);
	}
	return 0;
}

static void modules_of_self(void **state)
{
	struct modules *modules = modules_new();
	const struct module *libc, *vdso;
	size_t count;

	(void)state;
	assert_true(update(modules, 10) >= 3);
	dl_iterate_phdr(compare_bias, modules);
	libc = module_at(modules, (void *)(uintptr_t)dlsym(RTLD_NEXT, "l64a"));
	assert_non_null(libc);
	assert_non_null(strstr(libc->path, "libc"));
	assert_int_equal(libc->from_ns, 10);
	assert_int_equal(libc->build_id_size, 20);
	vdso = module_at(modules, (char *)getauxval(AT_SYSINFO_EHDR) + 64);
	assert_non_null(vdso);
	assert_string_equal(vdso->path, "[vdso]");
	assert_int_equal(vdso->build_id_size, 20);
	count = modules_count(modules);
	assert_int_equal(update(modules, 20), 0);
	assert_int_equal(modules_count(modules), count);
	modules_free(modules);
}

static void modules_come_and_go(void **state)
{
	struct modules *modules = modules_new();
	int fd = open("/proc/self/exe", O_RDONLY);
	struct stat st;
	const struct module *row;
	char *first, *second;
	uint32_t id;

	(void)state;
	assert_int_equal(fstat(fd, &st), 0);
	update(modules, 1);
	first = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(first, MAP_FAILED);
	assert_int_equal(update(modules, 2), 1);
	row = module_at(modules, first);
	assert_non_null(row);
	assert_int_equal(row->inode, st.st_ino);
	assert_int_equal(row->bias, (uintptr_t)first);
	id = row->id;
	/* A second mapping of the same piece: same file facts, its own place. */
	second = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	update(modules, 3);
	row = module_at(modules, second);
	assert_non_null(row);
	assert_int_equal(row->bias, (uintptr_t)second);
	assert_int_equal(row->build_id_size, 20);
	munmap(second, 4096);
	/* The same addresses, another file: the old row closes, a new one opens. */
	close(fd);
	fd = open("/lib64/ld-linux-x86-64.so.2", O_RDONLY);
	if (fd < 0)
		fd = open("/lib/ld-linux-aarch64.so.1", O_RDONLY);
	assert_true(fd >= 0);
	assert_ptr_equal(mmap(first, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, 0),
			 first);
	assert_true(update(modules, 4) >= 2);
	assert_int_equal(modules_get(modules, id - 1)->to_ns, 4);
	row = module_at(modules, first);
	assert_non_null(row);
	assert_int_not_equal(row->id, id);
	munmap(first, 4096);
	assert_int_equal(update(modules, 5), 1);
	assert_null(module_at(modules, first));
	close(fd);
	modules_free(modules);
}

static void file_that_was_deleted(void **state)
{
	char name[] = "/tmp/test_procmaps.XXXXXX";
	struct modules *modules = modules_new();
	int exe = open("/proc/self/exe", O_RDONLY), fd = mkstemp(name);
	const struct module *row;
	char buffer[8192], *address;
	ssize_t n;

	(void)state;
	while ((n = read(exe, buffer, sizeof(buffer))) > 0)
		assert_int_equal(write(fd, buffer, (size_t)n), n);
	address = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(address, MAP_FAILED);
	unlink(name);
	update(modules, 1);
	row = module_at(modules, address);
	assert_non_null(row);
	assert_true(row->deleted);
	assert_string_equal(row->path, name);
	assert_int_equal(row->build_id_size, 20);
	munmap(address, 4096);
	close(fd);
	close(exe);
	modules_free(modules);
}

static void bias_prefers_executable(void **state)
{
	/* The text's first page of the file holds the end of what comes before it. */
	struct elf_segment segments[] = {
		{.address = 0, .offset = 0, .file_size = 0x1234, .memory_size = 0x1234},
		{.address = 0x3234, .offset = 0x1234, .file_size = 0x1000, .executable = true},
	};
	struct elf_image image = {.segments = segments, .segment_count = 2};
	uint64_t bias = 0, offset = 0;

	(void)state;
	assert_true(elf_image_bias(&image, 0x7f0000003000, 0x1000, &bias));
	assert_int_equal(bias, 0x7f0000000000);
	assert_true(elf_image_bias(&image, 0x7f0000000000, 0, &bias));
	assert_int_equal(bias, 0x7f0000000000);
	assert_false(elf_image_bias(&image, 0x7f0000000000, 0x9000, &bias));
	assert_true(elf_image_file_offset(&image, 0x3240, &offset));
	assert_int_equal(offset, 0x1240);
	assert_false(elf_image_file_offset(&image, 0x9999, &offset));
}

static void image_refuses_garbage(void **state)
{
	char garbage[256], name[] = "/tmp/test_procmaps.XXXXXX";
	struct elf_image image;
	int fd = mkstemp(name);
	Elf64_Ehdr header = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			    EV_CURRENT},
		.e_type = ET_DYN,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = UINT64_MAX - 8,
		.e_phnum = 0xfffe,
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_ehsize = sizeof(Elf64_Ehdr),
	};

	(void)state;
	unlink(name);
	memset(garbage, 0x7f, sizeof(garbage));
	assert_int_equal(elf_image_read_memory(garbage, sizeof(garbage), &image), -ENOEXEC);
	elf_image_deinit(&image);
	assert_int_equal(elf_image_read(fd, &image), -ENOEXEC);
	elf_image_deinit(&image);
	assert_int_equal(write(fd, &header, sizeof(header)), sizeof(header));
	if (!elf_image_read(fd, &image))
		assert_int_equal(image.segment_count, 0);
	elf_image_deinit(&image);
	close(fd);
}

static void anonymous_code(void **state)
{
	static const char text[] = "1000-3000 r-xp 00000000 00:00 0 \n"
				   "3000-5000 rwxp 00000000 00:00 0 \n"
				   "6000-7000 rw-p 00000000 00:00 0 \n"
				   "7000-8000 r-xp 00000000 00:00 0          [anon:code]\n"
				   "8000-9000 r-xp 00000000 08:01 17         /usr/lib/a.so\n"
				   "9000-a000 r-xp 00000000 00:00 0          [vdso]\n"
				   "b000-c000 r-xp 00000000 00:00 0 \n";
	static const struct unwinder_range expected[] = {
		{0x1000, 0x5000}, {0x7000, 0x8000}, {0xb000, 0xc000}};
	struct unwinder_range ranges[3];
	struct procmaps maps;

	(void)state;
	assert_int_equal(procmaps_parse(strdup(text), &maps), 0);
	assert_int_equal(procmaps_anonymous_code(&maps, ranges, 3), 3);
	assert_memory_equal(ranges, expected, sizeof(expected));
	assert_int_equal(procmaps_anonymous_code(&maps, ranges, 1), 1);
	assert_memory_equal(ranges, expected, sizeof(*expected));
	procmaps_deinit(&maps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields),
		cmocka_unit_test(finds_by_address),
		cmocka_unit_test(very_long_path),
		cmocka_unit_test(anonymous_code),
		cmocka_unit_test(refuses_garbage),
		cmocka_unit_test(zombie_has_no_memory),
		cmocka_unit_test(modules_of_self),
		cmocka_unit_test(modules_come_and_go),
		cmocka_unit_test(file_that_was_deleted),
		cmocka_unit_test(bias_prefers_executable),
		cmocka_unit_test(image_refuses_garbage),
	};

	return cmocka_run_group_tests_name("procmaps", tests, NULL, NULL);
}
