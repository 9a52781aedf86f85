# SPDX-License-Identifier: GPL-2.0-only
"""What allocators and threads map, which is no block of the heap: on the maps side, exactly, at the
stack that asked for it; and nothing of it stays when it is given back."""

import subprocess

from batch import Batch
from books import Target
from tap import check, check_equal, run
from target import built

PAGE = 4096
ARENA = 64 << 20


def maps(pid):
    return Batch("--level", "pages", "--side", "maps", "--top", "0", "-p", str(pid), delay=0.2)


def virtual_bytes(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * PAGE


def own(site):
    """Of the target's own book-keeping."""
    return {"ledger_allocated", "books_array"} & {frame["symbol"] for frame in site["frames"]}


def rows_through(tick, name, kind="mmap"):
    return [site["live_bytes"] for site in tick["sites"]
            if site["live_bytes"] and site["kind"] == kind and not own(site) and
            name in {frame["symbol"] for frame in site["frames"]}]


def is_named(tick):
    """Are the target's own functions?"""
    return all(frame["symbol"] for site in tick["sites"] for frame in site["frames"]
               if "/tests/targets/" in (frame["module"] or ""))


def exact(memtop, pid):
    """A tick of now; its rows are all that is mapped, to the byte."""
    memtop.tick_after()
    tick = memtop.tick_where(is_named, "names", 60)
    check_equal(sum(site["live_bytes"] for site in tick["sites"]), virtual_bytes(pid),
                "all that is mapped")
    check_equal(tick["losses"]["event_lost"], 0, "losses")
    return tick


def block_that_is_mapped():
    """It has a header, and whole pages."""
    with Target("mapped_block") as target, maps(target.pid) as memtop:
        exact(memtop, target.pid)
        target.until("held")
        tick = exact(memtop, target.pid)
        check_equal(rows_through(tick, "mapped_block"), [(1 << 20) + PAGE], "its mapping")
        target.until("freed")
        check_equal(rows_through(exact(memtop, target.pid), "mapped_block"), [], "given back")


def stacks_and_arenas():
    """51 threads: a stack each, asked for by who started them, and arenas, by who allocates."""
    with Target("idle_threads") as target, maps(target.pid) as memtop:
        exact(memtop, target.pid)
        target.until("idle")
        tick = exact(memtop, target.pid)
        stacks = max(rows_through(tick, "books_threads"), default=0)
        arenas = sum(rows_through(tick, "idle_any"))
        check(stacks and stacks % (51 * PAGE) == 0, f"{stacks} bytes of stacks")
        check(arenas and arenas % ARENA == 0, f"{arenas} bytes of arenas")
        target.until("ended")
        tick = exact(memtop, target.pid)
        check(max(rows_through(tick, "books_threads"), default=0) < stacks,
              "stacks of threads that ended")


def break_up_and_down():
    with subprocess.Popen([built("tests/targets/pages_holder")], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as holder:
        def do(way, pages):
            holder.stdin.write(f"{way} {pages}\n")
            holder.stdin.flush()
            check_equal(holder.stdout.readline(), "ok\n", way)
        try:
            check_equal(holder.stdout.readline(), "ready\n", "the target")
            with maps(holder.pid) as memtop:
                exact(memtop, holder.pid)
                for up, down, left in ((33, 13, 20), (100, 110, 10), (0, 10, 0)):
                    do("move_break", up)
                    do("shrink_break", down)
                    check_equal(sum(rows_through(exact(memtop, holder.pid), "move_break",
                                                 "brk")),
                                left * PAGE, f"up by {up} pages, down by {down}")
        finally:
            holder.kill()


if __name__ == "__main__":
    run([block_that_is_mapped, stacks_and_arenas, break_up_and_down])
