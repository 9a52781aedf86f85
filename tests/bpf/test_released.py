# SPDX-License-Identifier: GPL-2.0-only
"""Blocks that go in other ways than by a free of their own: by a realloc that is left in its middle,
and with a whole heap at once, which is a named loss."""

import os
import subprocess
import tempfile

from books import NONE, Book, Target, add, check_losses, check_table, compare
from tap import check, check_equal, run
from target import MEMTOP

LIBRARIES = "/usr/lib/x86_64-linux-gnu"
TARGETS = os.path.join(os.environ["top_srcdir"], "tests/targets")
KINDS = ("session", "multi", "perf")
folder = tempfile.TemporaryDirectory(prefix="memtop-released-")


def left_reallocs():
    """What such a realloc had given out is lost, and named; all else is exact: its old block is as
    it was, or gone if the target freed it before or after, or was given its address again."""
    for kind in KINDS:
        with Target("left_reallocs", program="books_own") as target:
            with Book(target.pid, "--kind", kind) as book:
                for stop in ("left", "freed"):
                    ledger = target.until(stop)
                    seen = book.read()
                    compare(seen, {"sites": [site for site in ledger["own_sites"] if site]},
                            ("return_missed",))
                    check_equal(seen["losses"]["return_missed"], ledger["left"],
                                f"{kind}, {stop}: returns missed")
                    check_equal(seen["before_attach_frees"] + seen["untracked_frees"], 0,
                                f"{kind}, {stop}: frees of unknown blocks")


def target_program(name, *flags):
    path = os.path.join(folder.name, name)
    if not os.path.exists(path):
        sources = [os.path.join(TARGETS, file) for file in
                   ("alloc_bulk.c", "books_stop.c", "ledger.c", "ledger_calls.c")]
        done = subprocess.run(["cc", "-D_GNU_SOURCE", "-O2", "-g", "-fno-builtin", "-pthread",
                               "-rdynamic", "-o", path, *sources, "-Wl,--no-as-needed", *flags],
                              check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True)
        check_equal(done.returncode, 0, f"{name}: {done.stdout}")
    return path


ALLOCATORS = (("mimalloc", ("-DHEAPS", "-lmimalloc")), ("jemalloc", ("-ljemalloc",)),
              ("jemalloc_in", (f"{LIBRARIES}/libjemalloc.a", "-lm", "-ldl")))


def sums(book):
    total = dict(NONE)
    for site in book["sites"]:
        add(total, site)
    return total


def heaps_that_go_as_a_whole():
    """Each such call is one loss. Its blocks stay until their addresses are given out again; all
    that is given out, and given back one by one, is booked."""
    for name, flags in ALLOCATORS:
        with Target("bulk", program=target_program(name, *flags)) as target:
            with Book(target.pid) as book:
                start = sums(book.read())
                for stop in ("held", "released", "again", "given"):
                    ledger = target.until(stop)
                    seen = book.read()
                    total = sums(seen)
                    check_losses(seen, ("released_in_bulk", "free_missed"))
                    check_table(seen)
                    check_equal((seen["losses"].get("released_in_bulk", 0),
                                 seen["losses"].get("free_missed", 0)),
                                (ledger["calls"], ledger["again"]),
                                f"{name}, {stop}: calls, and addresses given out again")
                    check_equal(total["allocated_blocks"] - start["allocated_blocks"],
                                ledger["taken"], f"{name}, {stop}: blocks given out")
                    check_equal(total["allocated_bytes"] - start["allocated_bytes"],
                                ledger["taken"] * 200, f"{name}, {stop}: bytes given out")
                    check_equal(total["freed_blocks"], ledger["given"] + ledger["again"],
                                f"{name}, {stop}: blocks gone")
                check(ledger["again"] > 0, f"{name}: some addresses are given out again")


def the_gate_does_not_judge():
    """A command whose blocks went in bulk is neither let through nor called leaking."""
    for name, flags in ALLOCATORS[:2]:
        with open("/dev/zero", "rb") as zero:
            done = subprocess.run([MEMTOP, "--fail-if-leaked", "1G", "--side", "user", "--",
                                   target_program(name, *flags), "bulk",
                                   os.path.join(folder.name, "ledger")], check=False, text=True,
                                  stdin=zero, capture_output=True, timeout=120)
        check_equal(done.returncode, 98, f"{name}: {done.stderr}")
        check("not judged: events were lost: " in done.stderr and
              "released_in_bulk " in done.stderr, f"{name}: {done.stderr}")


if __name__ == "__main__":
    run([left_reallocs, heaps_that_go_as_a_whole, the_gate_does_not_judge])
