# SPDX-License-Identifier: GPL-2.0-only
"""Under `auto` a target that begins to allocate like mad is let go of at once, whatever the tick."""

import subprocess
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


run([a_storm_is_let_go])
