# Targets for the cases of the books. Frame pointers, so that stacks differ by more than their
# innermost frame whatever walks them; exported symbols, so that plugins find the ledger.
books_cflags = $(AM_CFLAGS) -fno-sanitize=all -pthread -g -O2 -fno-omit-frame-pointer \
	-fno-optimize-sibling-calls -fno-builtin
books_ldflags = -fno-sanitize=all -pthread -rdynamic
books_sources = tests/targets/books_stop.c tests/targets/books.h tests/targets/ledger.c \
	tests/targets/ledger_calls.c tests/targets/ledger.h

check_PROGRAMS += tests/targets/books tests/targets/books_own tests/targets/books_cxx tests/targets/libbooks_first.so \
	tests/targets/libbooks_second.so
tests_targets_books_SOURCES = tests/targets/books.c tests/targets/books_end.c tests/targets/books_process.c $(books_sources)
tests_targets_books_CFLAGS = $(books_cflags) -fPIE
tests_targets_books_LDFLAGS = $(books_ldflags) -pie
tests_targets_books_LDADD = -ldl

tests_targets_books_own_SOURCES = tests/targets/books_own.c $(books_sources)
tests_targets_books_own_CFLAGS = $(books_cflags) -fPIE
tests_targets_books_own_LDFLAGS = $(books_ldflags) -pie

tests_targets_books_cxx_SOURCES = tests/targets/books_cxx.cc $(books_sources)
tests_targets_books_cxx_CFLAGS = $(books_cflags) -fPIE
tests_targets_books_cxx_CXXFLAGS = -std=c++17 -fno-sanitize=all -pthread -g -O2 -fPIE \
	-fno-omit-frame-pointer -fno-builtin
tests_targets_books_cxx_LDFLAGS = $(books_ldflags) -pie

books_plugin_cflags = $(books_cflags) -fPIC
books_plugin_ldflags = -fno-sanitize=all -shared
tests_targets_libbooks_first_so_SOURCES = tests/targets/books_plugin.c tests/targets/ledger.h
tests_targets_libbooks_first_so_CFLAGS = $(books_plugin_cflags) -DPLUGIN_TAKES=first_takes \
	-DPLUGIN_SIZE=111
tests_targets_libbooks_first_so_LDFLAGS = $(books_plugin_ldflags)
tests_targets_libbooks_second_so_SOURCES = tests/targets/books_plugin.c tests/targets/ledger.h
tests_targets_libbooks_second_so_CFLAGS = $(books_plugin_cflags) -DPLUGIN_TAKES=second_takes \
	-DPLUGIN_SIZE=222
tests_targets_libbooks_second_so_LDFLAGS = $(books_plugin_ldflags)
