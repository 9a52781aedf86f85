# Benchmarks print numbers; they are no tests.
EXTRA_PROGRAMS = tests/bench/bench_model
CLEANFILES += tests/bench/bench_model tests/bench/bench_kernel
tests_bench_bench_model_SOURCES = tests/bench/bench_model.c
tests_bench_bench_model_LDADD = libcore.a libutil.a -lm

.PHONY: bench-model
bench-model: tests/bench/bench_model
	tests/bench/bench_model

# As root: make bench-kernel
EXTRA_PROGRAMS += tests/bench/bench_kernel
tests_bench_bench_kernel_SOURCES = tests/bench/bench_kernel.c
tests_bench_bench_kernel_LDADD = libcapture.a libcore.a libutil.a $(LIBBPF_LIBS) $(LIBELF_LIBS) -lpthread -lm
bench-kernel: tests/bench/bench_kernel
	tests/bench/bench_kernel
.PHONY: bench-kernel
