# SPDX-License-Identifier: GPL-2.0-only
"""Under `auto` a target that begins to allocate like mad is let go of at once, whatever the tick."""

import os
import subprocess
import sys
import time

from batch import Batch
from tap import check, check_equal, in_time, run, wait_for
from target import LibcText, built, running

WITHIN_S = 0.6


def tell(target, rate):
    target.stdin.write(f"{rate}\n")
    target.stdin.flush()
    target.stdout.readline()


def storm():
    """Seconds until no breakpoint is left."""
    with running(built("tests/bench/pair_target"), "forever", stdin=subprocess.PIPE,
                 stdout=subprocess.PIPE, text=True) as target:
        tell(target, 1000)
        with Batch("-p", str(target.pid), "--level", "auto", delay=3) as memtop:
            first = memtop.tick()
            check_equal(first["level"], "heap", f"level, {first['level_reason']}")
            text = LibcText(target.pid)
            check(not text.is_clean(), "breakpoints stand")
            tell(target, 1000000)
            started = time.monotonic()
            wait_for(text.is_clean, "the target is let go", every=0.002)
            took = time.monotonic() - started
            tick = memtop.tick_where(lambda tick: tick["level"] == "pages", "the lower level")
            check("over the budget" in tick["level_reason"], tick["level_reason"])
            return took


def a_storm_is_let_go():
    in_time(storm, WITHIN_S, "seconds until it was let go")


LIBRARY = os.path.abspath(built("tests/targets/life_library.so"))
STORM_THEN_LIBRARY = """
import ctypes, sys
print("ready", flush=True)
sys.stdin.readline()
kept = [bytes(2000 + i) for i in range(1000)]
print("kept", flush=True)
while sys.stdin.readline() == "storm\\n":
    for i in range(200000):
        block = bytes(2000 + i % 3000)
    print("stormed", flush=True)
ctypes.CDLL(sys.argv[1])
print("loaded", flush=True)
sys.stdin.readline()
"""


def say(target, word):
    target.stdin.write(word + "\n")
    target.stdin.flush()
    return target.stdout.readline().strip()


def mapped(pid):
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        return maps.read()


def what_is_mapped_is_followed_after_letting_go():
    """The sites of the heap have ended by then; those of the pages have not."""
    with running(sys.executable, "-c", STORM_THEN_LIBRARY, LIBRARY, stdin=subprocess.PIPE,
                 stdout=subprocess.PIPE, text=True) as target:
        check_equal(target.stdout.readline().strip(), "ready", "the target")
        with Batch("-p", str(target.pid), "--level", "auto", delay=0.2) as memtop:
            first = memtop.tick()
            check_equal(first["level"], "heap", f"level, {first['level_reason']}")
            check_equal(say(target, "keep"), "kept", "the target")
            memtop.tick_where(lambda tick: any(site["side"] == "user" for site in tick["sites"]),
                              "a site of the heap")
            while memtop.tick()["level"] == "heap":
                check_equal(say(target, "storm"), "stormed", "the target")
            check(LIBRARY not in mapped(target.pid), "the library is not there yet")
            check_equal(say(target, "load"), "loaded", "the target")
            check(LIBRARY in mapped(target.pid), "the library is mapped")
            for _ in range(10):
                memtop.tick()
            check_equal(memtop.process.poll(), None, "memtop's exit status")


run([a_storm_is_let_go, what_is_mapped_is_followed_after_letting_go])
