noinst_LIBRARIES += libexport.a
libexport_a_SOURCES = src/export/export.h src/export/select.c src/export/json.c src/export/text.c \
	src/export/baseline.c src/export/baseline.h \
	src/export/file.c src/export/file.h \
	src/export/leaks.c src/export/leaks.h src/export/leaks_text.c \
	src/export/suppress.c src/export/suppress.h
libexport_a_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
