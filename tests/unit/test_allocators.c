/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The points found in real processes: this one, and small programs that the compiler is asked for
 * (static, stripped, with an allocator of their own, with one preloaded).
 */
#include "tests/unit/unit.h"

#include "capture/allocators.h"

#include "capture/linkmap.h"
#include "util/alloc.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int find_with(pid_t pid, const struct allocators_options *options,
		     struct probe_points *points, char *error, size_t size)
{
	struct procmaps maps;
	int status;

	assert_int_equal(procmaps_read(pid, &maps), 0);
	status = allocators_find(pid, &maps, options, points, error, size);
	procmaps_deinit(&maps);
	return status;
}

static int find(pid_t pid, struct probe_points *points, char *error, size_t size)
{
	return find_with(pid, NULL, points, error, size);
}

static const struct probe_point *point_of(const struct probe_points *points, const char *name)
{
	for (size_t i = 0; i < points->count; i++)
		if (!strcmp(points->data[i].name, name))
			return &points->data[i];
	return NULL;
}

static void table_is_consistent(void **state)
{
	bool seen_allocating = false;

	(void)state;
	for (size_t i = 0; i < allocator_function_count; i++) {
		const struct allocator_function *f = &allocator_functions[i];

		assert_true(allocator_arguments(f->shape) >= 1);
		assert_true(allocator_arguments(f->shape) <= 4);
		assert_int_equal(f->kind == ABI_KIND_NONE, f->shape >= SHAPE_FREE);
		assert_int_equal(!(f->flags & ALLOCATOR_BULK), f->shape <= SHAPE_FREE);
		/* Frees are watched first. */
		seen_allocating |= f->shape < SHAPE_FREE;
		assert_true(!seen_allocating || f->shape < SHAPE_FREE);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(f->name, allocator_functions[j].name);
	}
}

/* Each point against what this process itself is bound to, and its bytes against the memory. */
static void points_of_self(void **state)
{
	static const char *const names[] = {"free",    "malloc",   "calloc",
					    "realloc", "memalign", "posix_memalign",
					    "valloc",  "pvalloc",  "reallocarray"};
	struct probe_points points;
	char error[256];

	(void)state;
#ifdef __SANITIZE_ADDRESS__
	skip(); /* the sanitizer's own allocator has other functions */
#endif
	assert_int_equal(find(getpid(), &points, error, sizeof(error)), 0);
	assert_int_equal(points.count, sizeof(names) / sizeof(*names));
	for (size_t i = 0; i < points.count; i++) {
		const struct probe_point *p = point_of(&points, names[i]);
		char in_file[16];
		int fd;

		assert_non_null(p);
		assert_int_equal(p->address, (uintptr_t)dlsym(RTLD_DEFAULT, names[i]));
		fd = open(p->path, O_RDONLY);
		assert_true(fd >= 0);
		assert_int_equal(pread(fd, in_file, 16, (off_t)p->entry_offset), 16);
		assert_memory_equal(in_file, (void *)(uintptr_t)p->address, 16);
		close(fd);
		assert_true(p->probe_offset >= p->entry_offset);
		assert_true(p->probe_offset - p->entry_offset < 64);
	}
	/* aligned_alloc is memalign, cfree is free: one probe each. */
	assert_null(point_of(&points, "aligned_alloc"));
	assert_null(point_of(&points, "cfree"));
	assert_true(points.data[0].frees);
	probe_points_deinit(&points);
}

/* The C library of Debian 12; its instructions are known. */
static void sites_in_glibc_2_36(void **state)
{
	static const struct {
		const char *name;
		unsigned skipped;
		bool single_step;
	} sites[] = {
		{"malloc", 0, false}, {"calloc", 0, false},   {"realloc", 0, false},
		{"free", 3, false},   {"memalign", 7, false}, {"posix_memalign", 7, false},
		{"valloc", 7, false}, {"pvalloc", 7, false},  {"reallocarray", 0, true},
	};
	static const uint8_t known_free[] = {0x48, 0x85, 0xff, 0x0f, 0x84};
	struct probe_points points;
	char error[256];

	(void)state;
	if (memcmp(dlsym(RTLD_DEFAULT, "free"), known_free, sizeof(known_free)))
		skip();
	assert_int_equal(find(getpid(), &points, error, sizeof(error)), 0);
	for (size_t i = 0; i < sizeof(sites) / sizeof(*sites); i++) {
		const struct probe_point *p = point_of(&points, sites[i].name);

		assert_non_null(p);
		assert_int_equal(p->probe_offset - p->entry_offset, sites[i].skipped);
		assert_int_equal(p->single_step, sites[i].single_step);
	}
	probe_points_deinit(&points);
}

static void linker_order_of_self(void **state)
{
	struct linkmap linkmap;
	Dl_info libc;
	struct procmaps maps;
	const struct mapping *first;

	(void)state;
	assert_int_equal(linkmap_read(getpid(), &linkmap), 0);
	assert_false(linkmap.is_static);
	assert_true(linkmap.count >= 3);
	assert_true(dladdr(dlsym(RTLD_DEFAULT, "qsort"), &libc));
	assert_int_equal(procmaps_read(getpid(), &maps), 0);
	first = procmaps_find(&maps, linkmap.data[0]);
	assert_non_null(first);
	assert_non_null(strstr(first->path, "test_allocators"));
	procmaps_deinit(&maps);
	linkmap_deinit(&linkmap);
}

/* --- programs of our own --- */

static const char waiting_program[] =
	"#include <stdlib.h>\n#include <unistd.h>\n"
	"int main(void) { free(malloc(1)); free(calloc(1, 1)); free(realloc(0, 1));\n"
	"if (write(1, \"x\", 1) != 1) return 1; for (;;) pause(); }\n";

/* Hands out of one array; frees nothing. */
static const char own_allocator[] =
	"#include <stddef.h>\n"
	"static char pool[1 << 20]; static size_t used;\n"
	"void *malloc(size_t n) { void *p = pool + used; used += (n + 15) & ~15ul; return p; }\n"
	"void free(void *p) { (void)p; }\n";

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int make_directory(void **state)
{
	char *directory = xstrdup("/tmp/test_allocators.XXXXXX");

	*state = directory;
	return mkdtemp(directory) && !chdir(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	int error = chdir("/");

	nftw(*state, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	free(*state);
	return error;
}

static void compile(const char *name, const char *source, const char *flags)
{
	const char *compiler = getenv("CC");
	char *path = xasprintf("%s.c", name);
	char *command = xasprintf("%s -O2 -fno-builtin -o %s %s %s", compiler ? compiler : "cc",
				  name, path, flags);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(source, file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(system(command), 0);
	free(command);
	free(path);
}

/* Starts ./NAME and waits for its byte. */
static pid_t start(const char *name, const char *preload)
{
	int ready[2];
	char byte = 0;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ready[1], 1);
		close(ready[0]);
		if (preload)
			setenv("LD_PRELOAD", preload, 1);
		execl(name, name, NULL);
		_exit(127);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void static_program(void **state)
{
	struct probe_points points;
	char error[256] = "";
	pid_t pid;

	(void)state;
	compile("static", waiting_program, "-static");
	pid = start("./static", NULL);
	assert_int_equal(find(pid, &points, error, sizeof(error)), 0);
	assert_non_null(point_of(&points, "malloc"));
	assert_non_null(point_of(&points, "free"));
	assert_non_null(point_of(&points, "calloc"));
	probe_points_deinit(&points);
	stop(pid);
}

static void static_pie_program(void **state)
{
	struct probe_points points;
	char error[256] = "", link[64], target[256] = "";
	pid_t pid;

	(void)state;
	compile("staticpie", waiting_program, "-static-pie");
	pid = start("./staticpie", NULL);
	assert_int_equal(find(pid, &points, error, sizeof(error)), 0);
	assert_non_null(point_of(&points, "malloc"));
	snprintf(link, sizeof(link), "%s", points.data[0].path);
	assert_true(readlink(link, target, sizeof(target) - 1) > 0);
	assert_non_null(strstr(target, "/staticpie"));
	probe_points_deinit(&points);
	stop(pid);
}

static void stripped_static_program(void **state)
{
	struct probe_points points;
	char error[256] = "";
	pid_t pid;

	(void)state;
	compile("stripped", waiting_program, "-static -s");
	pid = start("./stripped", NULL);
	assert_int_equal(find(pid, &points, error, sizeof(error)), -ENOENT);
	assert_non_null(strstr(error, "static program without symbols"));
	assert_int_equal(points.count, 0);
	stop(pid);
}

/* The executable's own functions win; what it does not define comes from the C library. */
static void interposed_by_executable(void **state)
{
	char *both = xasprintf("%s\n%s", own_allocator, waiting_program);
	struct probe_points points;
	char error[256] = "";
	pid_t pid;

	(void)state;
	compile("own", both, "");
	free(both);
	pid = start("./own", NULL);
	assert_int_equal(find(pid, &points, error, sizeof(error)), 0);
	assert_int_equal(point_of(&points, "malloc")->inode, point_of(&points, "free")->inode);
	assert_int_not_equal(point_of(&points, "malloc")->inode,
			     point_of(&points, "calloc")->inode);
	probe_points_deinit(&points);
	stop(pid);
}

static void interposed_by_preload(void **state)
{
	char *library = xasprintf("%s/preloaded", (char *)*state);
	struct probe_points points;
	char error[256] = "";
	struct stat st;
	pid_t pid;

	compile("plain", waiting_program, "");
	compile("preloaded", own_allocator, "-shared -fPIC");
	assert_int_equal(stat(library, &st), 0);
	pid = start("./plain", library);
	/* Also when its name is gone. */
	assert_int_equal(unlink(library), 0);
	assert_int_equal(find(pid, &points, error, sizeof(error)), 0);
	assert_int_equal(point_of(&points, "malloc")->inode, st.st_ino);
	assert_int_equal(point_of(&points, "free")->inode, st.st_ino);
	assert_int_not_equal(point_of(&points, "calloc")->inode, st.st_ino);
	assert_int_equal(access(point_of(&points, "malloc")->path, R_OK), 0);
	probe_points_deinit(&points);
	free(library);
	stop(pid);
}

/* Of what is chosen at run time, what was chosen has the probe. */
static void chosen_at_run_time(void **state)
{
	char *both = xasprintf(
		"#include <stddef.h>\n"
		"static char pool[1 << 20]; static size_t used;\n"
		"void *chosen(size_t n) { void *p = pool + used; used += (n + 15) & ~15ul;\n"
		"return p; }\n"
		"static void *(*choose(void))(size_t) { return chosen; }\n"
		"void *malloc(size_t) __attribute__((ifunc(\"choose\")));\n"
		"void free(void *p) { (void)p; }\n%s",
		waiting_program);
	const struct probe_point *point;
	struct probe_points points;
	char error[256] = "";
	uint64_t apart;
	pid_t pid;

	(void)state;
	/* glibc has it in static programs only: it calls malloc before it asks choosers. */
	compile("whole", both, "-static -Wl,--allow-multiple-definition");
	free(both);
	pid = start("./whole", NULL);
	assert_int_equal(find(pid, &points, error, sizeof(error)), 0);
	point = point_of(&points, "malloc");
	assert_non_null(point);
	/* What was chosen and free are neighbours. */
	apart = point->address - point_of(&points, "free")->address + 4096;
	assert_true(apart < 8192);
	probe_points_deinit(&points);
	stop(pid);
}

/* An allocator behind a prefix, that nobody can bind to; and one half of one, which is none. */
static void behind_a_prefix(void **state)
{
	static const char *const prefixes[] = {"own_", "half_"};
	const struct allocators_options options = {.prefixes = prefixes, .prefix_count = 2};
	char *both = xasprintf("#include <stddef.h>\n"
			       "void *own_malloc(size_t n) { return (void *)n; }\n"
			       "void own_free(void *p) { __asm__ volatile(\"\" ::\"r\"(p)); }\n"
			       "void *half_malloc(size_t n) { return (void *)(n + 1); }\n%s",
			       waiting_program);
	struct probe_points points;
	char error[256] = "";
	pid_t pid;

	(void)state;
	compile("prefixed", both, "");
	free(both);
	pid = start("./prefixed", NULL);
	assert_int_equal(find_with(pid, &options, &points, error, sizeof(error)), 0);
	assert_non_null(point_of(&points, "malloc"));
	assert_non_null(point_of(&points, "own_malloc"));
	assert_true(point_of(&points, "own_free")->frees);
	assert_null(point_of(&points, "half_malloc"));
	probe_points_deinit(&points);
	stop(pid);
}

/* Without return probes each function of the C library is followed to its returns. */
static void exits_of_self(void **state)
{
	const struct allocators_options options = {.no_return_probes = true};
	struct probe_points points;
	char error[256] = "";

	(void)state;
#ifdef __SANITIZE_ADDRESS__
	skip(); /* the sanitizer's own allocator has other functions */
#endif
	assert_int_equal(find_with(getpid(), &options, &points, error, sizeof(error)), 0);
	for (size_t i = 0; i < points.count; i++) {
		const struct probe_point *p = &points.data[i];

		assert_int_equal(p->returns, p->frees ? PROBE_RETURN_NONE : PROBE_RETURN_EXITS);
		for (size_t j = 0; j < p->exit_count; j++) {
			const uint8_t *code =
				(const uint8_t *)(uintptr_t)(p->address - p->entry_offset +
							     p->exits[j].place);

			if (p->exits[j].first_argument)
				continue;
#if defined(__x86_64__)
			assert_true(*code == 0xc3 || *code == 0xf2 || *code == 0xf3 ||
				    *code == 0xc2);
#else
			assert_int_equal(code[3], 0xd6);
#endif
		}
	}
	probe_points_deinit(&points);
}

/* The linker started by hand looks like a static program at first. */
static void linker_as_program(void **state)
{
	struct probe_points points;
	char error[256] = "", byte;
	int ready[2];
	pid_t pid;

	(void)state;
	compile("plain", waiting_program, "");
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ready[1], 1);
		close(ready[0]);
		execl("/lib64/ld-linux-x86-64.so.2", "ld.so", "./plain", NULL);
		execl("/lib/ld-linux-aarch64.so.1", "ld.so", "./plain", NULL);
		_exit(127);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	assert_int_equal(find(pid, &points, error, sizeof(error)), 0);
	assert_non_null(point_of(&points, "malloc"));
	assert_non_null(point_of(&points, "reallocarray"));
	probe_points_deinit(&points);
	stop(pid);
}

#define in_directory(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_is_consistent), cmocka_unit_test(points_of_self),
		cmocka_unit_test(sites_in_glibc_2_36), cmocka_unit_test(linker_order_of_self),
		in_directory(static_program),	       in_directory(static_pie_program),
		in_directory(stripped_static_program), in_directory(interposed_by_executable),
		in_directory(interposed_by_preload),   in_directory(linker_as_program),
		in_directory(chosen_at_run_time),      in_directory(behind_a_prefix),
		cmocka_unit_test(exits_of_self),
	};

	return cmocka_run_group_tests_name("allocators", tests, NULL, NULL);
}
