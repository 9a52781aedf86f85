# Units against cmocka, one program a module.
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_cohorts
TESTS += tests/unit/test_cohorts
endif
tests_unit_test_cohorts_SOURCES = tests/unit/test_cohorts.c
tests_unit_test_cohorts_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_cohorts_LDADD = libcapture.a libutil.a $(CMOCKA_LIBS)
include tests/unit/capture.mk
include tests/unit/symbol.mk

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
