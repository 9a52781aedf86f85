/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/lives.h"

#include <string.h>

#define NO_BIRTH UINT64_MAX /* there at the first look */

struct life {
	uint64_t key, size;
	uint64_t born_ns; /* the end of the look that saw it first */
	uint32_t look;	  /* the last that saw it */
	uint8_t what;
};

_Static_assert(HOLDING_MOST <= UINT8_MAX, "a life's holding is a byte");

void lives_deinit(struct lives *lives)
{
	map_deinit(&lives->index);
	vec_deinit(&lives->entries);
}

void lives_clear(struct lives *lives)
{
	lives_deinit(lives);
	memset(lives, 0, sizeof(*lives));
}

void lives_begin(struct lives *lives)
{
	lives->look++;
	lives->unseen = 0;
}

static struct lives_row *row_of(struct lives *lives, uint64_t born_ns)
{
	unsigned i = lives->row_count - 1;

	while (i > 0 && born_ns <= lives->rows[i].from_ns)
		i--;
	return &lives->rows[i];
}

static void count_birth(struct lives *lives, const struct life *life)
{
	struct totals one = {.allocated_bytes = life->size, .allocated_blocks = 1};

	totals_add(&lives->totals[life->what], &one);
	totals_add(&lives->rows[lives->row_count - 1].totals[life->what], &one);
}

static void count_death(struct lives *lives, const struct life *life)
{
	struct totals one = {.freed_bytes = life->size, .freed_blocks = 1};

	if (life->born_ns == NO_BIRTH)
		return;
	totals_add(&lives->totals[life->what], &one);
	totals_add(&row_of(lives, life->born_ns)->totals[life->what], &one);
}

/* Births are counted at the end of the look, when they have a time: until then it is 0. */
static void begin_life(struct lives *lives, struct life *life, unsigned what, uint64_t size)
{
	life->what = (uint8_t)what;
	life->size = size;
	life->born_ns = lives->looked ? 0 : NO_BIRTH;
	life->look = lives->look;
}

void lives_see(struct lives *lives, uint64_t key, unsigned what, uint64_t size)
{
	struct life *life;
	uint64_t index;

	if (map_get(&lives->index, key, &index)) {
		life = &lives->entries.data[index];
		if (life->look == lives->look)
			return;
		life->look = lives->look;
		if (life->what == what && life->size == size)
			return;
		count_death(lives, life);
		begin_life(lives, life, what, size);
		return;
	}
	if (lives->entries.count == LIVES_MOST) {
		lives->unseen++;
		return;
	}
	map_set(&lives->index, key, lives->entries.count);
	life = vec_push(&lives->entries);
	life->key = key;
	begin_life(lives, life, what, size);
}

/* Merges the two neighbours whose common span is smallest against their age. */
static void merge_rows(struct lives *lives, uint64_t now_ns)
{
	double best_ratio = 0;
	unsigned best = 0;

	for (unsigned i = 0; i + 2 < lives->row_count; i++) {
		const struct lives_row *older = &lives->rows[i], *newer = older + 1;
		double span = (double)(newer->to_ns - older->from_ns);
		double ratio = span / ((double)(now_ns - newer->to_ns) + 1);

		if (!i || ratio < best_ratio) {
			best_ratio = ratio;
			best = i;
		}
	}
	lives->rows[best].to_ns = lives->rows[best + 1].to_ns;
	for (unsigned what = 0; what < HOLDING_MOST; what++)
		totals_add(&lives->rows[best].totals[what], &lives->rows[best + 1].totals[what]);
	lives->row_count--;
	memmove(&lives->rows[best + 1], &lives->rows[best + 2],
		(lives->row_count - best - 1) * sizeof(lives->rows[0]));
}

static void open_row(struct lives *lives, uint64_t now_ns)
{
	struct lives_row *row;

	if (lives->row_count)
		lives->rows[lives->row_count - 1].to_ns = now_ns;
	if (lives->row_count == ABI_COHORT_ROWS)
		merge_rows(lives, now_ns);
	row = &lives->rows[lives->row_count++];
	memset(row, 0, sizeof(*row));
	row->from_ns = row->to_ns = now_ns;
}

static void drop(struct lives *lives, size_t index)
{
	struct life *last = &lives->entries.data[lives->entries.count - 1];

	map_remove(&lives->index, lives->entries.data[index].key);
	if (&lives->entries.data[index] != last) {
		lives->entries.data[index] = *last;
		map_set(&lives->index, last->key, index);
	}
	lives->entries.count--;
}

void lives_end(struct lives *lives, uint64_t now_ns)
{
	memset(lives->sums, 0, sizeof(lives->sums));
	for (size_t i = 0; i < lives->entries.count;) {
		struct life *life = &lives->entries.data[i];

		if (life->look != lives->look) {
			count_death(lives, life);
			drop(lives, i);
			continue;
		}
		if (!life->born_ns) {
			life->born_ns = now_ns;
			count_birth(lives, life);
		}
		lives->sums[life->what] += life->size;
		i++;
	}
	lives->looked = true;
	open_row(lives, now_ns);
}

void lives_cohorts(const struct lives *lives, unsigned from, unsigned to, struct cohorts *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->count = lives->row_count;
	for (unsigned i = 0; i < lives->row_count; i++) {
		const struct lives_row *row = &lives->rows[i];

		ret->rows[i].born_from_ns = row->from_ns;
		ret->rows[i].born_to_ns = row->to_ns;
		for (unsigned what = from; what < to; what++)
			totals_add(&ret->rows[i].totals, &row->totals[what]);
	}
}

struct totals lives_totals(const struct lives *lives, unsigned from, unsigned to)
{
	struct totals sum = {0};

	for (unsigned what = from; what < to; what++)
		totals_add(&sum, &lives->totals[what]);
	return sum;
}

uint64_t lives_sum(const struct lives *lives, unsigned from, unsigned to)
{
	uint64_t sum = 0;

	for (unsigned what = from; what < to; what++)
		sum += lives->sums[what];
	return sum;
}
