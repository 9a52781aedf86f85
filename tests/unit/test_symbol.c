/* SPDX-License-Identifier: GPL-2.0-only */
/* The resolver on the test's own process; tests/symbol/ has real targets and real files. */
#include "symbol/symbol.h"

#include "tests/unit/unit.h"

#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SETTLE_MS 300000

struct fixture {
	struct modules *modules;
	struct resolver *resolver;
};

/* Functions of the resolver's own program that are not optimised away. */
int test_symbol_named(int value);
__attribute__((noinline)) int test_symbol_named(int value)
{
	return value * 3 + (int)getpid();
}

static int add_own(struct dl_phdr_info *info, size_t size, void *opaque)
{
	struct modules *modules = opaque;
	struct stat stat_of;
	char exe[4096];

	(void)size;
	if (info->dlpi_name[0])
		return 0;
	if (stat("/proc/self/exe", &stat_of))
		return 1;
	exe[readlink("/proc/self/exe", exe, sizeof(exe) - 1)] = '\0';
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];
		struct module module = {
			.start = info->dlpi_addr + (header->p_vaddr & ~4095ull),
			.end = info->dlpi_addr + header->p_vaddr + header->p_memsz,
			.file_offset = header->p_offset,
			.bias = info->dlpi_addr,
			.inode = stat_of.st_ino,
			.device = stat_of.st_dev,
			.path = exe,
			.to_ns = UINT64_MAX,
		};

		if (header->p_type == PT_LOAD && header->p_flags & PF_X)
			modules_add(modules, &module);
	}
	return 0;
}

static int setup(void **state)
{
	static struct fixture fixture;

	fixture.modules = modules_new();
	dl_iterate_phdr(add_own, fixture.modules);
	*state = &fixture;
	return symbol_resolver_new(getpid(), NULL, &fixture.resolver);
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	resolver_close(fixture->resolver);
	modules_free(fixture->modules);
	return 0;
}

static size_t look(struct fixture *fixture, uint64_t address, struct frame *ret, size_t cap)
{
	const struct site_info site = {
		.id = 1, .side = SIDE_USER, .nframes = 1, .addresses = &address};

	return resolver_resolve(fixture->resolver, fixture->modules, &site, 0, ret, cap);
}

static void test_first_pending_then_named(void **state)
{
	struct fixture *fixture = *state;
	uint64_t address = (uintptr_t)test_symbol_named + 4;
	struct frame frames[RESOLVER_MAX_INLINED];
	uint64_t before = fixture->resolver->ops->revision(fixture->resolver);
	size_t count;

	assert_int_equal(look(fixture, address, frames, RESOLVER_MAX_INLINED), 1);
	assert_true(frames[0].pending);
	assert_null(frames[0].symbol);
	assert_int_equal(frames[0].address, address);
	assert_int_equal(frames[0].module_offset, address - modules_get(fixture->modules, 0)->bias);
	fixture->resolver->ops->settle(fixture->resolver, SETTLE_MS);
	count = look(fixture, address, frames, RESOLVER_MAX_INLINED);
	assert_int_equal(count, 1);
	assert_false(frames[0].pending);
	assert_string_equal(frames[0].symbol, "test_symbol_named");
	assert_int_equal(frames[0].offset, 4);
	assert_false(frames[0].inlined);
	assert_true(fixture->resolver->ops->revision(fixture->resolver) > before);
}

/* What was given out stays, whatever is asked after it. */
static void test_strings_stay(void **state)
{
	struct fixture *fixture = *state;
	uint64_t address = (uintptr_t)test_symbol_named + 4;
	const struct module *own = modules_get(fixture->modules, 0);
	struct frame frame, other;

	look(fixture, address, &frame, 1);
	fixture->resolver->ops->settle(fixture->resolver, SETTLE_MS);
	look(fixture, address, &frame, 1);
	for (uint64_t at = own->start + 1; at < own->end; at += 7)
		look(fixture, at, &other, 1);
	fixture->resolver->ops->settle(fixture->resolver, SETTLE_MS);
	assert_string_equal(frame.symbol, "test_symbol_named");
	look(fixture, address, &other, 1);
	assert_ptr_equal(frame.symbol, other.symbol);
}

static void test_unknown_mapping(void **state)
{
	struct fixture *fixture = *state;
	struct frame frame;

	assert_int_equal(look(fixture, 0x1234, &frame, 1), 1);
	fixture->resolver->ops->settle(fixture->resolver, SETTLE_MS);
	assert_int_equal(look(fixture, 0x1234, &frame, 1), 1);
	assert_null(frame.symbol);
	assert_false(frame.pending);
	assert_string_equal(frame.module, "");
	assert_string_equal(frame.build_id, "");
	assert_int_equal(frame.module_offset, 0x1234);
}

static void test_odd_questions(void **state)
{
	struct fixture *fixture = *state;
	static const uint64_t addresses[] = {0, 1, UINT64_MAX};
	const struct site_info site = {
		.id = 1, .side = SIDE_USER, .nframes = 3, .addresses = addresses};
	struct frame frame;

	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(
			resolver_resolve(fixture->resolver, fixture->modules, &site, i, &frame, 1),
			1);
	assert_int_equal(resolver_resolve(fixture->resolver, fixture->modules, &site, 3, &frame, 1),
			 0);
	assert_int_equal(resolver_resolve(fixture->resolver, fixture->modules, &site, 0, &frame, 0),
			 0);
	fixture->resolver->ops->settle(fixture->resolver, SETTLE_MS);
}

/* With work still to do. */
static void test_close_at_once(void **state)
{
	struct fixture *fixture = *state;
	const struct module *own = modules_get(fixture->modules, 0);
	struct frame frame;

	for (uint64_t at = own->start + 1; at < own->end; at++)
		look(fixture, at, &frame, 1);
}

static void test_no_such_target(void **state)
{
	struct fixture *fixture = *state;
	struct resolver *resolver, *own = fixture->resolver;
	struct frame frame;

	/* The files are still there under their paths. */
	assert_int_equal(symbol_resolver_new(0x3fffffff, NULL, &resolver), 0);
	fixture->resolver = resolver;
	look(fixture, (uintptr_t)test_symbol_named + 4, &frame, 1);
	resolver->ops->settle(resolver, SETTLE_MS);
	look(fixture, (uintptr_t)test_symbol_named + 4, &frame, 1);
	fixture->resolver = own;
	assert_string_equal(frame.symbol, "test_symbol_named");
	resolver_close(resolver);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_first_pending_then_named, setup, teardown),
		cmocka_unit_test_setup_teardown(test_strings_stay, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown_mapping, setup, teardown),
		cmocka_unit_test_setup_teardown(test_odd_questions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_such_target, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
