# Benchmarks print numbers; they are no tests.
EXTRA_PROGRAMS = tests/bench/bench_model
CLEANFILES += tests/bench/bench_model
tests_bench_bench_model_SOURCES = tests/bench/bench_model.c
tests_bench_bench_model_LDADD = libcore.a libutil.a -lm

.PHONY: bench-model
bench-model: tests/bench/bench_model
	tests/bench/bench_model

EXTRA_PROGRAMS += tests/bench/bench_pair
CLEANFILES += tests/bench/bench_pair
tests_bench_bench_pair_SOURCES = tests/bench/bench_pair.c
tests_bench_bench_pair_CFLAGS = $(AM_CFLAGS) -fomit-frame-pointer -fno-builtin
tests_bench_bench_pair_LDADD = libunwind.a libcapture.a libcore.a libutil.a $(LIBBPF_LIBS) \
	$(LIBDW_LIBS) $(LIBELF_LIBS) $(CAPSTONE_LIBS) -lpthread -lm

# Needs root.
.PHONY: bench-pair
bench-pair: tests/bench/bench_pair
	tests/bench/bench_pair
# As root: make bench-kernel
EXTRA_PROGRAMS += tests/bench/bench_kernel
CLEANFILES += tests/bench/bench_kernel
tests_bench_bench_kernel_SOURCES = tests/bench/bench_kernel.c
tests_bench_bench_kernel_LDADD = libcapture.a libcore.a libutil.a $(LIBBPF_LIBS) $(LIBELF_LIBS) -lpthread -lm
bench-kernel: tests/bench/bench_kernel
	tests/bench/bench_kernel
.PHONY: bench-kernel

# What a captured stack costs.
EXTRA_PROGRAMS += tests/bench/bench_stacks
CLEANFILES += tests/bench/bench_stacks tests/bench/bench_stacks.bpf.o \
	tests/bench/bench_stacks.skel.h tests/bench/stack_chain tests/bench/stack_chain_fp
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
	$(AM_V_GEN)$(CC) -O2 -fomit-frame-pointer $< -o $@
tests/bench/stack_chain_fp: $(top_srcdir)/tests/bench/stack_chain.c
	$(AM_V_GEN)$(CC) -O2 -fno-omit-frame-pointer -mno-omit-leaf-frame-pointer $< -o $@

.PHONY: bench-stacks
bench-stacks: tests/bench/bench_stacks tests/bench/stack_chain tests/bench/stack_chain_fp \
		tests/unwind/check_cfi
	tests/bench/bench_stacks tests/bench/stack_chain tests/bench/stack_chain_fp
	tests/unwind/check_cfi -c $(CHECK_CFI_PATHS)

# As root: make bench-pages
EXTRA_PROGRAMS += tests/bench/bench_pages
CLEANFILES += tests/bench/bench_pages
EXTRA_DIST += tests/bench/bench_pages.py
tests_bench_bench_pages_SOURCES = tests/bench/bench_pages.c
tests_bench_bench_pages_LDADD = libunwind.a libcapture.a libcore.a libutil.a $(LIBBPF_LIBS) \
	$(LIBDW_LIBS) $(LIBELF_LIBS) $(CAPSTONE_LIBS) -lpthread -lm
bench-pages: all tests/bench/bench_pages
	tests/bench/bench_pages
	$(AM_TESTS_ENVIRONMENT) $(PYTHON3) $(top_srcdir)/tests/bench/bench_pages.py
.PHONY: bench-pages
