# SPDX-License-Identifier: GPL-2.0-only
"""A target that leaks only what the kernel holds for it is called so, and by whose code."""

import subprocess
import sys
import threading
import time

from batch import Batch
from tap import check, check_equal, run
from target import built, running

RATE = 80  # pipes a second
DUE_S = 10.0
DELAY_S = 0.5
STALL_S = 0.2  # what the target or memtop may be late by
ATTEMPTS = 3


class Leaker:
    """A holder, told to take so many a second and to keep them, at an even pace."""

    def __init__(self, program="kernel_holder", what="pipes", rate=RATE):
        self.program, self.what, self.rate = program, what, rate

    def __enter__(self):
        self.context = running(built(f"tests/targets/{self.program}"), stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
        self.process = self.context.__enter__()
        self.pid = self.process.pid
        self.stop = threading.Event()
        self.late_s = 0.0
        self.thread = threading.Thread(target=self.leak)
        self.thread.start()
        return self

    def leak(self):
        start, opened, before = time.monotonic(), 0, time.monotonic()
        while not self.stop.wait(0.05):
            now = time.monotonic()
            self.late_s = max(self.late_s, now - before - 0.05)
            before = now
            due = int((now - start) * self.rate) - opened
            if due > 0:
                self.process.stdin.write(f"{self.what} {due}\n")
                self.process.stdin.flush()
                self.process.stdout.readline()
                opened += due

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.context.__exit__(None, None, None)


def leaks(tick):
    return [site for site in tick["sites"]
            if site["side"] == "kernel" and site["verdict"] == "leaking"]


def find_leak():
    """The first tick with a leak on the kernel side, and by how much someone was late for it."""
    before, late_s = None, 0.0
    with Leaker() as target, Batch("--side", "kernel", "--top", "0", "-p", str(target.pid),
                                   delay=DELAY_S) as batch:
        while True:
            tick = batch.tick(seconds=120)
            if before is not None:
                late_s = max(late_s, tick["elapsed_s"] - before - DELAY_S)
            before = tick["elapsed_s"]
            if leaks(tick):
                return tick, max(late_s, target.late_s)
            check(tick["elapsed_s"] < 120, "no leak is seen")


def pipes_are_called_a_leak_within_ten_seconds():
    """By memtop's own clock. Where the machine stands still meanwhile, growth is not even and may
    take longer to be called a leak: once more, and in the end any time will do."""
    for _ in range(ATTEMPTS):
        tick, late_s = find_leak()
        if tick["elapsed_s"] <= DUE_S:
            break
        check(late_s > STALL_S, f"called a leak after {tick['elapsed_s']:.1f} s")
    check_equal(tick["rss"]["verdict"], "leaking", "the whole")
    check(not [site for site in tick["sites"] if site["side"] != "kernel"], "only the kernel's")
    for site in leaks(tick):
        names = [frame["symbol"] for frame in site["frames"]]
        check("do_pipe2" in names or "create_pipe_files" in names, f"the kernel's part: {names}")
        check("pipe" in names, f"the C library's call: {names}")
        check(names.index("pipe") > 0, f"below the kernel's: {names}")
        check({"keep", "main"} <= set(names), f"who called it: {names}")
        check(not site["truncated"], f"to the outermost frame: {names}")
        check_equal(site["kept_ratio"], 1.0, f"kept: {names}")


def kinds_add_up():
    """The four kinds are the side, in each tick, and say what is held and given back."""
    with running(built("tests/targets/kernel_holder"), stdin=subprocess.PIPE,
                 stdout=subprocess.PIPE, text=True) as target, \
            Batch("--side", "kernel", "--top", "0", "-p", str(target.pid), delay=DELAY_S) as batch:
        def do(line):
            target.stdin.write(line + "\n")
            target.stdin.flush()
            check("null" in target.stdout.readline(), line)

        def kinds_of(tick):
            side, kinds = tick["kernel"], tick["kernel"]["kinds"]
            check_equal({kind["reason"] for kind in kinds.values()}, {None}, "all are watched")
            for name in side.keys() - {"kinds"}:
                check_equal(sum(kind[name] for kind in kinds.values()), side[name], name)
            return {name: kind["live_bytes"] for name, kind in kinds.items()}

        def wait_until(condition):
            while not condition(kinds := kinds_of(batch.tick(seconds=120))):
                check(time.monotonic() < deadline, f"by kind: {kinds}")

        deadline = time.monotonic() + 120
        kinds_of(batch.tick(seconds=120))
        do("filled 100")
        do("arrays 2")
        do("percpus 10")
        wait_until(lambda kinds: kinds["page"] >= 500 * 4096 and kinds["vmalloc"] >= 2 << 20
                   and kinds["percpu"] >= 1000 * 8)
        named = [(site["kind"], site["object"]) for site in batch.tick(seconds=120)["sites"]]
        check({("page", "page order 0 GFP_HIGHUSER"), ("vmalloc", "vmalloc"),
               ("percpu", "percpu")} <= set(named), f"sites say what they are: {named}")
        for kind in ("filled", "arrays", "percpus"):
            do(f"close {kind}")
        wait_until(lambda kinds: kinds["page"] < 100 * 4096 and kinds["vmalloc"] < 1 << 20
                   and kinds["percpu"] < 500 * 8)


def page_tables_of_a_leak_are_no_leak_of_the_kernel():
    """They grow with what the user's code keeps, which is what leaks."""
    tables, tick = 0, {"elapsed_s": 0}
    with Leaker("pages_holder", "touch_pages", 5000) as target, \
            Batch("--level", "pages", "--side", "all", "--top", "0", "-p", str(target.pid),
                  delay=DELAY_S) as batch:
        while tick["elapsed_s"] < 2 * DUE_S or tables < 50 * 4096:
            tick = batch.tick(seconds=120)
            check(tick["elapsed_s"] < 120, f"page tables: {tables}")
            check(not leaks(tick), f"the kernel's: {[site['frames'] for site in leaks(tick)]}")
            tables = sum(site["delta_bytes"] for site in tick["sites"]
                         if site["side"] == "kernel" and
                         {"__pte_alloc", "pte_alloc_one"} & {f["symbol"] for f in site["frames"]})


# Writes a file that grows by 4 MB/s; after a line of input it keeps 80 pipes a second too.
SERVICE = r"""
import os, resource, select, sys, tempfile, time
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
log = tempfile.TemporaryFile(dir=sys.argv[1])
start, written, leaks_from, kept = time.monotonic(), 0, None, 0
while True:
    now = time.monotonic()
    while written < 4e6 * (now - start):
        written += os.write(log.fileno(), bytes(65536))
    if leaks_from is None and select.select([0], [], [], 0)[0]:
        leaks_from = now
    while leaks_from is not None and kept < 80 * (now - leaks_from):
        os.pipe()
        kept += 1
    time.sleep(0.05)
"""


def flag_of(cache):
    """What the kernel says: does it give up what is in the cache when memory is short?"""
    try:
        with open(f"/sys/kernel/slab/{cache}/reclaim_account", encoding="ascii") as file:
            return file.read().strip() == "1"
    except OSError:
        return None


def growth_of(tick, condition):
    return sum(site["delta_bytes"] for site in tick["sites"] if condition(site))


def symbols(site):
    return [frame["symbol"] for frame in site["frames"]]


def pending(site):
    """Names of new sites may be still on their way."""
    return any(frame["reason"] == "not read yet" for frame in site["frames"])


def check_caches(tick):
    """No cache of the system's is called anything, and it is known which they are."""
    for site in tick["sites"]:
        if pending(site):
            continue
        pinned = {"create_pipe_files", "d_alloc_pseudo"} & set(symbols(site))
        if site["reclaimable"]:
            check_equal(site["verdict"], "steady", f"{site['object']}: {symbols(site)}")
            check(not pinned, f"pipes are open: {symbols(site)}")
        flag = flag_of(site["object"]) if site["kind"] == "slab" else None
        if flag is not None and not pinned and site["object"] != "lsm_inode_cache":
            check_equal(site["reclaimable"], flag, f"{site['object']}: {symbols(site)}")


def caches_of_the_system_are_no_leak():
    """A file is written for longer than it takes to call a leak one; then there is a leak too."""
    tick, cached = {"elapsed_s": 0}, 0
    with running(sys.executable, "-c", SERVICE, "/var/tmp", stdin=subprocess.PIPE) as target, \
            Batch("--side", "kernel", "--top", "0", "-p", str(target.pid), delay=DELAY_S) as batch:
        while tick["elapsed_s"] < 2 * DUE_S or cached < 1 << 20:
            tick = batch.tick(seconds=120)
            check(tick["elapsed_s"] < 120, f"cached for the file: {cached}")
            check(not leaks(tick), f"{[(site['object'], symbols(site)) for site in leaks(tick)]}")
            check(tick["rss"]["verdict"] not in ("leaking", "growing"), "the whole")
            check_caches(tick)
            cached = growth_of(tick, lambda site: site["reclaimable"])
        check(tick["kernel"]["live_bytes"] >= cached, "in the totals of the side")
        target.stdin.write(b"\n")
        target.stdin.flush()
        started = tick["elapsed_s"]
        while (not leaks(tick) or tick["rss"]["verdict"] != "leaking"
               or any(map(pending, leaks(tick)))):
            tick = batch.tick(seconds=120)
            check(tick["elapsed_s"] < started + 120, "the leak is not seen")
            check_caches(tick)
        for site in leaks(tick):
            check("do_pipe2" in symbols(site) or "create_pipe_files" in symbols(site),
                  f"by the pipes: {symbols(site)}")


run([pipes_are_called_a_leak_within_ten_seconds, kinds_add_up,
     page_tables_of_a_leak_are_no_leak_of_the_kernel, caches_of_the_system_are_no_leak])
