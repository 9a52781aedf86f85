# tests of tests/unit

if HAVE_CMOCKA
if HAVE_JPEG
check_PROGRAMS += tests/unit/test_perception
TESTS += tests/unit/test_perception
tests_unit_test_perception_SOURCES = tests/unit/test_perception.c
tests_unit_test_perception_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_perception_LDFLAGS = -Wl,-rpath,'$$ORIGIN/../targets'
tests_unit_test_perception_LDADD = tests/targets/libdecode.so $(CMOCKA_LIBS) -ljpeg
endif
endif
