/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From call frame information to rows. Each function's (FDE's) states become rules; the functions
 * are sorted by address and joined, with a row of no information where there is a gap.
 *
 * Invariants: rows are sorted by pc, strictly; two neighbours differ in their rules. Where
 * functions overlap (only damaged files do that) the one that starts later is believed from its
 * start on.
 */
#include "unwind/rows.h"

#include "unwind/cfi.h"
#include "util/map.h"
#include "util/vec.h"

#include <errno.h>
#include <string.h>

struct function {
	uint32_t start, end; /* from the base; the end is that of the last byte */
	size_t first;	     /* row */
	size_t count;
};

struct compiler {
	const struct rows_input *input;
	const struct rows_arch *arch;
	VEC(struct cfi_cie) cies;
	struct map cie_at; /* offset + 1 -> index */
	VEC(struct function) functions;
	VEC(struct unwind_row) rows;
	const struct cfi_cie *cie; /* of the function being run */
	size_t first;		   /* its first row */
	struct rows *stats;
};

static const struct rows_arch *arch_of(uint16_t machine)
{
	static const struct rows_arch *const known[] = {&rows_x86_64, &rows_aarch64};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (known[i]->machine == machine)
			return known[i];
	return NULL;
}

/* Only what the walk over the section meets is a CIE: so they do not overlap and are read once. */
static void add_cie(struct compiler *compiler, const struct cfi_entry *entry)
{
	struct cfi_cie *cie = vec_push(&compiler->cies);

	cfi_cie_read(compiler->input, compiler->arch, entry, cie);
	if (!cie->usable)
		compiler->stats->damaged++;
	map_set(&compiler->cie_at, entry->offset + 1, compiler->cies.count - 1);
}

static const struct cfi_cie *cie_of(const struct compiler *compiler, const struct cfi_entry *entry)
{
	uint64_t index;

	if (entry->cie_offset >= compiler->input->size ||
	    !map_get(&compiler->cie_at, entry->cie_offset + 1, &index))
		return NULL;
	return &compiler->cies.data[index];
}

static void add_row(void *context, uint64_t pc, const struct frame_state *state)
{
	struct compiler *compiler = context;
	uint32_t rule = UNWIND_UNSUPPORTED;

	if (state)
		rule = compiler->arch->rule(state, compiler->cie->signal_frame);
	compiler->stats->changes++;
	compiler->stats->unsupported += rule == UNWIND_UNSUPPORTED;
	if (compiler->rows.count > compiler->first &&
	    compiler->rows.data[compiler->rows.count - 1].rule == rule)
		return;
	*vec_push(&compiler->rows) =
		(struct unwind_row){(uint32_t)(pc - compiler->input->base), rule};
}

static void add_function(struct compiler *compiler, const struct cfi_entry *entry)
{
	const struct rows_input *input = compiler->input;
	struct cfi_fde fde;

	compiler->cie = cie_of(compiler, entry);
	if (!compiler->cie || !compiler->cie->usable ||
	    cfi_fde_read(input, compiler->cie, entry, &fde)) {
		compiler->stats->damaged++;
		return;
	}
	/* Functions that the linker dropped have no address or no bytes. */
	if (!fde.start || fde.start == fde.end || fde.start < input->base ||
	    fde.end - input->base > UINT32_MAX)
		return;
	compiler->first = compiler->rows.count;
	if (cfi_run(input, compiler->arch, compiler->cie, &fde, add_row, compiler))
		compiler->stats->damaged++;
	*vec_push(&compiler->functions) = (struct function){
		.start = (uint32_t)(fde.start - input->base),
		.end = (uint32_t)(fde.end - input->base),
		.first = compiler->first,
		.count = compiler->rows.count - compiler->first,
	};
}

static int by_start(const void *left, const void *right)
{
	const struct function *a = left, *b = right;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	/* Of two at one address, the later in the section comes last and wins. */
	return a->first < b->first ? -1 : a->first > b->first;
}

/* A row at the end; one of the same address gives way, one of the same rule is not needed. */
static void append(struct rows *rows, struct unwind_row row)
{
	if (rows->count && rows->data[rows->count - 1].pc == row.pc)
		rows->count--;
	if (rows->count && rows->data[rows->count - 1].rule == row.rule)
		return;
	rows->data[rows->count++] = row;
}

static void join(struct compiler *compiler, struct rows *ret)
{
	struct function *functions = compiler->functions.data;
	size_t count = compiler->functions.count;

	/* At most one row more for each function: its end. */
	ret->data = xreallocarray(NULL, compiler->rows.count + count + 1, sizeof(*ret->data));
	for (size_t i = 0; i < count; i++) {
		uint32_t end = functions[i].end;
		bool gap = true;

		if (i + 1 < count && functions[i + 1].start <= end) {
			end = functions[i + 1].start;
			gap = false;
		}
		for (size_t r = 0; r < functions[i].count; r++) {
			struct unwind_row row = compiler->rows.data[functions[i].first + r];

			if (row.pc >= end)
				break;
			append(ret, row);
		}
		if (gap)
			append(ret, (struct unwind_row){end, UNWIND_NONE});
	}
	ret->functions = count;
}

typedef void entry_fn(struct compiler *compiler, const struct cfi_entry *entry);

static void each_entry(struct compiler *compiler, bool cies, entry_fn *take)
{
	struct cfi_entry entry;
	uint64_t offset = 0;
	int found;

	while ((found = cfi_entry_at(compiler->input, offset, &entry, &offset)) == 1)
		if (!entry.body.bad && entry.is_cie == cies)
			take(compiler, &entry);
	if (found < 0 && cies)
		compiler->stats->damaged++;
}

int rows_compile(const struct rows_input *input, struct rows *ret)
{
	struct compiler compiler = {
		.input = input,
		.arch = arch_of(input->machine),
		.stats = ret,
	};
	int error = 0;

	memset(ret, 0, sizeof(*ret));
	if (!compiler.arch)
		return -ENOTSUP;
	each_entry(&compiler, true, add_cie);
	each_entry(&compiler, false, add_function);
	if (!compiler.functions.count)
		error = -EINVAL;
	else
		qsort(compiler.functions.data, compiler.functions.count,
		      sizeof(*compiler.functions.data), by_start);
	if (!error)
		join(&compiler, ret);
	vec_deinit(&compiler.cies);
	vec_deinit(&compiler.functions);
	vec_deinit(&compiler.rows);
	map_deinit(&compiler.cie_at);
	return error;
}

void rows_deinit(struct rows *rows)
{
	free(rows->data);
	rows->data = NULL;
	rows->count = 0;
}

/* The address of the next row, beyond all if there is none. */
static uint64_t next_pc(const struct rows *rows, size_t at)
{
	return at < rows->count ? rows->data[at].pc : UINT64_MAX;
}

void rows_fill(struct rows *rows, const struct rows *other)
{
	struct rows merged = *rows;
	uint32_t own = UNWIND_NONE, others = UNWIND_NONE;
	size_t i = 0, j = 0;

	merged.data = xreallocarray(NULL, rows->count + other->count + 1, sizeof(*merged.data));
	merged.count = 0;
	while (i < rows->count || j < other->count) {
		uint64_t next = next_pc(rows, i), pc = next_pc(other, j);

		if (next < pc)
			pc = next;
		if (next == pc)
			own = rows->data[i++].rule;
		if (next_pc(other, j) == pc)
			others = other->data[j++].rule;
		append(&merged,
		       (struct unwind_row){(uint32_t)pc, own == UNWIND_NONE ? others : own});
	}
	merged.functions += other->functions;
	merged.damaged += other->damaged;
	merged.changes += other->changes;
	merged.unsupported += other->unsupported;
	free(rows->data);
	*rows = merged;
}

uint32_t rows_find(const struct rows *rows, uint32_t pc)
{
	size_t low = 0, high = rows->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (rows->data[middle].pc <= pc)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? rows->data[low - 1].rule : UNWIND_NONE;
}
