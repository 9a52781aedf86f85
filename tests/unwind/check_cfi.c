/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The row compiler against elfutils: for each ELF file given (directories are walked), at each
 * row's first address and at the last address it governs, libdw's own evaluation of the call frame
 * information is turned into the rule that it should have become. Any difference is an error.
 *
 *     check_cfi [-t SECONDS] [-s STEP] [-c] [-v] FILE|DIRECTORY...
 *
 * -t stops after that time, -s takes each STEPth file only, -c compiles and does not compare. The
 * last lines give the totals and the share of what rows cannot express. TAP on standard output.
 */
#include "unwind/elf_frames.h"
#include "unwind/rows.h"
#include "util/cleanup.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	RBP = 6,
	RSP = 7,
	RIP = 16,
	REPORTED_MAX = 20
};

struct totals {
	unsigned long files, rows, points, mismatches, unsupported, functions, damaged, changes;
	double compile_seconds;
	unsigned long text_bytes;
};

/* nftw() has no context. */
static struct totals totals;
static struct timespec deadline;
static unsigned step = 1, seen;
static bool verbose, compile_only;

static bool late(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return deadline.tv_sec && now.tv_sec >= deadline.tv_sec;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct location {
	Dwarf_Op memory[3];
	Dwarf_Op *ops;
	size_t count;
};

static bool same(const struct location *l)
{
	return !l->count && !l->ops;
}

static bool undefined(const struct location *l)
{
	return !l->count && l->ops;
}

/* Saved at CFA + offset? */
static bool at_cfa(const struct location *l, int64_t *offset)
{
	if (!l->count || l->ops[0].atom != DW_OP_call_frame_cfa)
		return false;
	*offset = 0;
	if (l->count == 1)
		return true;
	*offset = (int64_t)l->ops[1].number;
	return l->count == 2 && l->ops[1].atom == DW_OP_plus_uconst;
}

/* Saved at register + offset? libdw puts the CFA first, which such an expression starts with. */
static bool at_register(const struct location *l, unsigned number, int64_t *offset)
{
	if (l->count != 2 || l->ops[0].atom != DW_OP_call_frame_cfa ||
	    l->ops[1].atom != DW_OP_breg0 + number)
		return false;
	*offset = (int64_t)l->ops[1].number;
	return true;
}

static bool deref_of(const Dwarf_Op *ops, size_t count, unsigned number, int64_t *offset)
{
	if (count != 2 || ops[0].atom != DW_OP_breg0 + number || ops[1].atom != DW_OP_deref)
		return false;
	*offset = (int64_t)ops[0].number;
	return true;
}

static unsigned plt_of(const Dwarf_Op *ops, size_t count)
{
	if (count != 8 || ops[0].atom != DW_OP_breg7 || ops[0].number != 8 ||
	    ops[1].atom != DW_OP_breg16 || ops[1].number || ops[2].atom != DW_OP_lit15 ||
	    ops[3].atom != DW_OP_and || ops[4].atom < DW_OP_lit0 || ops[4].atom > DW_OP_lit15 ||
	    ops[5].atom != DW_OP_ge || ops[6].atom != DW_OP_lit3 || ops[7].atom != DW_OP_shl)
		return 0;
	return ops[4].atom - DW_OP_lit0;
}

static bool word_multiple(int64_t bytes, int64_t most)
{
	return bytes > 0 && bytes % 8 == 0 && bytes / 8 <= most;
}

static uint32_t expected_fp(const struct location *fp, bool drap)
{
	int64_t offset;

	if (same(fp))
		return 0;
	if (at_cfa(fp, &offset) && word_multiple(-offset, UNWIND_X86_FP_MAX))
		return (uint32_t)(-offset / 8);
	if (drap && at_register(fp, RBP, &offset) && !offset)
		return UNWIND_X86_FP_AT_FP;
	return UNWIND_X86_FP_LOST;
}

static uint32_t expected_rule(Dwarf_Frame *frame, bool signal_frame)
{
	struct location fp = {0}, ra = {0};
	int64_t offset = 0, sp = 0, at = 0;
	unsigned threshold = 0;
	Dwarf_Op *cfa;
	size_t count;

	if (dwarf_frame_register(frame, RIP, ra.memory, &ra.ops, &ra.count) ||
	    dwarf_frame_register(frame, RBP, fp.memory, &fp.ops, &fp.count))
		return UNWIND_UNSUPPORTED;
	if (undefined(&ra))
		return UNWIND_END;
	if (dwarf_frame_cfa(frame, &cfa, &count))
		return UNWIND_UNSUPPORTED;
	if (signal_frame) {
		if (deref_of(cfa, count, RSP, &sp) && at_register(&ra, RSP, &offset) &&
		    offset == sp + 8 && at_register(&fp, RSP, &at) &&
		    word_multiple(sp, UNWIND_X86_CFA_MAX) && word_multiple(at, UNWIND_X86_FP_MAX))
			return unwind_x86_rule(UNWIND_SIGNAL, sp / 8, at / 8);
		return UNWIND_UNSUPPORTED;
	}
	if (!at_cfa(&ra, &offset) || offset != -8)
		return UNWIND_UNSUPPORTED;
	if (count == 1 && cfa[0].atom == DW_OP_bregx &&
	    (cfa[0].number == RSP || cfa[0].number == RBP) &&
	    word_multiple((int64_t)cfa[0].number2, UNWIND_X86_CFA_MAX))
		return unwind_x86_rule(cfa[0].number == RSP ? UNWIND_SP : UNWIND_FP,
				       cfa[0].number2 / 8, expected_fp(&fp, false));
	if (deref_of(cfa, count, RBP, &offset) && word_multiple(-offset, UNWIND_X86_CFA_MAX))
		return unwind_x86_rule(UNWIND_DRAP, -offset / 8, expected_fp(&fp, true));
	/* The last operation of the expression is dropped by none: 9 of them with the addition. */
	if (count == 9 && cfa[8].atom == DW_OP_plus)
		threshold = plt_of(cfa, 8);
	if (threshold)
		return unwind_x86_rule(UNWIND_PLT, threshold, expected_fp(&fp, false));
	return UNWIND_UNSUPPORTED;
}

static void mismatch(const char *path, uint64_t pc, uint32_t rule, uint32_t expected)
{
	if (totals.mismatches++ < REPORTED_MAX)
		printf("# %s: at %#lx rule %#x, libdw says %#x\n", path, (unsigned long)pc, rule,
		       expected);
}

static void check_point(const char *path, Dwarf_CFI *cfi, uint64_t pc, uint32_t rule)
{
	Dwarf_Frame *frame = NULL;
	Dwarf_Addr start, end;
	bool signal_frame;
	uint32_t expected = UNWIND_NONE;

	totals.points++;
	if (!dwarf_cfi_addrframe(cfi, pc, &frame)) {
		if (dwarf_frame_info(frame, &start, &end, &signal_frame) >= 0)
			expected = expected_rule(frame, signal_frame);
		else
			expected = UNWIND_UNSUPPORTED;
		free(frame);
	}
	if (rule != expected)
		mismatch(path, pc, rule, expected);
}

static int check_rows(const char *path, int fd, const struct rows_input *input,
		      const struct rows *rows)
{
	Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	Dwarf *dwarf = NULL;
	Dwarf_CFI *cfi;

	if (input->debug_frame) {
		dwarf = dwarf_begin_elf(elf, DWARF_C_READ, NULL);
		cfi = dwarf ? dwarf_getcfi(dwarf) : NULL;
	} else {
		cfi = dwarf_getcfi_elf(elf);
	}
	if (!cfi)
		printf("# %s: libdw has no frame information, rows have\n", path);
	for (size_t i = 0; cfi && i < rows->count; i++) {
		uint64_t pc = input->base + rows->data[i].pc;

		check_point(path, cfi, pc, rows->data[i].rule);
		if (i + 1 < rows->count && rows->data[i + 1].pc > rows->data[i].pc + 1)
			check_point(path, cfi, input->base + rows->data[i + 1].pc - 1,
				    rows->data[i].rule);
	}
	if (dwarf)
		dwarf_end(dwarf);
	else if (cfi)
		dwarf_cfi_end(cfi);
	elf_end(elf);
	return cfi ? 0 : -1;
}

static void check_section(const char *path, int fd, const struct rows_input *input)
{
	unsigned long before = totals.mismatches;
	double started = seconds();
	struct rows rows;

	if (input->machine != EM_X86_64 || !input->size || rows_compile(input, &rows))
		return;
	totals.compile_seconds += seconds() - started;
	totals.rows += rows.count;
	totals.functions += rows.functions;
	totals.damaged += rows.damaged;
	totals.changes += rows.changes;
	totals.unsupported += rows.unsupported;
	if (!compile_only)
		check_rows(path, fd, input, &rows);
	if (verbose)
		printf("# %s%s: %zu rows, %zu functions, %zu unsupported, %zu damaged, %lu "
		       "mismatches\n",
		       path, input->debug_frame ? " (debug)" : "", rows.count, rows.functions,
		       rows.unsupported, rows.damaged, totals.mismatches - before);
	rows_deinit(&rows);
}

static void check_file(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	unsigned long before = totals.functions;
	struct elf_frames frames;

	if (fd < 0 || elf_frames_open(fd, &frames))
		return;
	check_section(path, fd, &frames.input);
	check_section(path, fd, &frames.debug);
	if (totals.functions != before) {
		totals.text_bytes += frames.text_end - frames.input.base;
		totals.files++;
	}
	elf_frames_close(&frames);
}

static int visit(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)where;
	if (type != FTW_F || !S_ISREG(status->st_mode))
		return 0;
	if (late())
		return 1;
	if (seen++ % step == 0)
		check_file(path);
	return 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: check_cfi [-t SECONDS] [-s STEP] [-c] [-v] FILE|DIRECTORY...\n");
	return 1;
}

int main(int argc, char **argv)
{
	bool stopped = false;
	int option;

	elf_version(EV_CURRENT);
	while ((option = getopt(argc, argv, "t:s:cv")) != -1) {
		if (option == 't') {
			clock_gettime(CLOCK_MONOTONIC, &deadline);
			deadline.tv_sec += atoi(optarg);
		} else if (option == 's') {
			step = (unsigned)atoi(optarg) ? (unsigned)atoi(optarg) : 1;
		} else if (option == 'c') {
			compile_only = true;
		} else if (option == 'v') {
			verbose = true;
		} else {
			return usage();
		}
	}
	if (optind == argc)
		return usage();
	for (; optind < argc && !stopped; optind++)
		stopped = nftw(argv[optind], visit, 64, FTW_PHYS) == 1;
	printf("# %lu files%s, %lu functions, %lu rows, %lu points, %.1f MB of text in %.1f ms\n",
	       totals.files, stopped ? " (time is up)" : "", totals.functions, totals.rows,
	       totals.points, (double)totals.text_bytes / 1e6, totals.compile_seconds * 1e3);
	if (totals.text_bytes)
		printf("# per MB of text: %.0f rows, %.0f bytes, %.2f ms\n",
		       (double)totals.rows * 1e6 / (double)totals.text_bytes,
		       (double)(totals.rows * sizeof(struct unwind_row)) * 1e6 /
			       (double)totals.text_bytes,
		       totals.compile_seconds * 1e9 / (double)totals.text_bytes);
	printf("# unsupported: %lu of %lu rule changes (%.3f %%), damaged entries: %lu\n",
	       totals.unsupported, totals.changes,
	       totals.changes ? 100.0 * (double)totals.unsupported / (double)totals.changes : 0.0,
	       totals.damaged);
	printf("1..2\n%sok 1 - some files had rows\n", totals.files ? "" : "not ");
	printf("%sok 2 - every row is what elfutils says\n", totals.mismatches ? "not " : "");
	return !totals.files || totals.mismatches;
}
