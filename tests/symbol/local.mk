# The resolver on real processes; symbolize is how the test asks it.
check_PROGRAMS += tests/symbol/symbolize
tests_symbol_symbolize_SOURCES = tests/symbol/symbolize.c
tests_symbol_symbolize_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
SYMBOL_LIBS = libsymbol.a libcapture.a libcore.a libutil.a $(LIBDW_LIBS) $(LIBELF_LIBS) \
	$(LIBLZMA_LIBS) -liberty -lpthread -lm
tests_symbol_symbolize_LDADD = $(SYMBOL_LIBS) $(JANSSON_LIBS)
SYMBOL_TESTS = tests/symbol/test_fetch.py tests/symbol/test_names.py \
	tests/symbol/test_oracle.py tests/symbol/test_places.py
dist_check_SCRIPTS += $(SYMBOL_TESTS)
TESTS += $(SYMBOL_TESTS)
EXTRA_DIST += tests/lib/oracle.py tests/lib/symbolizer.py
SYMBOL_FIXTURES = tests/symbol/fixture.cc tests/symbol/fixture.c tests/symbol/fixture_library.c
EXTRA_DIST += $(SYMBOL_FIXTURES)
