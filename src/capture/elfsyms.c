/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/elfsyms.h"

#include "capture/elfimage.h"
#include "util/vec.h"

#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static Elf_Scn *find_table(Elf *elf, enum elf_table table, GElf_Shdr *header)
{
	unsigned type = table == ELF_TABLE_DYNAMIC ? SHT_DYNSYM : SHT_SYMTAB;
	Elf_Scn *section = NULL;

	while ((section = elf_nextscn(elf, section)))
		if (gelf_getshdr(section, header) && header->sh_type == type)
			return section;
	return NULL;
}

static bool is_wanted(const GElf_Sym *symbol)
{
	unsigned type = GELF_ST_TYPE(symbol->st_info);

	return symbol->st_shndx != SHN_UNDEF && symbol->st_value &&
	       (type == STT_FUNC || type == STT_GNU_IFUNC);
}

static size_t find_name(const char *name, const char *const *names, size_t name_count)
{
	size_t i = 0;

	while (i < name_count && strcmp(name, names[i]))
		i++;
	return i;
}

static void take_symbol(const struct elf_image *image, const GElf_Sym *symbol, size_t name,
			struct elf_functions *ret)
{
	struct elf_function function = {
		.name = name,
		.address = symbol->st_value,
		.size = symbol->st_size,
		.local = GELF_ST_BIND(symbol->st_info) == STB_LOCAL,
	};

	if (GELF_ST_TYPE(symbol->st_info) == STT_GNU_IFUNC)
		ret->indirect = true;
	else if (elf_image_file_offset(image, symbol->st_value, &function.offset))
		*vec_push(ret) = function;
}

static int scan_table(Elf *elf, const struct elf_image *image, enum elf_table table,
		      const char *const *names, size_t name_count, struct elf_functions *ret)
{
	GElf_Shdr header;
	Elf_Scn *section = find_table(elf, table, &header);
	Elf_Data *data = section ? elf_getdata(section, NULL) : NULL;
	size_t count;

	if (!data || !header.sh_entsize)
		return -ENODATA;
	count = data->d_size / header.sh_entsize;
	for (size_t i = 0; i < count; i++) {
		const char *name;
		GElf_Sym symbol;
		size_t index;

		if (!gelf_getsym(data, (int)i, &symbol) || !is_wanted(&symbol))
			continue;
		name = elf_strptr(elf, header.sh_link, symbol.st_name);
		index = name ? find_name(name, names, name_count) : name_count;
		if (index < name_count)
			take_symbol(image, &symbol, index, ret);
	}
	return 0;
}

/* The static-pie linker makes functions local; else a local one is some other that is called so. */
static void drop_shadowed(struct elf_functions *functions)
{
	size_t kept = 0;

	for (size_t i = 0; i < functions->count; i++) {
		bool shadowed = false;

		for (size_t j = 0; j < functions->count && functions->data[i].local; j++)
			shadowed |= functions->data[j].name == functions->data[i].name &&
				    !functions->data[j].local;
		if (!shadowed)
			functions->data[kept++] = functions->data[i];
	}
	functions->count = kept;
}

int elf_functions_find(int fd, enum elf_table table, const char *const *names, size_t name_count,
		       struct elf_functions *ret)
{
	struct elf_image image;
	int error = elf_image_read(fd, &image);
	Elf *elf;

	memset(ret, 0, sizeof(*ret));
	if (error)
		return error;
	elf = elf_begin(fd, ELF_C_READ, NULL);
	error = elf ? scan_table(elf, &image, table, names, name_count, ret) : -ENOEXEC;
	drop_shadowed(ret);
	elf_end(elf);
	elf_image_deinit(&image);
	return error;
}

void elf_functions_deinit(struct elf_functions *functions)
{
	vec_deinit(functions);
}

int elf_function_code(int fd, const struct elf_function *function, uint8_t *ret, size_t size)
{
	ssize_t n;

	if (function->size && function->size < size)
		size = function->size;
	n = pread(fd, ret, size, (off_t)function->offset);
	return n < 0 ? -errno : (int)n;
}
