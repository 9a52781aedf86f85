# SPDX-License-Identifier: GPL-2.0-only
"""Stacks on which return probes are pending: the true ones, or the true part of them, marked."""

import collections
import contextlib
import ctypes
import os
import struct
import subprocess

from books import Book, read_line
from tap import Failure, check, check_equal, run, wait_for
from target import built, running

KINDS = ("session", "multi", "perf")
NUMBERS = {"malloc": 1, "calloc": 2, "realloc": 3, "posix_memalign": 6, "aligned_alloc": 7}
UPROBE = "/sys/bus/event_source/devices/uprobe"
PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}[os.uname().machine]


class Target:
    """The target, and what it says of its stacks: (case, kind, frames) as often as they occur."""

    def __init__(self, process):
        self.process, self.told, self.rounds_done = process, [], 0
        while True:
            words = read_line(process.stdout, "the target").split()
            if words[0] == "ready":
                break
            self.told.append((words[0], words[1], tuple(int(word, 16) for word in words[2:])))
        self.probed, self.calloc, self.rounds = int(words[1], 16), int(words[2], 16), int(words[3])
        # The part that memtop does not take: it is in the stacks of its handlers' calls.
        (outer,) = (frames for case, kind, frames in self.told if kind == "posix_memalign")
        (part,) = (told for told in self.told if told[0] == "part" and told[2][1:] == outer)
        self.told.remove(part)
        self.part = part[2][0]

    def go(self):
        self.process.stdin.write(b"go\n")
        check_equal(read_line(self.process.stdout, "the target"), "done\n", "the target")
        self.rounds_done += self.rounds

    def expected(self, cut):
        """Blocks by (kind, frames, truncated), where `cut` shortens stacks to what can be told."""
        blocks = collections.Counter()
        for case, kind, frames in self.told:
            kept = cut(case, frames)
            blocks[NUMBERS[kind], kept, kept != frames] += self.rounds_done
        return blocks


@contextlib.contextmanager
def target_and_book(kind, before=contextlib.nullcontext):
    with running(built("tests/unwind/nested_target"), stdin=subprocess.PIPE,
                 stdout=subprocess.PIPE, bufsize=0) as process:
        target = Target(process)
        with before(target), Book(process.pid, "--kind", kind) as book:
            yield target, book


def compare(target, book, cut):
    seen = book.read()
    have = {(site["kind"], tuple(site["stack"]), site["truncated"]): site["allocated_blocks"]
            for site in seen["sites"] if site["slot"]}
    want = target.expected(cut)
    wrong = [f"{kind} {[hex(frame) for frame in stack]} {'cut' if cut_short else ''}: "
             f"{have.get((kind, stack, cut_short), 0)}, not {want[kind, stack, cut_short]}"
             for kind, stack, cut_short in set(have) | set(want)
             if have.get((kind, stack, cut_short), 0) != want[kind, stack, cut_short]]
    check(not wrong, "; ".join(wrong[:4]))
    marked = sum(count for (_, _, cut_short), count in want.items() if cut_short)
    check_equal(seen["losses"].get("stack_truncated", 0), marked, "stacks counted as cut short")


def until_part(target, frames):
    return frames[:frames.index(target.part)] if target.part in frames else frames


def nested(kind):
    """The first rounds begin before anybody knows where the trampoline is."""
    with target_and_book(kind) as (target, book):
        for _ in range(2):
            target.go()
            compare(target, book, lambda case, frames: until_part(target, frames))
            wait_for(lambda: book.read()["trampoline"], "the trampoline is known")


def of_sessions():
    nested("session")


def of_multi_probes():
    nested("multi")


def of_perf_probes():
    nested("perf")


def two_watch_at_once():
    with target_and_book("session") as (target, book), \
            Book(target.process.pid, "--kind", "multi") as other:
        target.go()
        for each in (book, other):
            compare(target, each, lambda case, frames: until_part(target, frames))


def uprobe_number(name):
    with open(f"{UPROBE}/{name}", encoding="ascii") as file:
        return int(file.read().rsplit(":", 1)[-1])


@contextlib.contextmanager
def return_probe(pid, address):
    """A return probe that is not memtop's: an event that only counts."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        for line in maps:
            words = line.split()
            start, end = (int(word, 16) for word in words[0].split("-"))
            if start <= address < end:
                break
    path = ctypes.create_string_buffer(words[5].encode())
    attributes = struct.pack("=IIQQQQQIIQQ", uprobe_number("type"), 112,
                             1 << uprobe_number("format/retprobe"), 0, 0, 0, 0, 0, 0,
                             ctypes.addressof(path), address - start + int(words[2], 16))
    attributes = ctypes.create_string_buffer(attributes.ljust(112, b"\0"), 112)
    fd = ctypes.CDLL(None, use_errno=True).syscall(PERF_EVENT_OPEN, attributes, pid, -1, -1, 8)
    if fd < 0:
        raise Failure(f"perf_event_open: {os.strerror(ctypes.get_errno())}")
    try:
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def two_return_probes(target):
    with return_probe(target.process.pid, target.probed), \
            return_probe(target.process.pid, target.calloc):
        yield


def with_probes_of_another():
    """Whom a function returns to that another tool watches, nobody but that tool can tell. Where
    memtop's own probe stands behind the other, there is nothing left to tell."""
    own_is_behind = os.uname().machine == "x86_64"

    def cut(case, frames):
        if case == "calloc" and own_is_behind:
            return ()
        return frames[:1] if case == "probed" else until_part(target, frames)

    for kind in KINDS:
        with target_and_book(kind, two_return_probes) as (target, book):
            for _ in range(2):
                target.go()
                compare(target, book, cut)
                wait_for(lambda: book.read()["trampoline"], "the trampoline is known")


run([of_sessions, of_multi_probes, of_perf_probes, two_watch_at_once, with_probes_of_another])
