noinst_LIBRARIES += libexport.a
libexport_a_SOURCES =
libexport_a_SOURCES += src/export/export.c
