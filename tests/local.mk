# Every test speaks TAP. tests/<room>/local.mk add their own.
include tests/unit/local.mk
include tests/targets/local.mk
include tests/targets/books.mk
include tests/targets/leaky.mk
include tests/bpf/local.mk
include tests/screens/local.mk
include tests/unwind/local.mk
include tests/bench/local.mk
include tests/symbol/local.mk
include tests/real/local.mk
