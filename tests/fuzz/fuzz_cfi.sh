# Itself, and what every machine has: a libc by gcc, a dynamic linker. More rounds: make fuzz-cfi.
exec "$top_builddir/tests/fuzz/fuzz_cfi" "${FUZZ_ROUNDS:-3000}" "$top_builddir/tests/fuzz/fuzz_cfi" \
	"$(ldd "$top_builddir/tests/fuzz/fuzz_cfi" | awk '$1 == "libc.so.6" { print $3 }')"
