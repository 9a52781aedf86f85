noinst_LIBRARIES += libutil.a
libutil_a_SOURCES = \
	src/util/alloc.c src/util/alloc.h \
	src/util/cleanup.h \
	src/util/log.c src/util/log.h \
	src/util/map.c src/util/map.h \
	src/util/median.c src/util/median.h \
	src/util/strpool.c src/util/strpool.h \
	src/util/vec.h
