# The whole program on real targets; these need root and BPF and fail without.
dist_check_SCRIPTS += tests/bpf/test_books.py tests/bpf/test_harm.py
TESTS += tests/bpf/test_books.py tests/bpf/test_harm.py
EXTRA_DIST += tests/lib/batch.py tests/lib/tap.py tests/lib/target.py tests/lib/terminal.py
