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
check_PROGRAMS += tests/unit/test_extents
TESTS += tests/unit/test_extents
tests_unit_test_extents_SOURCES = tests/unit/test_extents.c
tests_unit_test_extents_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_extents_LDADD = libunwind.a libutil.a $(CMOCKA_LIBS)
endif

# Captured stacks against those the target knows itself; one target for each way of building it.
stack_targets = tests/unwind/gcc-pie tests/unwind/gcc-nopie tests/unwind/clang-pie \
	tests/unwind/clang-nopie
stack_sources = $(top_srcdir)/tests/unwind/stack_target.c $(top_srcdir)/tests/unwind/steps.c \
	$(top_srcdir)/tests/unwind/steps_cxx.cc $(top_srcdir)/tests/unwind/steps.h \
	$(top_srcdir)/tests/unwind/paths.c $(top_srcdir)/tests/unwind/paths.h \
	$(top_srcdir)/tests/unwind/heap_target.cc \
	$(top_srcdir)/tests/unwind/stack_record.h $(top_srcdir)/tests/unwind/build_target.sh
stack_build = $(AM_V_GEN)$(SHELL) $(top_srcdir)/tests/unwind/build_target.sh $(top_srcdir)/tests/unwind
tests/unwind/gcc-pie/stack_target: $(stack_sources)
	$(stack_build) tests/unwind/gcc-pie "$(CC)" -pie -fPIE
tests/unwind/gcc-nopie/stack_target: $(stack_sources)
	$(stack_build) tests/unwind/gcc-nopie "$(CC)" -no-pie -fno-pie
tests/unwind/clang-pie/stack_target: $(stack_sources)
	$(stack_build) tests/unwind/clang-pie "$(CLANG)" -pie -fPIE
tests/unwind/clang-nopie/stack_target: $(stack_sources)
	$(stack_build) tests/unwind/clang-nopie "$(CLANG)" -no-pie -fno-pie
check_DATA += $(stack_targets:=/stack_target)

tests/unwind/stacks.bpf.o: $(top_srcdir)/tests/unwind/stacks.bpf.c \
		$(top_srcdir)/tests/unwind/capture.h $(bpf_includes)
	$(AM_V_GEN)$(MKDIR_P) tests/unwind && \
		$(CLANG) $(BPF_CFLAGS) -I$(top_srcdir)/tests/unwind -c \
		$(top_srcdir)/tests/unwind/stacks.bpf.c -o $@
tests/unwind/stacks.skel.h: tests/unwind/stacks.bpf.o
	$(AM_V_GEN)$(BPFTOOL) gen skeleton $< name stacks_bpf > $@.tmp && mv $@.tmp $@
tests/unwind/stacks-stacks.$(OBJEXT): tests/unwind/stacks.skel.h

check_PROGRAMS += tests/unwind/stacks
tests_unwind_stacks_SOURCES = tests/unwind/stacks.c tests/unwind/capture.h \
	tests/unwind/stack_record.h tests/unwind/target.c tests/unwind/target.h
tests_unwind_stacks_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_builddir)/tests/unwind
tests_unwind_stacks_LDADD = libunwind.a libcore.a libutil.a $(LIBBPF_LIBS) $(LIBELF_LIBS)
TESTS += tests/unwind/stacks.sh

# The tables of a large process.
check_PROGRAMS += tests/unwind/publish
tests_unwind_publish_SOURCES = tests/unwind/publish.c
tests_unwind_publish_CPPFLAGS = $(tests_unwind_stacks_CPPFLAGS)
tests_unwind_publish_LDADD = $(tests_unwind_stacks_LDADD)
tests/unwind/publish-publish.$(OBJEXT): tests/unwind/stacks.skel.h
TESTS += tests/unwind/publish.sh
EXTRA_DIST += tests/unwind/publish.sh

dist_check_SCRIPTS += tests/unwind/test_stacks.py
TESTS += tests/unwind/test_stacks.py
EXTRA_DIST += tests/unwind/stacks.sh tests/unwind/stacks.bpf.c tests/unwind/stack_target.c \
	tests/unwind/steps.c tests/unwind/steps_cxx.cc tests/unwind/steps.h \
	tests/unwind/build_target.sh tests/unwind/paths.c tests/unwind/paths.h \
	tests/unwind/heap_target.cc
CLEANFILES += tests/unwind/stacks.bpf.o tests/unwind/stacks.skel.h

clean-local: clean-stack-targets
clean-stack-targets:
	rm -rf $(stack_targets)
.PHONY: clean-stack-targets

# Stacks on which return probes are pending.
check_PROGRAMS += tests/unwind/nested_target
tests_unwind_nested_target_SOURCES = tests/unwind/nested_target.c
tests_unwind_nested_target_CFLAGS = -O2 -g -fomit-frame-pointer -fno-builtin -fno-sanitize=all
tests_unwind_nested_target_LDFLAGS = -rdynamic -fno-sanitize=all
dist_check_SCRIPTS += tests/unwind/test_trampolines.py
TESTS += tests/unwind/test_trampolines.py

# Stacks of programs with little frame information: linked to a C library that has none, dynamically
# and not, or with their own in .debug_frame only.
MUSL_GCC = musl-gcc
shadow_targets = tests/unwind/musl_dynamic tests/unwind/musl_static tests/unwind/debug_frame_only
shadow_flags = -O2 -g -fomit-frame-pointer $(top_srcdir)/tests/unwind/shadow_target.c -o $@
tests/unwind/musl_dynamic: $(top_srcdir)/tests/unwind/shadow_target.c
	$(AM_V_CC)$(MKDIR_P) $(@D) && $(MUSL_GCC) -pie -fPIE $(shadow_flags)
tests/unwind/musl_static: $(top_srcdir)/tests/unwind/shadow_target.c
	$(AM_V_CC)$(MKDIR_P) $(@D) && $(MUSL_GCC) -static $(shadow_flags)
tests/unwind/debug_frame_only: $(top_srcdir)/tests/unwind/shadow_target.c
	$(AM_V_CC)$(MKDIR_P) $(@D) && $(CC) -fno-asynchronous-unwind-tables -fno-unwind-tables \
		$(shadow_flags) -lpthread
check_DATA += $(shadow_targets)
CLEANFILES += $(shadow_targets)
dist_check_SCRIPTS += tests/unwind/test_shadow.py
TESTS += tests/unwind/test_shadow.py
EXTRA_DIST += tests/unwind/shadow_target.c

# Damaged input, with the sanitizers on whatever the rest is built with.
check_PROGRAMS += tests/fuzz/fuzz_cfi
tests_fuzz_fuzz_cfi_SOURCES = tests/fuzz/fuzz_cfi.c src/unwind/cfi.c src/unwind/elf_frames.c \
	src/unwind/rows.c src/unwind/rows_aarch64.c src/unwind/rows_x86_64.c \
	src/util/alloc.c src/util/map.c
tests_fuzz_fuzz_cfi_CFLAGS = $(AM_CFLAGS) -g -fsanitize=address,undefined \
	-fno-sanitize-recover=undefined
tests_fuzz_fuzz_cfi_LDADD = $(LIBELF_LIBS)
TESTS += tests/fuzz/fuzz_cfi.sh
EXTRA_DIST += tests/fuzz/fuzz_cfi.sh

FUZZ_ROUNDS = 200000
fuzz-cfi: tests/fuzz/fuzz_cfi
	top_builddir=. FUZZ_ROUNDS=$(FUZZ_ROUNDS) $(SHELL) $(top_srcdir)/tests/fuzz/fuzz_cfi.sh
.PHONY: fuzz-cfi
