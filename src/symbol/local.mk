noinst_LIBRARIES += libsymbol.a
libsymbol_a_SOURCES =
libsymbol_a_SOURCES += src/symbol/symbol.c
