# A command that leaks as it is told: dynamic, static, and with an allocator of its own.
leaky_cflags = $(AM_CFLAGS) -fno-sanitize=all -g -O2 -fno-builtin -fno-optimize-sibling-calls
check_PROGRAMS += tests/targets/leaky tests/targets/leaky_static tests/targets/leaky_own
tests_targets_leaky_SOURCES = tests/targets/leaky.c
tests_targets_leaky_CFLAGS = $(leaky_cflags)
tests_targets_leaky_LDFLAGS = -fno-sanitize=all
tests_targets_leaky_static_SOURCES = tests/targets/leaky.c
tests_targets_leaky_static_CFLAGS = $(leaky_cflags)
tests_targets_leaky_static_LDFLAGS = -fno-sanitize=all -static
tests_targets_leaky_own_SOURCES = tests/targets/leaky.c
tests_targets_leaky_own_CFLAGS = $(leaky_cflags) -DOWN_MALLOC
tests_targets_leaky_own_LDFLAGS = -fno-sanitize=all -rdynamic
