noinst_LIBRARIES += libexport.a
libexport_a_SOURCES = src/export/export.h src/export/select.c src/export/json.c src/export/text.c
libexport_a_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
