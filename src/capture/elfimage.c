/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/elfimage.h"

#include "util/alloc.h"

#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void read_build_id(Elf *elf, const GElf_Phdr *header, struct elf_image *ret)
{
	Elf_Data *data = elf_getdata_rawchunk(elf, (int64_t)header->p_offset, header->p_filesz,
					      header->p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
	size_t at = 0, name, description;
	GElf_Nhdr note;

	while (data && (at = gelf_getnote(data, at, &note, &name, &description)) > 0) {
		if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != sizeof(ELF_NOTE_GNU) ||
		    memcmp((char *)data->d_buf + name, ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)))
			continue;
		ret->build_id_size = note.n_descsz < BUILD_ID_MAX ? note.n_descsz : BUILD_ID_MAX;
		memcpy(ret->build_id, (char *)data->d_buf + description, ret->build_id_size);
		return;
	}
}

static int read_elf(Elf *elf, struct elf_image *ret)
{
	GElf_Ehdr header;
	size_t count;

	memset(ret, 0, sizeof(*ret));
	if (!elf || elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &header) ||
	    elf_getphdrnum(elf, &count))
		return -ENOEXEC;
	ret->machine = header.e_machine;
	ret->type = header.e_type;
	ret->segments = xcalloc(count, sizeof(*ret->segments));
	for (size_t i = 0; i < count; i++) {
		GElf_Phdr p;

		if (!gelf_getphdr(elf, (int)i, &p))
			continue;
		if (p.p_type == PT_LOAD)
			ret->segments[ret->segment_count++] = (struct elf_segment){
				.address = p.p_vaddr,
				.offset = p.p_offset,
				.file_size = p.p_filesz,
				.memory_size = p.p_memsz,
				.executable = p.p_flags & PF_X,
			};
		else if (p.p_type == PT_NOTE && !ret->build_id_size)
			read_build_id(elf, &p, ret);
	}
	return 0;
}

int elf_image_read(int fd, struct elf_image *ret)
{
	Elf *elf;
	int error;

	elf_version(EV_CURRENT);
	/* Not by mmap: a file that is cut short while it is read must not end memtop by SIGBUS. */
	elf = elf_begin(fd, ELF_C_READ, NULL);
	error = read_elf(elf, ret);
	elf_end(elf);
	return error;
}

int elf_image_read_memory(char *data, size_t size, struct elf_image *ret)
{
	Elf *elf;
	int error;

	elf_version(EV_CURRENT);
	elf = elf_memory(data, size);
	error = read_elf(elf, ret);
	elf_end(elf);
	return error;
}

void elf_image_deinit(struct elf_image *image)
{
	free(image->segments);
	image->segments = NULL;
	image->segment_count = 0;
}

/*
 * Two segments may share a page of the file (the end of one, the start of the next), which is then
 * mapped twice: the executable one is preferred, as executable mappings are what is asked for.
 */
bool elf_image_bias(const struct elf_image *image, uint64_t start, uint64_t offset, uint64_t *ret)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const struct elf_segment *found = NULL;

	for (size_t i = 0; i < image->segment_count; i++) {
		const struct elf_segment *s = &image->segments[i];

		if (offset < (s->offset & ~(page - 1)) || offset >= s->offset + s->file_size)
			continue;
		if (!found || (s->executable && !found->executable))
			found = s;
	}
	if (!found)
		return false;
	*ret = start - offset + found->offset - found->address;
	return true;
}

bool elf_image_file_offset(const struct elf_image *image, uint64_t address, uint64_t *ret)
{
	for (size_t i = 0; i < image->segment_count; i++) {
		const struct elf_segment *s = &image->segments[i];

		if (address < s->address || address - s->address >= s->file_size)
			continue;
		*ret = address - s->address + s->offset;
		return true;
	}
	return false;
}
