# SPDX-License-Identifier: GPL-2.0-only
"""memtop in batch mode, read tick by tick."""

import json
import queue
import subprocess
import threading
import time

from tap import Failure
from target import MEMTOP


class Batch:
    """memtop -b --format json with further options; `prefix` is a command that runs it."""

    def __init__(self, *options, delay=0.5, prefix=()):
        self.command = [*prefix, MEMTOP, "-b", "--format", "json", "-d", str(delay), *options]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.ticks = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        return self

    def _read(self):
        for line in self.process.stdout:
            if line.endswith("\n"):  # else cut short by the kill
                self.ticks.put(json.loads(line))
        self.ticks.put(None)

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()
        self.process.stderr.close()

    def tick(self, seconds=90.0):
        """The next tick; fails at the end of output."""
        try:
            tick = self.ticks.get(timeout=seconds)
        except queue.Empty:
            raise Failure(f"no tick within {seconds:g} s") from None
        if tick is None:
            self.process.wait()
            raise Failure(f"memtop ended with {self.process.returncode}: "
                          f"{self.process.stderr.read()}")
        return tick

    def tick_after(self, moment=None, seconds=90.0, named=True):
        """The first tick whose facts are younger than now, and that waits for no more names."""
        moment = time.time_ns() if moment is None else moment
        while True:
            tick = self.tick(seconds)
            if tick["time_unix_ns"] > moment and not (named and names_pending(tick)):
                return tick

    def tick_where(self, condition, what, seconds=90.0):
        """The first tick for which condition(tick) holds."""
        end = time.monotonic() + seconds
        last = None
        while time.monotonic() < end:
            last = self.tick(max(0.1, end - time.monotonic()))
            if condition(last):
                return last
        raise Failure(f"not within {seconds:g} s: {what}; the last tick: {json.dumps(last)[:2000]}")

    def tick_with_tables(self):
        """The first tick younger than now that knows all that is mapped: from then on stacks are
        whole, until the target maps something else."""
        moment = time.time_ns()
        return self.tick_where(lambda tick: tick["time_unix_ns"] > moment and
                               tick["overhead"]["unwind_tables_pending"] == 0, "all tables")


def names_pending(tick):
    """May another tick have more names or lines of these frames?"""
    return any(frame["reason"] == "not read yet" for site in tick["sites"]
               for frame in site["frames"])


TOTALS = ("allocated_bytes", "allocated_blocks", "freed_bytes", "freed_blocks",
          "live_bytes", "live_blocks")


def by_address(tick, side="user"):
    """Totals of a tick's sites by the return address of the probed function."""
    sites = {}
    for site in tick["sites"]:
        if site["side"] != side or not site["frames"]:
            continue
        address = int(site["frames"][0]["address"], 16)
        sums = sites.setdefault(address, dict.fromkeys(TOTALS, 0))
        for name in TOTALS:
            sums[name] += site[name]
    return sites


def function_of(site):
    """The name of the first frame that is not a wrapper."""
    for frame in site["frames"]:
        if not frame["wrapper"]:
            return frame["symbol"]
    return None
