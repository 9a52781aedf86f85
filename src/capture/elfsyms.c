/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/elfsyms.h"

#include "capture/elfimage.h"
#include "util/alloc.h"
#include "util/vec.h"

#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>

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

/* --- names, sorted, as each symbol of a file is looked for among them --- */

struct name {
	const char *text;
	size_t index;
};

struct names {
	struct name *data;
	size_t count;
	bool begins[256]; /* a name begins with this byte */
	elf_name_wanted *is_wanted;
	void *context;
	size_t matched;
};

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

static void names_init(struct names *names, const char *const *texts, size_t count)
{
	memset(names, 0, sizeof(*names));
	names->data = xcalloc(count, sizeof(*names->data));
	names->count = count;
	for (size_t i = 0; i < count; i++) {
		names->data[i] = (struct name){texts[i], i};
		names->begins[(unsigned char)texts[i][0]] = true;
	}
	if (count)
		qsort(names->data, count, sizeof(*names->data), compare_names);
}

static bool names_find(struct names *names, const char *text, size_t *ret)
{
	const struct name wanted = {.text = text};
	const struct name *found;

	if (names->is_wanted) {
		*ret = names->matched;
		return names->is_wanted(names->context, text) && ++names->matched;
	}
	if (!names->begins[(unsigned char)*text])
		return false;
	found = bsearch(&wanted, names->data, names->count, sizeof(wanted), compare_names);
	if (found)
		*ret = found->index;
	return found;
}

static void take_symbol(const struct elf_image *image, const GElf_Sym *symbol, size_t name,
			struct elf_functions *ret)
{
	unsigned visibility = GELF_ST_VISIBILITY(symbol->st_other);
	struct elf_function function = {
		.name = name,
		.address = symbol->st_value,
		.size = symbol->st_size,
		.local = GELF_ST_BIND(symbol->st_info) == STB_LOCAL,
		.hidden = visibility == STV_HIDDEN || visibility == STV_INTERNAL,
		.indirect = GELF_ST_TYPE(symbol->st_info) == STT_GNU_IFUNC,
	};

	if (elf_image_file_offset(image, symbol->st_value, &function.offset))
		*vec_push(ret) = function;
}

static int scan_table(Elf *elf, const struct elf_image *image, enum elf_table table,
		      struct names *names, struct elf_functions *ret)
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
		size_t index = 0;

		if (!gelf_getsym(data, (int)i, &symbol) || !is_wanted(&symbol))
			continue;
		name = elf_strptr(elf, header.sh_link, symbol.st_name);
		if (name && names_find(names, name, &index))
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

static int scan(int fd, enum elf_table table, struct names *names, struct elf_functions *ret)
{
	struct elf_image image;
	int error = elf_image_read(fd, &image);
	Elf *elf;

	memset(ret, 0, sizeof(*ret));
	if (error)
		return error;
	elf = elf_begin(fd, ELF_C_READ, NULL);
	error = elf ? scan_table(elf, &image, table, names, ret) : -ENOEXEC;
	elf_end(elf);
	elf_image_deinit(&image);
	return error;
}

int elf_functions_find(int fd, enum elf_table table, const char *const *names, size_t name_count,
		       struct elf_functions *ret)
{
	struct names sorted;
	int error;

	names_init(&sorted, names, name_count);
	error = scan(fd, table, &sorted, ret);
	drop_shadowed(ret);
	free(sorted.data);
	return error;
}

int elf_functions_match(int fd, enum elf_table table, elf_name_wanted *is_wanted_name,
			void *context, struct elf_functions *ret)
{
	struct names names = {.is_wanted = is_wanted_name, .context = context};

	return scan(fd, table, &names, ret);
}

void elf_functions_deinit(struct elf_functions *functions)
{
	vec_deinit(functions);
}
