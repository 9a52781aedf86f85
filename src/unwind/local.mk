noinst_LIBRARIES += libunwind.a
noinst_HEADERS += include/memtop/unwind_abi.h
libunwind_a_SOURCES = \
	src/unwind/cfi.c src/unwind/cfi.h src/unwind/cursor.h \
	src/unwind/elf_frames.c src/unwind/elf_frames.h \
	src/unwind/extents.c src/unwind/extents.h \
	src/unwind/publisher.c src/unwind/publisher.h \
	src/unwind/rows.c src/unwind/rows.h src/unwind/rows_arch.h \
	src/unwind/rows_aarch64.c src/unwind/rows_x86_64.c \
	src/unwind/tables.c src/unwind/tables.h \
	src/unwind/unwinder.c src/unwind/unwinder.h
