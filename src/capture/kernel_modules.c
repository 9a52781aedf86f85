/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Only where the kernel's text starts is looked for in kallsyms, near its top; where it ends is far
 * down a list of some hundred thousand lines. So its row is as long as any kernel's text, cut where
 * a module begins.
 */
#include "capture/kernel_modules.h"

#include "capture/procfs.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KERNEL_TEXT_MAX	  (256ull << 20)
#define MODULE_BYTES_MAX  (256ull << 20)
#define KALLSYMS_LINES	  65536 /* before _stext: per-CPU symbols of older kernels */
#define NOTE_ALIGN(bytes) (((bytes) + 3) & ~3ull)

static void read_build_id(const char *path, struct module *ret)
{
	_cleanup_free_ char *text = NULL;
	size_t size, at = 0;
	Elf64_Nhdr note;

	if (procfs_read_path(path, &text, &size))
		return;
	while (at + sizeof(note) <= size) {
		uint64_t name, bytes;

		memcpy(&note, text + at, sizeof(note));
		name = at + sizeof(note);
		bytes = name + NOTE_ALIGN((uint64_t)note.n_namesz);
		if (bytes + note.n_descsz > size)
			return;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof(ELF_NOTE_GNU) &&
		    !memcmp(text + name, ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)) &&
		    note.n_descsz <= BUILD_ID_MAX) {
			ret->build_id_size = note.n_descsz;
			memcpy(ret->build_id, text + bytes, note.n_descsz);
			return;
		}
		at = bytes + NOTE_ALIGN((uint64_t)note.n_descsz);
	}
}

static void add(struct modules *modules, const char *path, uint64_t start, uint64_t end,
		const char *notes, uint64_t now_ns)
{
	struct module module = {
		.start = start,
		.end = end,
		.bias = start,
		.path = path,
		.from_ns = now_ns,
		.to_ns = UINT64_MAX,
	};

	read_build_id(notes, &module);
	modules_add(modules, &module);
}

/* Returns the lowest address above `text` that a module has. */
static uint64_t add_modules(struct modules *modules, const char *root, uint64_t text,
			    uint64_t now_ns)
{
	_cleanup_free_ char *path = xasprintf("%s/proc/modules", root);
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	uint64_t lowest = UINT64_MAX, size, start;
	char line[4096], name[64];

	while (file && fgets(line, sizeof(line), file)) {
		const struct module *known;
		char *notes, *label;

		if (sscanf(line, "%63s %" SCNu64 " %*s %*s %*s %" SCNx64, name, &size, &start) !=
			    3 ||
		    start < KERNEL_MODULES_FROM || size > MODULE_BYTES_MAX)
			continue;
		if (start > text && start < lowest)
			lowest = start;
		known = modules_find(modules, start, now_ns);
		if (known && known->start == start && known->end == start + size)
			continue;
		label = xasprintf("[%s]", name);
		notes = xasprintf("%s/sys/module/%s/notes/.note.gnu.build-id", root, name);
		add(modules, label, start, start + size, notes, now_ns);
		free(notes);
		free(label);
	}
	return lowest;
}

static uint64_t text_start(const char *root)
{
	_cleanup_free_ char *path = xasprintf("%s/proc/kallsyms", root);
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	char line[512], name[256];
	uint64_t address;

	for (unsigned i = 0; file && i < KALLSYMS_LINES && fgets(line, sizeof(line), file); i++)
		if (sscanf(line, "%" SCNx64 " %*c %255s", &address, name) == 2 &&
		    !strcmp(name, "_stext"))
			return address;
	return 0;
}

static bool has_kernel(const struct modules *modules)
{
	for (size_t i = 0; i < modules_count(modules); i++)
		if (!strcmp(modules_get(modules, i)->path, "[kernel]"))
			return true;
	return false;
}

void kernel_modules_update(struct modules *modules, const char *root, uint64_t now_ns)
{
	bool known = has_kernel(modules);
	uint64_t start = known ? 0 : text_start(root);
	uint64_t lowest = add_modules(modules, root, start, now_ns);
	_cleanup_free_ char *notes = xasprintf("%s/sys/kernel/notes", root);

	if (known || start < KERNEL_MODULES_FROM)
		return;
	if (lowest > start + KERNEL_TEXT_MAX)
		lowest = start + KERNEL_TEXT_MAX;
	add(modules, "[kernel]", start, lowest, notes, now_ns);
}
