noinst_LIBRARIES += libcore.a
libcore_a_SOURCES = \
	src/core/format.c src/core/format.h \
	src/core/losses.c src/core/losses.h \
	src/core/model.h \
	src/core/modules.c src/core/modules.h \
	src/core/picture.c src/core/picture.h \
	src/core/resolver.h \
	src/core/sitekey.c src/core/sitekey.h \
	src/core/snapshot.h \
	src/core/source.h
libcore_a_SOURCES += src/core/view.c src/core/view.h
