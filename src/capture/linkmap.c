/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/linkmap.h"

#include "capture/procfs.h"
#include "util/cleanup.h"
#include "util/vec.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

/* A list that goes on longer has been overwritten. */
#define MAX_OBJECTS 65536
#define MAX_HEADERS 256
#define MAX_DYNAMIC 4096

static bool peek(int fd, uint64_t address, void *ret, size_t size)
{
	return pread(fd, ret, size, (off_t)address) == (ssize_t)size;
}

struct program {
	uint64_t headers, count; /* AT_PHDR, AT_PHNUM */
	uint64_t dynamic;	 /* 0 = none */
	bool interpreted;
};

static int read_auxv(pid_t pid, struct program *ret)
{
	_cleanup_free_ char *text = NULL;
	Elf64_auxv_t entry;
	size_t size;
	int error = procfs_read(pid, "auxv", &text, &size);

	if (error)
		return error;
	for (size_t at = 0; at + sizeof(entry) <= size; at += sizeof(entry)) {
		memcpy(&entry, text + at, sizeof(entry));
		if (entry.a_type == AT_PHDR)
			ret->headers = entry.a_un.a_val;
		else if (entry.a_type == AT_PHNUM)
			ret->count = entry.a_un.a_val;
		else if (entry.a_type == AT_PHENT && entry.a_un.a_val != sizeof(Elf64_Phdr))
			return -ENOTSUP;
	}
	return ret->headers && ret->count <= MAX_HEADERS ? 0 : -ENOTSUP;
}

static bool read_headers(int fd, struct program *ret)
{
	uint64_t bias = 0, dynamic = 0;
	Elf64_Phdr header;

	for (uint64_t i = 0; i < ret->count; i++) {
		if (!peek(fd, ret->headers + i * sizeof(header), &header, sizeof(header)))
			return false;
		if (header.p_type == PT_PHDR)
			bias = ret->headers - header.p_vaddr;
		else if (header.p_type == PT_DYNAMIC)
			dynamic = header.p_vaddr;
		else if (header.p_type == PT_INTERP)
			ret->interpreted = true;
	}
	ret->dynamic = dynamic ? bias + dynamic : 0;
	return true;
}

static uint64_t find_debug(int fd, uint64_t dynamic)
{
	Elf64_Dyn entry;

	for (uint64_t i = 0; i < MAX_DYNAMIC; i++) {
		if (!peek(fd, dynamic + i * sizeof(entry), &entry, sizeof(entry)) ||
		    entry.d_tag == DT_NULL)
			return 0;
		if (entry.d_tag == DT_DEBUG)
			return entry.d_un.d_ptr;
	}
	return 0;
}

static int read_list(int fd, uint64_t debug, struct linkmap *ret)
{
	struct r_debug head;
	struct link_map item;
	uint64_t at;

	if (!debug || !peek(fd, debug, &head, sizeof(head)) || !head.r_map)
		return -EAGAIN;
	for (at = (uintptr_t)head.r_map; at; at = (uintptr_t)item.l_next) {
		if (ret->count >= MAX_OBJECTS || !peek(fd, at, &item, sizeof(item)))
			return -EAGAIN;
		*vec_push(ret) = (uintptr_t)item.l_ld;
	}
	/*
	 * While a library is being added or taken away the list is right but for that one: the
	 * linker links items in whole, at the end.
	 */
	return 0;
}

int linkmap_read(pid_t pid, struct linkmap *ret)
{
	struct program program = {0};
	_cleanup_close_ int fd = -1;
	char path[32];
	int error = read_auxv(pid, &program);

	memset(ret, 0, sizeof(*ret));
	if (error)
		return error;
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (!read_headers(fd, &program))
		return -EIO;
	ret->is_static = !program.interpreted;
	/* musl's linker, run as a program, and static-pie have a dynamic section as well. */
	if (ret->is_static || !program.dynamic)
		return 0;
	error = read_list(fd, find_debug(fd, program.dynamic), ret);
	if (error)
		linkmap_deinit(ret);
	return error;
}

void linkmap_deinit(struct linkmap *linkmap)
{
	vec_deinit(linkmap);
}
