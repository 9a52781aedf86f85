/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * debuginfod's client is loaded when it is first needed: memtop does not depend on it. Its progress
 * function ends a download when memtop wants to.
 */
#include "symbol/debugfile.h"

#include "symbol/targetfs.h"
#include "util/cleanup.h"

#include <dlfcn.h>
#include <elfutils/libdwelf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_ID 64

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

static bool id_matches(int fd, const void *id, size_t size)
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
	if (wanted->id_size ? id_matches(fd, wanted->id, wanted->id_size) :
			      wanted->has_crc && crc_matches(fd, wanted->crc))
		return fd;
	close(fd);
	return -ENOENT;
}

static int open_own(const char *path)
{
	struct stat found;

	if (stat(path, &found) || !S_ISREG(found.st_mode))
		return -ENOENT;
	return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

/* `path` under --debug-dir, then under each system directory: the target's and memtop's own. */
static int find_under_dirs(const struct debug_finder *finder, const char *path,
			   const struct wanted *wanted)
{
	char whole[4096];
	int fd = -ENOENT;

	if (finder->debug_dir) {
		snprintf(whole, sizeof(whole), "%s/%s", finder->debug_dir, path);
		fd = accept_file(open_own(whole), wanted);
	}
	for (size_t i = 0; fd < 0 && i < sizeof(system_dirs) / sizeof(*system_dirs); i++) {
		snprintf(whole, sizeof(whole), "%s/%s", system_dirs[i], path);
		fd = accept_file(targetfs_open_path(finder->fs, whole), wanted);
		if (fd < 0)
			fd = accept_file(open_own(whole), wanted);
	}
	return fd;
}

static int find_by_id(const struct debug_finder *finder, const struct wanted *wanted)
{
	const uint8_t *id = wanted->id;
	char path[MAX_ID * 2 + 32] = ".build-id/";
	size_t length = strlen(path);

	if (wanted->id_size < 2 || wanted->id_size > MAX_ID)
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
			fd = accept_file(targetfs_open_path(finder->fs, path), wanted);
	}
	if (fd >= 0)
		return fd;
	if (slash) {
		snprintf(path, sizeof(path), "%.*s/%s", length, finder->path, link);
		fd = find_under_dirs(finder, path + strspn(path, "/"), wanted);
	}
	return fd < 0 ? find_under_dirs(finder, link, wanted) : fd;
}

struct debuginfod {
	void *library;
	void *(*begin)(void);
	void (*end)(void *client);
	int (*find)(void *client, const unsigned char *id, int size, char **path);
	void (*set_progress)(void *client, int (*function)(void *client, long a, long b));
	void (*set_data)(void *client, void *data);
};

static bool load_debuginfod(struct debuginfod *api)
{
	const struct {
		const char *name;
		void *function;
	} wanted[] = {
		{"debuginfod_begin", &api->begin},
		{"debuginfod_end", &api->end},
		{"debuginfod_find_debuginfo", &api->find},
		{"debuginfod_set_progressfn", &api->set_progress},
		{"debuginfod_set_user_data", &api->set_data},
	};

	api->library = dlopen("libdebuginfod.so.1", RTLD_LAZY | RTLD_GLOBAL);
	if (!api->library)
		return false;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
		void *found = dlsym(api->library, wanted[i].name);

		if (!found)
			return false;
		memcpy(wanted[i].function, &found, sizeof(found));
	}
	return true;
}

/* Not 0 ends the download. It gets only the client; its user data is the flag. */
static int on_progress(void *client, long a, long b)
{
	void *(*get_data)(void *client);
	void *found = dlsym(RTLD_DEFAULT, "debuginfod_get_user_data");

	(void)a;
	(void)b;
	memcpy(&get_data, &found, sizeof(found));
	return get_data ? atomic_load((const atomic_bool *)get_data(client)) : 1;
}

static int download(const struct debug_finder *finder, const struct wanted *wanted)
{
	struct debuginfod api;
	char *path = NULL;
	void *client;
	int fd = -ENOENT;

	if (!wanted->id_size || !getenv("DEBUGINFOD_URLS") || !*getenv("DEBUGINFOD_URLS"))
		return -ENOENT;
	if (!load_debuginfod(&api))
		return -ENOENT;
	client = api.begin();
	if (!client)
		return -ENOENT;
	api.set_data(client, (void *)finder->stop);
	api.set_progress(client, on_progress);
	fd = accept_file(api.find(client, wanted->id, wanted->id_size, &path), wanted);
	free(path);
	api.end(client);
	return fd;
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
	return fd < 0 ? download(finder, &wanted) : fd;
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
	return fd < 0 ? download(finder, &wanted) : fd;
}
