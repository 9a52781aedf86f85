/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/kernel_facts.h"

#include "util/cleanup.h"

#include <bpf/btf.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* A source file of the kernel is smaller; if it comes out larger, it was not laid out as one. */
#define TEXT_MAX 0x10000

/*
 * Functions of one source file of the kernel, among them the first and the last that it was laid
 * out with on the kernels looked at, or single functions.
 */
static const char *const uprobe_functions[] = {
	"xol_mremap",
	"xol_fault",
	"xol_free_insn_slot",
	"alloc_utask",
	"get_utask",
	"prepare_uretprobe",
	"uprobe_write_opcode",
	"uprobe_register",
	"uprobe_mmap",
	"uprobe_copy_process",
	"uprobe_free_utask",
	"uprobe_deny_signal",
	"uprobe_notify_resume",
	"handle_swbp",
	"uprobe_pre_sstep_notifier",
	"uprobe_post_sstep_notifier",
	NULL,
};
static const char *const slab_vector_functions[] = {"alloc_slab_obj_exts", NULL};
static const char *const sheaf_functions[] = {"alloc_empty_sheaf", NULL};
static const char *const sheaf_functions_inner[] = {"__alloc_empty_sheaf", NULL};

static const char *const *const skipped[KERNEL_SKIPPED_TEXTS] = {
	uprobe_functions,
	slab_vector_functions,
	sheaf_functions,
	sheaf_functions_inner,
};

/* Offset of a variable in the per-CPU section, -1 if there is none. */
static int64_t percpu_offset(const struct btf *btf, const struct btf_type *section,
			     const char *name)
{
	const struct btf_var_secinfo *info = btf_var_secinfos(section);

	for (int i = 0; i < btf_vlen(section); i++) {
		const struct btf_type *variable = btf__type_by_id(btf, info[i].type);

		if (variable && !strcmp(btf__name_by_offset(btf, variable->name_off), name))
			return info[i].offset;
	}
	return -1;
}

/* Offset of a member in a struct, -1 if there is none. */
static int64_t member_offset(const struct btf *btf, const char *type_name, const char *name)
{
	int id = btf__find_by_name_kind(btf, type_name, BTF_KIND_STRUCT);
	const struct btf_type *type = id < 0 ? NULL : btf__type_by_id(btf, id);

	if (!type)
		return -1;
	for (int i = 0; i < btf_vlen(type); i++) {
		const struct btf_member *member = &btf_members(type)[i];

		if (!strcmp(btf__name_by_offset(btf, member->name_off), name))
			return btf_member_bit_offset(type, i) / 8;
	}
	return -1;
}

static int64_t find_preempt_count(const struct btf *btf)
{
	int id = btf__find_by_name_kind(btf, ".data..percpu", BTF_KIND_DATASEC);
	const struct btf_type *section = id < 0 ? NULL : btf__type_by_id(btf, id);
	int64_t count, rq, member;

	if (!section)
		return 0;
	rq = percpu_offset(btf, section, "runqueues");
	count = percpu_offset(btf, section, "__preempt_count");
	if (count < 0) {
		/* 6.2 to 6.14 on x86: with other often used variables in one struct. */
		count = percpu_offset(btf, section, "pcpu_hot");
		member = member_offset(btf, "pcpu_hot", "preempt_count");
		count = count < 0 || member < 0 ? -1 : count + member;
	}
	return rq < 0 || count < 0 ? 0 : count - rq;
}

/* Descriptors lie in an array with no gaps; a size that is no power of two is not provided for. */
static unsigned find_page_scale(const struct btf *btf, unsigned page_shift)
{
	int id = btf__find_by_name_kind(btf, "page", BTF_KIND_STRUCT);
	const struct btf_type *type = id < 0 ? NULL : btf__type_by_id(btf, id);
	unsigned shift = 0;

	if (!type || !type->size)
		return 0;
	while (shift < page_shift && type->size << shift < 1u << page_shift)
		shift++;
	return type->size << shift == 1u << page_shift ? shift : 0;
}

void kernel_facts_read(struct kernel_facts *ret)
{
	struct btf *btf = btf__load_vmlinux_btf();

	*ret = (struct kernel_facts){.page_shift = __builtin_ctzl(sysconf(_SC_PAGESIZE))};
	if (!btf)
		return;
	ret->preempt_count_from_rq = find_preempt_count(btf);
	ret->page_scale = find_page_scale(btf, ret->page_shift);
	btf__free(btf);
}

static bool is_among(const char *const *names, const char *name)
{
	for (; *names; names++)
		if (!strcmp(*names, name))
			return true;
	return false;
}

/* Takes in one symbol; they come in the order of their addresses. */
static void extend(struct kernel_text *text, bool *open, const char *const *names, const char *name,
		   uint64_t address)
{
	if (*open && address > text->end) {
		text->end = address;
		*open = false;
	}
	if (!is_among(names, name))
		return;
	if (!text->start)
		text->start = address;
	text->end = address;
	*open = true;
}

void kernel_find_skipped_texts(struct kernel_text ret[KERNEL_SKIPPED_TEXTS])
{
	_cleanup_fclose_ FILE *file = fopen("/proc/kallsyms", "re");
	bool open[KERNEL_SKIPPED_TEXTS] = {false};
	char line[256];

	memset(ret, 0, KERNEL_SKIPPED_TEXTS * sizeof(*ret));
	/* Modules come last, and are in brackets. */
	while (file && fgets(line, sizeof(line), file) && !strchr(line, '[')) {
		char *name = strrchr(line, ' ');
		uint64_t address = strtoull(line, NULL, 16);

		if (!name || !address)
			continue;
		name[strcspn(name, "\n")] = '\0';
		for (int i = 0; i < KERNEL_SKIPPED_TEXTS; i++)
			extend(&ret[i], &open[i], skipped[i], name + 1, address);
	}
	for (int i = 0; i < KERNEL_SKIPPED_TEXTS; i++)
		if (open[i] || ret[i].end - ret[i].start > TEXT_MAX)
			ret[i] = (struct kernel_text){0};
}
