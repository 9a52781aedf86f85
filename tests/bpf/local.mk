# The whole program on real targets; these need root and BPF and fail without.
dist_check_SCRIPTS += tests/bpf/test_books.py tests/bpf/test_harm.py
TESTS += tests/bpf/test_books.py tests/bpf/test_harm.py
dist_check_SCRIPTS += tests/bpf/test_modules.py tests/bpf/test_named.py tests/bpf/test_attach.py
TESTS += tests/bpf/test_modules.py tests/bpf/test_named.py tests/bpf/test_attach.py
bench-attach: all
	$(AM_TESTS_ENVIRONMENT) ATTACH_MAPPINGS=300 ATTACH_MEGABYTES=200 ATTACH_SECONDS=1 \
		$(PYTHON3) $(top_srcdir)/tests/bpf/test_attach.py
.PHONY: bench-attach
EXTRA_DIST += tests/lib/plugins.py tests/lib/batch.py tests/lib/tap.py tests/lib/target.py tests/lib/terminal.py

# The heap book alone, with tables of any size and any kind of probes.
check_PROGRAMS += tests/bpf/book_reader
tests_bpf_book_reader_SOURCES = tests/bpf/book_reader.c
tests_bpf_book_reader_LDADD = libsymbol.a libunwind.a libcapture.a libcore.a libutil.a $(LIBBPF_LIBS) $(LIBDW_LIBS) $(LIBELF_LIBS) \
	$(CAPSTONE_LIBS) -liberty -lpthread -lm
dist_check_SCRIPTS += tests/bpf/test_cases.py
TESTS += tests/bpf/test_cases.py
EXTRA_DIST += tests/lib/books.py
# All of it, with the full amounts, on a busy machine; prints a table.
check-books: all
	$(MAKE) $(AM_MAKEFLAGS) check TESTS=
	$(AM_TESTS_ENVIRONMENT) $(PYTHON3) $(top_srcdir)/tests/bpf/check_books.py
# memtop comes and goes a thousand times; make soak SOAK_ROUNDS=50 is shorter.
soak: all
	$(MAKE) $(AM_MAKEFLAGS) check TESTS=
	$(AM_TESTS_ENVIRONMENT) SOAK_ROUNDS=$(SOAK_ROUNDS) $(PYTHON3) $(top_srcdir)/tests/bpf/soak.py
SOAK_ROUNDS = 1000
.PHONY: check-books soak
EXTRA_DIST += tests/bpf/check_books.py tests/bpf/soak.py
dist_check_SCRIPTS += tests/bpf/test_ends.py
TESTS += tests/bpf/test_ends.py
# The kernel side alone, by a program that watches and one that holds.
check_PROGRAMS += tests/bpf/kernel_watch tests/targets/kernel_holder
tests_bpf_kernel_watch_SOURCES = tests/bpf/kernel_watch.c
tests_bpf_kernel_watch_LDADD = libunwind.a libcapture.a libcore.a libutil.a $(LIBBPF_LIBS) $(LIBDW_LIBS) $(LIBELF_LIBS) \
	$(CAPSTONE_LIBS) -lpthread -lm
tests_targets_kernel_holder_SOURCES = tests/targets/kernel_holder.c
dist_check_SCRIPTS += tests/bpf/test_kernel_book.py
TESTS += tests/bpf/test_kernel_book.py
dist_check_SCRIPTS += tests/bpf/test_held.py
TESTS += tests/bpf/test_held.py
dist_check_SCRIPTS += tests/bpf/test_kernel_leak.py
TESTS += tests/bpf/test_kernel_book.py tests/bpf/test_kernel_leak.py
dist_check_SCRIPTS += tests/bpf/test_kernel_cost.py
TESTS += tests/bpf/test_kernel_cost.py

# Lives of targets, and bad input.
check_PROGRAMS += tests/targets/life
tests_targets_life_SOURCES = tests/targets/life.c
tests_targets_life_LDADD = -lpthread -ldl
EXTRA_DIST += tests/targets/life_library.c
check_DATA += tests/targets/life_library.so
CLEANFILES += tests/targets/life_library.so
tests/targets/life_library.so: tests/targets/life_library.c
	$(AM_V_CC)$(MKDIR_P) $(@D) && $(CC) $(CFLAGS) -fPIC -shared -o $@ $<
dist_check_SCRIPTS += tests/bpf/test_gate.py tests/bpf/test_launch.py
TESTS += tests/bpf/test_gate.py tests/bpf/test_launch.py
dist_check_SCRIPTS += tests/bpf/test_life.py tests/bpf/test_follow.py tests/bpf/test_late.py tests/bpf/test_errors.py
TESTS += tests/bpf/test_life.py tests/bpf/test_follow.py tests/bpf/test_late.py tests/bpf/test_errors.py

# Allocators; the test builds the targets itself, linked in one way or another.
dist_check_SCRIPTS += tests/bpf/test_allocators.py tests/bpf/test_pools.py
TESTS += tests/bpf/test_allocators.py tests/bpf/test_pools.py
EXTRA_DIST += tests/targets/alloc.c tests/targets/alloc_rows.h tests/targets/alloc_pool.cc \
	tests/targets/alloc_guarded.c
# The budget.
dist_check_SCRIPTS += tests/bpf/test_governor.py tests/bpf/test_max_blocks.py
TESTS += tests/bpf/test_governor.py tests/bpf/test_max_blocks.py
# The pages level.
check_PROGRAMS += tests/targets/pages_holder
tests_targets_pages_holder_SOURCES = tests/targets/pages_holder.c
tests_targets_pages_holder_CFLAGS = $(AM_CFLAGS) -fno-sanitize=all -g -O2 -fomit-frame-pointer
tests_targets_pages_holder_LDFLAGS = -fno-sanitize=all
tests_targets_pages_holder_LDADD = -lpthread
dist_check_SCRIPTS += tests/bpf/test_pages.py
TESTS += tests/bpf/test_pages.py
check_PROGRAMS += tests/bpf/test_pages_events
TESTS += tests/bpf/test_pages_events
tests_bpf_test_pages_events_SOURCES = tests/bpf/test_pages_events.c
tests_bpf_test_pages_events_LDADD = libcapture.a libcore.a libutil.a $(LIBBPF_LIBS) $(LIBELF_LIBS) -lpthread -lm
# Blocks that go in other ways than by a free of their own.
dist_check_SCRIPTS += tests/bpf/test_released.py
TESTS += tests/bpf/test_released.py
EXTRA_DIST += tests/targets/alloc_bulk.c
# What allocators and threads map.
dist_check_SCRIPTS += tests/bpf/test_mapped.py
TESTS += tests/bpf/test_mapped.py
