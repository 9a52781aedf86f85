# SPDX-License-Identifier: GPL-2.0-only
"""Stacks of programs with little frame information, against those that they note themselves.

musl has none: stacks lead out of signal handlers, whose trampoline nothing describes, and end,
marked, at the library's own frames. What only .debug_frame describes is as good as the rest."""

import os
import subprocess

from batch import Batch
from books import read_line
from tap import check, check_equal, run
from target import built, running

CALLED_BACK = 3  # frames of a stack "in" up to that of the C library


def told_stacks(target):
    stacks = []
    while True:
        words = read_line(target.stdout, "the target").split()
        if words[0] == "ready":
            return stacks
        stacks.append((words[0], tuple(int(word, 16) for word in words[1:])))


def seen_stacks(name):
    """What the target says, and the sites of its malloc by their stacks."""
    with running(os.path.abspath(built(f"tests/unwind/{name}")), stdin=subprocess.PIPE,
                 stdout=subprocess.PIPE, bufsize=0) as target:
        told = told_stacks(target)
        check_equal(len(told), 7 if os.uname().machine == "x86_64" else 3, "stacks told")
        with Batch("-p", str(target.pid), "--level", "heap", "--top", "0", "--side", "user",
                   delay=1) as memtop:
            first = memtop.tick_with_tables()
            check_equal(first["level"], "heap", f"level, {first['level_reason']}")
            target.stdin.write(b"go\n")
            check_equal(read_line(target.stdout, "the target"), "done\n", "the target")
            tick = memtop.tick_after()
    return told, {tuple(int(frame["address"], 16) for frame in site["frames"]
                        if not frame["inlined"]): site
                  for site in tick["sites"] if site["kind"] == "malloc"}


def text(stacks):
    return "; ".join(" ".join(hex(frame) for frame in stack) for stack in stacks)


def musl(name):
    told, seen = seen_stacks(name)
    for way, stack in told:
        known = stack[:CALLED_BACK] if way == "in" else stack
        check(known in seen, f"{text([known])} is not in {text(seen)}")
        check_equal(seen[known]["allocated_blocks"], 1, "blocks")
        check(seen[known]["truncated"], "it is marked: more is above it")


def musl_dynamic():
    musl("musl_dynamic")


def musl_static():
    musl("musl_static")


def has(stack, way, known):
    """Is `known` there, but for frames of the C library above it, and where that calls?"""
    if way == "in":
        return stack[:CALLED_BACK] == known[:CALLED_BACK] and any(
            stack[i:i + len(known) - CALLED_BACK] == known[CALLED_BACK:]
            for i in range(CALLED_BACK, len(stack)))
    return stack[:len(known)] == known


def debug_frame_only():
    told, seen = seen_stacks("debug_frame_only")
    for way, known in told:
        there = [stack for stack in seen if has(stack, way, known)]
        check_equal(len(there), 1, f"sites of {text([known])} in {text(seen)}")
        check_equal(seen[there[0]]["allocated_blocks"], 1, "blocks")
        check(not seen[there[0]]["truncated"], "it is whole")


run([musl_dynamic, musl_static, debug_frame_only])
