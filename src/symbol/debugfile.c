/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files are tried from the nearest to the farthest, and each is opened and checked before it is
 * passed on: a name says nothing about what a file holds.
 */
#include "symbol/debugfile.h"

#include "symbol/fetch.h"
#include "symbol/targetfs.h"

#include <elfutils/libdwelf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const system_dirs[] = {"/usr/lib/debug"};

struct wanted {
	const void *id;
	size_t id_size;
	bool has_crc;
	uint32_t crc;
};

/* As gdb and elfutils do it: CRC-32 of IEEE 802.3, reflected. */
static uint32_t crc32_add(uint32_t crc, const unsigned char *data, size_t size)
{
	crc = ~crc;
	while (size--) {
		crc ^= *data++;
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

static bool crc_matches(int fd, uint32_t wanted)
{
	unsigned char buffer[65536];
	uint32_t crc = 0;
	off_t at = 0;

	for (;;) {
		ssize_t got = pread(fd, buffer, sizeof(buffer), at);

		if (got < 0)
			return false;
		if (!got)
			return crc == wanted;
		crc = crc32_add(crc, buffer, got);
		at += got;
	}
}

bool debug_file_is(int fd, const void *id, size_t size)
{
	Elf *elf;
	const void *found;
	bool same;

	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!elf)
		return false;
	same = dwelf_elf_gnu_build_id(elf, &found) == (ssize_t)size && !memcmp(found, id, size);
	elf_end(elf);
	return same;
}

/* Passes `fd` on if it is the file wanted; closes it if not. */
static int accept_file(int fd, const struct wanted *wanted)
{
	if (fd < 0)
		return fd;
	if (wanted->id_size ? debug_file_is(fd, wanted->id, wanted->id_size) :
			      wanted->has_crc && crc_matches(fd, wanted->crc))
		return fd;
	close(fd);
	return -ENOENT;
}

/* As the target sees it, then as memtop does. */
static int open_either(const struct debug_finder *finder, const char *path,
		       const struct wanted *wanted)
{
	int fd = accept_file(targetfs_open_path(finder->fs, path), wanted);

	return fd < 0 ? accept_file(targetfs_open_own(path), wanted) : fd;
}

/* `path` under --debug-dir, then under each system directory: the target's and memtop's own. */
static int find_under_dirs(const struct debug_finder *finder, const char *path,
			   const struct wanted *wanted)
{
	char whole[4096];
	int fd = -ENOENT;

	if (finder->debug_dir) {
		snprintf(whole, sizeof(whole), "%s/%s", finder->debug_dir, path);
		fd = accept_file(targetfs_open_own(whole), wanted);
	}
	for (size_t i = 0; fd < 0 && i < sizeof(system_dirs) / sizeof(*system_dirs); i++) {
		snprintf(whole, sizeof(whole), "%s/%s", system_dirs[i], path);
		fd = open_either(finder, whole, wanted);
	}
	return fd;
}

static int find_by_id(const struct debug_finder *finder, const struct wanted *wanted)
{
	const uint8_t *id = wanted->id;
	char path[DEBUG_ID_MAX * 2 + 32] = ".build-id/";
	size_t length = strlen(path);

	if (wanted->id_size < 2 || wanted->id_size > DEBUG_ID_MAX)
		return -ENOENT;
	for (size_t i = 0; i < wanted->id_size; i++)
		length +=
			snprintf(path + length, sizeof(path) - length, i ? "%02x" : "%02x/", id[i]);
	snprintf(path + length, sizeof(path) - length, ".debug");
	return find_under_dirs(finder, path, wanted);
}

/* gdb's order: beside the file, in .debug beside it, then under the debug directories. */
static int find_by_link(const struct debug_finder *finder, const char *link,
			const struct wanted *wanted)
{
	static const char *const below[] = {"", ".debug/"};
	const char *slash = finder->path ? strrchr(finder->path, '/') : NULL;
	int length = slash ? slash - finder->path : 0;
	char path[4096];
	int fd = -ENOENT;

	if (!*link || strchr(link, '/'))
		return -ENOENT;
	for (size_t i = 0; slash && fd < 0 && i < sizeof(below) / sizeof(*below); i++) {
		snprintf(path, sizeof(path), "%.*s/%s%s", length, finder->path, below[i], link);
		if (strcmp(path, finder->path))
			fd = open_either(finder, path, wanted);
	}
	if (fd >= 0)
		return fd;
	if (slash) {
		snprintf(path, sizeof(path), "%.*s/%s", length, finder->path, link);
		fd = find_under_dirs(finder, path + strspn(path, "/"), wanted);
	}
	return fd < 0 ? find_under_dirs(finder, link, wanted) : fd;
}

static int find_elsewhere(const struct debug_finder *finder, const struct wanted *wanted)
{
	return fetcher_find(finder->fetcher, wanted->id, wanted->id_size);
}

int debug_find(const struct debug_finder *finder, Elf *elf)
{
	struct wanted wanted = {0};
	GElf_Word crc = 0;
	ssize_t size = dwelf_elf_gnu_build_id(elf, &wanted.id);
	const char *link = dwelf_elf_gnu_debuglink(elf, &crc);
	int fd;

	wanted.id_size = size > 0 ? size : 0;
	wanted.has_crc = link != NULL;
	wanted.crc = crc;
	fd = find_by_id(finder, &wanted);
	if (fd < 0 && link)
		fd = find_by_link(finder, link, &wanted);
	return fd < 0 ? find_elsewhere(finder, &wanted) : fd;
}

int debug_find_by_id(const struct debug_finder *finder, const void *id, size_t size,
		     const char *name)
{
	const struct wanted wanted = {.id = id, .id_size = size};
	static const char marker[] = "/.dwz/";
	const char *shared = name ? strstr(name, marker) : NULL;
	int fd = find_by_id(finder, &wanted);

	/* dwz names it beside the debug file: "../../.dwz/x86_64-linux-gnu/libfoo.debug" */
	if (fd < 0 && shared)
		fd = find_under_dirs(finder, shared + 1, &wanted);
	return fd < 0 ? find_elsewhere(finder, &wanted) : fd;
}
