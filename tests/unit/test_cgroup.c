/* SPDX-License-Identifier: GPL-2.0-only */
#include "tests/unit/unit.h"

#include "capture/cgroup.h"

#include "util/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1ull << 20)
#define V1_MOUNT \
	"35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
#define V2_MOUNT "41 31 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n"

/* --- a machine made of files --- */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int make_root(void **state)
{
	char *root = xstrdup("/tmp/test_cgroup.XXXXXX");

	if (!mkdtemp(root))
		return -1;
	*state = root;
	return 0;
}

static int remove_root(void **state)
{
	nftw(*state, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	free(*state);
	return 0;
}

static void put(const char *root, const char *path, const char *text)
{
	char *full = xasprintf("%s%s", root, path);
	FILE *file;

	for (char *at = full + strlen(root) + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		mkdir(full, 0755);
		*at = '/';
	}
	file = fopen(full, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
	free(full);
}

static void put_system(const char *root, const char *membership, const char *mounts)
{
	put(root, "/proc/7/stat",
	    "7 (x) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0 0 1 1 1 0 0 0 0 0 0 0 0 0\n");
	put(root, "/proc/7/cgroup", membership);
	put(root, "/proc/self/mountinfo", mounts);
	put(root, "/proc/meminfo", "MemTotal:  4194304 kB\nMemAvailable:    3145728 kB\n");
	put(root, "/proc/vmstat", "nr_free_pages 1\noom_kill 5\n");
}

static void put_v2(const char *root, const char *directory, const char *max, const char *current,
		   const char *stat)
{
	const char *const files[][2] = {
		{"memory.max", max}, {"memory.current", current}, {"memory.stat", stat}};

	for (size_t i = 0; i < 3; i++) {
		char *path = xasprintf("%s/%s", directory, files[i][0]);

		put(root, path, files[i][1]);
		free(path);
	}
}

static struct charge read_charge(const char *root, const struct charge_user *user)
{
	struct charge_reader *reader;
	struct charge charge;

	assert_int_equal(charge_open(7, root, &reader), 0);
	assert_int_equal(charge_read(reader, user, &charge), 0);
	charge_close(reader);
	return charge;
}

static void v2_tightest_ancestor(void **state)
{
	const char *root = *state;
	struct charge charge;

	put_system(root, "0::/a/b/c\n", V2_MOUNT);
	put_v2(root, "/sys/fs/cgroup/a/b/c", "1073741824\n", "104857600\n", "");
	/* 200 MiB of limit, 150 used, 30 of it can be taken back: 80 left. */
	put_v2(root, "/sys/fs/cgroup/a/b", "209715200\n", "157286400\n",
	       "anon 1\nfile 99\ninactive_file 10485760\nactive_file 10485760\n"
	       "slab_reclaimable 10485760\nslab 99999999\n");
	put_v2(root, "/sys/fs/cgroup/a", "max\n", "157286400\n", "");
	charge = read_charge(root, NULL);
	assert_int_equal(charge.source, LIMIT_CGROUP);
	assert_string_equal(charge.cgroup, "/a/b");
	assert_int_equal(charge.limit_bytes, 200 * MIB);
	assert_int_equal(charge.used_bytes, 120 * MIB);
	assert_int_equal(charge.headroom_bytes, 80 * MIB);
}

static void v2_no_limit_is_the_system(void **state)
{
	const char *root = *state;
	struct charge charge;

	put_system(root, "0::/a\n", V2_MOUNT);
	put_v2(root, "/sys/fs/cgroup/a", "max\n", "157286400\n", "");
	charge = read_charge(root, NULL);
	assert_int_equal(charge.source, LIMIT_SYSTEM);
	assert_string_equal(charge.cgroup, "");
	assert_int_equal(charge.limit_bytes, 4096 * MIB);
	assert_int_equal(charge.used_bytes, 1024 * MIB);
	assert_int_equal(charge.headroom_bytes, 3072 * MIB);
}

static void v2_high_is_noted(void **state)
{
	const char *root = *state;
	struct charge_reader *reader;
	struct charge charge;

	put_system(root, "0::/a/b\n", V2_MOUNT);
	put_v2(root, "/sys/fs/cgroup/a/b", "max\n", "1\n", "");
	put(root, "/sys/fs/cgroup/a/b/memory.high", "max\n");
	put(root, "/sys/fs/cgroup/a/memory.high", "52428800\n");
	assert_int_equal(charge_open(7, root, &reader), 0);
	assert_int_equal(charge_read(reader, NULL, &charge), 0);
	assert_int_equal(charge_high_bytes(reader), 50 * MIB);
	assert_int_equal(charge.source, LIMIT_SYSTEM);
	charge_close(reader);
}

/* Version 1 for memory beside version 2 for the rest; the huge number is no limit. */
static void v1_in_a_hybrid(void **state)
{
	const char *root = *state;
	struct charge charge;

	put_system(root, "9:cpu,cpuacct:/other\n4:memory:/a/b\n0::/user.slice\n",
		   V1_MOUNT "36 31 0:33 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
			    "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
	put(root, "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
	put(root, "/sys/fs/cgroup/memory/a/b/memory.usage_in_bytes", "1048576\n");
	put(root, "/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "104857600\n");
	put(root, "/sys/fs/cgroup/memory/a/memory.usage_in_bytes", "83886080\n");
	put(root, "/sys/fs/cgroup/memory/a/memory.stat",
	    "inactive_file 1\nactive_file 1\ntotal_inactive_file 1048576\ntotal_active_file "
	    "2097152\n");
	charge = read_charge(root, NULL);
	assert_int_equal(charge.source, LIMIT_CGROUP);
	assert_string_equal(charge.cgroup, "/a");
	assert_int_equal(charge.limit_bytes, 100 * MIB);
	assert_int_equal(charge.used_bytes, 77 * MIB);
	assert_int_equal(charge.headroom_bytes, 23 * MIB);
}

/* In a container: the mount shows the hierarchy from the container's cgroup on. */
static void mount_of_a_part(void **state)
{
	const char *root = *state;
	struct charge charge;

	put_system(root, "0::/docker/abc/x\n",
		   "41 31 0:38 /docker/abc /mnt/my\\040groups rw - cgroup2 cgroup2 rw\n"
		   "42 31 0:38 /docker/abc/x/y /mnt/deeper rw - cgroup2 cgroup2 rw\n"
		   "43 31 0:38 /docker/ab /mnt/other rw - cgroup2 cgroup2 rw\n");
	put_v2(root, "/mnt/my groups/x", "max\n", "1\n", "");
	put_v2(root, "/mnt/my groups", "209715200\n", "104857600\n", "");
	charge = read_charge(root, NULL);
	assert_int_equal(charge.source, LIMIT_CGROUP);
	assert_string_equal(charge.cgroup, "/docker/abc");
	assert_int_equal(charge.headroom_bytes, 100 * MIB);
}

/* A path out of the own cgroup namespace must not be looked for beside the mount point. */
static void outside_of_the_namespace(void **state)
{
	const char *root = *state;

	put_system(root, "0::/../else\n", V2_MOUNT);
	put_v2(root, "/sys/fs/else", "4096\n", "4096\n", "");
	assert_int_equal(read_charge(root, NULL).source, LIMIT_SYSTEM);
}

static void own_limit(void **state)
{
	const char *root = *state;
	struct charge_user user = {.limit_bytes = 600 * MIB, .used_bytes = 500 * MIB};
	struct charge charge;

	put_system(root, "0::/a\n", V2_MOUNT);
	put_v2(root, "/sys/fs/cgroup/a", "209715200\n", "104857600\n", "");
	user.used_bytes = 550 * MIB;
	charge = read_charge(root, &user);
	assert_int_equal(charge.source, LIMIT_USER);
	assert_int_equal(charge.headroom_bytes, 50 * MIB);
	/* The cgroup strikes first. */
	user.used_bytes = 400 * MIB;
	charge = read_charge(root, &user);
	assert_int_equal(charge.source, LIMIT_CGROUP);
	assert_int_equal(charge.headroom_bytes, 100 * MIB);
	/* Over it: nothing is left, not a huge number. */
	user.used_bytes = 700 * MIB;
	charge = read_charge(root, &user);
	assert_int_equal(charge.source, LIMIT_USER);
	assert_int_equal(charge.headroom_bytes, 0);
}

static void follows_until_the_end(void **state)
{
	const char *root = *state;
	struct charge_reader *reader;
	struct charge charge;

	put_system(root, "0::/a\n", V2_MOUNT);
	put_v2(root, "/sys/fs/cgroup/a", "209715200\n", "104857600\n", "");
	put_v2(root, "/sys/fs/cgroup/b", "104857600\n", "94371840\n", "");
	assert_int_equal(charge_open(7, root, &reader), 0);
	assert_int_equal(charge_read(reader, NULL, &charge), 0);
	assert_string_equal(charge.cgroup, "/a");
	put(root, "/proc/7/cgroup", "0::/b\n");
	assert_int_equal(charge_read(reader, NULL, &charge), 0);
	assert_string_equal(charge.cgroup, "/b");
	assert_int_equal(charge.headroom_bytes, 10 * MIB);
	/* A zombie stands in the root. */
	put(root, "/proc/7/cgroup", "0::/\n");
	put(root, "/proc/7/stat",
	    "7 (x) Z 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n");
	assert_int_equal(charge_read(reader, NULL, &charge), 0);
	assert_string_equal(charge.cgroup, "/b");
	charge_close(reader);
}

static void nothing_to_read(void **state)
{
	const char *root = *state;
	struct charge_reader *reader;
	struct charge charge;

	assert_int_equal(charge_open(7, root, &reader), -ESRCH);
	put(root, "/proc/7/stat",
	    "7 (x) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0 0 1 1 1 0 0 0 0 0 0 0 0 0\n");
	assert_int_equal(charge_open(7, root, &reader), 0);
	assert_int_equal(charge_read(reader, NULL, &charge), -ENODATA);
	assert_int_equal(charge.source, LIMIT_NONE);
	charge_close(reader);
}

static void hostile_texts(void **state)
{
	const char *root = *state;

	put_system(root,
		   "\n:\n::\n0:\n0::\nx:memory\n4:memory:/a\n9:memory:/a\n0::/a\n1:memory:/\n",
		   "\n \nx\n1 2 3\n1 2 3 /\n1 2 3 / /m\n1 2 3 / /m rw - \n1 2 3 / /m rw - cgroup2\n"
		   "1 2 3 / /m\\9 rw - cgroup2 c\n1 2 3 / /m\\0 rw -\n" V2_MOUNT);
	put_v2(root, "/sys/fs/cgroup/a", "garbage\n", "", "inactive_file\nactive_file x\n");
	assert_int_equal(read_charge(root, NULL).source, LIMIT_SYSTEM);
	put_v2(root, "/sys/fs/cgroup/a", "209715200\n", "104857600\n", "inactive_file\n");
	assert_int_equal(read_charge(root, NULL).headroom_bytes, 100 * MIB);
}

static void counts_oom_kills(void **state)
{
	const char *root = *state;
	struct charge_reader *reader;
	struct oom_kills kills;

	put_system(root, "0::/a\n", V2_MOUNT);
	assert_int_equal(charge_open(7, root, &reader), 0);
	charge_oom_kills(reader, &kills);
	assert_false(kills.cgroup_known);
	assert_true(kills.system_known);
	assert_int_equal(kills.system, 5);
	put(root, "/sys/fs/cgroup/a/memory.events", "low 0\nhigh 9\nmax 4\noom 3\noom_kill 2\n");
	charge_oom_kills(reader, &kills);
	assert_true(kills.cgroup_known);
	assert_int_equal(kills.cgroup, 2);
	charge_close(reader);
}

/* --- the real one --- */

static bool write_text(const char *directory, const char *name, const char *text)
{
	char *path = xasprintf("%s/%s", directory, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	free(path);
	return done;
}

/* Touches 20 MiB and waits for its end. */
static pid_t spawn_eater(const char *directory)
{
	int ready[2];
	char byte = 0;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		char *memory = mmap(NULL, 20 * MIB, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!write_text(directory, "cgroup.procs", "0"))
			_exit(1);
		memset(memory, 1, 20 * MIB);
		if (write(ready[1], "x", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void real_v1(void **state)
{
	struct charge_reader *reader;
	struct charge charge;
	struct oom_kills kills;
	char *directory;
	pid_t pid;

	(void)state;
	if (access("/sys/fs/cgroup/memory/memory.limit_in_bytes", F_OK) || geteuid())
		skip();
	directory = xasprintf("/sys/fs/cgroup/memory/memtop-test-%d", getpid());
	assert_int_equal(mkdir(directory, 0755), 0);
	assert_true(write_text(directory, "memory.limit_in_bytes", "67108864"));
	pid = spawn_eater(directory);
	assert_int_equal(charge_open(pid, "", &reader), 0);
	assert_int_equal(charge_read(reader, NULL, &charge), 0);
	charge_oom_kills(reader, &kills);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(remove_cgroup(directory), 0);
	assert_int_equal(charge.source, LIMIT_CGROUP);
	assert_int_equal(charge.limit_bytes, 64 * MIB);
	assert_string_equal(charge.cgroup, strrchr(directory, '/'));
	assert_true(charge.used_bytes >= 20 * MIB && charge.used_bytes < 30 * MIB);
	assert_int_equal(charge.headroom_bytes, charge.limit_bytes - charge.used_bytes);
	assert_true(kills.cgroup_known);
	assert_int_equal(kills.cgroup, 0);
	charge_close(reader);
	free(directory);
}

#define in_root(function) cmocka_unit_test_setup_teardown(function, make_root, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_root(v2_tightest_ancestor),
		in_root(v2_no_limit_is_the_system),
		in_root(v2_high_is_noted),
		in_root(v1_in_a_hybrid),
		in_root(mount_of_a_part),
		in_root(outside_of_the_namespace),
		in_root(own_limit),
		in_root(follows_until_the_end),
		in_root(nothing_to_read),
		in_root(hostile_texts),
		in_root(counts_oom_kills),
		cmocka_unit_test(real_v1),
	};

	return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
