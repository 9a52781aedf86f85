/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A target that gets pages in every way there is, on command: each line on standard input is one
 * command with a number of pages, answered with `ok`. Each way is a function of its own, whose name
 * is looked for on the stacks. Regions are kept in the order in which they came.
 */
#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE	4096ul
#define HUGE	(2ul << 20)
#define REGIONS 4096
#define BUFFERS 4

struct region {
	char *start;
	size_t size;
};

static struct region regions[REGIONS];
static unsigned count;
static char *buffers[BUFFERS];
static size_t buffer_size;
static pid_t child;

static char *keep(void *start, size_t size)
{
	if (start == MAP_FAILED || count == REGIONS) {
		perror("mmap");
		exit(1);
	}
	regions[count++] = (struct region){start, size};
	return start;
}

static char *fresh(size_t pages, int flags)
{
	return keep(mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0),
		    pages * PAGE);
}

static struct region *last(void)
{
	if (!count)
		exit(1);
	return &regions[count - 1];
}

static void write_each(char *start, size_t size)
{
	for (size_t i = 0; i < size; i += PAGE)
		((volatile char *)start)[i] = 1;
}

/* Not by a tail call: its frame is to be on the stack. */
#define WAY  __attribute__((noipa)) static void
#define STAY __asm__ volatile("" ::: "memory")

WAY touch_pages(size_t pages)
{
	write_each(fresh(pages, 0), pages * PAGE);
	STAY;
}

WAY read_pages(size_t pages)
{
	char *start = fresh(pages, 0);
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, start, pages * PAGE) != (ssize_t)(pages * PAGE))
		exit(1);
	close(fd);
}

/* Into a buffer of the caller's on the stack, whose pages are as fresh as at the first call. */
WAY read_to_stack(size_t pages)
{
	char *room = alloca((pages + 2) * PAGE);
	char *start = (char *)(((uintptr_t)room + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	madvise(start, pages * PAGE, MADV_DONTNEED);
	for (size_t i = 0; i < pages; i++)
		if (fd < 0 || read(fd, start + i * PAGE, 64) != 64)
			exit(1);
	close(fd);
}

WAY look_at_pages(size_t pages)
{
	char *start = fresh(pages, 0);

	for (size_t i = 0; i < pages; i++)
		(void)((volatile char *)start)[i * PAGE];
	STAY;
}

WAY write_again(size_t pages)
{
	write_each(last()->start, pages * PAGE);
	STAY;
}

WAY swap_out(size_t pages)
{
	if (madvise(last()->start, pages * PAGE, MADV_PAGEOUT))
		exit(1);
}

WAY populate_pages(size_t pages)
{
	fresh(pages, MAP_POPULATE);
	STAY;
}

WAY lock_pages(size_t pages)
{
	if (mlock(fresh(pages, 0), pages * PAGE))
		exit(1);
}

/* Memory at a multiple of a huge page, of which one byte each is written. */
WAY touch_huge(size_t pages)
{
	size_t size = pages * PAGE;
	char *start =
		mmap(NULL, size + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	keep(start, size + HUGE);
	start = (char *)(((uintptr_t)start + HUGE - 1) & ~(HUGE - 1));
	madvise(start, size, MADV_HUGEPAGE);
	for (size_t i = 0; i < size; i += HUGE)
		((volatile char *)start)[i] = 1;
	STAY;
}

WAY grow_break(size_t pages)
{
	char *start = sbrk((intptr_t)(pages * PAGE));

	write_each(start, pages * PAGE);
	STAY;
}

WAY shrink_break(size_t pages)
{
	sbrk(-(intptr_t)(pages * PAGE));
	STAY;
}

/* The first half of the last region. */
WAY unmap_half(size_t pages)
{
	(void)pages;
	munmap(last()->start, last()->size / 2);
	last()->start += last()->size / 2;
	last()->size /= 2;
}

WAY forget_all(size_t pages)
{
	(void)pages;
	madvise(last()->start, last()->size, MADV_DONTNEED);
	STAY;
}

WAY map_file(size_t pages)
{
	char path[] = "/tmp/memtop-pages-XXXXXX";
	char page[PAGE] = {1};
	int fd = mkstemp(path);
	char *start;

	for (size_t i = 0; i < pages; i++)
		if (fd < 0 || write(fd, page, PAGE) != (ssize_t)PAGE)
			exit(1);
	unlink(path);
	start = keep(mmap(NULL, pages * PAGE, PROT_READ, MAP_SHARED, fd, 0), pages * PAGE);
	close(fd);
	for (size_t i = 0; i < pages; i++)
		(void)((volatile char *)start)[i * PAGE];
	STAY;
}

/* --- mappings, untouched */

WAY map_region(size_t pages)
{
	fresh(pages, 0);
	STAY;
}

WAY unmap_middle(size_t pages)
{
	munmap(last()->start + (last()->size - pages * PAGE) / 2 / PAGE * PAGE, pages * PAGE);
	STAY;
}

WAY unmap_tail(size_t pages)
{
	munmap(last()->start + last()->size - pages * PAGE, pages * PAGE);
	last()->size -= pages * PAGE;
}

/* Two mappings by one call: a file's between anonymous ones cannot run together with them. */
WAY unmap_two(size_t pages)
{
	char *start = mmap(NULL, 3 * pages * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mmap(start + pages * PAGE, pages * PAGE, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	munmap(start, 2 * pages * PAGE);
	keep(start + 2 * pages * PAGE, pages * PAGE);
}

WAY fail_to_unmap(size_t pages)
{
	if (!munmap(last()->start + 1, pages * PAGE) || !munmap(last()->start, 0))
		exit(1);
}

static void remap(size_t old_size, size_t size, int flags)
{
	void *to = mremap(last()->start, old_size, size, flags);

	if (to == MAP_FAILED)
		exit(1);
	last()->start = to;
	last()->size = size;
}

/* With room behind it. */
WAY remap_grow(size_t pages)
{
	size_t size = last()->size;

	remap(size, size + pages * PAGE, MREMAP_MAYMOVE);
}

WAY remap_shrink(size_t pages)
{
	remap(last()->size, last()->size - pages * PAGE, 0);
	STAY;
}

WAY remap_elsewhere(size_t pages)
{
	char *to = mmap(NULL, last()->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)pages;
	if (mremap(last()->start, last()->size, last()->size, MREMAP_MAYMOVE | MREMAP_FIXED, to) ==
	    MAP_FAILED)
		exit(1);
	last()->start = to;
}

WAY fail_to_remap(size_t pages)
{
	if (mremap(last()->start + 1, PAGE, pages * PAGE, 0) != MAP_FAILED ||
	    mremap((void *)PAGE, PAGE, pages * PAGE, MREMAP_MAYMOVE) != MAP_FAILED)
		exit(1);
}

/* Several that grow in turns are in each other's way: they move. */
WAY grow_buffers(size_t pages)
{
	for (unsigned i = 0; i < BUFFERS; i++) {
		buffers[i] = realloc(buffers[i], buffer_size + pages * PAGE);
		if (!buffers[i])
			exit(1);
		write_each(buffers[i] + buffer_size, pages * PAGE);
	}
	buffer_size += pages * PAGE;
}

WAY free_buffers(size_t pages)
{
	(void)pages;
	for (unsigned i = 0; i < BUFFERS; i++) {
		free(buffers[i]);
		buffers[i] = NULL;
	}
	buffer_size = 0;
}

/* In the middle of the last region. */
WAY map_over(size_t pages)
{
	mmap(last()->start + PAGE, pages * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
	     -1, 0);
	STAY;
}

WAY move_break(size_t pages)
{
	sbrk((intptr_t)(pages * PAGE));
	STAY;
}

static void *thread_body(void *argument)
{
	touch_pages(*(size_t *)argument);
	return NULL;
}

WAY touch_in_thread(size_t pages)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, thread_body, &pages))
		exit(1);
	pthread_join(thread, NULL);
}

/* A child that lives on and writes nothing: the parent's next writes are copies. */
WAY fork_child(size_t pages)
{
	(void)pages;
	child = fork();
	if (!child) {
		for (;;)
			pause();
	}
}

WAY end_child(size_t pages)
{
	(void)pages;
	kill(child, 9);
	waitpid(child, NULL, 0);
}

static pthread_t leader;

static int serve(void);

static void *serve_alone(void *argument)
{
	(void)argument;
	pthread_join(leader, NULL);
	puts("ok");
	exit(serve());
}

/* The first thread ends, and the process lives on. */
WAY end_leader(size_t pages)
{
	pthread_t thread;

	(void)pages;
	leader = pthread_self();
	if (pthread_create(&thread, NULL, serve_alone, NULL))
		exit(1);
	pthread_exit(NULL);
}

WAY open_files(size_t pages)
{
	while (pages--)
		if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
			exit(1);
}

static const struct {
	const char *name;
	void (*run)(size_t pages);
} ways[] = {
	{"touch_pages", touch_pages},	  {"read_pages", read_pages},
	{"look_at_pages", look_at_pages}, {"write_again", write_again},
	{"swap_out", swap_out},		  {"populate_pages", populate_pages},
	{"lock_pages", lock_pages},	  {"touch_huge", touch_huge},
	{"grow_break", grow_break},	  {"shrink_break", shrink_break},
	{"unmap_half", unmap_half},	  {"forget_all", forget_all},
	{"map_file", map_file},		  {"touch_in_thread", touch_in_thread},
	{"fork_child", fork_child},	  {"end_child", end_child},
	{"map_region", map_region},	  {"unmap_middle", unmap_middle},
	{"unmap_tail", unmap_tail},	  {"unmap_two", unmap_two},
	{"fail_to_unmap", fail_to_unmap}, {"remap_grow", remap_grow},
	{"remap_shrink", remap_shrink},	  {"remap_elsewhere", remap_elsewhere},
	{"fail_to_remap", fail_to_remap}, {"map_over", map_over},
	{"move_break", move_break},	  {"grow_buffers", grow_buffers},
	{"free_buffers", free_buffers},	  {"end_leader", end_leader},
	{"open_files", open_files},	  {"read_to_stack", read_to_stack},
};

static int run(const char *name, size_t pages)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		if (strcmp(ways[i].name, name))
			continue;
		ways[i].run(pages);
		return 0;
	}
	return -1;
}

static int serve(void)
{
	char line[128], name[64];
	size_t pages;

	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "%63s %zu", name, &pages) != 2 || run(name, pages)) {
			fprintf(stderr, "no such command: %s", line);
			return 1;
		}
		puts("ok");
	}
	if (child > 0)
		kill(child, 9);
	return 0;
}

int main(void)
{
	int status;

	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("ready");
	status = serve();
	STAY;
	return status;
}
