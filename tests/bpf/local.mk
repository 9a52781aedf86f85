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
tests_bpf_book_reader_LDADD = libunwind.a libcapture.a libcore.a libutil.a $(LIBBPF_LIBS) $(LIBDW_LIBS) $(LIBELF_LIBS) \
	$(CAPSTONE_LIBS) -lpthread -lm
dist_check_SCRIPTS += tests/bpf/test_cases.py
TESTS += tests/bpf/test_cases.py
EXTRA_DIST += tests/lib/books.py
# The kernel side alone, by a program that watches and one that holds.
check_PROGRAMS += tests/bpf/kernel_watch tests/targets/kernel_holder
tests_bpf_kernel_watch_SOURCES = tests/bpf/kernel_watch.c
tests_bpf_kernel_watch_LDADD = libunwind.a libcapture.a libcore.a libutil.a $(LIBBPF_LIBS) $(LIBDW_LIBS) $(LIBELF_LIBS) \
	$(CAPSTONE_LIBS) -lpthread -lm
tests_targets_kernel_holder_SOURCES = tests/targets/kernel_holder.c
dist_check_SCRIPTS += tests/bpf/test_kernel_book.py
TESTS += tests/bpf/test_kernel_book.py

# Lives of targets, and bad input.
check_PROGRAMS += tests/targets/life
tests_targets_life_SOURCES = tests/targets/life.c
tests_targets_life_LDADD = -lpthread -ldl
EXTRA_DIST += tests/targets/life_library.c
check_DATA += tests/targets/life_library.so
CLEANFILES += tests/targets/life_library.so
tests/targets/life_library.so: tests/targets/life_library.c
	$(AM_V_CC)$(MKDIR_P) $(@D) && $(CC) $(CFLAGS) -fPIC -shared -o $@ $<
dist_check_SCRIPTS += tests/bpf/test_life.py tests/bpf/test_errors.py
TESTS += tests/bpf/test_life.py tests/bpf/test_errors.py
