/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A steady tick, from the read of the ledger to the drawn screen: no memory is allocated, and only
 * what is on the screen is resolved, however many sites there are.
 */
#include "tests/unit/unit.h"

#include "tests/bench/fake_sites.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* The linker sends every call here (--wrap). */
static size_t allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_reallocarray(void *block, size_t count, size_t size);
char *__real_strdup(const char *text);
int __real_vasprintf(char **ret, const char *format, va_list arguments);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_reallocarray(void *block, size_t count, size_t size);
char *__wrap_strdup(const char *text);
int __wrap_vasprintf(char **ret, const char *format, va_list arguments);

void *__wrap_malloc(size_t size)
{
	allocations++;
	return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	allocations++;
	return __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
	allocations++;
	return __real_realloc(block, size);
}

void *__wrap_reallocarray(void *block, size_t count, size_t size)
{
	allocations++;
	return __real_reallocarray(block, count, size);
}

char *__wrap_strdup(const char *text)
{
	allocations++;
	return __real_strdup(text);
}

int __wrap_vasprintf(char **ret, const char *format, va_list arguments)
{
	allocations++;
	return __real_vasprintf(ret, format, arguments);
}

static void tick(struct fake_sites *fake)
{
	fake_sites_churn(fake);
	fake_sites_read(fake);
	fake_sites_model(fake);
	fake_sites_view(fake);
	fake_sites_draw(fake);
}

static void a_steady_tick_allocates_nothing(void **state)
{
	struct fake_sites fake;

	(void)state;
	fake_sites_init(&fake, 20000);
	allocations = 0;
	tick(&fake);
	assert_true(allocations > 20000); /* they are counted: a new site takes memory */
	/* The cursor is on a site: it is followed. */
	view_move(fake.view, 3);
	for (unsigned i = 0; i < 3; i++)
		tick(&fake);
	allocations = 0;
	for (unsigned i = 0; i < 40; i++)
		tick(&fake);
	assert_int_equal(allocations, 0);
	fake_sites_deinit(&fake);
}

static void only_what_is_seen_is_resolved(void **state)
{
	uint64_t resolved[2];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct fake_sites fake;

		fake_sites_init(&fake, i ? 40000 : 4000);
		tick(&fake);
		tick(&fake);
		fake.resolved = 0;
		tick(&fake);
		resolved[i] = fake.resolved;
		fake_sites_deinit(&fake);
	}
	assert_true(resolved[0] > 0);
	/* As many rows, of ten times the sites. */
	assert_in_range(resolved[1], resolved[0] / 2, resolved[0] * 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_steady_tick_allocates_nothing),
		cmocka_unit_test(only_what_is_seen_is_resolved),
	};

	return cmocka_run_group_tests_name("tick", tests, NULL, NULL);
}
