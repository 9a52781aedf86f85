#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Dependencies run one way, main -> app -> rooms -> core -> util; who may link what; how big files
may get."""

import glob
import os
import re
import subprocess

import tap

TOP = os.environ["top_srcdir"]
BUILD = os.environ["top_builddir"]
ROOMS = {"capture", "unwind", "symbol", "record", "export", "ui"}
MAX_LINES = 800
# Libraries by their headers, and the only sources that may include them.
FOREIGN = {
    r"(n?curses|term|ncursesw/\w+)\.h": r"ui/term\.c",
    r"bpf/\w+\.h|.*\.skel\.h": r"src/(capture|unwind)/\w+\.[ch]",
    r"jansson\.h": r"src/export/\w+\.c",
    r"(dwarf|libelf|gelf|elf|elfutils/\w+)\.h": r"src/(capture|unwind|symbol)/\w+\.[ch]",
    r"capstone/.*": r"src/(capture|unwind)/\w+\.[ch]",
}
CORE_HEADERS = {"ctype.h", "errno.h", "inttypes.h", "limits.h", "math.h", "regex.h", "stdarg.h",
                "stdbool.h", "stddef.h", "stdint.h", "stdio.h", "stdlib.h", "string.h",
                "strings.h", "sys/types.h", "time.h", "wchar.h", "wctype.h", "assert.h",
                "fnmatch.h", "float.h"}
# What core may take from libc: no files, no clock, no processes.
CORE_FORBIDDEN = {"open", "open64", "fopen", "fopen64", "read", "write", "close", "ioctl", "mmap",
                  "clock_gettime", "gettimeofday", "time", "fork", "execve", "system", "getenv",
                  "socket", "poll", "select", "pthread_create", "opendir", "stat", "stat64",
                  "printf", "puts", "stderr", "stdout"}


def sources():
    for pattern in ("src/**/*.[ch]", "ui/*.[ch]", "include/**/*.h"):
        for path in sorted(glob.glob(os.path.join(TOP, pattern), recursive=True)):
            yield os.path.relpath(path, TOP)


def includes(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return re.findall(r'^\s*#\s*include\s+(["<])([^">]+)[">]', file.read(), re.M)


def room_of(path):
    """The room of a source or of an include's path; main for what stands above the rooms."""
    parts = path.split("/")
    if parts[0] == "src":
        parts = parts[1:]
    return parts[0] if len(parts) > 1 else "main"


def allowed(room):
    if room == "main":
        return ROOMS | {"main", "core", "util", "memtop"}
    if room in ROOMS:
        return {room, "core", "util", "memtop"}
    return {"core": {"core", "util", "memtop"}, "util": {"util"}, "memtop": {"memtop"}}[room]


def dependencies_run_one_way():
    count = 0
    for path in sources():
        room = room_of(path) if not path.startswith("include/") else "memtop"
        for quote, name in includes(path):
            if quote == "<" and not name.startswith("memtop/"):
                continue
            if name == "config.h" or name.endswith(".skel.h"):
                continue
            target = room_of(name)
            if "/" not in name:
                target = "main" if room == "main" else room
            tap.check(target in allowed(room), f"{path} includes {name}")
            count += 1
    tap.check(count > 20, "includes were found")


def only_main_includes_the_application():
    for path in sources():
        names = {name for _, name in includes(path)}
        tap.check("app.h" not in names or path in ("src/main.c", "src/app.c"),
                  f"{path} includes app.h")


def libraries_stay_in_their_rooms():
    for path in sources():
        for _, name in includes(path):
            for header, owner in FOREIGN.items():
                if re.fullmatch(header, name):
                    tap.check(re.fullmatch(owner, path), f"{path} includes {name}")


def core_is_pure():
    for path in sources():
        if room_of(path) != "core" or path.startswith("include"):
            continue
        for quote, name in includes(path):
            tap.check(quote == '"' or name in CORE_HEADERS or name.startswith("memtop/"),
                      f"{path} includes <{name}>")


def core_links_nothing():
    text = subprocess.run(["nm", "-u", os.path.join(BUILD, "libcore.a")], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    used = {word.split("@")[0] for word in re.findall(r"^\s+[Uw] (\S+)", text, re.M)}
    tap.check(used, "symbols were found")
    tap.check_equal(used & CORE_FORBIDDEN, set(), "libcore.a uses")
    foreign = {name for name in used if re.match(r"(bpf|elf|dwfl?|dwarf|json|cs|wadd|init)_", name)}
    tap.check_equal(foreign, set(), "libcore.a uses")


def core_has_no_state():
    text = subprocess.run(["nm", os.path.join(BUILD, "libcore.a")], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    # .data.rel.ro holds constant tables with pointers and is shown as d too: only .bss is sure.
    state = {name for name in re.findall(r"^\S+ [bBC] (\S+)$", text, re.M)
             if not name.startswith("__")}
    tap.check_equal(state, set(), "variables of libcore.a")


def files_stay_readable():
    for path in sources():
        with open(os.path.join(TOP, path), encoding="utf-8") as file:
            count = sum(1 for _ in file)
        tap.check(count <= MAX_LINES, f"{path} has {count} lines, at most {MAX_LINES}")


def files_say_their_license():
    for path in sources():
        with open(os.path.join(TOP, path), encoding="utf-8") as file:
            tap.check("SPDX-License-Identifier" in file.readline(), path)


tap.run([dependencies_run_one_way, only_main_includes_the_application,
         libraries_stay_in_their_rooms, core_is_pure, core_links_nothing, core_has_no_state,
         files_stay_readable, files_say_their_license])
