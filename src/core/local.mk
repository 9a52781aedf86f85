noinst_LIBRARIES += libcore.a
libcore_a_SOURCES = \
	src/core/accounting.c src/core/accounting.h \
	src/core/ages.c src/core/ages.h \
	src/core/forecast.c src/core/forecast.h \
	src/core/format.c src/core/format.h \
	src/core/functions.c src/core/functions.h \
	src/core/history.c src/core/history.h \
	src/core/holdings.c src/core/holdings.h \
	src/core/losses.c src/core/losses.h \
	src/core/model.c src/core/model.h \
	src/core/modules.c src/core/modules.h \
	src/core/picture.c src/core/picture.h \
	src/core/resolver.h \
	src/core/sitekey.c src/core/sitekey.h \
	src/core/slopes.c src/core/slopes.h \
	src/core/snapshot.h \
	src/core/source.h \
	src/core/trend.c src/core/trend.h \
	src/core/unwinder.h \
	src/core/verdict.c src/core/verdict.h
libcore_a_SOURCES += src/core/view.c src/core/view.h
