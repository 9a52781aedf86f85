/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/cohorts.h"

#include <string.h>

void cohort_clock_init(struct cohort_clock *clock, uint64_t now_ns)
{
	memset(clock, 0, sizeof(*clock));
	clock->draining = clock->draining_into = COHORT_ROW_FREE;
	clock->now = 1;
	clock->used[1] = true;
	clock->born_ns[1] = now_ns;
	clock->rows[0] = (struct cohort_span){.used = true, .from_ns = now_ns, .to_ns = now_ns};
}

unsigned cohort_clock_rows(const struct cohort_clock *clock, uint8_t ret[ABI_COHORT_ROWS])
{
	unsigned count = 0;

	for (unsigned row = 0; row < ABI_COHORT_ROWS; row++) {
		unsigned i;

		if (!clock->rows[row].used || (int)row == clock->draining)
			continue;
		for (i = count; i > 0; i--) {
			if (clock->rows[ret[i - 1]].from_ns <= clock->rows[row].from_ns)
				break;
			ret[i] = ret[i - 1];
		}
		ret[i] = row;
		count++;
	}
	return count;
}

static int free_row(const struct cohort_clock *clock)
{
	for (int row = 0; row < ABI_COHORT_ROWS; row++)
		if (!clock->rows[row].used)
			return row;
	return COHORT_ROW_FREE;
}

/* Redirects the cohorts of the best pair's older row to the newer one. */
static void merge_neighbours(struct cohort_clock *clock, uint64_t now_ns)
{
	uint8_t rows[ABI_COHORT_ROWS];
	unsigned count = cohort_clock_rows(clock, rows);
	double best_ratio = 0;
	unsigned best = 0;

	/* The current row is still filling; the one before it is the finest there is. */
	for (unsigned i = 0; i + 2 < count; i++) {
		const struct cohort_span *older = &clock->rows[rows[i]];
		const struct cohort_span *newer = &clock->rows[rows[i + 1]];
		double span = newer->to_ns - older->from_ns;
		double age = now_ns - newer->to_ns + 1.0;

		if (!i || span / age < best_ratio) {
			best_ratio = span / age;
			best = i;
		}
	}
	clock->draining = rows[best];
	clock->draining_into = rows[best + 1];
	clock->rows[rows[best + 1]].from_ns = clock->rows[rows[best]].from_ns;
	for (unsigned i = 1; i < ABI_COHORTS; i++)
		if (clock->used[i] && clock->row_of[i] == rows[best])
			clock->row_of[i] = rows[best + 1];
}

bool cohort_clock_advance(struct cohort_clock *clock, uint64_t now_ns, int *moved_from,
			  int *moved_to)
{
	unsigned next = 0;
	int row;

	*moved_from = clock->draining;
	*moved_to = clock->draining_into;
	if (clock->draining != COHORT_ROW_FREE)
		clock->rows[clock->draining].used = false;
	clock->draining = clock->draining_into = COHORT_ROW_FREE;
	for (unsigned i = 1; i < ABI_COHORTS && !next; i++)
		if (!clock->used[i])
			next = i;
	row = free_row(clock);
	if (!next || row == COHORT_ROW_FREE)
		return false;
	clock->rows[clock->current].to_ns = now_ns;
	clock->rows[row] = (struct cohort_span){.used = true, .from_ns = now_ns, .to_ns = now_ns};
	clock->used[next] = true;
	clock->born_ns[next] = now_ns;
	clock->row_of[next] = row;
	clock->now = next;
	clock->current = row;
	if (free_row(clock) == COHORT_ROW_FREE)
		merge_neighbours(clock, now_ns);
	return true;
}

unsigned cohort_clock_free_count(const struct cohort_clock *clock)
{
	unsigned count = 0;

	for (unsigned i = 1; i < ABI_COHORTS; i++)
		count += !clock->used[i];
	return count;
}

void cohort_clock_relabel(const struct cohort_clock *clock, uint64_t before_ns,
			  uint8_t labels[ABI_COHORTS])
{
	uint8_t representative[ABI_COHORT_ROWS] = {0};

	for (unsigned i = 0; i < ABI_COHORTS; i++) {
		uint8_t *label = &representative[clock->row_of[i]];

		labels[i] = i;
		if (!clock->used[i] || i == clock->now || clock->born_ns[i] >= before_ns)
			continue;
		if (!*label)
			*label = i;
		labels[i] = *label;
	}
}

void cohort_clock_release(struct cohort_clock *clock, const uint8_t labels[ABI_COHORTS])
{
	for (unsigned i = 1; i < ABI_COHORTS; i++)
		if (labels[i] != i)
			clock->used[i] = false;
}
