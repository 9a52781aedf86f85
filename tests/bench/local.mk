# Benchmarks print numbers; they are no tests.
EXTRA_PROGRAMS = tests/bench/bench_model
CLEANFILES += tests/bench/bench_model
tests_bench_bench_model_SOURCES = tests/bench/bench_model.c
tests_bench_bench_model_LDADD = libcore.a libutil.a -lm

.PHONY: bench-model
bench-model: tests/bench/bench_model
	tests/bench/bench_model
