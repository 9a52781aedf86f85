# SPDX-License-Identifier: GPL-2.0-only
"""The stacks that memtop shows, against those that the target knows itself."""

import collections
import os
import subprocess

from batch import Batch
from tap import check, check_equal, run
from target import built, running

MOST_FRAMES = 128


def told_stacks(target):
    """How often each (kind, stack) will allocate, as the target says."""
    stacks = collections.Counter()
    for line in target.stdout:
        words = line.split()
        if words[0] == "ready":
            check(sum(stacks.values()) == int(words[1]), "the target could note all")
            return stacks
        stacks[words[0], tuple(int(word, 16) for word in words[1:])] += 1
    return stacks


def seen_stacks(tick):
    """Sites by (kind, stack): (blocks, truncated)."""
    stacks = {}
    for site in tick["sites"]:
        frames = tuple(int(frame["address"], 16) for frame in site["frames"]
                       if not frame["inlined"])
        stack = (site["kind"], frames)
        check(stack not in stacks, "a stack is one site")
        stacks[stack] = (site["allocated_blocks"], site["truncated"])
    return stacks


def compare(tick, told):
    """Zero wrong frames; what is truncated is marked, is a prefix, and is rare."""
    seen = seen_stacks(tick)
    kept = collections.Counter()
    prefixes = set()
    for (kind, frames), blocks in told.items():
        kept[kind, frames[:MOST_FRAMES]] += blocks
        prefixes.update((kind, frames[:length]) for length in range(1, len(frames)))
    cut = wrong = 0
    for (kind, frames), (blocks, truncated) in seen.items():
        if truncated and len(frames) < MOST_FRAMES:
            cut += blocks
            wrong += (kind, frames) not in prefixes
        elif kept[kind, frames] != blocks:
            wrong += 1
            if wrong < 4:
                print(f"# {kind}, {len(frames)} frames: {blocks} seen, {kept[kind, frames]} told: "
                      + " ".join(hex(frame) for frame in frames))
    total = sum(told.values())
    print(f"# {total} allocations, {len(seen)} sites of up to "
          f"{max(len(frames) for _, frames in seen)} frames, {wrong} wrong, {cut} cut short")
    check_equal(wrong, 0, "sites whose stack is not one of the target's")
    check(cut < total * 0.001, f"{cut} of {total} stacks are cut short")
    check_equal(sum(blocks for blocks, _ in seen.values()), total, "allocations seen")
    check(len(seen) > 600, "many sites")
    modules = {frame["module"].rsplit("/", 1)[-1].split(".")[0] for site in tick["sites"]
               for frame in site["frames"][:1]}
    for library in ("libjpeg", "libz", "libstdc++"):
        check(library in modules, f"{library} allocates: {modules}")


def stacks_of(build):
    path = built(f"tests/unwind/{build}/heap_target")
    with running(os.path.abspath(path), "2", "2", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                 text=True) as target:
        told = told_stacks(target)
        with Batch("-p", str(target.pid), "--level", "heap", "--top", "0", "--side", "user",
                   delay=2) as memtop:
            check_equal(memtop.tick_with_tables()["level"], "heap", "level")
            target.stdin.write("\n")
            target.stdin.flush()
            check_equal(target.stdout.readline(), "done\n", "the target")
            # Thousands of deep sites, by name: much to say and to read on a busy machine.
            compare(memtop.tick_after(seconds=180, named=False), told)


def gcc_position_independent():
    stacks_of("gcc-pie")


def gcc_fixed_address():
    stacks_of("gcc-nopie")


def clang_position_independent():
    stacks_of("clang-pie")


def clang_fixed_address():
    stacks_of("clang-nopie")


run([gcc_position_independent, gcc_fixed_address, clang_position_independent,
     clang_fixed_address])
