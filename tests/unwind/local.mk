# The row compiler against elfutils: `make check` samples, `make check-cfi` takes all of /usr/lib.
check_PROGRAMS += tests/unwind/check_cfi
tests_unwind_check_cfi_SOURCES = tests/unwind/check_cfi.c
tests_unwind_check_cfi_LDADD = libunwind.a libutil.a $(LIBDW_LIBS) $(LIBELF_LIBS)

CHECK_CFI_PATHS = /usr/lib /usr/bin
CHECK_CFI_SECONDS = 0
check-cfi: tests/unwind/check_cfi
	tests/unwind/check_cfi $(if $(filter-out 0,$(CHECK_CFI_SECONDS)),-t $(CHECK_CFI_SECONDS)) $(CHECK_CFI_PATHS)
.PHONY: check-cfi
TESTS += tests/unwind/check_cfi.sh
EXTRA_DIST += tests/unwind/check_cfi.sh

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_rows
TESTS += tests/unit/test_rows
tests_unit_test_rows_SOURCES = tests/unit/test_rows.c
tests_unit_test_rows_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_rows_LDADD = libunwind.a libutil.a $(CMOCKA_LIBS)
endif
