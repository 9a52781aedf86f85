# Programs as the distribution ships them. `make check` takes the short ones; the long form, and those
# that need more packages (./bootstrap check-real), are here.
dist_check_SCRIPTS += tests/real/test_real.py
TESTS += tests/real/test_real.py
EXTRA_DIST += tests/lib/leaks.py tests/lib/redis.py
check-real: all
	$(AM_TESTS_ENVIRONMENT) REAL_FULL=1 $(PYTHON3) $(top_srcdir)/tests/real/test_real.py
.PHONY: check-real
