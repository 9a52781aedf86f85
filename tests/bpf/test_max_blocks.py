# SPDX-License-Identifier: GPL-2.0-only
"""--max-blocks: room for as many as asked for. That too many are refused is test_heap_level's."""

import subprocess

from batch import Batch
from tap import check, check_equal, run
from target import built, running

TARGET = built("tests/bench/pair_target")


def ask(target, line):
    target.stdin.write(line + "\n")
    target.stdin.flush()
    target.stdout.readline()


def fill(asked, blocks):
    """The tick after the target took so many blocks."""
    with running(TARGET, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as target:
        ask(target, "hot 1 0 100")
        with Batch("-p", str(target.pid), "--level", "heap", "--side", "user", "--max-blocks",
                   str(asked)) as memtop:
            memtop.tick()
            ask(target, f"refill {blocks} 0 1")
            return memtop.tick_after()


def as_many_as_asked_for_fit():
    tick = fill(24000, 24000)
    check(tick["user"]["live_blocks"] >= 24000, f"{tick['user']['live_blocks']} live")
    check_equal(tick["losses"]["live_table_full"], 0, "blocks lost")
    tables = tick["overhead"]["tables_bytes"]
    check(8 << 20 < tables < 192 << 20, f"{tables} bytes of tables")


def more_are_a_named_loss():
    tick = fill(1000, 30000)
    lost = tick["losses"]["live_table_full"]
    check(lost > 0, "blocks are lost")
    # Taken twice, by fill and by refill; the target's own few (of stdio) beside them.
    taken = tick["user"]["allocated_blocks"] + lost
    check(60000 <= taken <= 60010, f"{taken} blocks booked or lost")
    check(tick["user"]["live_blocks"] >= 12000, f"{tick['user']['live_blocks']} live")


run([as_many_as_asked_for_fit, more_are_a_named_loss])
