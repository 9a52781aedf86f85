/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An image is up to three ELF files: the one that is mapped, the one packed into it
 * (.gnu_debugdata) and its debug file. All three have the same addresses, so their symbols go into
 * one table, best name first. The names stay in the files' own string tables.
 */
#include "symbol/image.h"

#include "symbol/debugfile.h"
#include "util/alloc.h"

#include <elfutils/libdwelf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_UNPACKED	   ((size_t)256 << 20)
#define MAX_LZMA_MEMORY	   ((uint64_t)256 << 20)
#define MAX_SECTION	   ((uint64_t)1 << 30)
#define MAX_UNPACKED_DWARF ((uint64_t)1 << 30)

struct part {
	int fd; /* -1 = none */
	Elf *elf;
	void *memory; /* owned, where it is not a file */
};

struct image {
	struct part main, packed, debug;
	struct symtab *symtab;
	Dwarf *dwarf, *alternate;
	int alternate_fd;
	uint64_t dwarf_bias;
	size_t bytes;
};

static void part_close(struct part *part)
{
	if (part->elf)
		elf_end(part->elf);
	if (part->fd >= 0)
		close(part->fd);
	free(part->memory);
	*part = (struct part){.fd = -1};
}

static bool is_loadable(Elf *elf)
{
	GElf_Ehdr header;

	return elf_kind(elf) == ELF_K_ELF && gelf_getehdr(elf, &header) &&
	       (header.e_type == ET_EXEC || header.e_type == ET_DYN);
}

static int part_open(struct part *part, int fd)
{
	*part = (struct part){.fd = fd};
	elf_version(EV_CURRENT);
	part->elf = elf_begin(fd, ELF_C_READ_MMAP_PRIVATE, NULL);
	if (part->elf && is_loadable(part->elf))
		return 0;
	part_close(part);
	return -ENOEXEC;
}

static int part_open_memory(struct part *part, void *memory, size_t size)
{
	*part = (struct part){.fd = -1, .memory = memory};
	elf_version(EV_CURRENT);
	part->elf = elf_memory(memory, size);
	if (part->elf && is_loadable(part->elf))
		return 0;
	part_close(part);
	return -ENOEXEC;
}

static Elf_Scn *find_section(Elf *elf, const char *name, GElf_Shdr *ret)
{
	Elf_Scn *section = NULL;
	size_t names;

	if (elf_getshdrstrndx(elf, &names))
		return NULL;
	while ((section = elf_nextscn(elf, section))) {
		const char *text;

		if (!gelf_getshdr(section, ret))
			continue;
		text = elf_strptr(elf, names, ret->sh_name);
		if (text && !strcmp(text, name))
			return section;
	}
	return NULL;
}

/* Symbols that name code. ARM's mapping symbols ("$x") name nothing. */
static bool symbol_counts(const GElf_Sym *symbol, const char *name)
{
	unsigned type = GELF_ST_TYPE(symbol->st_info);

	if (symbol->st_shndx == SHN_UNDEF || symbol->st_shndx == SHN_ABS)
		return false;
	if (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE)
		return false;
	return name && *name && *name != '$';
}

static void add_symbols(struct image *image, Elf *elf, Elf_Scn *section, const GElf_Shdr *header)
{
	Elf_Data *data;
	size_t count;

	if (!header->sh_entsize || header->sh_size > MAX_SECTION)
		return;
	data = elf_getdata(section, NULL);
	if (!data)
		return;
	count = data->d_size / header->sh_entsize;
	for (size_t i = 1; i < count && i < INT32_MAX; i++) {
		struct symtab_entry entry = {0};
		GElf_Sym symbol;
		const char *name;

		if (!gelf_getsym(data, i, &symbol))
			break;
		name = elf_strptr(elf, header->sh_link, symbol.st_name);
		if (!symbol_counts(&symbol, name))
			continue;
		entry.start = symbol.st_value;
		entry.size = symbol.st_size > UINT32_MAX ? UINT32_MAX : symbol.st_size;
		entry.name = name;
		if (GELF_ST_TYPE(symbol.st_info) == STT_NOTYPE)
			entry.rank |= SYMTAB_RANK_LABEL;
		if (GELF_ST_BIND(symbol.st_info) == STB_LOCAL)
			entry.rank |= SYMTAB_RANK_LOCAL;
		if (!symtab_add(image->symtab, &entry))
			break;
	}
}

/* All symbol tables of a part. */
static void add_part(struct image *image, const struct part *part)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;

	if (!part->elf)
		return;
	while ((section = elf_nextscn(part->elf, section))) {
		if (!gelf_getshdr(section, &header))
			continue;
		if (header.sh_type == SHT_SYMTAB || header.sh_type == SHT_DYNSYM)
			add_symbols(image, part->elf, section, &header);
	}
}

static bool unpack(const Elf_Data *data, char **ret, size_t *ret_size)
{
	lzma_stream stream = LZMA_STREAM_INIT;
	size_t capacity = data->d_size * 4 + 65536;
	lzma_ret status = LZMA_OK;
	char *text;

	if (lzma_stream_decoder(&stream, MAX_LZMA_MEMORY, LZMA_CONCATENATED) != LZMA_OK)
		return false;
	if (capacity > MAX_UNPACKED)
		capacity = MAX_UNPACKED;
	text = xmalloc(capacity);
	stream.next_in = data->d_buf;
	stream.avail_in = data->d_size;
	while (status == LZMA_OK && stream.total_out < MAX_UNPACKED) {
		if (stream.total_out == capacity) {
			capacity = capacity * 2 < MAX_UNPACKED ? capacity * 2 : MAX_UNPACKED;
			text = xreallocarray(text, capacity, 1);
		}
		stream.next_out = (uint8_t *)text + stream.total_out;
		stream.avail_out = capacity - stream.total_out;
		status = lzma_code(&stream, LZMA_FINISH);
	}
	*ret = text;
	*ret_size = stream.total_out;
	lzma_end(&stream);
	if (status == LZMA_STREAM_END)
		return true;
	free(text);
	return false;
}

static void open_packed(struct image *image)
{
	GElf_Shdr header;
	Elf_Scn *section = find_section(image->main.elf, ".gnu_debugdata", &header);
	Elf_Data *data;
	size_t size;
	char *text;

	if (!section || header.sh_type == SHT_NOBITS || header.sh_size > MAX_UNPACKED)
		return;
	data = elf_rawdata(section, NULL);
	if (!data || !data->d_buf || !unpack(data, &text, &size))
		return;
	image->bytes += size;
	part_open_memory(&image->packed, text, size);
}

static void read_symbols(struct image *image)
{
	symtab_free(image->symtab);
	image->symtab = symtab_new();
	add_part(image, &image->main);
	add_part(image, &image->packed);
	add_part(image, &image->debug);
	symtab_sort(image->symtab, false);
}

static struct image *image_new(void)
{
	struct image *image = xcalloc(1, sizeof(*image));

	image->main.fd = image->packed.fd = image->debug.fd = image->alternate_fd = -1;
	return image;
}

static int image_start(struct image *image, int status, struct image **ret)
{
	if (status) {
		free(image);
		return status;
	}
	open_packed(image);
	read_symbols(image);
	*ret = image;
	return 0;
}

int image_open(int fd, struct image **ret)
{
	struct image *image = image_new();

	return image_start(image, part_open(&image->main, fd), ret);
}

int image_open_memory(void *data, size_t size, struct image **ret)
{
	struct image *image = image_new();

	return image_start(image, part_open_memory(&image->main, data, size), ret);
}

static void close_dwarf(struct image *image)
{
	if (image->dwarf)
		dwarf_end(image->dwarf);
	if (image->alternate)
		dwarf_end(image->alternate);
	if (image->alternate_fd >= 0)
		close(image->alternate_fd);
	image->dwarf = image->alternate = NULL;
	image->alternate_fd = -1;
}

void image_close(struct image *image)
{
	if (!image)
		return;
	close_dwarf(image);
	symtab_free(image->symtab);
	part_close(&image->debug);
	part_close(&image->packed);
	part_close(&image->main);
	free(image);
}

size_t image_build_id(const struct image *image, const uint8_t **ret)
{
	const void *id;
	ssize_t size = dwelf_elf_gnu_build_id(image->main.elf, &id);

	*ret = id;
	return size > 0 ? size : 0;
}

/* Debug sections that are there, and how much memory they take once unpacked. */
static bool has_dwarf(Elf *elf, uint64_t *ret_unpacked)
{
	Elf_Scn *section = NULL;
	bool found = false;
	size_t names;

	*ret_unpacked = 0;
	if (elf_getshdrstrndx(elf, &names))
		return false;
	while ((section = elf_nextscn(elf, section))) {
		GElf_Shdr header;
		GElf_Chdr packed;
		const char *name;

		if (!gelf_getshdr(section, &header) || header.sh_type == SHT_NOBITS)
			continue;
		name = elf_strptr(elf, names, header.sh_name);
		if (!name || (strncmp(name, ".debug_", 7) && strncmp(name, ".zdebug_", 8)))
			continue;
		if (!strcmp(name, ".debug_info") || !strcmp(name, ".zdebug_info"))
			found = true;
		if (gelf_getchdr(section, &packed))
			*ret_unpacked += packed.ch_size;
		else if (name[1] == 'z')
			*ret_unpacked += dwelf_scn_gnu_compressed_size(section);
	}
	return found;
}

/* The bias of the debug file's addresses is 0 but after prelink: first PT_LOADs tell. */
static bool first_load(Elf *elf, uint64_t *ret)
{
	size_t count;

	if (elf_getphdrnum(elf, &count))
		return false;
	for (size_t i = 0; i < count; i++) {
		GElf_Phdr header;

		if (!gelf_getphdr(elf, i, &header) || header.p_type != PT_LOAD)
			continue;
		*ret = header.p_vaddr;
		return true;
	}
	return false;
}

/*
 * dwz moves what several debug files share into another one. libdw would open it by the name that
 * the file gives, whatever that is, so it is found here; a file whose other half is missing has no
 * usable DWARF.
 */
static int open_alternate(struct image *image, const struct debug_finder *finder)
{
	const char *name;
	const void *id;
	ssize_t size = dwelf_dwarf_gnu_debugaltlink(image->dwarf, &name, &id);

	if (size <= 0)
		return 0;
	image->alternate_fd = debug_find_by_id(finder, id, size, name);
	if (image->alternate_fd < 0)
		return image->alternate_fd;
	image->alternate = dwarf_begin(image->alternate_fd, DWARF_C_READ);
	if (!image->alternate)
		return -ENOEXEC;
	dwarf_setalt(image->dwarf, image->alternate);
	return 0;
}

static int open_dwarf(struct image *image, Elf *elf, const struct debug_finder *finder)
{
	uint64_t unpacked;
	int status;

	if (!has_dwarf(elf, &unpacked) || unpacked > MAX_UNPACKED_DWARF)
		return 0;
	image->dwarf = dwarf_begin_elf(elf, DWARF_C_READ, NULL);
	if (!image->dwarf)
		return 0;
	status = open_alternate(image, finder);
	if (status)
		close_dwarf(image);
	else
		image->bytes += unpacked;
	return status == -EAGAIN ? status : 0;
}

int image_deepen(struct image *image, const struct debug_finder *finder)
{
	uint64_t unpacked, main_load, debug_load;
	int fd;

	if (has_dwarf(image->main.elf, &unpacked))
		return open_dwarf(image, image->main.elf, finder);
	fd = debug_find(finder, image->main.elf);
	if (fd == -EAGAIN)
		return fd;
	if (fd < 0 || part_open(&image->debug, fd))
		return 0;
	if (open_dwarf(image, image->debug.elf, finder) == -EAGAIN) {
		part_close(&image->debug);
		return -EAGAIN;
	}
	read_symbols(image);
	if (first_load(image->main.elf, &main_load) && first_load(image->debug.elf, &debug_load))
		image->dwarf_bias = main_load - debug_load;
	return 0;
}

const struct symtab_entry *image_symbol(const struct image *image, uint64_t address)
{
	return symtab_find(image->symtab, address);
}

const struct symtab_entry *image_symbol_at(const struct image *image, uint64_t address)
{
	return symtab_at(image->symtab, address);
}

const struct symtab_entry *image_symbol_named(const struct image *image, uint64_t address,
					      const char *name)
{
	return symtab_named(image->symtab, address, name);
}

Dwarf *image_dwarf(const struct image *image, uint64_t *ret_bias)
{
	*ret_bias = image->dwarf_bias;
	return image->dwarf;
}

size_t image_bytes(const struct image *image)
{
	return image->bytes + symtab_bytes(image->symtab);
}
