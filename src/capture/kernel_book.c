/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/kernel_book.h"

#include "bpf/kernel.skel.h"
#include "capture/bpf_log.h"
#include "capture/kernel_facts.h"
#include "capture/program_info.h"
#include "util/alloc.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CACHE_SLOTS	 1024
#define PAGES_PER_BUCKET 16
#define VOTES_NEEDED	 3

/* In the order of attaching: frees are watched before allocations are. */
enum program {
	PROGRAM_KFREE,
	PROGRAM_CACHE_FREE,
	PROGRAM_KFREE_MISSED, /* looks at what the first on its tracepoint missed */
	PROGRAM_CACHE_FREE_MISSED,
	PROGRAM_PAGE_FREE,
	PROGRAM_PAGE_MEASURED, /* with the calibration only */
	PROGRAM_KMALLOC,
	PROGRAM_CACHE_ALLOC,
	/* The kinds beside slab, which a kernel may lack. */
	PROGRAM_AREA_FREE,
	PROGRAM_PERCPU_FREE,
	PROGRAM_PAGE_ALLOC,
	PROGRAM_AREA_ALLOC,
	PROGRAM_PERCPU_ALLOC,
	PROGRAM_COUNT
};

#define PROGRAM_FIRST_OPTIONAL PROGRAM_AREA_FREE

static const struct {
	enum abi_kind kind;
	enum program allocates, frees;
	const char *lacking;
} kinds[] = {
	{ABI_KIND_PAGE, PROGRAM_PAGE_ALLOC, PROGRAM_PAGE_FREE,
	 "the kernel has no tracepoint mm_page_alloc"},
	{ABI_KIND_VMALLOC, PROGRAM_AREA_ALLOC, PROGRAM_AREA_FREE,
	 "the kernel has no tracepoints of vmalloc areas"},
	{ABI_KIND_PERCPU, PROGRAM_PERCPU_ALLOC, PROGRAM_PERCPU_FREE,
	 "the kernel has no tracepoint that tells sizes of per-CPU memory"},
};

#define KINDS (sizeof(kinds) / sizeof(*kinds))

struct kernel_book {
	struct kernel_bpf *skeleton;
	struct ledger ledger;
	struct abi_cache *caches;
	uint32_t *homes;
	uint32_t *page_counts;
	uint64_t *implicit_frees;
	struct bpf_program *programs[PROGRAM_COUNT];
	struct bpf_link *links[PROGRAM_COUNT];
	bool texts_told, slabs_known, areas_known;
	uint64_t missed, missed_before;
};

static size_t map_bytes(size_t element, size_t count)
{
	size_t page = sysconf(_SC_PAGESIZE);

	return (element * count + page - 1) & ~(page - 1);
}

static int load(struct kernel_book *book, const struct ledger_sizes *sizes,
		struct unwinder *unwinder, uint64_t now_ns)
{
	struct kernel_bpf *s = book->skeleton;
	struct kernel_facts facts;
	int error;

	s->rodata->cfg_bucket_mask = sizes->buckets - 1;
	s->rodata->cfg_site_mask = sizes->sites - 1;
	s->rodata->cfg_cache_mask = CACHE_SLOTS - 1;
	s->rodata->cfg_page_mask = sizes->buckets * PAGES_PER_BUCKET - 1;
	kernel_facts_read(&facts);
	s->rodata->cfg_preempt_count_from_rq = facts.preempt_count_from_rq;
	s->rodata->cfg_page_shift = facts.page_shift;
	s->rodata->cfg_page_scale = facts.page_scale;
	s->bss->page_measure.on = facts.page_scale > 0;
	error = ledger_size_maps(s->obj, sizes);
	if (!error)
		error = bpf_map__set_max_entries(s->maps.implicit_frees, sizes->sites);
	if (!error)
		error = bpf_map__set_max_entries(s->maps.homes, sizes->buckets);
	if (!error)
		error = bpf_map__set_max_entries(s->maps.page_counts,
						 sizes->buckets * PAGES_PER_BUCKET);
	if (!error)
		error = bpf_map__set_max_entries(s->maps.caches, CACHE_SLOTS);
	if (!error && unwinder)
		error = unwinder->ops->prepare(unwinder, s->obj);
	if (!error)
		error = kernel_bpf__load(s);
	if (!error && unwinder)
		error = unwinder->ops->adopt(unwinder, s->obj);
	if (!error)
		error = ledger_init(&book->ledger, s->obj, sizes, now_ns);
	return error;
}

static int map_table(const struct bpf_map *map, size_t element, size_t count, void **ret)
{
	void *memory = mmap(NULL, map_bytes(element, count), PROT_READ | PROT_WRITE, MAP_SHARED,
			    bpf_map__fd(map), 0);

	if (memory == MAP_FAILED)
		return -errno;
	*ret = memory;
	return 0;
}

static void unmap_table(void *memory, size_t element, size_t count)
{
	if (memory)
		munmap(memory, map_bytes(element, count));
}

static int map_tables(struct kernel_book *book)
{
	struct kernel_bpf *s = book->skeleton;
	int error;

	error = map_table(s->maps.caches, sizeof(*book->caches), CACHE_SLOTS,
			  (void **)&book->caches);
	if (!error)
		error = map_table(s->maps.homes, sizeof(*book->homes), book->ledger.sizes.buckets,
				  (void **)&book->homes);
	if (!error)
		error = map_table(s->maps.implicit_frees, sizeof(*book->implicit_frees),
				  book->ledger.sizes.sites, (void **)&book->implicit_frees);
	if (!error)
		error = map_table(s->maps.page_counts, sizeof(*book->page_counts),
				  book->ledger.sizes.buckets * PAGES_PER_BUCKET,
				  (void **)&book->page_counts);
	return error;
}

static void explain(int status, char *error, size_t size)
{
	char warning[160];

	if (status == -EPERM || status == -EACCES)
		snprintf(error, size,
			 "the kernel side needs root, or CAP_BPF, CAP_PERFMON and CAP_SYSLOG");
	else if (access("/sys/kernel/btf/vmlinux", R_OK))
		snprintf(error, size,
			 "the kernel side needs the kernel's BTF (/sys/kernel/btf/vmlinux, "
			 "CONFIG_DEBUG_INFO_BTF)");
	else
		snprintf(error, size, "cannot watch the kernel's allocations: %s",
			 *bpf_log_last(warning, sizeof(warning)) ? warning : strerror(-status));
}

static int explained_status(int status)
{
	if (status == -EPERM || status == -EACCES)
		return -EPERM;
	return status == -ENOMEM ? status : -EOPNOTSUPP;
}

int kernel_book_open(const struct ledger_sizes *sizes, struct unwinder *unwinder, uint64_t now_ns,
		     struct kernel_book **ret, char *error, size_t size)
{
	struct kernel_book *book = xcalloc(1, sizeof(*book));
	struct kernel_bpf *s;
	int status;

	bpf_log_init();
	bpf_log_clear();
	s = book->skeleton = kernel_bpf__open();
	status = s ? load(book, sizes, unwinder, now_ns) : -errno;
	if (!status)
		status = map_tables(book);
	if (status) {
		explain(status, error, size);
		kernel_book_close(book);
		return explained_status(status);
	}
	book->programs[PROGRAM_KFREE] = s->progs.kfree;
	book->programs[PROGRAM_CACHE_FREE] = s->progs.kmem_cache_free;
	book->programs[PROGRAM_KFREE_MISSED] = s->progs.kfree_missed;
	book->programs[PROGRAM_CACHE_FREE_MISSED] = s->progs.kmem_cache_free_missed;
	book->programs[PROGRAM_PAGE_FREE] = s->progs.page_free;
	book->programs[PROGRAM_PAGE_MEASURED] = s->progs.page_alloc_measured;
	book->programs[PROGRAM_KMALLOC] = s->progs.kmalloc;
	book->programs[PROGRAM_CACHE_ALLOC] = s->progs.kmem_cache_alloc;
	book->programs[PROGRAM_AREA_FREE] = s->progs.area_free;
	book->programs[PROGRAM_PERCPU_FREE] = s->progs.percpu_free;
	book->programs[PROGRAM_PAGE_ALLOC] = s->progs.page_alloc;
	book->programs[PROGRAM_AREA_ALLOC] = s->progs.area_alloc;
	book->programs[PROGRAM_PERCPU_ALLOC] = s->progs.percpu_alloc;
	*ret = book;
	return 0;
}

void kernel_book_close(struct kernel_book *book)
{
	if (!book)
		return;
	kernel_book_detach(book);
	unmap_table(book->caches, sizeof(*book->caches), CACHE_SLOTS);
	unmap_table(book->homes, sizeof(*book->homes), book->ledger.sizes.buckets);
	unmap_table(book->page_counts, sizeof(*book->page_counts),
		    book->ledger.sizes.buckets * PAGES_PER_BUCKET);
	unmap_table(book->implicit_frees, sizeof(*book->implicit_frees), book->ledger.sizes.sites);
	ledger_deinit(&book->ledger);
	kernel_bpf__destroy(book->skeleton);
	free(book);
}

/* What the running kernel lacks, kernel_book_lacks() tells. */
static void attach_kinds(struct kernel_book *book)
{
	for (int i = PROGRAM_FIRST_OPTIONAL; i < PROGRAM_COUNT; i++) {
		bool possible = i == PROGRAM_PAGE_ALLOC ? book->slabs_known && book->areas_known :
				i == PROGRAM_AREA_ALLOC ? book->areas_known :
							  true;

		if (!book->links[i] && possible)
			book->links[i] = bpf_program__attach(book->programs[i]);
	}
}

static int attach(struct kernel_book *book)
{
	for (int i = 0; i < PROGRAM_FIRST_OPTIONAL; i++) {
		int error;

		if (book->links[i] ||
		    (i == PROGRAM_PAGE_MEASURED && !book->skeleton->bss->page_measure.on))
			continue;
		book->links[i] = bpf_program__attach(book->programs[i]);
		if (book->links[i])
			continue;
		error = -errno;
		kernel_book_detach(book);
		return error;
	}
	if (book->texts_told)
		attach_kinds(book);
	return 0;
}

void kernel_book_detach(struct kernel_book *book)
{
	if (book->ledger.control)
		__atomic_store_n(&book->ledger.control->tracking, 0, __ATOMIC_RELEASE);
	for (int i = PROGRAM_COUNT - 1; i >= 0; i--) {
		bpf_link__destroy(book->links[i]);
		book->links[i] = NULL;
	}
}

bool kernel_book_measure_ends(struct kernel_book *book)
{
	struct kernel_bpf *s = book->skeleton;
	bool known = s->bss->page_measure.votes >= VOTES_NEEDED;

	s->bss->page_measure.on = 0;
	bpf_link__destroy(book->links[PROGRAM_PAGE_MEASURED]);
	book->links[PROGRAM_PAGE_MEASURED] = NULL;
	if (known)
		__atomic_store_n(&s->bss->page_base, s->bss->page_measure.base, __ATOMIC_RELAXED);
	return known;
}

void kernel_book_walk_user(struct kernel_book *book)
{
	struct kernel_bpf *s = book->skeleton;

	__atomic_store_n(&s->bss->user_stacks, 1, __ATOMIC_RELAXED);
}

void kernel_book_tell_texts(struct kernel_book *book, const struct kernel_texts *texts)
{
	struct kernel_bpf *s = book->skeleton;

	for (int i = 0; i < KERNEL_TEXTS; i++) {
		s->bss->text_start[i] = texts->rows[i].start;
		s->bss->text_end[i] = texts->rows[i].end;
		s->bss->text_use[i] = texts->rows[i].use;
	}
	s->bss->text_count = texts->told;
	book->texts_told = true;
	book->slabs_known = texts->slabs_known;
	book->areas_known = texts->areas_known;
}

/*
 * Programs run as readers of RCU, so after a grace period none runs that began before. Where
 * membarrier() cannot give one (no-tick CPUs), they get a thousand times what they take.
 */
static void wait_for_programs(void)
{
	struct timespec pause = {.tv_nsec = 10000000};

	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		nanosleep(&pause, NULL);
}

static void clear(struct kernel_book *book)
{
	struct ledger *ledger = &book->ledger;
	const struct ledger_sizes *sizes = &ledger->sizes;

	__atomic_store_n(&ledger->control->tracking, 0, __ATOMIC_RELEASE);
	/* Blocks of another epoch are found by nobody: their sites are booked no more. */
	__atomic_fetch_add(&ledger->control->epoch, 1, __ATOMIC_ACQ_REL);
	wait_for_programs();
	memset(ledger->buckets, 0, sizes->buckets * sizeof(*ledger->buckets));
	memset(ledger->overflows, 0, sizes->buckets * sizeof(*ledger->overflows));
	memset(book->homes, 0, sizes->buckets * sizeof(*book->homes));
	memset(book->page_counts, 0,
	       sizes->buckets * PAGES_PER_BUCKET * sizeof(*book->page_counts));
	memset(book->skeleton->bss->page_filter, 0, sizeof(book->skeleton->bss->page_filter));
	memset(ledger->strays, 0,
	       (sizes->buckets + ABI_STRAYS - 1) / ABI_STRAYS * sizeof(*ledger->strays));
	memset(ledger->sites, 0, sizes->sites * sizeof(*ledger->sites));
	memset(ledger->order, 0, sizes->sites * sizeof(*ledger->order));
	memset(ledger->totals, 0, sizes->sites * sizeof(*ledger->totals));
	memset(ledger->cohorts, 0, sizes->sites * sizeof(*ledger->cohorts));
	memset(book->implicit_frees, 0, sizes->sites * sizeof(*book->implicit_frees));
	memset(ledger->counters, 0, sizeof(*ledger->counters));
	kernel_book_missed(book);
	book->missed_before = book->missed;
}

int kernel_book_begin(struct kernel_book *book, pid_t tgid)
{
	int error;

	if (book->links[0])
		clear(book);
	book->ledger.control->tgid = tgid;
	error = attach(book);
	if (!error)
		__atomic_store_n(&book->ledger.control->tracking, 1, __ATOMIC_RELEASE);
	return error;
}

struct ledger *kernel_book_ledger(const struct kernel_book *book)
{
	return (struct ledger *)&book->ledger;
}

static const struct abi_cache *find_cache(const struct kernel_book *book, uint64_t cache)
{
	for (unsigned i = 0; i < CACHE_SLOTS; i++)
		if (__atomic_load_n(&book->caches[i].cache, __ATOMIC_ACQUIRE) == cache)
			return &book->caches[i];
	return NULL;
}

const char *kernel_book_cache_name(const struct kernel_book *book, uint64_t cache)
{
	const struct abi_cache *found = find_cache(book, cache);

	return found && *found->name ? found->name : NULL;
}

bool kernel_book_cache_reclaimable(const struct kernel_book *book, uint64_t cache)
{
	const struct abi_cache *found = find_cache(book, cache);

	return cache == ABI_CACHE_KMALLOC_RECLAIMABLE || (found && found->reclaimable);
}

const char *kernel_book_lacks(const struct kernel_book *book, enum abi_kind kind)
{
	for (size_t i = 0; i < KINDS; i++) {
		if (kinds[i].kind != kind)
			continue;
		if (book->links[kinds[i].allocates] && book->links[kinds[i].frees])
			return NULL;
		if (!book->areas_known && kind != ABI_KIND_PERCPU)
			return "the kernel does not tell where the code of vmalloc is";
		if (!book->slabs_known && kind == ABI_KIND_PAGE)
			return "the kernel does not tell where the code of its slabs is";
		return kinds[i].lacking;
	}
	return NULL;
}

uint64_t kernel_book_implicit_frees(const struct kernel_book *book, unsigned slot)
{
	return __atomic_load_n(&book->implicit_frees[slot], __ATOMIC_RELAXED);
}

static uint64_t program_missed(const struct kernel_book *book, enum program program)
{
	struct bpf_prog_info info;

	program_info(bpf_program__fd(book->programs[program]), &info);
	return info.recursion_misses;
}

/* What the first programs of frees missed, without what the second ones looked at. */
static uint64_t frees_missed(const struct kernel_book *book)
{
	const struct kernel_bpf *s = book->skeleton;
	uint64_t looked_at = 0, missed;

	for (size_t i = 0; i < sizeof(s->bss->free_marks) / sizeof(*s->bss->free_marks); i++)
		looked_at += __atomic_load_n(&s->bss->free_marks[i].second_looks, __ATOMIC_RELAXED);
	missed = program_missed(book, PROGRAM_KFREE) + program_missed(book, PROGRAM_CACHE_FREE);
	return missed > looked_at ? missed - looked_at : 0;
}

/*
 * Programs of allocations are missed too, but only in interrupts, whose allocations are not the
 * target's. The second programs look at some frees that the first saw, so what is left may become
 * less; a loss does not.
 */
uint64_t kernel_book_missed(struct kernel_book *book)
{
	uint64_t missed = frees_missed(book);

	for (size_t i = 0; i < KINDS; i++)
		missed += program_missed(book, kinds[i].frees);
	if (missed > book->missed)
		book->missed = missed;
	return book->missed - book->missed_before;
}

void kernel_book_runs(const struct kernel_book *book, uint64_t *ret_runs, uint64_t *ret_ns)
{
	*ret_runs = *ret_ns = 0;
	for (int i = 0; i < PROGRAM_COUNT; i++) {
		struct bpf_prog_info info;

		if (!book->links[i] || !program_info(bpf_program__fd(book->programs[i]), &info))
			continue;
		*ret_runs += info.run_cnt;
		*ret_ns += info.run_time_ns;
	}
}
