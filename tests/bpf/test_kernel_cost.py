# SPDX-License-Identifier: GPL-2.0-only
"""The kernel side watches events of the whole machine: where these are many it is there only if it
was asked for."""

import contextlib
import json
import os
import re
import subprocess
import sys

from batch import Batch
from tap import check, check_equal, run
from target import MEMTOP, built, running
from terminal import Terminal

STORM = "import os\nwhile True:\n for fd in os.pipe(): os.close(fd)"
SECONDS = 300  # a measurement that a busy machine spoils comes again after 30
WHY = re.compile(r"kernel: took (\d+\.\d)% of a core, over 1%: off; Tab to it, or --side all")


class Holder:
    """A quiet target, which takes kernel memory when it is told to."""

    def __init__(self, process):
        self.process, self.pid = process, process.pid

    def do(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        check_equal(json.loads(self.process.stdout.readline())["error"], None, line)


@contextlib.contextmanager
def target_beside_a_storm():
    with running(built("tests/targets/kernel_holder"), stdin=subprocess.PIPE,
                 stdout=subprocess.PIPE, text=True) as process, \
            running(sys.executable, "-c", STORM):
        yield Holder(process)


def watch(target, *options):
    return Batch("-p", str(target.pid), "--level", "rss", "--top", "0", *options)


def kernel_sites(tick):
    return [site for site in tick["sites"] if site["side"] == "kernel"]


def is_on(tick):
    return tick["kernel"]["live_bytes"] is not None


def measures(process):
    """Does it have the kernel measure run time?"""
    folder = f"/proc/{process.pid}/fd"
    found = []
    for fd in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(os.path.join(folder, fd)))
    return any("bpf-stats" in link for link in found)


def what_costs_too_much_goes_off_unless_asked_for():
    with target_beside_a_storm() as target, watch(target) as unasked, \
            watch(target, "--side", "all") as asked:
        check(is_on(unasked.tick()), "on by default")
        target.do("pipes 30")
        unasked.tick_where(kernel_sites, "sites of the kernel", 60)
        off = unasked.tick_where(lambda tick: not is_on(tick), "off by itself", SECONDS)
        found = WHY.search(off["level_reason"] or "")
        check(found and float(found[1]) >= 1, f"why: {off['level_reason']}")
        check_equal(off["overhead"]["kernel_core_percent"], None, "no cost any more")
        check(all(site["ended"] for site in kernel_sites(off)), "no site is as if current")
        check(not measures(unasked.process), "nothing is measured any more")
        asked.tick_where(lambda tick: (tick["overhead"]["kernel_core_percent"] or 0) > 1,
                         "too much there, too", SECONDS)
        tick = asked.tick_where(lambda tick: tick["elapsed_s"] > off["elapsed_s"], "as late")
        check(is_on(tick), f"what was asked for stays: {tick['level_reason']}")
        check(not any(site["ended"] for site in kernel_sites(tick)), "its sites are current")


def a_key_brings_it_back():
    command = [MEMTOP, "--level", "rss", "--min-size", "0", "-p"]
    with target_beside_a_storm() as target, Terminal([*command, str(target.pid)]) as terminal:
        terminal.wait_text("RSS")
        target.do("epolls 20")
        terminal.wait(lambda screen: WHY.search(screen), "off, and why", SECONDS)
        terminal.key("Tab")
        terminal.wait(lambda screen: "of a core" not in screen, "on again")
        target.do("pipes 30")
        screen = terminal.wait(lambda screen: "pipe" in screen.partition("VERDICT")[2],
                               "what was taken since")
        check("of a core" not in screen, "and stays")
        terminal.key("q")
        terminal.wait_text("exit=0")


run([what_costs_too_much_goes_off_unless_asked_for, a_key_brings_it_back])
