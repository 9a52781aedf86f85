# tests of tests/targets
