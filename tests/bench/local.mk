# Benchmarks print figures; they are no tests, and need root.
#
#   make bench          every target of speed in one table, with bench.json beside it
#   make bench-peers    the same target under other tools
#   make bench-table    puts the table of the last of these into README.md
#   make bench-curves   how costs grow: doc/cost.svg, drawn of doc/cost.json
#
# The others are the parts that these consist of.
bench_programs = tests/bench/bench_pair tests/bench/bench_watch \
	tests/bench/bench_tick tests/bench/bench_kernel tests/bench/bench_stacks
# Built with the tests, so that they keep building.
check_PROGRAMS += tests/bench/pair_target $(bench_programs)
BENCH_HEAP_LIBS = libunwind.a libcapture.a libcore.a libutil.a $(LIBBPF_LIBS) $(LIBDW_LIBS) \
	$(LIBELF_LIBS) $(CAPSTONE_LIBS) -lpthread -lm

tests_bench_pair_target_SOURCES = tests/bench/pair_target.c
tests_bench_pair_target_CFLAGS = $(AM_CFLAGS) -fomit-frame-pointer -fno-builtin
tests_bench_pair_target_LDADD = -lpthread

tests_bench_bench_pair_SOURCES = tests/bench/bench_pair.c tests/bench/probing.c \
	tests/bench/probing.h
tests_bench_bench_pair_LDADD = $(BENCH_HEAP_LIBS)
tests_bench_bench_watch_SOURCES = tests/bench/bench_watch.c tests/bench/probing.c \
	tests/bench/probing.h
tests_bench_bench_watch_LDADD = $(BENCH_HEAP_LIBS)
tests_bench_bench_tick_SOURCES = tests/bench/bench_tick.c tests/bench/fake_sites.c \
	tests/bench/fake_sites.h tests/bench/probing.c tests/bench/probing.h
tests_bench_bench_tick_LDADD = libui.a $(BENCH_HEAP_LIBS) $(NCURSES_LIBS) -lutil
tests_bench_bench_kernel_SOURCES = tests/bench/bench_kernel.c tests/bench/probing.c \
	tests/bench/probing.h
tests_bench_bench_kernel_LDADD = $(BENCH_HEAP_LIBS)

.PHONY: bench-pair bench-tick bench-kernel bench-stacks
bench-pair: tests/bench/bench_pair tests/bench/pair_target
	tests/bench/bench_pair
bench-tick: tests/bench/bench_tick
	tests/bench/bench_tick
bench-kernel: tests/bench/bench_kernel
	tests/bench/bench_kernel

# What a captured stack costs.
CLEANFILES += tests/bench/bench_stacks.bpf.o tests/bench/bench_stacks.skel.h \
	tests/bench/stack_chain tests/bench/stack_chain_fp
EXTRA_DIST += tests/bench/bench_stacks.bpf.c tests/bench/stack_chain.c
tests_bench_bench_stacks_SOURCES = tests/bench/bench_stacks.c tests/unwind/target.c \
	tests/unwind/target.h
tests_bench_bench_stacks_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_builddir)/tests/bench
tests_bench_bench_stacks_LDADD = libunwind.a libcore.a libutil.a $(LIBBPF_LIBS) $(LIBELF_LIBS)
tests/bench/bench_stacks.bpf.o: $(top_srcdir)/tests/bench/bench_stacks.bpf.c $(bpf_includes)
	$(AM_V_GEN)$(MKDIR_P) tests/bench && $(CLANG) $(BPF_CFLAGS) -c \
		$(top_srcdir)/tests/bench/bench_stacks.bpf.c -o $@
tests/bench/bench_stacks.skel.h: tests/bench/bench_stacks.bpf.o
	$(AM_V_GEN)$(BPFTOOL) gen skeleton $< name bench_stacks_bpf > $@.tmp && mv $@.tmp $@
tests/bench/bench_stacks-bench_stacks.$(OBJEXT): tests/bench/bench_stacks.skel.h
tests/bench/stack_chain: $(top_srcdir)/tests/bench/stack_chain.c
	$(AM_V_GEN)$(MKDIR_P) tests/bench && $(CC) -O2 -fomit-frame-pointer $< -o $@
tests/bench/stack_chain_fp: $(top_srcdir)/tests/bench/stack_chain.c
	$(AM_V_GEN)$(MKDIR_P) tests/bench && $(CC) -O2 -fno-omit-frame-pointer \
		-mno-omit-leaf-frame-pointer $< -o $@

bench-stacks: tests/bench/bench_stacks tests/bench/stack_chain tests/bench/stack_chain_fp \
		tests/unwind/check_cfi
	tests/bench/bench_stacks tests/bench/stack_chain tests/bench/stack_chain_fp
	tests/unwind/check_cfi -c $(CHECK_CFI_PATHS)

# Names on a target with over 200 MB of debug information, which is made here. Needs root.
EXTRA_DIST += tests/bench/big_dwarf.sh tests/bench/bench_names.py
.PHONY: bench-names
bench-names: memtop
	$(SHELL) $(top_srcdir)/tests/bench/big_dwarf.sh tests/bench/big 150
	$(SHELL) $(top_srcdir)/tests/bench/big_dwarf.sh tests/bench/small 1
	MEMTOP=$(abs_top_builddir)/memtop $(PYTHON3) $(top_srcdir)/tests/bench/bench_names.py \
		tests/bench/big/big_dwarf tests/bench/small/big_dwarf

clean-local: clean-bench-names
.PHONY: clean-bench-names
clean-bench-names:
	rm -rf tests/bench/big tests/bench/small
# As root: make bench-pages
check_PROGRAMS += tests/bench/bench_pages
EXTRA_DIST += tests/bench/bench_pages.py
tests_bench_bench_pages_SOURCES = tests/bench/bench_pages.c
tests_bench_bench_pages_LDADD = libunwind.a libcapture.a libcore.a libutil.a $(LIBBPF_LIBS) \
	$(LIBDW_LIBS) $(LIBELF_LIBS) $(CAPSTONE_LIBS) -lpthread -lm
bench-pages: all tests/bench/bench_pages
	tests/bench/bench_pages
	$(AM_TESTS_ENVIRONMENT) $(PYTHON3) $(top_srcdir)/tests/bench/bench_pages.py
.PHONY: bench-pages
EXTRA_DIST += tests/bench/bench.py tests/bench/benchlib.py tests/bench/live.py \
	tests/bench/peers.py tests/bench/curves.py tests/bench/readme.py tests/bench/compare
BENCH_ENVIRONMENT = $(AM_TESTS_ENVIRONMENT) \
	PYTHONPATH='$(abs_top_srcdir)/tests/lib:$(abs_top_srcdir)/tests/bench'; export PYTHONPATH;
bench_needs = all tests/bench/stack_chain tests/bench/stack_chain_fp \
	$(check_PROGRAMS) $(check_DATA)

.PHONY: bench bench-peers
bench: $(bench_needs)
	$(BENCH_ENVIRONMENT) $(PYTHON3) $(top_srcdir)/tests/bench/bench.py --output bench
bench-peers: $(bench_needs)
	$(BENCH_ENVIRONMENT) $(PYTHON3) $(top_srcdir)/tests/bench/bench.py --peers \
		--output bench-peers

# Of the newer of the two.
.PHONY: bench-table
bench-table:
	results=`ls -t bench.json bench-peers.json 2>/dev/null | head -n 1`; \
	test -n "$$results" || { echo "make bench or make bench-peers first" >&2; exit 1; }; \
	$(BENCH_ENVIRONMENT) $(PYTHON3) $(top_srcdir)/tests/bench/readme.py "$$results" \
		$(top_srcdir)/README.md

# Into the sources: they are shown in README.md.
EXTRA_DIST += doc/cost.svg doc/cost.json
.PHONY: bench-curves draw-curves
bench-curves: tests/bench/bench_pair tests/bench/pair_target
	$(MKDIR_P) $(top_srcdir)/doc
	$(BENCH_ENVIRONMENT) $(PYTHON3) $(top_srcdir)/tests/bench/curves.py $(top_srcdir)/doc/cost
draw-curves:
	$(BENCH_ENVIRONMENT) $(PYTHON3) $(top_srcdir)/tests/bench/curves.py --draw \
		$(top_srcdir)/doc/cost

# Whether the cost that the screen shows is the true one. Apart from `make check`: it needs a machine
# that does nothing else.
EXTRA_DIST += tests/bench/check_cost.py
.PHONY: check-cost
check-cost: all tests/bench/bench_watch tests/bench/pair_target
	$(BENCH_ENVIRONMENT) $(PYTHON3) $(top_srcdir)/tests/bench/check_cost.py

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_tick
TESTS += tests/unit/test_tick
tests_unit_test_tick_SOURCES = tests/unit/test_tick.c tests/bench/fake_sites.c \
	tests/bench/fake_sites.h
tests_unit_test_tick_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_tick_LDFLAGS = -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=reallocarray \
	-Wl,--wrap=strdup,--wrap=vasprintf
tests_unit_test_tick_LDADD = libui.a libcapture.a libcore.a libutil.a $(LIBBPF_LIBS) $(LIBELF_LIBS) \
	$(CAPSTONE_LIBS) $(NCURSES_LIBS) $(CMOCKA_LIBS) -lpthread -lm
endif
