#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Makes a program with much debug information: big_dwarf.sh FOLDER [UNITS]
#
# One C++ unit that uses much of the standard library is compiled once; copies of it, with every
# symbol renamed, are linked into one program, which calls and leaks in each of them. 150 copies
# have over 200 MB of DWARF.
set -eu
folder=$1
units=${2:-150}
mkdir -p "$folder"
cd "$folder"
[ ! -x big_dwarf ] || exit 0
cat > unit.cc <<'END'
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <regex>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>
namespace
{
template <typename T> struct Node {
	T value;
	std::map<std::string, T> children;
	std::vector<std::shared_ptr<Node>> next;
};
} // namespace
extern "C" int unit_work(int count)
{
	static std::vector<std::unique_ptr<std::unordered_map<std::string, std::function<int(int)>>>> kept;
	static const std::regex pattern("[13]+");
	auto map = std::make_unique<std::unordered_map<std::string, std::function<int(int)>>>();
	std::variant<int, std::string, Node<double>> choice = std::string("chosen");
	std::vector<std::string> names;
	std::mt19937 random;

	for (int i = 0; i < count; i++)
		(*map)[std::to_string(i)] = [i](int value) { return value + i; };
	for (auto &[name, function] : *map)
		if (std::regex_match(name, pattern))
			names.push_back(name);
	std::shuffle(names.begin(), names.end(), random);
	std::sort(names.begin(), names.end());
	kept.push_back(std::move(map));
	return static_cast<int>(names.size() + std::get<std::string>(choice).size());
}
END
g++ -g -O1 -c unit.cc -o unit.o
nm --defined-only -f posix unit.o | cut -d' ' -f1 | grep -v '^DW\.ref\.' | sort -u > symbols
{
	echo '#include <stdio.h>'
	echo '#include <unistd.h>'
	for unit in $(seq "$units"); do
		sed "s/\(.*\)/\1 u${unit}_\1/" symbols > renames
		objcopy --redefine-syms=renames unit.o "unit$unit.o"
		echo "int u${unit}_unit_work(int);"
	done
	echo 'static int (*const units[])(int) = {'
	for unit in $(seq "$units"); do
		echo "u${unit}_unit_work,"
	done
	echo '};'
	echo 'int main(void) { puts("ready"); fflush(stdout); for (;;) {'
	echo 'for (unsigned i = 0; i < sizeof(units) / sizeof(*units); i++) units[i](4);'
	echo 'usleep(20000); } }'
} > main.c
gcc -g -c main.c -o main.o
g++ main.o $(seq -f 'unit%g.o' "$units") -o big_dwarf.part
rm -f unit*.o main.o
mv big_dwarf.part big_dwarf
