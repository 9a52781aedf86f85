# SPDX-License-Identifier: GPL-2.0-only
"""What a command has not freed at its exit, as memtop reports it and as valgrind does."""

import collections
import json
import os
import re
import subprocess
import tempfile
from xml.etree import ElementTree

from tap import Failure, check_equal
from target import MEMTOP

# valgrind adds four variables to the environment, and some programs copy theirs.
ENVIRONMENT = {"GLIBCPP_FORCE_NEW": "1", "GLIBCXX_FORCE_NEW": "1", "LD_PRELOAD": "",
               "LD_LIBRARY_PATH": "/usr/lib/debug"}
Leak = collections.namedtuple("Leak", "bytes blocks frames")


def environment(**more):
    return dict(os.environ, LC_ALL="C", **more)


def short(path):
    return os.path.basename(path or "?")


def memtop_leaks(command, **more):
    """Leaks and the last tick."""
    done = subprocess.run(
        [MEMTOP, "-b", "--format", "json", "--top", "0", "--level", "heap", "--side", "user",
         "-d", "3600", "--", *command], check=False, stdin=subprocess.DEVNULL,
        capture_output=True, timeout=300, env=environment(**ENVIRONMENT, **more))
    check_equal(done.returncode, 0, f"memtop's exit status: {done.stderr!r}")
    lines = [line for line in done.stdout.splitlines() if line.startswith(b'{"schema"')]
    if not lines:
        raise Failure(f"no tick: {done.stderr!r}")
    tick = json.loads(lines[-1])
    return [Leak(site["live_bytes"], site["live_blocks"],
                 [frame["symbol"] or short(frame["module"]) for frame in site["frames"]])
            for site in tick["sites"] if site["live_blocks"]], tick


def direct_bytes(what):
    """Without those of the blocks that only a leaked block points to: they are leaks, too."""
    direct = re.match(r"[\d,]+ \(([\d,]+) direct", what.findtext("text"))
    return int(direct[1].replace(",", "")) if direct else int(what.findtext("leakedbytes"))


def valgrind_leaks(command, **more):
    with tempfile.NamedTemporaryFile(prefix="memtop-valgrind-", suffix=".xml") as file:
        done = subprocess.run(
            ["valgrind", "--run-libc-freeres=no", "--run-cxx-freeres=no", "--leak-check=full",
             "--show-leak-kinds=all", "--leak-resolution=high", "--num-callers=60", "--xml=yes",
             "--xml-file=" + file.name, *command], check=False, stdin=subprocess.DEVNULL,
            capture_output=True, timeout=600, env=environment(**more))
        check_equal(done.returncode, 0, f"valgrind's exit status: {done.stderr!r}")
        root = ElementTree.parse(file.name).getroot()
    leaks = []
    for error in root.iter("error"):
        if error.findtext("kind").startswith("Leak_"):
            what = error.find("xwhat")
            frames = [frame.findtext("fn") or short(frame.findtext("obj"))
                      for frame in error.find("stack").iter("frame")]
            leaks.append(Leak(direct_bytes(what), int(what.findtext("leakedblocks")), frames[1:]))
    return leaks


def total(leaks):
    return sum(leak.bytes for leak in leaks), sum(leak.blocks for leak in leaks)


def by_block(leaks):
    """How many blocks there are of each size; of several at once, their mean."""
    sizes = collections.Counter()
    for leak in leaks:
        sizes[leak.bytes / leak.blocks] += leak.blocks
    return sizes


def differences(expected, seen):
    """Lines about blocks that only one of the two has."""
    lines = []
    for name, some, others in (("only valgrind", expected, seen), ("only memtop", seen, expected)):
        surplus = by_block(some) - by_block(others)
        for leak in some:
            size = leak.bytes / leak.blocks
            if surplus[size]:
                lines.append(f"{name}, {surplus[size]} of: {leak.blocks} blocks of {size:g} from "
                             + " < ".join(leak.frames[:6]))
    return lines
