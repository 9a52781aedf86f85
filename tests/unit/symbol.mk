# the symbol room
if HAVE_CMOCKA
UNIT_SYMBOL_TESTS = \
	tests/unit/test_symbol tests/unit/test_symbol_demangle tests/unit/test_symbol_symtab \
	tests/unit/test_symbol_textmap tests/unit/test_symbol_wrappers
check_PROGRAMS += $(UNIT_SYMBOL_TESTS)
TESTS += $(UNIT_SYMBOL_TESTS)
UNIT_SYMBOL_LIBS = libsymbol.a libcore.a libutil.a $(LIBDW_LIBS) $(LIBELF_LIBS) $(LIBLZMA_LIBS) \
	$(CMOCKA_LIBS) -liberty -lpthread -lm
tests_unit_test_symbol_SOURCES = tests/unit/test_symbol.c
tests_unit_test_symbol_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_symbol_LDADD = $(UNIT_SYMBOL_LIBS)
tests_unit_test_symbol_demangle_SOURCES = tests/unit/test_symbol_demangle.c
tests_unit_test_symbol_demangle_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_symbol_demangle_LDADD = $(UNIT_SYMBOL_LIBS)
tests_unit_test_symbol_symtab_SOURCES = tests/unit/test_symbol_symtab.c
tests_unit_test_symbol_symtab_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_symbol_symtab_LDADD = $(UNIT_SYMBOL_LIBS)
tests_unit_test_symbol_textmap_SOURCES = tests/unit/test_symbol_textmap.c
tests_unit_test_symbol_textmap_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_symbol_textmap_LDADD = $(UNIT_SYMBOL_LIBS)
tests_unit_test_symbol_wrappers_SOURCES = tests/unit/test_symbol_wrappers.c
tests_unit_test_symbol_wrappers_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_symbol_wrappers_LDADD = $(UNIT_SYMBOL_LIBS)
endif
