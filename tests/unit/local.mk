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
UNIT_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
UNIT_CORE_LIBS = libcore.a libutil.a $(CMOCKA_LIBS) -lm

# core and util
check_PROGRAMS += tests/unit/test_suppress
TESTS += tests/unit/test_suppress
tests_unit_test_suppress_SOURCES = tests/unit/test_suppress.c
tests_unit_test_suppress_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_suppress_LDADD = libexport.a $(UNIT_CORE_LIBS) $(JANSSON_LIBS)
check_PROGRAMS += tests/unit/test_format tests/unit/test_functions tests/unit/test_losses tests/unit/test_modules \
	tests/unit/test_sitekey tests/unit/test_util tests/unit/test_verdict \
	tests/unit/test_history tests/unit/test_forecast tests/unit/test_model
TESTS += tests/unit/test_format tests/unit/test_functions tests/unit/test_losses tests/unit/test_modules \
	tests/unit/test_sitekey tests/unit/test_util tests/unit/test_verdict \
	tests/unit/test_history tests/unit/test_forecast tests/unit/test_model
tests_unit_test_format_SOURCES = tests/unit/test_format.c
tests_unit_test_format_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_format_LDADD = $(UNIT_CORE_LIBS)
tests_unit_test_functions_SOURCES = tests/unit/test_functions.c
tests_unit_test_functions_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_functions_LDADD = $(UNIT_CORE_LIBS)
tests_unit_test_losses_SOURCES = tests/unit/test_losses.c
tests_unit_test_losses_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_losses_LDADD = $(UNIT_CORE_LIBS)
tests_unit_test_modules_SOURCES = tests/unit/test_modules.c
tests_unit_test_modules_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_modules_LDADD = $(UNIT_CORE_LIBS)
tests_unit_test_sitekey_SOURCES = tests/unit/test_sitekey.c
tests_unit_test_sitekey_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_sitekey_LDADD = $(UNIT_CORE_LIBS)
tests_unit_test_util_SOURCES = tests/unit/test_util.c
tests_unit_test_util_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_util_LDADD = libutil.a $(CMOCKA_LIBS) -lpthread

# ui, and the view that it shows
UNIT_UI_LIBS = libui.a libcore.a libutil.a $(CMOCKA_LIBS) $(NCURSES_LIBS) -lm
UNIT_FIXTURE = tests/screens/fixture.c tests/screens/fixture.h
ui_tests = tests/unit/test_canvas tests/unit/test_graph tests/unit/test_keys \
	tests/unit/test_screen tests/unit/test_view
check_PROGRAMS += $(ui_tests)
TESTS += $(ui_tests)
tests_unit_test_canvas_SOURCES = tests/unit/test_canvas.c $(UNIT_FIXTURE)
tests_unit_test_canvas_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_canvas_LDADD = $(UNIT_UI_LIBS)
tests_unit_test_graph_SOURCES = tests/unit/test_graph.c $(UNIT_FIXTURE)
tests_unit_test_graph_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_graph_LDADD = $(UNIT_UI_LIBS)
tests_unit_test_keys_SOURCES = tests/unit/test_keys.c
tests_unit_test_keys_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_keys_LDADD = $(UNIT_UI_LIBS)
tests_unit_test_screen_SOURCES = tests/unit/test_screen.c $(UNIT_FIXTURE)
tests_unit_test_screen_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_screen_LDADD = $(UNIT_UI_LIBS)
tests_unit_test_view_SOURCES = tests/unit/test_view.c
tests_unit_test_view_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_view_LDADD = $(UNIT_UI_LIBS)
tests_unit_test_verdict_SOURCES = tests/unit/test_verdict.c tests/unit/simulated.c \
	tests/unit/simulated.h
tests_unit_test_verdict_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_verdict_LDADD = $(UNIT_CORE_LIBS)
tests_unit_test_history_SOURCES = tests/unit/test_history.c
tests_unit_test_history_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_history_LDADD = $(UNIT_CORE_LIBS)
tests_unit_test_forecast_SOURCES = tests/unit/test_forecast.c
tests_unit_test_forecast_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_forecast_LDADD = $(UNIT_CORE_LIBS)
tests_unit_test_model_SOURCES = tests/unit/test_model.c tests/unit/simulated.c \
	tests/unit/simulated.h
tests_unit_test_model_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_model_LDADD = $(UNIT_CORE_LIBS)
endif
include tests/unit/app.mk

# The other architecture, as far as a compiler can tell.
TESTS += tests/unit/test_arm64.sh
EXTRA_DIST += tests/unit/test_arm64.sh
