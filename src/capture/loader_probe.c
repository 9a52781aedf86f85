/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/loader_probe.h"

#include "capture/elfsyms.h"
#include "util/cleanup.h"

#include <string.h>
#include <unistd.h>

/* "ld-linux-x86-64.so.2", "ld-2.31.so", "ld-musl-aarch64.so.1", "ld.so.1" */
static bool is_linker(const char *path)
{
	const char *name = strrchr(path, '/');

	return name && !strncmp(name, "/ld", 3) && (name[3] == '-' || name[3] == '.');
}

static bool find_in(pid_t pid, const struct mapping *mapping, struct probe *ret)
{
	static const char *const names[] = {"_dl_debug_state"};
	_cleanup_close_ int fd = procmaps_open_file(pid, mapping);
	struct elf_functions functions;
	bool found;

	if (fd < 0 || elf_functions_find(fd, ELF_TABLE_DYNAMIC, names, 1, &functions))
		return false;
	found = functions.count > 0;
	if (found) {
		memset(ret, 0, sizeof(*ret));
		ret->offset = functions.data[0].offset;
		ret->path = procmaps_file_path(pid, mapping);
	}
	elf_functions_deinit(&functions);
	return found;
}

bool loader_probe_find(pid_t pid, const struct procmaps *maps, struct probe *ret)
{
	for (size_t i = 0; i < maps->count; i++)
		if (maps->data[i].perms[2] == 'x' && is_linker(maps->data[i].path) &&
		    find_in(pid, &maps->data[i], ret))
			return true;
	return false;
}
