noinst_LIBRARIES += libunwind.a
noinst_HEADERS += include/memtop/unwind_abi.h
libunwind_a_SOURCES =
libunwind_a_SOURCES += src/unwind/cursor.h src/unwind/cfi.h src/unwind/cfi.c
libunwind_a_SOURCES += src/unwind/rows.h src/unwind/rows.c src/unwind/rows_arch.h
libunwind_a_SOURCES += src/unwind/rows_x86_64.c src/unwind/rows_aarch64.c
libunwind_a_SOURCES += src/unwind/elf_frames.h src/unwind/elf_frames.c
