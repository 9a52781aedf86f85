/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/elfcode.h"

#include "util/alloc.h"
#include "util/vec.h"

#include <elf.h>
#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EH_PE_UDATA4	  0x03
#define EH_PE_DATA_SDATA4 0x3b
#define MAX_UNWIND	  (1u << 22)

/* A function of the file; `end` is one past it. */
struct extent {
	uint64_t start, end;
};

struct symbol {
	uint64_t address;
	const char *name; /* owned by the ELF handle */
	bool indirect;
};

struct slot {
	uint64_t address;
	const char *name;  /* NULL: the resolver's choice; owned by the ELF handle */
	uint64_t resolver; /* 0 = none */
};

struct unwind_entry {
	int32_t start, description;
};

struct elf_code {
	int fd;
	Elf *elf;
	struct elf_image image;
	VEC(struct extent) extents; /* of symbols, by their start */
	struct unwind_entry *unwind;
	size_t unwind_count;
	uint64_t unwind_base;
	VEC(struct symbol) symbols;
	VEC(struct slot) slots; /* by their address */
};

/* --- extents --- */

static void add_symbols(struct elf_code *code, Elf_Scn *section, const GElf_Shdr *header)
{
	Elf_Data *data = elf_getdata(section, NULL);
	size_t count = data && header->sh_entsize ? data->d_size / header->sh_entsize : 0;

	for (size_t i = 0; i < count; i++) {
		GElf_Sym symbol;
		const char *name;
		bool indirect;

		if (!gelf_getsym(data, (int)i, &symbol) || symbol.st_shndx == SHN_UNDEF)
			continue;
		indirect = GELF_ST_TYPE(symbol.st_info) == STT_GNU_IFUNC;
		if (!indirect && GELF_ST_TYPE(symbol.st_info) != STT_FUNC)
			continue;
		name = elf_strptr(code->elf, header->sh_link, symbol.st_name);
		if (name)
			*vec_push(&code->symbols) =
				(struct symbol){symbol.st_value, name, indirect};
		if (!symbol.st_size || symbol.st_value + symbol.st_size < symbol.st_value)
			continue;
		*vec_push(&code->extents) =
			(struct extent){symbol.st_value, symbol.st_value + symbol.st_size};
	}
}

static bool read_at(const struct elf_code *code, uint64_t address, void *ret, size_t size)
{
	return elf_code_read(code, address, ret, size) == size;
}

/*
 * The binary search table of .eh_frame_hdr (Linux Standard Base, 10.6.2): pairs of where a function
 * starts and where its description is, both relative to the header, by their order.
 */
static void read_unwind_table(struct elf_code *code, uint64_t header)
{
	struct {
		uint8_t version, frame_encoding, count_encoding, table_encoding;
		uint32_t frame, count;
	} head;
	size_t bytes, got;

	if (code->unwind || !read_at(code, header, &head, sizeof(head)) || head.version != 1 ||
	    head.count_encoding != EH_PE_UDATA4 || head.table_encoding != EH_PE_DATA_SDATA4 ||
	    head.count > MAX_UNWIND)
		return;
	bytes = head.count * sizeof(*code->unwind);
	code->unwind = xmalloc(bytes);
	got = elf_code_read(code, header + sizeof(head), (uint8_t *)code->unwind, bytes);
	code->unwind_count = got / sizeof(*code->unwind); /* it may claim more than there is */
	code->unwind_base = header;
}

static uint64_t relative(uint64_t base, int32_t offset)
{
	return base + (uint64_t)(int64_t)offset;
}

/* Whole files, such as static ones, may have the descriptions without the search table. */
static void read_unwind_section(struct elf_code *code, Elf_Scn *section, const GElf_Shdr *header)
{
	Elf_Data *data = elf_rawdata(section, NULL);
	uint32_t words[4]; /* length, CIE (0: it is one), start relative to itself, size */

	for (size_t at = 0; data && data->d_buf && at + 8 <= data->d_size; at += 4 + words[0]) {
		size_t left = data->d_size - at;
		uint64_t start;

		memset(words, 0, sizeof(words));
		memcpy(words, (char *)data->d_buf + at,
		       left < sizeof(words) ? left : sizeof(words));
		if (!words[0] || words[0] > left - 4)
			return; /* the end, or of another form */
		start = relative(header->sh_addr + at + 8, (int32_t)words[2]);
		if (words[1] && words[0] >= 12 && words[3])
			*vec_push(&code->extents) = (struct extent){start, start + words[3]};
	}
}

/* By the description of the usual encoding: relative, four bytes. */
static bool extent_from_unwind(const struct elf_code *code, uint64_t address, struct extent *ret)
{
	size_t low = 0, high = code->unwind_count;
	uint32_t words[4]; /* length, CIE, start relative to itself, size */
	uint64_t start, fde;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (relative(code->unwind_base, code->unwind[middle].start) <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return false;
	start = relative(code->unwind_base, code->unwind[low - 1].start);
	fde = relative(code->unwind_base, code->unwind[low - 1].description);
	if (!read_at(code, fde, words, sizeof(words)) || words[0] < 12 || words[0] == UINT32_MAX ||
	    relative(fde + 8, (int32_t)words[2]) != start)
		return false;
	*ret = (struct extent){start, start + words[3]};
	return address >= ret->start && address < ret->end;
}

static int compare_extents(const void *a, const void *b)
{
	const struct extent *left = a, *right = b;

	if (left->start != right->start)
		return left->start < right->start ? -1 : 1;
	return (left->end > right->end) - (left->end < right->end);
}

/* --- slots --- */

static const char *symbol_name(Elf *elf, Elf_Scn *table, size_t index)
{
	Elf_Data *data = table ? elf_getdata(table, NULL) : NULL;
	GElf_Shdr header;
	GElf_Sym symbol;

	if (!data || !index || !gelf_getshdr(table, &header) ||
	    !gelf_getsym(data, (int)index, &symbol) || !symbol.st_name)
		return NULL;
	return elf_strptr(elf, header.sh_link, symbol.st_name);
}

static bool is_irelative(unsigned type)
{
	return type == R_X86_64_IRELATIVE || type == R_AARCH64_IRELATIVE;
}

static void add_relocations(struct elf_code *code, Elf_Scn *section, const GElf_Shdr *header)
{
	Elf_Scn *symbols = elf_getscn(code->elf, header->sh_link);
	Elf_Data *data = elf_getdata(section, NULL);
	size_t count = data && header->sh_entsize ? data->d_size / header->sh_entsize : 0;

	for (size_t i = 0; i < count; i++) {
		struct slot slot = {0};
		GElf_Rela entry;

		if (!gelf_getrela(data, (int)i, &entry))
			continue;
		slot.address = entry.r_offset;
		if (is_irelative(GELF_R_TYPE(entry.r_info)))
			slot.resolver = (uint64_t)entry.r_addend;
		else if (!entry.r_addend)
			slot.name = symbol_name(code->elf, symbols, GELF_R_SYM(entry.r_info));
		if (slot.name || slot.resolver)
			*vec_push(&code->slots) = slot;
	}
}

static int compare_slots(const void *a, const void *b)
{
	const struct slot *left = a, *right = b;

	return (left->address > right->address) - (left->address < right->address);
}

/* --- the file --- */

static bool is_unwind_section(const struct elf_code *code, const GElf_Shdr *header)
{
	size_t names;
	const char *name;

	if (code->unwind || header->sh_type == SHT_NOBITS || elf_getshdrstrndx(code->elf, &names))
		return false;
	name = elf_strptr(code->elf, names, header->sh_name);
	return name && !strcmp(name, ".eh_frame");
}

static void read_sections(struct elf_code *code)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;

	while ((section = elf_nextscn(code->elf, section))) {
		if (!gelf_getshdr(section, &header))
			continue;
		if (header.sh_type == SHT_SYMTAB || header.sh_type == SHT_DYNSYM)
			add_symbols(code, section, &header);
		else if (header.sh_type == SHT_RELA && header.sh_flags & SHF_ALLOC)
			add_relocations(code, section, &header);
		else if (is_unwind_section(code, &header))
			read_unwind_section(code, section, &header);
	}
}

static void read_headers(struct elf_code *code)
{
	size_t count = 0;
	GElf_Phdr header;

	if (elf_getphdrnum(code->elf, &count))
		return;
	for (size_t i = 0; i < count; i++)
		if (gelf_getphdr(code->elf, (int)i, &header) && header.p_type == PT_GNU_EH_FRAME)
			read_unwind_table(code, header.p_vaddr);
}

int elf_code_open(int fd, struct elf_code **ret)
{
	struct elf_code *code = xcalloc(1, sizeof(*code));
	int error = elf_image_read(fd, &code->image);

	code->fd = fd;
	if (error) {
		free(code);
		return error;
	}
	code->elf = elf_begin(fd, ELF_C_READ, NULL);
	if (code->elf) {
		read_headers(code);
		read_sections(code);
	}
	if (code->extents.count)
		qsort(code->extents.data, code->extents.count, sizeof(*code->extents.data),
		      compare_extents);
	if (code->slots.count)
		qsort(code->slots.data, code->slots.count, sizeof(*code->slots.data),
		      compare_slots);
	*ret = code;
	return 0;
}

void elf_code_close(struct elf_code *code)
{
	if (!code)
		return;
	vec_deinit(&code->extents);
	vec_deinit(&code->slots);
	vec_deinit(&code->symbols);
	free(code->unwind);
	elf_image_deinit(&code->image);
	elf_end(code->elf);
	free(code);
}

unsigned elf_code_machine(const struct elf_code *code)
{
	return code->image.machine;
}

static bool extent_from_symbols(const struct elf_code *code, uint64_t address, struct extent *ret)
{
	size_t low = 0, high = code->extents.count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (code->extents.data[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	/* The nearest before it; of aliases, and of what overlaps, a few. */
	for (unsigned tries = 0; low && tries < 8; tries++) {
		*ret = code->extents.data[--low];
		if (address < ret->end)
			return true;
	}
	return false;
}

bool elf_code_extent(const struct elf_code *code, uint64_t address, uint64_t *start, uint64_t *end)
{
	struct extent extent;

	if (!extent_from_symbols(code, address, &extent) &&
	    !extent_from_unwind(code, address, &extent))
		return false;
	*start = extent.start;
	*end = extent.end;
	return true;
}

size_t elf_code_read(const struct elf_code *code, uint64_t address, uint8_t *ret, size_t size)
{
	ssize_t got;

	for (size_t i = 0; i < code->image.segment_count; i++) {
		const struct elf_segment *s = &code->image.segments[i];

		if (address < s->address || address - s->address >= s->file_size)
			continue;
		if (size > s->file_size - (address - s->address))
			size = s->file_size - (address - s->address);
		got = pread(code->fd, ret, size, (off_t)(address - s->address + s->offset));
		return got > 0 ? (size_t)got : 0;
	}
	return 0;
}

static const char *chooser_name(const struct elf_code *code, uint64_t resolver)
{
	const struct symbol *symbol;

	vec_for_each(symbol, &code->symbols)
		if (symbol->indirect && symbol->address == resolver)
			return symbol->name;
	return NULL;
}

const char *elf_code_import(const struct elf_code *code, uint64_t slot)
{
	const struct slot wanted = {.address = slot};
	const struct slot *found = NULL;

	if (code->slots.count)
		found = bsearch(&wanted, code->slots.data, code->slots.count, sizeof(wanted),
				compare_slots);
	if (found && found->resolver)
		return chooser_name(code, found->resolver);
	return found ? found->name : NULL;
}

uint64_t elf_code_definition(const struct elf_code *code, const char *name)
{
	const struct symbol *symbol;

	vec_for_each(symbol, &code->symbols)
		if (!symbol->indirect && !strcmp(symbol->name, name))
			return symbol->address;
	return 0;
}

uint64_t elf_code_chosen_slot(const struct elf_code *code, uint64_t resolver)
{
	const struct slot *slot;

	vec_for_each(slot, &code->slots)
		if (slot->resolver == resolver)
			return slot->address;
	return 0;
}

uint64_t elf_code_import_slot(const struct elf_code *code, const char *name)
{
	const struct slot *slot;

	vec_for_each(slot, &code->slots)
		if (slot->name && !strcmp(slot->name, name))
			return slot->address;
	return 0;
}
