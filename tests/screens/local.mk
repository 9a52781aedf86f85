dist_check_SCRIPTS += tests/screens/test_tui.py
TESTS += tests/screens/test_tui.py

# Golden screens, and a program that shows them in a terminal.
screens = 120x40 80x24 60x16 200x60 59x16-too-small 10x3-too-small 120x40-ascii 80x24-ascii \
	120x40-frozen 80x24-frozen 120x40-unfolded 120x40-wrappers-paths 80x24-unfolded \
	120x40-help 60x16-help 80x24-sort-menu 80x24-filter-prompt 120x40-filtered 120x40-kernel \
	120x40-kernel-cache \
	120x40-level 120x40-hostile 80x24-hostile-ascii 120x40-beside 80x24-beside \
	60x16-beside 120x40-beside-hostile 120x40-fd-leak 80x24-fd-leak \
	120x40-pages 80x24-pages 120x30
EXTRA_DIST += $(screens:%=tests/screens/%.txt)

UI_TEST_LIBS = libui.a libcore.a libutil.a $(CMOCKA_LIBS) $(NCURSES_LIBS) -lm

if HAVE_CMOCKA
check_PROGRAMS += tests/screens/test_screens tests/screens/show_screen
TESTS += tests/screens/test_screens
tests_screens_test_screens_SOURCES = tests/screens/test_screens.c tests/screens/fixture.c \
	tests/screens/fixture.h
tests_screens_test_screens_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_screens_test_screens_LDADD = $(UI_TEST_LIBS)
tests_screens_show_screen_SOURCES = tests/screens/show_screen.c tests/screens/fixture.c \
	tests/screens/fixture.h
tests_screens_show_screen_LDADD = $(UI_TEST_LIBS)
endif
