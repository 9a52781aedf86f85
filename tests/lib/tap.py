# SPDX-License-Identifier: GPL-2.0-only
"""A small TAP harness: cases are functions; one fails by raising."""

import os
import signal
import sys
import time
import traceback


REASON_MOST = 500  # characters


class Failure(Exception):
    """What was expected did not come."""


def check(condition, what):
    if not condition:
        raise Failure(what)


def compared(what, expected, seen):
    """Tells what was compared, where a table is made of it (tests/bpf/check_books.py)."""
    if os.environ.get("BOOKS_TABLE"):
        print("#=\t" + "\t".join(str(each).replace("\n", " ") for each in (what, expected, seen)),
              flush=True)


def check_equal(seen, expected, what):
    compared(what, expected, seen)
    if seen != expected:
        raise Failure(f"{what}: expected {expected!r}, saw {seen!r}")


def wait_for(condition, what, seconds=120.0, every=0.05):
    """Waits until condition() is true and returns what it gave; fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"not within {seconds:g} s: {what() if callable(what) else what}")
        time.sleep(every)


def in_time(measure, most, what, rounds=10):
    """A time that is kept: in one round, at least, since the machine may stand still in any other.
    measure() does it and gives the time."""
    times = []
    while len(times) < rounds and (not times or times[-1] > most):
        times.append(measure())
    print(f"# {what}: " + ", ".join(f"{each:.3g}" for each in times), flush=True)
    check(times[-1] <= most, f"{what}: not {most:g} or less in any of these: {times}")


def limit(seconds):
    """Ends a case that takes longer, and what it does then to clean up; 0: no limit."""
    def too_long(*_):
        raise Failure(f"not done within {seconds:g} s")
    signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, seconds, 60 if seconds else 0)


def run(cases):
    """Runs the cases named on the command line, or all; prints TAP and exits."""
    wanted = [case for case in cases if not sys.argv[1:] or case.__name__ in sys.argv[1:]]
    failed = 0
    print(f"1..{len(wanted)}", flush=True)
    for number, case in enumerate(wanted, 1):
        name = case.__name__
        try:
            limit(float(os.environ.get("CASE_SECONDS", "0")))
            case()
            limit(0)
            print(f"ok {number} - {name}", flush=True)
        except Exception as error:
            limit(0)
            failed += 1
            for line in traceback.format_exc().splitlines():
                print(f"# {line}")
            # The reason stands in the summary's line too: where only that is kept, it is all there.
            reason = " ".join(str(error).replace("#", " ").split())[:REASON_MOST]
            print(f"not ok {number} - {name}: {reason or type(error).__name__}", flush=True)
    sys.exit(1 if failed else 0)
