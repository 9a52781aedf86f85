# SPDX-License-Identifier: GPL-2.0-only
"""Stacks of programs whose C library, musl, has no frame information: they lead out of signal
handlers, whose trampoline nothing describes, and end, marked, at the library's own frames."""

import os
import subprocess

from batch import Batch
from books import read_line
from tap import check, check_equal, run
from target import built, running


def told_stacks(target):
    """Stacks up to the first frame of the C library: what is its own nobody can tell."""
    stacks = set()
    while True:
        words = read_line(target.stdout, "the target").split()
        if words[0] == "ready":
            return stacks
        frames = tuple(int(word, 16) for word in words[1:])
        # What qsort() calls returns into it.
        stacks.add(frames[:3] if words[0] == "in" else frames)


def stacks_of(name):
    with running(os.path.abspath(built(f"tests/unwind/{name}")), stdin=subprocess.PIPE,
                 stdout=subprocess.PIPE, bufsize=0) as target:
        told = told_stacks(target)
        with Batch("-p", str(target.pid), "--level", "heap", "--top", "0", "--side", "user",
                   delay=1) as memtop:
            first = memtop.tick()
            check_equal(first["level"], "heap", f"level, {first['level_reason']}")
            target.stdin.write(b"go\n")
            check_equal(read_line(target.stdout, "the target"), "done\n", "the target")
            tick = memtop.tick_after()
    seen = {tuple(int(frame["address"], 16) for frame in site["frames"]
                  if not frame["inlined"]): site for site in tick["sites"]
            if site["kind"] == "malloc"}
    for stack in told:
        check(stack in seen, f"the stack {[hex(frame) for frame in stack]} is not in "
              + "; ".join(str([hex(frame) for frame in other]) for other in seen))
        check_equal(seen[stack]["allocated_blocks"], 1, "blocks")
        check(seen[stack]["truncated"], "it is marked: more is above it")
    check(len(told) >= (7 if os.uname().machine == "x86_64" else 3), f"{len(told)} stacks")


def dynamic():
    stacks_of("musl_dynamic")


def static():
    stacks_of("musl_static")


run([dynamic, static])
