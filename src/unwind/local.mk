noinst_LIBRARIES += libunwind.a
libunwind_a_SOURCES =
libunwind_a_SOURCES += src/unwind/unwind.c
