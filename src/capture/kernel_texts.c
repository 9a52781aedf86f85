/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/kernel_texts.h"

#include "util/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A source file of the kernel is smaller; if it comes out larger, it was not laid out as one. */
#define TEXT_MAX   0x10000
#define WANTED_MAX 160

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

#define NO_KIND (TEXT_NO_PAGES | TEXT_NO_AREA | TEXT_NO_PERCPU)

/* Rows that something depends on. */
enum {
	SLAB_TEXT = 5,
	AREA_TEXT = 8,
	USER_TEXT = 21,
	USER_CALLERS = 23,
};

/* Lists that end with NULL; names differ by kernel version. */
#define functions(...) ((const char *const[]){__VA_ARGS__, NULL})

static const struct {
	const char *const *functions;
	unsigned use;
} sources[KERNEL_ALL_TEXTS] = {
	{uprobe_functions, NO_KIND},
	/* What the allocators take for themselves. */
	{functions("alloc_slab_obj_exts"), NO_KIND},
	{functions("alloc_empty_sheaf"), 0},
	{functions("__alloc_empty_sheaf"), 0},
	{functions("pcpu_mem_zalloc", "pcpu_populate_chunk", "pcpu_create_chunk",
		   "pcpu_alloc_chunk", "pcpu_alloc_noprof", "pcpu_alloc"),
	 TEXT_NO_PAGES | TEXT_NO_AREA},
	[SLAB_TEXT] = {functions("___slab_alloc", "new_slab", "allocate_slab",
				 "___kmalloc_large_node"),
		       TEXT_NO_PAGES},
	{functions("__kmalloc_large_node", "kmalloc_large_node"), TEXT_NO_PAGES},
	{functions("kmalloc_order"), TEXT_NO_PAGES},
	[AREA_TEXT] = {functions("__vmalloc_node_range_noprof", "__vmalloc_node_range"),
		       TEXT_NO_PAGES | TEXT_AREA | TEXT_AREA_CUT},
	{functions("alloc_vmap_area", "__get_vm_area_node", "__vmalloc_node_noprof",
		   "__vmalloc_noprof", "vmalloc_noprof", "vzalloc_noprof", "vmalloc_user_noprof",
		   "__vmalloc_node", "__vmalloc", "vmalloc", "vzalloc", "vmalloc_user"),
	 TEXT_AREA_CUT},
	{functions("__kvmalloc_node_noprof", "kvmalloc_node_noprof", "kvmalloc_node"),
	 TEXT_AREA_CUT},
	/* What RSS has, or the page cache, or huge pages. */
	{functions("filemap_alloc_folio_noprof", "__filemap_get_folio", "__filemap_get_folio_mpol",
		   "do_read_cache_folio", "do_read_cache_page", "filemap_get_pages",
		   "filemap_alloc_folio", "__page_cache_alloc"),
	 TEXT_CACHE},
	{functions("page_cache_ra_unbounded", "page_cache_ra_order", "readahead_expand"),
	 TEXT_CACHE},
	{functions("shmem_alloc_folio", "shmem_alloc_and_add_folio", "shmem_alloc_and_acct_folio",
		   "shmem_alloc_page", "shmem_alloc_and_acct_page"),
	 TEXT_NO_PAGES},
	{functions("alloc_buddy_hugetlb_folio", "alloc_fresh_hugetlb_folio",
		   "only_alloc_fresh_hugetlb_folio", "alloc_buddy_huge_page",
		   "alloc_fresh_huge_page"),
	 TEXT_NO_PAGES},
	{functions("mm_get_huge_zero_folio", "mm_get_huge_zero_page", "get_huge_zero_page"),
	 TEXT_NO_PAGES},
	{functions("pte_alloc_one", "pgd_alloc"), TEXT_TABLES},
	{functions("__pte_alloc"), TEXT_TABLES},
	{functions("__p4d_alloc", "__pud_alloc", "__pmd_alloc"), TEXT_TABLES},
	/* The page allocator, in two source files. */
	{functions("__alloc_frozen_pages_noprof", "__alloc_pages_noprof", "__alloc_pages",
		   "__alloc_pages_nodemask", "get_free_pages_noprof", "__get_free_pages",
		   "get_zeroed_page_noprof", "get_zeroed_page", "alloc_pages_exact_noprof",
		   "alloc_pages_exact", "__folio_alloc_noprof", "__folio_alloc"),
	 TEXT_PAGE_CUT},
	{functions("alloc_pages_mpol", "alloc_pages_mpol_noprof", "alloc_pages_noprof",
		   "alloc_frozen_pages_noprof", "folio_alloc_noprof", "folio_alloc_mpol_noprof",
		   "alloc_pages", "alloc_pages_current", "folio_alloc"),
	 TEXT_PAGE_CUT},
	/* The user's own, which need not be movable where they are pinned at once. */
	[USER_TEXT] = {functions("vma_alloc_folio_noprof", "vma_alloc_folio", "alloc_pages_vma"),
		       TEXT_NO_PAGES | TEXT_PAGE_CUT},
	{functions("alloc_migration_target"), TEXT_CACHE},
	/* Where the compiler inlined that (kernels without NUMA): its callers. They have page
	 * tables made too, by calling others. */
	[USER_CALLERS] = {functions("do_anonymous_page"), TEXT_CACHE},
	{functions("alloc_anon_folio"), TEXT_CACHE},
	{functions("wp_page_copy"), TEXT_CACHE},
	{functions("do_wp_page"), TEXT_CACHE},
	{functions("do_cow_fault"), TEXT_CACHE},
	{functions("do_fault"), TEXT_CACHE},
	{functions("do_swap_page"), TEXT_CACHE},
	/* Not told to the programs: pipes, sockets, other files that are in no directory, and files
	 * in memory. */
	[KERNEL_TEXTS] = {functions("create_pipe_files"), TEXT_PINNED},
	{functions("sock_alloc"), TEXT_PINNED},
	{functions("d_alloc_pseudo"), TEXT_PINNED},
	{functions("alloc_file_pseudo", "alloc_file_pseudo_noaccount"), TEXT_PINNED},
	{functions("shmem_alloc_inode", "shmem_get_inode", "__shmem_get_inode", "shmem_mknod",
		   "shmem_add_to_page_cache", "shmem_file_setup", "__shmem_file_setup",
		   "shmem_get_folio_gfp", "shmem_getpage_gfp"),
	 TEXT_PINNED},
	{functions("ramfs_get_inode", "ramfs_mknod"), TEXT_PINNED},
	{functions("security_inode_alloc", "lsm_inode_alloc"), TEXT_INODE_PART},
};

/* A function that is looked for. */
struct wanted {
	const char *name;
	unsigned row;
};

static int compare_wanted(const void *a, const void *b)
{
	return strcmp(((const struct wanted *)a)->name, ((const struct wanted *)b)->name);
}

/* By name; returns how many. */
static size_t list_wanted(struct wanted ret[WANTED_MAX])
{
	size_t count = 0;

	for (unsigned row = 0; row < KERNEL_ALL_TEXTS; row++)
		for (const char *const *name = sources[row].functions; *name && count < WANTED_MAX;
		     name++)
			ret[count++] = (struct wanted){*name, row};
	qsort(ret, count, sizeof(*ret), compare_wanted);
	return count;
}

/* What the compiler appends to a name says how it made the function; a cold part is elsewhere. */
static const struct wanted *find_wanted(const struct wanted *all, size_t count, char *name)
{
	size_t length = strcspn(name, ".");
	struct wanted key = {.name = name};

	if (strstr(name + length, ".cold"))
		return NULL;
	name[length] = '\0';
	return bsearch(&key, all, count, sizeof(key), compare_wanted);
}

/* Symbols come in the order of their addresses: the last function of a row ends at the next. */
static void take_symbol(struct kernel_texts *texts, bool open[KERNEL_ALL_TEXTS],
			const struct wanted *found, uint64_t address)
{
	for (int i = 0; i < KERNEL_ALL_TEXTS; i++)
		if (open[i] && address > texts->rows[i].end) {
			texts->rows[i].end = address;
			open[i] = false;
		}
	if (!found)
		return;
	if (!texts->rows[found->row].start)
		texts->rows[found->row].start = address;
	texts->rows[found->row].end = address;
	open[found->row] = true;
}

static void read_symbols(struct kernel_texts *ret)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/kallsyms", "re");
	struct wanted wanted[WANTED_MAX];
	size_t count = list_wanted(wanted);
	bool open[KERNEL_ALL_TEXTS] = {false};
	char line[256];

	/* Modules come last, and are in brackets. */
	while (file && fgets(line, sizeof(line), file) && !strchr(line, '[')) {
		char *name = strrchr(line, ' ');
		uint64_t address = strtoull(line, NULL, 16);

		if (!name || !address)
			continue;
		name[strcspn(name, "\n")] = '\0';
		take_symbol(ret, open, find_wanted(wanted, count, name + 1), address);
	}
	for (int i = 0; i < KERNEL_ALL_TEXTS; i++)
		if (open[i] || ret->rows[i].end - ret->rows[i].start > TEXT_MAX)
			ret->rows[i] = (struct kernel_text){0};
}

unsigned kernel_texts_use(const struct kernel_texts *texts, uint64_t address)
{
	unsigned use = 0;

	for (int i = 0; i < KERNEL_ALL_TEXTS; i++)
		if (address > texts->rows[i].start && address <= texts->rows[i].end)
			use |= texts->rows[i].use;
	return use;
}

void kernel_texts_find(struct kernel_texts *ret)
{
	memset(ret, 0, sizeof(*ret));
	read_symbols(ret);
	for (int i = 0; i < KERNEL_ALL_TEXTS; i++)
		ret->rows[i].use = sources[i].use;
	ret->told = ret->rows[USER_TEXT].start ? USER_CALLERS : KERNEL_TEXTS;
	ret->slabs_known = ret->rows[SLAB_TEXT].start;
	ret->areas_known = ret->rows[AREA_TEXT].start;
}
