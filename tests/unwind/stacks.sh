# Needs the right to load BPF programs; fails without.
cd "$top_builddir/tests/unwind" && exec ./stacks "$PWD/gcc-pie" "$PWD/gcc-nopie" \
	"$PWD/clang-pie" "$PWD/clang-nopie"
