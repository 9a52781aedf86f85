/*
 * A second opinion on the ledger, to be preloaded: stands in for the allocator's functions, books
 * every block by the return address of the call as it arrives, and at exit writes one line a call
 * site to $WITNESS_FILE: address, allocated bytes and blocks, freed bytes and blocks.
 *
 * It knows nothing of the service: where both agree, both are right. One lock is held over each
 * call, the real one included, so an address cannot change hands unseen.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SITES  4096
#define BLOCKS (1u << 16)

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

struct site {
	uintptr_t address;
	uint64_t allocated_bytes;
	uint64_t allocated_blocks;
	uint64_t freed_bytes;
	uint64_t freed_blocks;
};

struct block {
	struct block *next;
	uintptr_t hidden; /* inverted, as the ledger's are */
	size_t size;
	struct site *site;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct site sites[SITES];
static struct block blocks[BLOCKS];
static struct block *buckets[BLOCKS];
static struct block *spare;
static size_t used;

static struct block **bucket_of(const void *address)
{
	return &buckets[((uintptr_t)address >> 4) * 2654435761u % BLOCKS];
}

static struct site *site_of(uintptr_t address)
{
	size_t at = address * 2654435761u % SITES;

	for (size_t tries = 0; tries < SITES; tries++, at = (at + 1) % SITES) {
		if (sites[at].address && sites[at].address != address)
			continue;
		sites[at].address = address;
		return &sites[at];
	}
	abort();
}

static void book(void *address, size_t size, const void *caller)
{
	struct block **bucket = bucket_of(address), *block = spare;

	if (!address)
		return;
	if (block)
		spare = block->next;
	else if (used < BLOCKS)
		block = &blocks[used++];
	else
		abort();
	*block = (struct block){.next = *bucket,
				.hidden = ~(uintptr_t)address,
				.size = size,
				.site = site_of((uintptr_t)caller)};
	*bucket = block;
	block->site->allocated_bytes += size;
	block->site->allocated_blocks++;
}

static void unbook(const void *address)
{
	struct block **link = bucket_of(address), *block;

	while (*link && (*link)->hidden != ~(uintptr_t)address)
		link = &(*link)->next;
	block = *link;
	if (!block)
		return;
	block->site->freed_bytes += block->size;
	block->site->freed_blocks++;
	*link = block->next;
	block->next = spare;
	spare = block;
}

void *malloc(size_t size)
{
	void *block;

	pthread_mutex_lock(&lock);
	block = __libc_malloc(size);
	book(block, size, __builtin_return_address(0));
	pthread_mutex_unlock(&lock);
	return block;
}

void *calloc(size_t count, size_t size)
{
	void *block;

	pthread_mutex_lock(&lock);
	block = __libc_calloc(count, size);
	book(block, count * size, __builtin_return_address(0));
	pthread_mutex_unlock(&lock);
	return block;
}

void *realloc(void *old, size_t size)
{
	void *block;

	pthread_mutex_lock(&lock);
	block = __libc_realloc(old, size);
	if (block || !size)
		unbook(old);
	book(block, size, __builtin_return_address(0));
	pthread_mutex_unlock(&lock);
	return block;
}

void *aligned_alloc(size_t alignment, size_t size)
{
	void *block;

	pthread_mutex_lock(&lock);
	block = __libc_memalign(alignment, size);
	book(block, size, __builtin_return_address(0));
	pthread_mutex_unlock(&lock);
	return block;
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
	void *block;

	pthread_mutex_lock(&lock);
	block = __libc_memalign(alignment, size);
	book(block, size, __builtin_return_address(0));
	pthread_mutex_unlock(&lock);
	if (!block)
		return ENOMEM;
	*ret = block;
	return 0;
}

void free(void *block)
{
	pthread_mutex_lock(&lock);
	if (block)
		unbook(block);
	__libc_free(block);
	pthread_mutex_unlock(&lock);
}

__attribute__((destructor)) static void witness_write(void)
{
	const char *path = getenv("WITNESS_FILE");
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;

	if (fd < 0)
		return;
	for (size_t i = 0; i < SITES; i++)
		if (sites[i].address)
			dprintf(fd, "%#llx %llu %llu %llu %llu\n",
				(unsigned long long)sites[i].address,
				(unsigned long long)sites[i].allocated_bytes,
				(unsigned long long)sites[i].allocated_blocks,
				(unsigned long long)sites[i].freed_bytes,
				(unsigned long long)sites[i].freed_blocks);
	close(fd);
}
