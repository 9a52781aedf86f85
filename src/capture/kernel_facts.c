/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/kernel_facts.h"

#include <bpf/btf.h>
#include <string.h>
#include <unistd.h>

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
