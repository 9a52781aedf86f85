noinst_LIBRARIES += libsymbol.a
libsymbol_a_SOURCES = \
	src/symbol/busguard.c src/symbol/busguard.h \
	src/symbol/debugfile.c src/symbol/debugfile.h \
	src/symbol/demangle.c src/symbol/demangle.h \
	src/symbol/fetch.c src/symbol/fetch.h \
	src/symbol/image.c src/symbol/image.h \
	src/symbol/lines.c src/symbol/lines.h \
	src/symbol/names.c src/symbol/names.h \
	src/symbol/symbol.c src/symbol/symbol.h \
	src/symbol/symtab.c src/symbol/symtab.h \
	src/symbol/targetfs.c src/symbol/targetfs.h \
	src/symbol/textmap.c src/symbol/textmap.h \
	src/symbol/worker.c src/symbol/worker.h \
	src/symbol/wrappers.c src/symbol/wrappers.h
