noinst_LIBRARIES += libcore.a
libcore_a_SOURCES =
libcore_a_SOURCES += src/core/core.c
libcore_a_SOURCES += src/core/view.c src/core/view.h
