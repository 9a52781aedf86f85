dist_check_SCRIPTS += tests/screens/test_tui.py
TESTS += tests/screens/test_tui.py
