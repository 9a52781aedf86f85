/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A descriptor is known from look to look by its number and what it links to. Of pipes and sockets
 * that names the very one; of files, eventfds and the like it does not, and one that was closed and
 * opened again between two looks passes for the same.
 */
#include "capture/fds.h"

#include "capture/clock.h"
#include "capture/procfs.h"
#include "util/cleanup.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define FDINFO_SIZE  4096
#define BLOCK_BYTES  512 /* of st_blocks */
#define OTHERS	     (HOLDING_EXPORTERS - 1)
#define TAG_MEMFD    1
#define TAG_DMABUF   2
#define CLOCK_CALLS  8 /* descriptors between two looks at the clock */
#define DEVICE_UNSET ((dev_t)-1)

struct fds {
	pid_t pid, thread; /* that is asked */
	DIR *directory;	   /* NULL: between two looks */
	int fdinfo;
	dev_t memfd_device; /* the file system that memfds lie in */
	struct lives lives;
	struct map sockets, sockets_seen; /* of the last whole look, of this one */
	char exporters[HOLDING_EXPORTERS][32];
	unsigned exporter_count;
};

/* By how a link begins; what fits none of them is another kind. */
static const struct {
	const char *prefix;
	enum holding kind;
} kinds[] = {
	{"socket:[", HOLDING_SOCKETS},
	{"pipe:[", HOLDING_PIPES},
	{"anon_inode:[eventfd]", HOLDING_EVENTFDS},
	{"anon_inode:[eventpoll]", HOLDING_EPOLLS},
	{"anon_inode:dmabuf", HOLDING_DMABUFS}, /* before 5.3 */
	{"anon_inode:", HOLDING_OTHER_FDS},
	{"/memfd:", HOLDING_MEMFDS},
	{"/dmabuf:", HOLDING_DMABUFS},
	{"/dev/", HOLDING_DEVICES},
	{"/", HOLDING_FILES},
};

enum holding fds_kind_of(const char *link)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strncmp(link, kinds[i].prefix, strlen(kinds[i].prefix)))
			return kinds[i].kind;
	return HOLDING_OTHER_FDS;
}

uint64_t fds_inode_of(const char *link)
{
	const char *open = strchr(link, '[');

	return open && isdigit((unsigned char)open[1]) ? strtoull(open + 1, NULL, 10) : 0;
}

/* The value of the first line "KEY:\tvalue"; its length, 0 if there is none. */
static size_t value_of(const char *text, const char *key, const char **ret)
{
	size_t length = strlen(key);

	for (const char *line = text; *line; line += strcspn(line, "\n")) {
		line += *line == '\n';
		if (strncmp(line, key, length) || line[length] != ':')
			continue;
		*ret = line + length + 1;
		*ret += strspn(*ret, " \t");
		return strcspn(*ret, "\n");
	}
	return 0;
}

bool fds_parse_buffer(const char *fdinfo, struct fds_buffer *ret)
{
	const char *name = NULL;
	size_t length = value_of(fdinfo, "exp_name", &name);

	memset(ret, 0, sizeof(*ret));
	/* Its own name comes last in the text, and may hold anything: the first lines count. */
	if (!length || !proctext_number(fdinfo, "size", &ret->size))
		return false;
	proctext_number(fdinfo, "ino", &ret->inode);
	if (length >= sizeof(ret->exporter))
		length = sizeof(ret->exporter) - 1;
	for (size_t i = 0; i < length; i++)
		ret->exporter[i] = name[i] > ' ' && name[i] < 0x7f ? name[i] : '?';
	return true;
}

/* FNV-1a, folded so that it is no key that means nothing. */
static uint64_t key_of(uint64_t a, uint64_t b, const char *text)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	for (unsigned i = 0; i < 8; i++)
		hash = (hash ^ ((a >> 8 * i) & 0xff)) * 0x100000001b3ull;
	for (unsigned i = 0; i < 8; i++)
		hash = (hash ^ ((b >> 8 * i) & 0xff)) * 0x100000001b3ull;
	while (*text)
		hash = (hash ^ (unsigned char)*text++) * 0x100000001b3ull;
	return hash ? hash : 1;
}

static dev_t memfd_device(void)
{
	_cleanup_close_ int fd = memfd_create("memtop", MFD_CLOEXEC);
	struct stat facts;

	return fd >= 0 && !fstat(fd, &facts) ? facts.st_dev : DEVICE_UNSET;
}

struct fds *fds_open(pid_t pid)
{
	struct fds *fds = xcalloc(1, sizeof(*fds));

	fds->pid = pid;
	fds->fdinfo = -1;
	fds->memfd_device = memfd_device();
	return fds;
}

static void end_look(struct fds *fds)
{
	if (fds->directory)
		closedir(fds->directory);
	fds->directory = NULL;
	if (fds->fdinfo >= 0)
		close(fds->fdinfo);
	fds->fdinfo = -1;
	map_clear(&fds->sockets_seen);
}

void fds_restart(struct fds *fds)
{
	end_look(fds);
	lives_clear(&fds->lives);
	map_clear(&fds->sockets);
	fds->exporter_count = 0;
}

void fds_close(struct fds *fds)
{
	if (!fds)
		return;
	end_look(fds);
	lives_deinit(&fds->lives);
	map_deinit(&fds->sockets);
	map_deinit(&fds->sockets_seen);
	free(fds);
}

const struct lives *fds_lives(const struct fds *fds)
{
	return &fds->lives;
}

const struct map *fds_sockets(const struct fds *fds)
{
	return &fds->sockets;
}

const char *fds_exporter(const struct fds *fds, unsigned index)
{
	return index < fds->exporter_count ? fds->exporters[index] : NULL;
}

/* --- one descriptor --- */

static unsigned exporter_slot(struct fds *fds, const char *name)
{
	unsigned i;

	for (i = 0; i < fds->exporter_count && i < OTHERS; i++)
		if (!strcmp(fds->exporters[i], name))
			return HOLDING_COUNT + i;
	if (i == fds->exporter_count) {
		fds->exporter_count++;
		snprintf(fds->exporters[i], sizeof(fds->exporters[i]), "%s",
			 i == OTHERS ? "other exporters" : name);
	}
	return HOLDING_COUNT + i;
}

static void see_memfd(struct fds *fds, const char *number)
{
	struct stat facts;

	/* Any file may be called so; only one in the kernel's own file system is asked on. */
	if (fds->memfd_device == DEVICE_UNSET ||
	    fstatat(dirfd(fds->directory), number, &facts, 0) ||
	    facts.st_dev != fds->memfd_device || facts.st_nlink)
		return;
	lives_see(&fds->lives, key_of(TAG_MEMFD, facts.st_ino, "memfd"), HOLDING_MEMFD_BYTES,
		  (uint64_t)facts.st_blocks * BLOCK_BYTES);
}

static void see_dmabuf(struct fds *fds, const char *number, uint64_t fd)
{
	char text[FDINFO_SIZE];
	struct fds_buffer buffer;
	_cleanup_close_ int file = openat(fds->fdinfo, number, O_RDONLY | O_CLOEXEC);
	ssize_t length = file < 0 ? -1 : read(file, text, sizeof(text) - 1);

	if (length <= 0)
		return;
	text[length] = '\0';
	if (!fds_parse_buffer(text, &buffer))
		return;
	/* Kernels before 5.14 do not tell the inode: then each descriptor counts. */
	lives_see(&fds->lives,
		  key_of(TAG_DMABUF, buffer.inode ? buffer.inode : fd,
			 buffer.inode ? "dmabuf" : "dmabuf fd"),
		  exporter_slot(fds, buffer.exporter), buffer.size);
}

static void see(struct fds *fds, const char *number)
{
	char link[512];
	ssize_t length = readlinkat(dirfd(fds->directory), number, link, sizeof(link) - 1);
	uint64_t fd = strtoull(number, NULL, 10), inode;
	enum holding kind;

	/* Closed meanwhile. */
	if (length < 0)
		return;
	link[length] = '\0';
	kind = fds_kind_of(link);
	lives_see(&fds->lives, key_of(0, fd, link), kind, 1);
	if (kind == HOLDING_SOCKETS && (inode = fds_inode_of(link)) &&
	    fds->sockets_seen.count < LIVES_MOST)
		map_set(&fds->sockets_seen, inode, 1);
	else if (kind == HOLDING_MEMFDS)
		see_memfd(fds, number);
	else if (kind == HOLDING_DMABUFS)
		see_dmabuf(fds, number, fd);
}

/* --- the look --- */

static int begin_look(struct fds *fds)
{
	_cleanup_free_ char *fdinfo = NULL, *path = NULL;
	int error;

	fds->thread = procfs_live_thread(fds->pid);
	if (!fds->thread)
		return -ESRCH;
	fdinfo = procfs_path(fds->pid, fds->thread, "fdinfo");
	path = procfs_path(fds->pid, fds->thread, "fd");
	fds->fdinfo = open(fdinfo, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fds->directory = opendir(path);
	if (!fds->directory || fds->fdinfo < 0) {
		error = -errno;
		end_look(fds);
		return error;
	}
	lives_begin(&fds->lives);
	return 0;
}

static int finish_look(struct fds *fds)
{
	struct map seen = fds->sockets_seen;

	fds->sockets_seen = fds->sockets;
	fds->sockets = seen;
	end_look(fds);
	lives_end(&fds->lives, monotonic_ns());
	/* What there was no room for is there all the same, of whatever kind. */
	fds->lives.sums[HOLDING_OTHER_FDS] += fds->lives.unseen;
	return 1;
}

/* What a thread that ended meanwhile does not list is not closed. */
static int end_of_list(struct fds *fds)
{
	pid_t thread = procfs_live_thread(fds->pid);

	if (thread == fds->thread)
		return finish_look(fds);
	end_look(fds);
	return thread ? 0 : -ESRCH;
}

int fds_step(struct fds *fds, uint64_t until_ns)
{
	struct dirent *entry;
	int error = 0;

	if (!fds->directory)
		error = begin_look(fds);
	for (unsigned count = 1; !error; count++) {
		errno = 0;
		entry = readdir(fds->directory);
		if (!entry && errno) {
			error = -errno;
			end_look(fds);
			break;
		}
		if (!entry)
			return end_of_list(fds);
		if (isdigit((unsigned char)entry->d_name[0]))
			see(fds, entry->d_name);
		if (count % CLOCK_CALLS == 0 && thread_cpu_ns() >= until_ns)
			break;
	}
	return error;
}
