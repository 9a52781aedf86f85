#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Every source also compiles for arm64, without a warning: the BPF programs and, by a cross compiler,
# the program. Nothing is linked or run.
set -u

compiler=aarch64-linux-gnu-gcc
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
multiarch=$(gcc -dumpmachine)
number=0
failed=0

# result STATUS NAME
result()
{
	number=$((number + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $number - $2"
	else
		sed 's/^/# /' "$folder/errors"
		echo "not ok $number - $2"
		failed=1
	fi
}

cd "$top_srcdir" || exit 1
echo 1..2

status=0
: > "$folder/errors"
for source in bpf/*.bpf.c; do
	clang -g -O2 -target bpf -mcpu=v3 -D__TARGET_ARCH_arm64 -Wall -Wextra -Wno-unused-parameter \
		-Werror -Iinclude -Ibpf -isystem "/usr/include/$multiarch" -c "$source" \
		-o "$folder/object" 2>> "$folder/errors" || status=1
done
result "$status" "BPF programs compile for arm64"

status=0
: > "$folder/errors"
for source in src/*.c src/*/*.c ui/*.c; do
	"$compiler" -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Werror -O1 -Iinclude -Isrc -I. \
		-I"$top_builddir" -I"$top_builddir/bpf" -idirafter /usr/include -c "$source" \
		-o "$folder/object" 2>> "$folder/errors" || status=1
done
result "$status" "memtop compiles for arm64"
exit "$failed"
