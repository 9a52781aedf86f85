/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Entries are sorted by start, best name first among equals. `reach[i]` is the highest end of the
 * entries 0 … i, so a look-up walks back from the last start at or before the address and may stop
 * where nothing before reaches it: nested and overlapping symbols are found without a tree. The
 * walk is bounded, as a hostile file can make one symbol that reaches over all others.
 */
#include "symbol/symtab.h"

#include "util/alloc.h"
#include "util/vec.h"

#include <stdlib.h>
#include <string.h>

#define MAX_ENTRIES 16000000
#define MAX_WALK    100000

struct symtab {
	VEC(struct symtab_entry) entries;
	uint64_t *reach;
};

struct symtab *symtab_new(void)
{
	return xcalloc(1, sizeof(struct symtab));
}

void symtab_free(struct symtab *symtab)
{
	if (!symtab)
		return;
	vec_deinit(&symtab->entries);
	free(symtab->reach);
	free(symtab);
}

bool symtab_add(struct symtab *symtab, const struct symtab_entry *entry)
{
	if (symtab->entries.count >= MAX_ENTRIES)
		return false;
	*vec_push(&symtab->entries) = *entry;
	symtab->entries.data[symtab->entries.count - 1].order = symtab->entries.count;
	return true;
}

static size_t underscores(const char *name)
{
	return strspn(name, "_");
}

static int compare_names(const char *a, const char *b)
{
	size_t a_value = underscores(a), b_value = underscores(b);

	if (a_value == b_value) {
		a_value = strlen(a);
		b_value = strlen(b);
	}
	if (a_value != b_value)
		return a_value < b_value ? -1 : 1;
	return strcmp(a, b);
}

/* One that has a size is better than a label without: it says how far it counts. */
static unsigned rank_of(const struct symtab_entry *entry)
{
	return entry->rank + (entry->size ? 0 : 256);
}

static int compare(const void *left, const void *right, void *unused)
{
	const struct symtab_entry *a = left, *b = right;

	(void)unused;
	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (rank_of(a) != rank_of(b))
		return rank_of(a) < rank_of(b) ? -1 : 1;
	return compare_names(a->name, b->name);
}

/* The last added first. */
static int compare_order(const void *left, const void *right, void *unused)
{
	const struct symtab_entry *a = left, *b = right;

	(void)unused;
	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->order > b->order ? -1 : a->order < b->order;
}

static void index_reach(struct symtab *symtab)
{
	uint64_t reach = 0;

	free(symtab->reach);
	symtab->reach = xcalloc(symtab->entries.count + 1, sizeof(*symtab->reach));
	for (size_t i = 0; i < symtab->entries.count; i++) {
		const struct symtab_entry *entry = &symtab->entries.data[i];
		uint64_t end = entry->start + entry->size;

		if (end < entry->start)
			end = UINT64_MAX;
		if (end > reach)
			reach = end;
		symtab->reach[i] = reach;
	}
}

static void drop_same(struct symtab *symtab)
{
	struct symtab_entry *entries = symtab->entries.data;
	size_t kept = 0;

	for (size_t i = 0; i < symtab->entries.count; i++)
		if (!kept || entries[kept - 1].start != entries[i].start)
			entries[kept++] = entries[i];
	symtab->entries.count = kept;
}

void symtab_sort(struct symtab *symtab, bool last_wins)
{
	struct symtab_entry *entries = symtab->entries.data;
	size_t count = symtab->entries.count;

	if (count)
		qsort_r(entries, count, sizeof(*entries), last_wins ? compare_order : compare,
			NULL);
	if (last_wins)
		drop_same(symtab);
	index_reach(symtab);
}

void symtab_close_gaps(struct symtab *symtab, uint32_t longest)
{
	uint64_t next = UINT64_MAX;

	for (size_t i = symtab->entries.count; i-- > 0;) {
		struct symtab_entry *entry = &symtab->entries.data[i];
		uint64_t room;

		if (i + 1 < symtab->entries.count && entry[1].start != entry->start)
			next = entry[1].start;
		room = next - entry->start;
		entry->size = room < longest ? room : longest;
	}
	index_reach(symtab);
}

size_t symtab_count(const struct symtab *symtab)
{
	return symtab->entries.count;
}

/* How many entries start at or before `address`. */
static size_t count_up_to(const struct symtab *symtab, uint64_t address)
{
	size_t low = 0, high = symtab->entries.count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (symtab->entries.data[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct symtab_entry *symtab_find(const struct symtab *symtab, uint64_t address)
{
	const struct symtab_entry *found = NULL;
	size_t i = count_up_to(symtab, address);

	for (size_t walked = 0; i-- > 0 && walked < MAX_WALK; walked++) {
		const struct symtab_entry *entry = &symtab->entries.data[i];

		if (found && entry->start != found->start)
			break;
		if (address - entry->start < entry->size)
			found = entry;
		if (symtab->reach[i] <= address)
			break;
	}
	return found;
}

const struct symtab_entry *symtab_at(const struct symtab *symtab, uint64_t address)
{
	size_t i = count_up_to(symtab, address);

	if (!i || symtab->entries.data[i - 1].start != address)
		return NULL;
	while (i > 1 && symtab->entries.data[i - 2].start == address)
		i--;
	return &symtab->entries.data[i - 1];
}

const struct symtab_entry *symtab_named(const struct symtab *symtab, uint64_t address,
					const char *name)
{
	for (size_t i = count_up_to(symtab, address), walked = 0; i-- > 0; walked++) {
		const struct symtab_entry *entry = &symtab->entries.data[i];

		if (entry->start != address || walked == MAX_WALK)
			return NULL;
		if (!strcmp(entry->name, name))
			return entry;
	}
	return NULL;
}

size_t symtab_bytes(const struct symtab *symtab)
{
	return symtab->entries.capacity * sizeof(struct symtab_entry) +
	       symtab->entries.count * sizeof(*symtab->reach);
}
