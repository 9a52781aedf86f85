/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Finds the frame section by section header, and where a file has none (stripped of them, or a
 * vdso) by PT_GNU_EH_FRAME. libelf checks the bounds of what it hands out and, opened for reading,
 * copies it: a file cut short meanwhile cannot end memtop by SIGBUS.
 */
#include "unwind/elf_frames.h"

#include "unwind/cursor.h"

#include <dwarf.h>
#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <sys/param.h>

/* The executable segments span [base, text_end). */
static int read_segments(Elf *elf, struct elf_frames *frames)
{
	uint64_t low = UINT64_MAX, high = 0;
	GElf_Phdr segment;
	size_t count;

	if (elf_getphdrnum(elf, &count))
		return -ENOEXEC;
	for (size_t i = 0; i < count && gelf_getphdr(elf, (int)i, &segment); i++) {
		if (segment.p_type != PT_LOAD || !(segment.p_flags & PF_X))
			continue;
		low = MIN(low, segment.p_vaddr);
		high = MAX(high, segment.p_vaddr + segment.p_memsz);
		if (frames->segment_count < ELF_FRAMES_SEGMENTS_MAX)
			frames->segments[frames->segment_count++] = (struct elf_segment){
				segment.p_vaddr, segment.p_offset, segment.p_filesz};
	}
	if (low >= high)
		return -ENOEXEC;
	frames->input.base = low;
	frames->input.text_address = low;
	frames->text_end = high;
	return 0;
}

static void read_notes(struct elf_frames *frames, Elf_Data *data)
{
	size_t offset = 0, name, description;
	GElf_Nhdr note;

	while (data && (offset = gelf_getnote(data, offset, &note, &name, &description)) > 0) {
		if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != sizeof("GNU") ||
		    memcmp((char *)data->d_buf + name, "GNU", sizeof("GNU")) != 0 ||
		    !note.n_descsz || note.n_descsz > ELF_FRAMES_BUILD_ID_MAX)
			continue;
		memcpy(frames->build_id, (char *)data->d_buf + description, note.n_descsz);
		frames->build_id_size = note.n_descsz;
		return;
	}
}

static void read_build_id(Elf *elf, struct elf_frames *frames)
{
	GElf_Phdr segment;
	size_t count;

	if (elf_getphdrnum(elf, &count))
		return;
	for (size_t i = 0; i < count && gelf_getphdr(elf, (int)i, &segment); i++) {
		if (frames->build_id_size)
			return;
		if (segment.p_type == PT_NOTE)
			read_notes(frames, elf_getdata_rawchunk(elf, (int64_t)segment.p_offset,
								segment.p_filesz,
								segment.p_align == 8 ? ELF_T_NHDR8 :
										       ELF_T_NHDR));
	}
}

static bool use_section(Elf *elf, const char *wanted, struct rows_input *ret)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	size_t names;

	if (elf_getshdrstrndx(elf, &names))
		return false;
	while ((section = elf_nextscn(elf, section)) != NULL) {
		const char *name;
		Elf_Data *data;

		if (!gelf_getshdr(section, &header) || header.sh_type == SHT_NOBITS)
			continue;
		name = elf_strptr(elf, names, header.sh_name);
		if (!name || strcmp(name, wanted) != 0)
			continue;
		if (header.sh_flags & SHF_COMPRESSED && elf_compress(section, 0, 0) < 0)
			return false;
		data = elf_rawdata(section, NULL);
		if (!data || !data->d_buf || !data->d_size)
			return false;
		ret->data = data->d_buf;
		ret->size = data->d_size;
		ret->address = header.sh_addr;
		return true;
	}
	return false;
}

/* Bytes of the file that a segment maps at `address`, up to the segment's end. */
static Elf_Data *segment_data(Elf *elf, uint64_t address)
{
	GElf_Phdr segment;
	size_t count;

	if (elf_getphdrnum(elf, &count))
		return NULL;
	for (size_t i = 0; i < count && gelf_getphdr(elf, (int)i, &segment); i++) {
		uint64_t into = address - segment.p_vaddr;

		if (segment.p_type == PT_LOAD && address >= segment.p_vaddr &&
		    into < segment.p_filesz)
			return elf_getdata_rawchunk(elf, (int64_t)(segment.p_offset + into),
						    segment.p_filesz - into, ELF_T_BYTE);
	}
	return NULL;
}

/* .eh_frame_hdr begins: version 1, three encodings, and a pointer to .eh_frame. */
static bool use_eh_frame_header(Elf *elf, struct elf_frames *frames)
{
	GElf_Phdr segment;
	Elf_Data *data;
	size_t count;

	if (elf_getphdrnum(elf, &count))
		return false;
	for (size_t i = 0; i < count && gelf_getphdr(elf, (int)i, &segment); i++) {
		struct cursor cursor;

		if (segment.p_type != PT_GNU_EH_FRAME)
			continue;
		data = segment_data(elf, segment.p_vaddr);
		if (!data || !data->d_buf || data->d_size < 8)
			return false;
		cursor = (struct cursor){data->d_buf, (uint8_t *)data->d_buf + 8, false};
		if (cursor_byte(&cursor) != 1 ||
		    cursor_byte(&cursor) != (DW_EH_PE_pcrel | DW_EH_PE_sdata4))
			return false;
		cursor_bytes(&cursor, 2);
		frames->input.address = segment.p_vaddr + 4 + (uint64_t)cursor_signed(&cursor, 4);
		data = segment_data(elf, frames->input.address);
		if (!data || !data->d_buf)
			return false;
		frames->input.data = data->d_buf;
		frames->input.size = data->d_size;
		return true;
	}
	return false;
}

static void read_data_address(Elf *elf, struct elf_frames *frames)
{
	GElf_Phdr segment;
	size_t count;

	if (elf_getphdrnum(elf, &count))
		return;
	for (size_t i = 0; i < count && gelf_getphdr(elf, (int)i, &segment); i++)
		if (segment.p_type == PT_GNU_EH_FRAME)
			frames->input.data_address = segment.p_vaddr;
}

static int read_elf(Elf *elf, struct elf_frames *frames)
{
	GElf_Ehdr header;
	int error;

	if (!elf)
		return -ENOEXEC;
	frames->elf = elf;
	if (elf_kind(elf) != ELF_K_ELF || gelf_getclass(elf) != ELFCLASS64 ||
	    !gelf_getehdr(elf, &header) || header.e_ident[EI_DATA] != ELFDATA2LSB ||
	    (header.e_type != ET_EXEC && header.e_type != ET_DYN))
		return -ENOEXEC;
	frames->input.machine = header.e_machine;
	error = read_segments(elf, frames);
	if (error)
		return error;
	read_build_id(elf, frames);
	read_data_address(elf, frames);
	frames->debug = frames->input;
	frames->debug.debug_frame = true;
	use_section(elf, ".debug_frame", &frames->debug);
	if (!use_section(elf, ".eh_frame", &frames->input))
		use_eh_frame_header(elf, frames);
	return 0;
}

static int finish(struct elf_frames *frames, int error)
{
	if (error)
		elf_frames_close(frames);
	return error;
}

int elf_frames_open(int fd, struct elf_frames *ret)
{
	Elf *elf;

	memset(ret, 0, sizeof(*ret));
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	return finish(ret, read_elf(elf, ret));
}

int elf_frames_open_image(void *image, size_t size, struct elf_frames *ret)
{
	memset(ret, 0, sizeof(*ret));
	elf_version(EV_CURRENT);
	return finish(ret, read_elf(elf_memory(image, size), ret));
}

int elf_frames_compile(const struct elf_frames *frames, struct rows *ret)
{
	int error = frames->input.size ? rows_compile(&frames->input, ret) : -ENODATA;
	struct rows debug;

	if (error == -ENOTSUP || !frames->debug.size)
		return error;
	if (error)
		return rows_compile(&frames->debug, ret);
	if (!rows_compile(&frames->debug, &debug)) {
		rows_fill(ret, &debug);
		rows_deinit(&debug);
	}
	return 0;
}

void elf_frames_close(struct elf_frames *frames)
{
	if (frames->elf)
		elf_end(frames->elf);
	memset(frames, 0, sizeof(*frames));
}

int elf_segments_bias(const struct elf_segment *segments, unsigned count, uint64_t start,
		      uint64_t file_offset, uint64_t size, uint64_t *ret_bias)
{
	for (unsigned i = 0; i < count; i++) {
		const struct elf_segment *segment = &segments[i];

		/* Mappings begin at pages, segments need not. */
		if (segment->file_offset >= file_offset + size ||
		    file_offset >= segment->file_offset + segment->file_size)
			continue;
		*ret_bias = start - file_offset - (segment->address - segment->file_offset);
		return 0;
	}
	return -ENOENT;
}
