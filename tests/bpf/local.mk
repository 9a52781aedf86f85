# tests of tests/bpf
