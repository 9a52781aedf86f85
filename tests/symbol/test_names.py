#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Where names come from: each kind of file and map, and files that are not what they seem."""

import contextlib
import os
import shutil
import tempfile

from oracle import compare
from symbolizer import (Build, Symbolizer, address_in, address_of, bias_of, build_id, command,
                        executable, mapper, started, symbol_at)
from tap import Failure, check, check_equal, run, wait_for


def stripped():
    """Exported names count inside their size; all else is module and offset."""
    with Build("gcc", "-O2", "-g") as build, tempfile.TemporaryDirectory() as folder:
        full = os.path.join(folder, "full.so")
        shutil.copy(build.library, full)
        command("strip", build.library)
        with started(build.program) as process, Symbolizer(process.pid) as symbolizer:
            seen = symbolizer.ask("user", address_in(process.pid, build.library, "library_entry",
                                                     full))[-1]
            check_equal((seen["symbol"], seen["offset"]), ("library_entry", 2), "exported")
            hidden = address_in(process.pid, build.library, "library_hidden", full)
            seen = symbolizer.ask("user", hidden)
            check_equal(len(seen), 1, "frames")
            check_equal(seen[0]["symbol"], None, "the hidden function")
            check_equal(seen[0]["pending"], False, "pending")
            check_equal(seen[0]["module"], build.library, "module")
            check_equal(seen[0]["module_offset"],
                        hidden - bias_of(process.pid, build.library), "offset in the module")


def debug_dir_by_build_id():
    """A debug file under --debug-dir gives the names and lines of the whole file."""
    with Build("gcc", "-O2", "-g") as build, tempfile.TemporaryDirectory() as folder:
        full = os.path.join(folder, "full.so")
        shutil.copy(build.library, full)
        identity = build_id(full)
        os.makedirs(os.path.join(folder, ".build-id", identity[:2]))
        command("objcopy", "--only-keep-debug", full,
                os.path.join(folder, ".build-id", identity[:2], identity[2:] + ".debug"))
        command("strip", build.library)
        with started(build.program) as process:
            compare(process.pid, build.library, full,
                    start=lambda pid: Symbolizer(pid, folder))


def debug_link():
    """A debug file in .debug beside the file, by name; without build-ids its CRC must fit."""
    for flags, damage, named in (([], False, True), (["-Wl,--build-id=none"], False, True),
                                 (["-Wl,--build-id=none"], True, False)):
        with Build("gcc", "-O2", "-g", link=flags) as build:
            os.mkdir(os.path.join(build.folder.name, ".debug"))
            debug = os.path.join(build.folder.name, ".debug", "program.debug")
            full = os.path.join(build.folder.name, "full")
            shutil.copy(build.program, full)
            command("objcopy", "--only-keep-debug", build.program, debug)
            command("strip", build.program)
            command("objcopy", f"--add-gnu-debuglink={debug}", build.program)
            if damage:
                with open(debug, "ab") as file:
                    file.write(b"more")
            with started(build.program) as process, Symbolizer(process.pid) as symbolizer:
                seen = symbolizer.ask("user", address_in(process.pid, build.program, "physical",
                                                         full))[-1]
                check_equal(seen["symbol"], "physical" if named else None, f"with {flags}")
                check_equal(seen["line"] > 0, named, "a line is known")


def mini_debug_info():
    with Build("gcc", "-O2") as build:
        full, packed = (os.path.join(build.folder.name, name) for name in ("full", "packed"))
        shutil.copy(build.program, full)
        command("objcopy", "-S", "--remove-section", ".comment", "--keep-symbol=physical",
                "--keep-symbol=follows", build.program, packed)
        command("xz", "--keep", packed)
        command("strip", build.program)
        command("objcopy", "--add-section", f".gnu_debugdata={packed}.xz", build.program)
        with started(build.program) as process, Symbolizer(process.pid) as symbolizer:
            check_equal(symbol_at(symbolizer, address_in(process.pid, build.program, "physical",
                                                         full)), "physical", "name")


def deleted_file():
    """What is mapped still has its names when nothing has its path."""
    with Build("gcc", "-O2", "-g") as build, tempfile.TemporaryDirectory() as folder:
        copies = {}
        for path in (build.program, build.library):
            copies[path] = os.path.join(folder, os.path.basename(path))
            shutil.copy(path, copies[path])
        with started(build.program) as process:
            os.unlink(build.program)
            os.unlink(build.library)
            with Symbolizer(process.pid) as symbolizer:
                for path, function in ((build.program, "physical"),
                                       (build.library, "library_hidden")):
                    address = address_in(process.pid, path, function, copies[path])
                    check_equal(symbol_at(symbolizer, address), function, path)


def replaced_file():
    """The mapped file, not the one that now has its path; and none that is not what is mapped."""
    with Build("gcc", "-O2", "-g") as build, Build("gcc", "-O0", "-g") as other:
        full = os.path.join(build.folder.name, "full.so")
        shutil.copy(build.library, full)
        with started(build.program) as process:
            address = address_in(process.pid, build.library, "library_hidden", full)
            with Symbolizer(process.pid) as symbolizer:
                shutil.copy(other.library, build.library + ".new")
                os.rename(build.library + ".new", build.library)
                check_equal(symbol_at(symbolizer, address), "library_hidden", "replaced")
        shutil.copy(full, build.library)
        with started(build.program) as process:
            address = address_in(process.pid, build.library, "library_hidden", full)
            with Symbolizer(process.pid) as symbolizer:
                symbolizer.ask("maps")
                shutil.copy(other.library, build.library)  # in place: the very inode
                seen = symbolizer.ask("user", address)[-1]
                check_equal(seen["symbol"], None, "overwritten")
                check_equal(seen["build_id"], build_id(full), "build-id")
                reason = symbolizer.ask("reason", address)
                check("build-id" in reason and build_id(other.library) in reason, reason)


def dead_target():
    """What was asked stays; what was not is found while the file can be had."""
    with Build("gcc", "-O2", "-g") as build:
        with started(build.program) as process:
            asked = address_in(process.pid, build.program, "physical")
            later = address_in(process.pid, build.program, "follows")
            symbolizer = Symbolizer(process.pid)
            with symbolizer:
                check_equal(symbol_at(symbolizer, asked), "physical", "alive")
                process.kill()
                process.wait()
                os.unlink(build.program)
                check_equal(symbol_at(symbolizer, asked), "physical", "asked before")
                check_equal(symbol_at(symbolizer, later), "follows", "file open before")


def never_blocks():
    """The first look has no name and says that one may come; the revision tells when."""
    with Build("gcc", "-O2", "-g") as build, started(build.program) as process:
        address = address_in(process.pid, build.program, "physical")
        with Symbolizer(process.pid) as symbolizer:
            first = symbolizer.ask("first", address)
            check_equal((len(first), first[0]["symbol"], first[0]["pending"]), (1, None, True),
                        "first look")
            check_equal(first[0]["module"], build.program, "module")
            wait_for(lambda: not symbolizer.ask("first", address)[0]["pending"], "an answer")
            check_equal(symbolizer.ask("first", address)[-1]["symbol"], "physical", "name")
            before = symbolizer.ask("revision")
            check(before > 0, "the revision rose")
            symbolizer.ask("user", address)
            check_equal(symbolizer.ask("revision"), before, "revision with nothing new")


def memory_of(process, kind="RssAnon"):
    with open(f"/proc/{process.pid}/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(kind + ":"))


def memory_is_given_back():
    """After a while without questions; later ones are answered as before."""
    no_quarantine = {"ASAN_OPTIONS": "quarantine_size_mb=0:thread_local_quarantine_size_kb=0"}
    path = os.path.realpath("/lib/x86_64-linux-gnu/libc.so.6")
    with mapper(path) as process:
        process.stdout.readline()
        first = address_in(process.pid, path, "malloc") - 2
        with Symbolizer(process.pid, environment=no_quarantine) as symbolizer:
            answers = symbolizer.ask_all("user", range(first, first + 0x60000, 0x40))
            check(sum(bool(frames[0]["line"]) for frames in answers) > 1000, "lines")
            most = memory_of(symbolizer.process)
            wait_for(lambda: memory_of(symbolizer.process) < most * 0.6,
                     lambda: f"{most} KB went to {memory_of(symbolizer.process)} KB", 180)
            check_equal(symbolizer.ask_all("user", range(first, first + 0x60000, 0x40)), answers,
                        "what was asked before")
            check(symbolizer.ask("user", first - 0x1001)[0]["line"], "a new question")


def end_of_noreturn():
    """A call that is a function's last instruction is that function's."""
    with Build("gcc", "-O2", "-g", "-fno-reorder-functions") as build, \
            started(build.program) as process:
        for line in command("readelf", "-sW", build.program).splitlines():
            words = line.split()
            if len(words) > 7 and words[7] in ("ends", "main.cold"):
                end = int(words[1], 16) + int(words[2])
                with Symbolizer(process.pid) as symbolizer:
                    seen = symbolizer.ask("user", end + bias_of(process.pid, build.program))[-1]
                    check(seen["symbol"] in ("ends", "main", "main.cold"), seen)
                    check_equal(seen["offset"], int(words[2]), "offset")
                    return
    raise Failure("the fixture has no function that ends in a call")


def vdso():
    with Build("gcc", "-O2") as build, started(build.program) as process:
        with open(f"/proc/{process.pid}/maps", encoding="utf-8") as maps:
            start, end = (int(word, 16) for line in maps if "[vdso]" in line
                          for word in line.split()[0].split("-"))
        with Symbolizer(process.pid) as symbolizer:
            answers = symbolizer.ask_all("user", range(start + 1, end, 16))
        named = {frames[0]["symbol"] for frames in answers}
        check({"clock_gettime", "getcpu"} & named, f"the vdso's names: {named}")
        check(all(frames[0]["module"] == "[vdso]" for frames in answers), "module")


def kernel():
    with open("/proc/kallsyms", encoding="utf-8") as file:
        lines = [line.split() for line in file]
    wanted = [words for words in lines if words[1] in "tT" and words[2] in
              ("kmem_cache_free", "vfs_read", "schedule")]
    check(all(int(words[0], 16) for words in wanted) and len(wanted) >= 3,
          "the kernel shows its symbols")
    with Symbolizer(os.getpid()) as symbolizer:
        for words in wanted:
            seen = symbolizer.ask("kernel", int(words[0], 16) + 9)[0]
            check_equal((seen["symbol"], seen["offset"], seen["module"]),
                        (words[2], 9, "[kernel]"), "kernel address")
        seen = symbolizer.ask("kernel", 0xffffffff00000010)[0]
        check_equal((seen["symbol"], seen["module"]), (None, "[kernel]"), "no symbol near")


def jit_map():
    """A perf map: only the target's user's or root's, no link; read again when it has grown."""
    with mapper() as process:
        process.stdout.readline()
        start = executable(process.pid)
        path = f"/tmp/perf-{process.pid}.map"
        try:
            with open(path, "w", encoding="utf-8") as file:
                file.write(f"{start:x} 40 old name\nnot a line\n{start:x} 40 a JIT's function\n")
            with Symbolizer(process.pid) as symbolizer:
                seen = symbolizer.ask("user", start + 0x10)[0]
                check_equal((seen["symbol"], seen["offset"], seen["module"]),
                            ("a JIT's function", 0x10, ""), "generated code")
                check_equal(symbol_at(symbolizer, start + 0x90), None, "outside")
                with open(path, "a", encoding="utf-8") as file:
                    file.write(f"{start + 0x80:x} 40 later\n")
                wait_for(lambda: symbol_at(symbolizer, start + 0x90) == "later",
                         "the map is read again")
            os.chown(path, 65534, 65534)
            with Symbolizer(process.pid) as symbolizer:
                check_equal(symbol_at(symbolizer, start + 0x10), None, "another user's map")
            os.chown(path, 0, 0)
            os.rename(path, path + ".real")
            os.symlink(path + ".real", path)
            with Symbolizer(process.pid) as symbolizer:
                check_equal(symbol_at(symbolizer, start + 0x10), None, "a link")
        finally:
            for name in (path, path + ".real"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name)


def damage(data, random):
    """Truncated, with random bytes, or with headers blown up."""
    data = bytearray(data)
    kind = random.randrange(4)
    if kind == 0:
        return data[:random.randrange(64, len(data))]
    if kind == 1:
        for _ in range(random.randrange(1, 400)):
            data[random.randrange(64, len(data))] = random.randrange(256)
    elif kind == 2:
        headers = int.from_bytes(data[40:48], "little")
        for _ in range(random.randrange(1, 30)):
            data[random.randrange(headers, len(data))] = random.choice((0, 1, 127, 255))
    else:
        at = random.randrange(64, len(data) - 4096)
        data[at:at + random.randrange(1, 4096)] = b"\xff" * random.randrange(1, 4096)
    return data


def hostile_files():
    """Damaged files: no crash, no hang; the rest of the process keeps its names."""
    import random as module
    random = module.Random(4711)
    with Build("g++", "-O1", "-g", source="fixture.cc") as build:
        with open(build.program, "rb") as file:
            good = file.read()
        paths = []
        for number in range(150):
            paths.append(os.path.join(build.folder.name, f"bad{number}"))
            with open(paths[-1], "wb") as file:
                file.write(damage(good, random))
        with mapper(*paths, build.library) as process:
            process.stdout.readline()
            starts = [executable(process.pid, path) for path in paths]
            with Symbolizer(process.pid) as symbolizer:
                symbolizer.ask_all("user", [start + at for start in starts
                                            for at in range(0x2201, 0x4000, 0x200)])
                seen = symbol_at(symbolizer,
                                 address_in(process.pid, build.library, "library_hidden"))
                check_equal(seen, "library_hidden", "a good file beside")


def cut_file():
    """A file cut in place while it is being read: no crash, and nothing of it is believed."""
    with Build("g++", "-O1", "-g", source="fixture.cc") as build:
        path = os.path.join(build.folder.name, "cut")
        shutil.copy(build.program, path)
        with mapper(path) as process:
            process.stdout.readline()
            start = executable(process.pid, path)
            asked = start + address_of(path, "main") + 2
            with Symbolizer(process.pid) as symbolizer:
                check_equal(symbol_at(symbolizer, asked), "main", "before")
                os.truncate(path, 4096)
                answers = symbolizer.ask_all("user", range(start + 0x2001, start + 0x4000, 0x30))
                named = {frame["symbol"] for frames in answers for frame in frames}
                check(named <= {None, "main"}, f"named after the cut: {named}")
                reason = symbolizer.ask("reason", start + 0x2001)
                check("was cut" in reason, reason)
                check_equal(symbol_at(symbolizer, asked), "main", "asked before the cut")


if __name__ == "__main__":
    run([stripped, debug_dir_by_build_id, debug_link, mini_debug_info, deleted_file, replaced_file,
         dead_target, never_blocks, memory_is_given_back, end_of_noreturn, vdso, kernel, jit_map,
         hostile_files, cut_file])
