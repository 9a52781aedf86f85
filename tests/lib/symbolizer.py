# SPDX-License-Identifier: GPL-2.0-only
"""The resolver on a process, and programs for it to name: tests/symbol/symbolize and fixtures."""

import contextlib
import json
import os
import re
import subprocess
import tempfile

from tap import Failure, check
from target import built, running

SOURCES = os.path.join(os.environ.get("top_srcdir", "."), "tests/symbol")
SYMBOLIZE = built("tests/symbol/symbolize")


def command(*words, text=None):
    return subprocess.run(words, input=text, check=True, capture_output=True, text=True,
                          errors="replace").stdout


class Symbolizer:
    """`prefix`: a command to start it by; `environment`: variables more than the test's."""

    def __init__(self, pid, *options, prefix=(), environment=None):
        self.command = [*prefix, os.path.abspath(SYMBOLIZE), str(pid), *options]
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith("DEBUGINFOD_")} | (environment or {})

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env=self.environment)
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        status = self.process.wait(timeout=120)
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


def address_of(path, function):
    for line in command("readelf", "-sW", path).splitlines():
        words = line.split()
        if len(words) > 7 and words[7].split("@")[0] == function and words[6] != "UND":
            return int(words[1], 16)
    raise Failure(f"{path} has no {function}")


def address_in(pid, path, function, elf=None):
    """Where a process has a byte inside of a function."""
    return address_of(elf or path, function) + 2 + bias_of(pid, path, elf)


def symbol_at(symbolizer, address):
    return symbolizer.ask("user", address)[-1]["symbol"]


def build_id(path):
    return re.search(r"Build ID: ([0-9a-f]+)", command("readelf", "-n", path)).group(1)


MAPPER = """
import mmap, os, sys
keep = []
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        keep.append(mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE,
                              mmap.PROT_READ | mmap.PROT_EXEC))
keep.append(mmap.mmap(-1, 1 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS,
                      mmap.PROT_READ | mmap.PROT_EXEC))
print("ready", flush=True)
sys.stdin.read()
"""


def mapper(*paths, prefix=(), **options):
    return running(*prefix, "python3", "-c", MAPPER, *paths, stdin=subprocess.PIPE,
                   stdout=subprocess.PIPE, text=True, **options)


def executable(pid, path=None):
    """Where a file is mapped executable; without one, the anonymous mapping of 1 MiB."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        for line in maps:
            words = line.split(None, 5) + [""]
            start, end = (int(word, 16) for word in words[0].split("-"))
            if "x" not in words[1]:
                continue
            name = words[5].strip()
            if name == path if path else not name and end - start == 1 << 20:
                return start
    raise Failure(f"{path} is not mapped")
