# Options, export, and what holds the house together.
EXTRA_DIST += tests/unit/unit.h
app_tests = tests/unit/test_layers.py tests/unit/test_options.py tests/unit/test_export.py \
	tests/unit/test_cli.py
dist_check_SCRIPTS += $(app_tests)
TESTS += $(app_tests)
check_PROGRAMS += tests/unit/try_options tests/unit/write_picture
tests_unit_try_options_SOURCES = tests/unit/try_options.c src/options.c src/options.h src/options_file.c src/options_file.h src/options_table.h src/options_text.c
tests_unit_try_options_LDADD = libcore.a libutil.a -lm
tests_unit_write_picture_SOURCES = tests/unit/write_picture.c
tests_unit_write_picture_LDADD = libexport.a libcore.a libutil.a $(JANSSON_LIBS) -lm
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_command
TESTS += tests/unit/test_command
tests_unit_test_command_SOURCES = tests/unit/test_command.c src/command.c src/command.h src/exits.h
tests_unit_test_command_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_command_LDADD = libexport.a libcapture.a libcore.a libutil.a $(LIBBPF_LIBS) $(LIBELF_LIBS) \
	$(JANSSON_LIBS) $(CAPSTONE_LIBS) $(CMOCKA_LIBS) -lpthread -lm
endif
