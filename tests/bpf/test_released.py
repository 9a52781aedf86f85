# SPDX-License-Identifier: GPL-2.0-only
"""Blocks that go in other ways than by a free of their own: by a realloc that is left."""

from books import Book, Target, compare
from tap import check_equal, run

KINDS = ("session", "multi", "perf")


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


if __name__ == "__main__":
    run([left_reallocs])
