# tests of tests/screens
