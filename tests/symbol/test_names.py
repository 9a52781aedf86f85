#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Names and lines of the resolver against binutils, on processes built here in many ways."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile

from tap import Failure, check, check_equal, run, wait_for
from target import built, running

SOURCES = os.path.join(os.environ.get("top_srcdir", "."), "tests/symbol")
MOST_FRAMES = 16  # RESOLVER_MAX_INLINED
SYMBOLIZE = built("tests/symbol/symbolize")


def command(*words, text=None):
    return subprocess.run(words, input=text, check=True, capture_output=True, text=True).stdout


class Symbolizer:
    def __init__(self, pid, *options):
        self.command = [SYMBOLIZE, str(pid), *options]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        status = self.process.wait(timeout=30)
        self.process.stdout.close()
        if status and not _[0]:
            raise Failure(f"symbolize ended with {status}")

    def ask_all(self, word, addresses):
        """Many at once, so that files are read once."""
        answers = []
        for start in range(0, len(addresses), 200):
            part = addresses[start:start + 200]
            self.process.stdin.write("".join(f"{word} {address:x}\n" for address in part))
            self.process.stdin.flush()
            for _ in part:
                line = self.process.stdout.readline()
                if not line:
                    raise Failure("symbolize ended")
                answers.append(json.loads(line))
        return answers

    def ask(self, word, address=0):
        return self.ask_all(word, [address])[0]


class Build:
    """The fixtures, built in a folder of their own."""

    def __init__(self, compiler, *flags, source="fixture.c", link=()):
        self.compiler, self.flags, self.source, self.link = compiler, flags, source, link

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="memtop-names-")
        os.chmod(self.folder.name, 0o755)
        self.program = os.path.join(self.folder.name, "program")
        self.library = os.path.join(self.folder.name, "libfixture.so")
        c_compiler = {"g++": "gcc", "clang++": "clang"}.get(self.compiler, self.compiler)
        common = [*self.flags, "-Wl,--build-id"]
        command(c_compiler, *common, "-fPIC", "-shared", "-o", self.library,
                os.path.join(SOURCES, "fixture_library.c"))
        command(self.compiler, *common, *self.link, "-o", self.program,
                os.path.join(SOURCES, self.source), self.library,
                f"-Wl,-rpath,{self.folder.name}")
        return self

    def __exit__(self, *_):
        self.folder.cleanup()


@contextlib.contextmanager
def started(program):
    with running(program, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        check(line.startswith("ready"), f"{program} said {line!r}")
        yield process


def loads(path):
    """(file offset, address) of the executable segment."""
    for line in command("readelf", "-lW", path).splitlines():
        words = line.split()
        if words[:1] == ["LOAD"] and "E" in line.split("0x")[-2]:
            return int(words[1], 16), int(words[2], 16)
    raise Failure(f"{path} has no executable segment")


def bias_of(pid, path, elf=None):
    offset, address = loads(elf or path)
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        for line in maps:
            words = line.split(None, 5)
            if "x" in words[1] and words[-1].strip().removesuffix(" (deleted)") == path:
                start = int(words[0].split("-")[0], 16)
                return start - int(words[2], 16) + offset - address
    raise Failure(f"{path} is not mapped")


def instructions(path, section=".text"):
    """Addresses after each instruction: what a return address may be."""
    addresses = [int(match.group(1), 16) for match in re.finditer(
        r"^\s*([0-9a-f]+):\t", command("objdump", "-d", "-j", section, path), re.M)]
    return addresses[1:]


def short(names):
    """Demangled without parameters, by binutils."""
    return command("c++filt", "-p", text="\n".join(names) + "\n").splitlines()


def place_of(name, file, line):
    """A file without a line is only a guess from the symbol table."""
    return (name, os.path.normpath(file), line) if line else (name, None, 0)


def sizes(path):
    """[start, end) of the functions that have a size."""
    return [(int(words[1], 16), int(words[1], 16) + int(words[2], 0))
            for words in map(str.split, command("readelf", "-sW", path).splitlines())
            if len(words) > 7 and words[3] in ("FUNC", "IFUNC", "NOTYPE") and words[6] != "UND"]


def addr2line(path, addresses):
    """Per address [(name, file, line)], innermost first."""
    text = command("addr2line", "-f", "-i", "-a", "-e", path,
                   text="".join(f"{address - 1:#x}\n" for address in addresses))
    answers, lines = [], text.splitlines()
    names = [name for name in lines if not name.startswith("0x")]
    demangled = iter(short(names))
    index = 0
    while index < len(lines):
        answers.append([])
        next_line = index + 1
        while next_line < len(lines) and not lines[next_line].startswith("0x"):
            name = next(demangled)
            place = next(demangled)
            file, _, line = place.split(" (")[0].rpartition(":")
            answers[-1].append(place_of(None if name == "??" else name, file,
                                        int(line) if line.isdigit() else 0))
            next_line += 2
        index = next_line
    return answers


def ours(frames):
    return [place_of(frame["symbol"], frame["file"] or "", frame["line"]) for frame in frames]


def last_part(name):
    return name and name.split("::")[-1]


def same(frames, wanted):
    """
    Equal but for what binutils are known not to tell: inlined calls whose ranges are in clang's
    form of DWARF 5 (the innermost place is then said of an outer function), and, of functions
    without a linkage name, the symbol table's name in the innermost frame's place.
    """
    lost = len(frames) - len(wanted)
    if lost < 0:
        return False
    places = [frames[0][1:]] + [frame[1:] for frame in frames[lost + 1:]]
    if places != [frame[1:] for frame in wanted]:
        return False
    names = [name for name, _, _ in frames[lost:]]
    told = [name for name, _, _ in wanted]
    return all(name == other or last_part(name) == other or (not i and other == names[-1])
               for i, (name, other) in enumerate(zip(names, told)))


def compare(pid, path, elf=None, addresses=None, options=()):
    """Every instruction of `path`, as mapped by `pid`, against addr2line of `elf`."""
    addresses = addresses or instructions(elf or path)
    bias = bias_of(pid, path)
    expected = addr2line(elf or path, addresses)
    with Symbolizer(pid, *options) as symbolizer:
        answers = symbolizer.ask_all("user", [address + bias for address in addresses])
    functions = sizes(elf or path)
    different, equal = [], 0
    for address, frames, wanted in zip(addresses, answers, expected):
        check_equal(frames[0]["module_offset"], address, "offset in the module")
        found = ours(frames)
        if len(wanted) > MOST_FRAMES:  # the middle is left out
            wanted = wanted[:MOST_FRAMES - 1] + wanted[-1:]
        if any(start < address <= end for start, end in functions):
            if not same(found, wanted):
                different.append(f"{address:#x}: {found} instead of {wanted}")
            equal += found == wanted
        elif all(start != address for start, _ in functions) and found[0][0]:
            different.append(f"{address:#x}: {found} is in no function")
    check(not different, f"{len(different)} of {len(addresses)} differ: "
          + "; ".join(different[:5]))
    check(equal >= 10, f"only {equal} of {len(addresses)} are equal to the letter")
    return answers


def equal_case(compiler, *flags, source="fixture.c", link=()):
    with Build(compiler, *flags, source=source, link=link) as build, \
            started(build.program) as process:
        answers = compare(process.pid, build.program)
        check(any(frame["inlined"] for frames in answers for frame in frames),
              "some frames are inlined")
        check(all(not frames[-1]["inlined"] for frames in answers), "the last one is physical")
        compare(process.pid, build.library)


def gcc_dwarf5():
    equal_case("gcc", "-O2", "-g", "-gdwarf-5")


def gcc_dwarf4():
    equal_case("gcc", "-O2", "-g", "-gdwarf-4")


def gcc_not_pie():
    equal_case("gcc", "-O2", "-g", "-no-pie", "-fno-pie")


def clang_dwarf5():
    equal_case("clang", "-O2", "-g", "-gdwarf-5")


def clang_dwarf4():
    equal_case("clang", "-O2", "-g", "-gdwarf-4")


def cxx_gcc():
    equal_case("g++", "-O2", "-g", source="fixture.cc")


def cxx_clang():
    equal_case("clang++", "-O2", "-g", source="fixture.cc")


def compressed_sections():
    equal_case("gcc", "-O2", "-g", "-gz", source="fixture.c")


if __name__ == "__main__":
    run([gcc_dwarf5, gcc_dwarf4, gcc_not_pie, clang_dwarf5, clang_dwarf4, cxx_gcc, cxx_clang,
         compressed_sections])
