#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""
The resolver's names, inlined calls and lines are those of addr2line: on programs built here in
many ways, and on the distribution's stripped libraries with their packages of debug files.
What may differ, and how that is proven, stands in oracle.py; here are the bounds of how often.
"""

import os
import random
import re

from oracle import compare
from symbolizer import Build, build_id, command, mapper, started
from tap import check, run

LIBRARIES = "/usr/lib/x86_64-linux-gnu"
SAMPLES = int(os.environ.get("SAMPLES", "2500"))


def share(counts, kinds):
    """Of the addresses, those with a verdict of these kinds only."""
    return sum(count for verdict, count in counts.items()
               if set(verdict.split()) <= set(kinds.split())) / sum(counts.values())


def equal_case(compiler, *flags, source="fixture.c", link=(), least=0.97):
    """`least`: the share that is equal to the letter, or outside of all functions."""
    with Build(compiler, *flags, source=source, link=link) as build, \
            started(build.program) as process:
        counts, answers = compare(process.pid, build.program)
        check(any(frame["inlined"] for frames in answers for frame in frames),
              "some frames are inlined")
        check(all(not frames[-1]["inlined"] for frames in answers), "the last one is physical")
        check(share(counts, "equal outside start") >= least, f"equal: {counts}")
        compare(process.pid, build.library)


def gcc_dwarf5():
    equal_case("gcc", "-O2", "-g", "-gdwarf-5")


def gcc_dwarf4():
    equal_case("gcc", "-O2", "-g", "-gdwarf-4")


def gcc_not_pie():
    equal_case("gcc", "-O2", "-g", "-no-pie", "-fno-pie")


def compressed_sections():
    equal_case("gcc", "-O2", "-g", "-gz")


def clang_dwarf5():
    """Inlined calls have their ranges in a form that binutils 2.40 do not read."""
    equal_case("clang", "-O2", "-g", "-gdwarf-5", least=0.85)


def clang_dwarf4():
    equal_case("clang", "-O2", "-g", "-gdwarf-4")


def cxx_gcc_dwarf5():
    equal_case("g++", "-O2", "-g", "-gdwarf-5", source="fixture.cc")


def cxx_gcc_dwarf4():
    equal_case("g++", "-O2", "-g", "-gdwarf-4", source="fixture.cc")


def cxx_clang_dwarf5():
    equal_case("clang++", "-O2", "-g", "-gdwarf-5", source="fixture.cc", least=0.70)


def cxx_clang_dwarf4():
    equal_case("clang++", "-O2", "-g", "-gdwarf-4", source="fixture.cc")


def text_of(path):
    """[start, end) of the machine code."""
    row = re.search(r" \.text +PROGBITS +(\w+) \w+ (\w+)", command("readelf", "-SW", path))
    start, size = (int(word, 16) for word in row.groups())
    return start, start + size


def library_case(path, **bounds):
    """
    Bytes of its code, always the same ones, anywhere in instructions and between functions.
    `bounds`: the least share of those equal, and the greatest of each kind of exception.
    """
    path = os.path.realpath(path)
    identity = build_id(path)
    debug = f"/usr/lib/debug/.build-id/{identity[:2]}/{identity[2:]}.debug"
    check(os.path.exists(debug), f"{debug} is missing: the -dbg package of {path}")
    start, end = text_of(path)
    chosen = sorted(random.Random(20).sample(range(start + 1, end), SAMPLES))
    with mapper(path) as process:
        process.stdout.readline()
        counts, _ = compare(process.pid, path, debug, chosen)
    check(share(counts, "equal alias clone") >= bounds.pop("equal"), f"equal: {counts}")
    for kind, most in bounds.items():
        seen = sum(count for verdict, count in counts.items() if kind in verdict.split())
        check(seen <= most * SAMPLES, f"{kind}: {seen} of {SAMPLES}")


def c_library():
    library_case("/lib/x86_64-linux-gnu/libc.so.6", equal=0.85, alias=0.30, place=0.08,
                 clone=0.01, name=0.01, shared=0)


def mathematics():
    """Nearly all of it comes from templates, whose places addr2line mistakes."""
    library_case("/lib/x86_64-linux-gnu/libm.so.6", equal=0.50, alias=0.50, place=0.48,
                 clone=0.01, name=0.01, shared=0)


def dynamic_linker():
    library_case("/lib64/ld-linux-x86-64.so.2", equal=0.93, alias=0.05, place=0.04,
                 clone=0.01, name=0.01, shared=0)


def with_dwz_and_lto():
    """Half of its DWARF is in a file shared with others, and inlined calls are of other units."""
    library_case(f"{LIBRARIES}/libbfd-2.40-system.so", equal=0.80, alias=0.05, place=0.15,
                 clone=0.15, name=0.15, shared=0.03)


def cxx_with_dwz():
    library_case(f"{LIBRARIES}/libgprofng.so.0", equal=0.75, alias=0.05, place=0.15,
                 clone=0.05, name=0.16, shared=0.03)


if __name__ == "__main__":
    run([gcc_dwarf5, gcc_dwarf4, gcc_not_pie, compressed_sections, clang_dwarf5, clang_dwarf4,
         cxx_gcc_dwarf5, cxx_gcc_dwarf4, cxx_clang_dwarf5, cxx_clang_dwarf4, c_library,
         mathematics, dynamic_linker, with_dwz_and_lto, cxx_with_dwz])
