/*
 * The ledger's books: a table of sites by return address, and a sharded table of live blocks.
 *
 * Invariants: a block is in the block table from its booking until it is taken; a site's counters
 * change only in book_add(), never shrink, and live = allocated - freed. Addresses of blocks are
 * stored inverted, so that a leak checker that scans memory for pointers does not take the ledger's
 * knowledge of a block for the service's. State is static because the thunks' callers are spread
 * over three modules and have no context to hand in.
 */
#include "ledger.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SITES	    1024
#define SHARDS	    64
#define BUCKETS	    1024
#define CHUNK_BYTES (1u << 18)

enum {
	BORN_BEFORE,
	BORN_SINCE,
	BORN_KINDS
};

struct book {
	_Atomic uint64_t allocated_bytes;
	_Atomic uint64_t allocated_blocks;
	_Atomic uint64_t freed_bytes;
	_Atomic uint64_t freed_blocks;
};

struct site {
	_Atomic uintptr_t address; /* 0: free; stored last */
	const char *function;
	enum ledger_kind kind;
	struct book books[BORN_KINDS];
};

struct node {
	struct node *next;
	uintptr_t hidden; /* ~address */
	struct ledger_block block;
};

struct shard {
	pthread_mutex_t lock;
	struct node *spare;
	struct node *buckets[BUCKETS];
};

static const char *const kind_names[LEDGER_KINDS] = {
	[LEDGER_MALLOC] = "malloc",
	[LEDGER_CALLOC] = "calloc",
	[LEDGER_REALLOC] = "realloc",
	[LEDGER_POSIX_MEMALIGN] = "posix_memalign",
	[LEDGER_ALIGNED_ALLOC] = "aligned_alloc",
	[LEDGER_MEMALIGN] = "memalign",
	[LEDGER_VALLOC] = "valloc",
	[LEDGER_PVALLOC] = "pvalloc",
	[LEDGER_REALLOCARRAY] = "reallocarray",
};

static struct site sites[SITES];
static struct shard shards[SHARDS];
static pthread_mutex_t sites_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint32_t born_now;
static _Atomic uint64_t before_frees;

static void die(const char *what)
{
	dprintf(STDERR_FILENO, "perception_service: %s\n", what);
	_exit(1);
}

/* Zeroed static memory is a valid mutex on Linux, but only this spells it. */
__attribute__((constructor)) static void shards_init(void)
{
	for (size_t i = 0; i < SHARDS; i++)
		pthread_mutex_init(&shards[i].lock, NULL);
}

static uint64_t hash(uintptr_t value)
{
	uint64_t mixed = (uint64_t)value * 0x9e3779b97f4a7c15u;

	return mixed ^ mixed >> 29;
}

/* The slot of @address, or the free one where it belongs. */
static struct site *site_slot(uintptr_t address)
{
	size_t at = hash(address) % SITES;

	for (size_t tries = 0; tries < SITES; tries++, at = (at + 1) % SITES) {
		uintptr_t found = atomic_load_explicit(&sites[at].address, memory_order_acquire);

		if (found == address || !found)
			return &sites[at];
	}
	die("the ledger's site table is full");
	return NULL;
}

static uint32_t site_of(void *address, enum ledger_kind kind, const char *function)
{
	struct site *site = site_slot((uintptr_t)address);

	if (!atomic_load_explicit(&site->address, memory_order_acquire)) {
		pthread_mutex_lock(&sites_lock);
		site = site_slot((uintptr_t)address);
		if (!atomic_load_explicit(&site->address, memory_order_acquire)) {
			site->function = function;
			site->kind = kind;
			atomic_store_explicit(&site->address, (uintptr_t)address,
					      memory_order_release);
		}
		pthread_mutex_unlock(&sites_lock);
	}
	return (uint32_t)(site - sites);
}

static void book_add(_Atomic uint64_t *bytes, _Atomic uint64_t *blocks, size_t size)
{
	atomic_fetch_add_explicit(bytes, size, memory_order_relaxed);
	atomic_fetch_add_explicit(blocks, 1, memory_order_relaxed);
}

static struct shard *shard_of(uintptr_t address, struct node ***ret_bucket)
{
	uint64_t mixed = hash(address);
	struct shard *shard = &shards[mixed % SHARDS];

	*ret_bucket = &shard->buckets[mixed / SHARDS % BUCKETS];
	return shard;
}

/* With the shard's lock held. */
static struct node *node_new(struct shard *shard)
{
	struct node *node;

	if (!shard->spare) {
		struct node *chunk = mmap(NULL, CHUNK_BYTES, PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (chunk == MAP_FAILED)
			die("the ledger is out of memory");
		for (size_t i = 0; i < CHUNK_BYTES / sizeof(*chunk); i++) {
			chunk[i].next = shard->spare;
			shard->spare = &chunk[i];
		}
	}
	node = shard->spare;
	shard->spare = node->next;
	return node;
}

void ledger_allocated(void *block, size_t bytes, enum ledger_kind kind, void *address,
		      const char *function)
{
	struct node **bucket;
	struct shard *shard;
	struct node *node;
	struct book *book;
	uint32_t site;

	if (!block)
		die("out of memory");
	site = site_of(address, kind, function);
	shard = shard_of((uintptr_t)block, &bucket);
	pthread_mutex_lock(&shard->lock);
	node = node_new(shard);
	node->hidden = ~(uintptr_t)block;
	node->block =
		(struct ledger_block){.bytes = bytes, .site = site, .born = atomic_load(&born_now)};
	node->next = *bucket;
	*bucket = node;
	book = &sites[site].books[node->block.born];
	pthread_mutex_unlock(&shard->lock);
	book_add(&book->allocated_bytes, &book->allocated_blocks, bytes);
}

struct ledger_block ledger_take(void *block)
{
	struct ledger_block taken = {.site = SITES};
	struct node **link;
	struct shard *shard;
	struct node *node;

	if (!block)
		return taken;
	shard = shard_of((uintptr_t)block, &link);
	pthread_mutex_lock(&shard->lock);
	while (*link && (*link)->hidden != ~(uintptr_t)block)
		link = &(*link)->next;
	node = *link;
	if (!node)
		die("a block was freed that the ledger does not know");
	taken = node->block;
	*link = node->next;
	node->next = shard->spare;
	shard->spare = node;
	pthread_mutex_unlock(&shard->lock);
	return taken;
}

void ledger_freed(const struct ledger_block *taken)
{
	struct book *book;

	if (taken->site == SITES)
		return;
	if (taken->born != atomic_load(&born_now))
		atomic_fetch_add(&before_frees, 1);
	book = &sites[taken->site].books[taken->born];
	book_add(&book->freed_bytes, &book->freed_blocks, taken->bytes);
}

void svc_free(void *block)
{
	struct ledger_block taken = ledger_take(block);

	free(block);
	ledger_freed(&taken);
}

void ledger_mark_ready(void)
{
	atomic_store(&born_now, BORN_SINCE);
}

static void totals_add(struct ledger_totals *sum, const struct book *book)
{
	sum->freed_bytes += atomic_load(&book->freed_bytes);
	sum->freed_blocks += atomic_load(&book->freed_blocks);
	sum->allocated_bytes += atomic_load(&book->allocated_bytes);
	sum->allocated_blocks += atomic_load(&book->allocated_blocks);
}

void ledger_sum(const char *function, struct ledger_totals *ret)
{
	*ret = (struct ledger_totals){0};
	for (size_t i = 0; i < SITES; i++) {
		if (!atomic_load(&sites[i].address))
			continue;
		if (function && strcmp(function, sites[i].function))
			continue;
		for (size_t born = 0; born < BORN_KINDS; born++)
			totals_add(ret, &sites[i].books[born]);
	}
}

/* Output without stdio, whose buffers are the allocator's. */
struct writer {
	int fd;
	int error;
	size_t used;
	char bytes[16384];
};

static void writer_flush(struct writer *out)
{
	size_t at = 0;

	while (at < out->used && !out->error) {
		ssize_t done = write(out->fd, out->bytes + at, out->used - at);

		if (done >= 0)
			at += (size_t)done;
		else if (errno != EINTR)
			out->error = -errno;
	}
	out->used = 0;
}

__attribute__((format(printf, 2, 3))) static void put(struct writer *out, const char *format, ...)
{
	for (int tries = 0; tries < 2; tries++) {
		size_t room = sizeof(out->bytes) - out->used;
		va_list args;
		int length;

		va_start(args, format);
		length = vsnprintf(out->bytes + out->used, room, format, args);
		va_end(args);
		if (length >= 0 && (size_t)length < room) {
			out->used += (size_t)length;
			return;
		}
		writer_flush(out);
	}
	out->error = -EMSGSIZE;
}

static void put_totals(struct writer *out, const struct ledger_totals *sum)
{
	put(out,
	    "\"allocated_bytes\":%llu,\"allocated_blocks\":%llu,\"freed_bytes\":%llu,"
	    "\"freed_blocks\":%llu,\"live_bytes\":%llu,\"live_blocks\":%llu",
	    (unsigned long long)sum->allocated_bytes, (unsigned long long)sum->allocated_blocks,
	    (unsigned long long)sum->freed_bytes, (unsigned long long)sum->freed_blocks,
	    (unsigned long long)(sum->allocated_bytes - sum->freed_bytes),
	    (unsigned long long)(sum->allocated_blocks - sum->freed_blocks));
}

static void put_site(struct writer *out, const struct site *site, bool first)
{
	uintptr_t address = atomic_load(&site->address);
	struct ledger_totals before = {0}, since = {0}, all;
	const char *module = "";
	uintptr_t base = 0;
	Dl_info info;

	if (dladdr((void *)address, &info) && info.dli_fname) {
		const char *slash = strrchr(info.dli_fname, '/');

		module = slash ? slash + 1 : info.dli_fname;
		base = (uintptr_t)info.dli_fbase;
	}
	totals_add(&before, &site->books[BORN_BEFORE]);
	totals_add(&since, &site->books[BORN_SINCE]);
	all = before;
	totals_add(&all, &site->books[BORN_SINCE]);
	put(out, "%s\n{\"site\":\"%s\",\"return_address\":\"0x%llx\",\"module\":\"%s\",",
	    first ? "" : ",", site->function, (unsigned long long)address, module);
	put(out, "\"module_offset\":%llu,\"kind\":\"%s\",", (unsigned long long)(address - base),
	    kind_names[site->kind]);
	put_totals(out, &all);
	put(out, ",\"before\":%s,\"before_live_bytes\":%llu,\"before_live_blocks\":%llu",
	    before.allocated_blocks ? "true" : "false",
	    (unsigned long long)(before.allocated_bytes - before.freed_bytes),
	    (unsigned long long)(before.allocated_blocks - before.freed_blocks));
	put(out, ",\"since_ready\":{");
	put_totals(out, &since);
	put(out, "}}");
}

static void put_ledger(struct writer *out, const char *members)
{
	struct ledger_totals sum;
	bool first = true;

	ledger_sum(NULL, &sum);
	put(out, "{\"schema\":\"ledger/1\",\n%s", members);
	put(out, "\"before_frees_since_ready\":%llu,\n\"totals\":{",
	    (unsigned long long)atomic_load(&before_frees));
	put_totals(out, &sum);
	put(out, "},\n\"sites\":[");
	for (size_t i = 0; i < SITES; i++) {
		if (!atomic_load(&sites[i].address))
			continue;
		put_site(out, &sites[i], first);
		first = false;
	}
	put(out, "\n]}\n");
	writer_flush(out);
}

int ledger_write(const char *path, const char *members)
{
	static struct writer out;
	char tmp[4096];

	if (snprintf(tmp, sizeof(tmp), "%s.tmp", path) >= (int)sizeof(tmp))
		return -ENAMETOOLONG;
	out.used = 0;
	out.error = 0;
	out.fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (out.fd < 0)
		return -errno;
	put_ledger(&out, members);
	if (close(out.fd) && !out.error)
		out.error = -errno;
	if (!out.error && rename(tmp, path))
		out.error = -errno;
	if (out.error)
		unlink(tmp);
	return out.error;
}
