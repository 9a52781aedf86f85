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
