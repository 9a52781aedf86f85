/* SPDX-License-Identifier: GPL-2.0-only */
#include "symbol/targetfs.h"

#include "util/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Uid: and NSpid: of /proc/PID/status. */
static void read_status(struct targetfs *fs)
{
	_cleanup_fclose_ FILE *file = NULL;
	_cleanup_free_ char *line = NULL;
	size_t capacity = 0;
	unsigned real, effective;
	int fd = openat(fs->proc_fd, "status", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	file = fdopen(fd, "r");
	if (!file) {
		close(fd);
		return;
	}
	while (getline(&line, &capacity, file) > 0) {
		const char *last;

		if (sscanf(line, "Uid: %u %u", &real, &effective) == 2)
			fs->uid = effective;
		if (strncmp(line, "NSpid:", 6))
			continue;
		line[strcspn(line, "\n")] = '\0';
		last = line + strlen(line);
		while (last > line && isdigit((unsigned char)last[-1]))
			last--;
		if (*last)
			fs->own_pid = atoi(last);
	}
}

int targetfs_init(struct targetfs *fs, pid_t pid)
{
	char path[64];

	*fs = (struct targetfs){
		.pid = pid, .own_pid = pid, .uid = (uid_t)-1, .proc_fd = -1, .root_fd = -1};
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	fs->proc_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fs->proc_fd >= 0) {
		fs->root_fd = openat(fs->proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
		read_status(fs);
	}
	if (fs->root_fd < 0)
		fs->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fs->root_fd < 0 ? -errno : 0;
}

void targetfs_deinit(struct targetfs *fs)
{
	if (fs->proc_fd >= 0)
		close(fs->proc_fd);
	if (fs->root_fd >= 0)
		close(fs->root_fd);
	fs->proc_fd = fs->root_fd = -1;
}

/*
 * `fd` was opened with O_PATH, which has no effect on what it names: only a regular file is opened
 * for reading, as to open a device or a pipe may do things or wait. Closes `fd`.
 */
static int reopen_regular(int fd)
{
	char path[64];
	struct stat stat;
	int ret = -ENOTSUP;

	if (fd < 0)
		return -errno;
	if (!fstat(fd, &stat) && S_ISREG(stat.st_mode)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		ret = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (ret < 0)
			ret = -errno;
	}
	close(fd);
	return ret;
}

static int open_in_root(const struct targetfs *fs, const char *path, int flags)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC | flags, .resolve = RESOLVE_IN_ROOT};
	int fd;

	how.resolve |= RESOLVE_NO_MAGICLINKS;
	fd = syscall(SYS_openat2, fs->root_fd, path, &how, sizeof(how));
	/* Before 5.6 a link may lead out of the root: what is opened is checked by its build-id. */
	if (fd < 0 && errno == ENOSYS)
		fd = openat(fs->root_fd, path + strspn(path, "/"), (int)how.flags);
	return reopen_regular(fd);
}

int targetfs_open_path(const struct targetfs *fs, const char *path)
{
	return open_in_root(fs, path, 0);
}

int targetfs_open_trusted(const struct targetfs *fs, const char *path)
{
	struct targetfs now = *fs;
	int fd = open_in_root(fs, path, O_NOFOLLOW);
	struct stat stat;

	if (fd < 0)
		return fd;
	read_status(&now); /* the user may have changed; of a dead target the last one counts */
	if (!fstat(fd, &stat) && (stat.st_uid == 0 || stat.st_uid == now.uid))
		return fd;
	close(fd);
	return -EPERM;
}

/* A link of the process directory, if what it leads to has the mapping's inode. */
static int open_link(const struct targetfs *fs, const char *name, const struct module *module)
{
	struct stat stat;
	int fd;

	if (fs->proc_fd < 0)
		return -ESRCH;
	fd = openat(fs->proc_fd, name, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (!fstat(fd, &stat) && stat.st_ino == module->inode)
		return reopen_regular(fd);
	close(fd);
	return -ESTALE;
}

int targetfs_open_own(const char *path)
{
	return reopen_regular(open(path, O_PATH | O_CLOEXEC));
}

static bool is_mapped_file(int fd, const struct module *module)
{
	struct stat stat;

	return fd >= 0 && !fstat(fd, &stat) && stat.st_ino == module->inode &&
	       stat.st_dev == module->device;
}

/*
 * The kernel tells paths as the reader's root makes them: those of a target in a part of memtop's
 * own file system (chroot) are memtop's, those of mounts that memtop does not see the target's.
 */
static int open_by_path(const struct targetfs *fs, const struct module *module)
{
	int fd = targetfs_open_path(fs, module->path), own;

	if (is_mapped_file(fd, module))
		return fd;
	own = targetfs_open_own(module->path);
	if (own < 0 || (fd >= 0 && !is_mapped_file(own, module))) {
		if (own >= 0)
			close(own);
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return own;
}

int targetfs_open_module(const struct targetfs *fs, const struct module *module, bool *ret_same)
{
	char name[64];
	int fd;

	*ret_same = true;
	snprintf(name, sizeof(name), "map_files/%" PRIx64 "-%" PRIx64, module->start, module->end);
	fd = open_link(fs, name, module);
	if (fd >= 0)
		return fd;
	fd = open_link(fs, "exe", module);
	if (fd >= 0)
		return fd;
	fd = open_by_path(fs, module);
	*ret_same = is_mapped_file(fd, module);
	return fd;
}

ssize_t targetfs_read_memory(const struct targetfs *fs, uint64_t address, void *ret, size_t size)
{
	_cleanup_close_ int fd = -1;
	ssize_t got;

	if (fs->proc_fd < 0)
		return -ESRCH;
	fd = openat(fs->proc_fd, "mem", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	got = pread(fd, ret, size, (off_t)address);
	return got < 0 ? -errno : got;
}
