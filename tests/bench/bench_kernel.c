/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel side costs: the time of a pair of pipe() and close() of both ends, in this
 * process while another is watched (foreign events) and while this one is (own events), over the
 * time with nothing attached; and that of a fresh page of another process. Beside it the least that
 * there can be, programs that do nothing where the book's stand. Rounds are interleaved and medians
 * taken. The number of events of a pair is what the book counted for it.
 */
#include "tests/bench/probing.h"

#include "capture/kernel.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS	    9
#define PAIRS	    20000
#define PAGE_ROUNDS 20
#define PAGES	    2048
#define PAGE_BYTES  4096

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

/* Nanoseconds for one pair. */
static double measure(void)
{
	double start = now_ns();

	for (int i = 0; i < PAIRS; i++) {
		int ends[2];

		if (pipe(ends)) {
			perror("bench_kernel: pipe");
			exit(1);
		}
		close(ends[0]);
		close(ends[1]);
	}
	return (now_ns() - start) / PAIRS;
}

/* Nanoseconds for a fresh page of memory, taken and given back. */
static double measure_page(void)
{
	double start = now_ns();

	for (int i = 0; i < PAGE_ROUNDS; i++) {
		char *base = mmap(NULL, PAGES * PAGE_BYTES, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (base == MAP_FAILED || madvise(base, PAGES * PAGE_BYTES, MADV_NOHUGEPAGE)) {
			perror("bench_kernel: mmap");
			exit(1);
		}
		for (int j = 0; j < PAGES; j++)
			base[j * PAGE_BYTES] = 1;
		munmap(base, PAGES * PAGE_BYTES);
	}
	return (now_ns() - start) / PAGE_ROUNDS / PAGES;
}

/* Allocations and frees of a pair. */
static double events_of_a_pair(struct kernel_side *side)
{
	const struct ledger *ledger = kernel_side_ledger(side);
	double events = 0;

	for (size_t i = 0; i < ledger_site_count(ledger); i++) {
		struct totals totals;

		ledger_totals(ledger, ledger_site_slot(ledger, i), &totals);
		events += totals.allocated_blocks + totals.freed_blocks;
	}
	return events / PAIRS;
}

static double measure_watched(pid_t pid, double *events, double *page)
{
	struct kernel_side *side;
	char error[256];
	double pair;

	if (kernel_side_open(pid, NULL, &side, error, sizeof(error))) {
		fprintf(stderr, "bench_kernel: %s\n", error);
		exit(3);
	}
	pair = measure();
	if (page)
		*page = measure_page();
	if (events)
		*events = events_of_a_pair(side);
	kernel_side_close(side);
	return pair;
}

/* Programs that do nothing, on the tracepoints of the book's, as many as of those. */
static double measure_empty(void)
{
	static const char *const places[] = {
		"kmalloc",	   "kmem_cache_alloc", "kfree",		"kfree",
		"kmem_cache_free", "kmem_cache_free",  "mm_page_alloc", "mm_page_free",
	};
	static const struct bpf_insn nothing[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int links[sizeof(places) / sizeof(*places)];
	double pair;

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		int program = bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "nothing", "GPL", nothing,
					    sizeof(nothing) / sizeof(*nothing), NULL);

		links[i] = bpf_raw_tracepoint_open(places[i], program);
		if (program < 0 || links[i] < 0)
			die("no empty program on a tracepoint of the kernel's allocator");
		close(program);
	}
	pair = measure();
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
		close(links[i]);
	return pair;
}

int main(void)
{
	double bare[ROUNDS], empty[ROUNDS], foreign[ROUNDS], own[ROUNDS], events = 0;
	double bare_page[ROUNDS], foreign_page[ROUNDS];
	double empty_ns, foreign_ns, own_ns, bare_ns, bare_page_ns, page_ns;

	for (int i = 0; i < ROUNDS; i++) {
		bare[i] = measure();
		bare_page[i] = measure_page();
		empty[i] = measure_empty();
		foreign[i] = measure_watched(getppid(), NULL, &foreign_page[i]);
		own[i] = measure_watched(getpid(), &events, NULL);
	}
	bare_ns = median_of(bare, ROUNDS);
	empty_ns = median_of(empty, ROUNDS) - bare_ns;
	foreign_ns = median_of(foreign, ROUNDS) - bare_ns;
	own_ns = median_of(own, ROUNDS) - bare_ns;
	bare_page_ns = median_of(bare_page, ROUNDS);
	page_ns = median_of(foreign_page, ROUNDS) - bare_page_ns;
	printf("pipe and close, nothing attached   %8.0f ns\n", bare_ns);
	printf("  watching another process         %+8.0f ns\n", foreign_ns);
	printf("  watching this one                %+8.0f ns\n", own_ns);
	printf("events of a pair                   %8.1f\n", events);
	printf("programs that do nothing           %8.1f ns\n", empty_ns / events);
	printf("foreign event                      %8.1f ns\n", foreign_ns / events);
	printf("own event (half are frees)         %8.1f ns\n", own_ns / events);
	printf("fresh page, nothing attached       %8.0f ns\n", bare_page_ns);
	printf("  watching another process         %+8.1f ns\n", page_ns);
	figure(bare_ns, "kernel.pair.ns");
	figure(page_ns, "kernel.foreign_page.ns");
	figure(empty_ns / events, "kernel.empty.ns");
	figure(foreign_ns / events, "kernel.foreign.ns");
	figure(own_ns / events, "kernel.own.ns");
	return 0;
}
