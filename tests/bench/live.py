# SPDX-License-Identifier: GPL-2.0-only
"""Measurements of the whole program on live targets. Each function returns rows of the table."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from batch import Batch
from benchlib import (NotRun, Target, at_most, bare_traps, median, row, thread_cpu_ns)
from target import MEMTOP, LibcText, Perception

SITES = 10000


def wait_until(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise NotRun(f"not within {seconds:g} s: {what}")
        time.sleep(0.001)


@contextlib.contextmanager
def memtop_on(pid, *options, delay=1):
    """memtop in its batch form, from its first tick on."""
    with Batch("-p", str(pid), "--side", "user", *options, delay=delay) as memtop:
        memtop.first = memtop.tick()
        yield memtop


# --- real programs

JSON_LOOP = """
import json, sys, time
document = {"frames": [{"id": i, "name": "camera %d" % i, "boxes": [[i, j, i + j, i * j]
            for j in range(8)]} for i in range(60)]}
for line in sys.stdin:
    start = time.process_time()
    for _ in range(int(line)):
        json.loads(json.dumps(document, indent=1))
    print((time.process_time() - start) * 1e3, flush=True)
"""


class JsonLoop:
    """Python allocating by malloc; a round is 25 documents written and read."""

    name = "python3 JSON loop, PYTHONMALLOC=malloc"
    rounds = 5

    def __enter__(self):
        self.process = subprocess.Popen([sys.executable, "-c", JSON_LOOP], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True,
                                        env=dict(os.environ, PYTHONMALLOC="malloc"))
        self.pid = self.process.pid
        self.work()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def work(self):
        """Milliseconds of CPU time."""
        self.process.stdin.write("25\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


class Redis:
    """redis-server under redis-benchmark; a round is 60,000 requests."""

    name = "redis-server, SET and LPUSH"
    rounds = 5

    def __enter__(self):
        if not shutil.which("redis-server") or not shutil.which("redis-benchmark"):
            raise NotRun("redis-server and redis-benchmark are not installed")
        self.folder = tempfile.TemporaryDirectory(prefix="memtop-bench-")
        self.socket = os.path.join(self.folder.name, "socket")
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "",
             "--appendonly", "no", "--dir", self.folder.name],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.pid = self.process.pid
        try:
            wait_until(self.answers, 20, "redis-server answers")
            self.work()
        except BaseException:
            self.__exit__()
            raise
        return self

    def answers(self):
        with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(OSError):
            connection.connect(self.socket)
            return True
        return False

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    def work(self):
        before = thread_cpu_ns(self.pid)
        subprocess.run(["redis-benchmark", "-s", self.socket, "-t", "set,lpush", "-n", "30000",
                        "-P", "16", "-c", "20", "-d", "200", "-r", "20000", "-q"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return (thread_cpu_ns(self.pid) - before) / 1e6


def real_program(kind):
    identity = "real." + kind.__name__.lower()
    target = at_most(1.3, of="ratio")
    what = f"{kind.name}: time added"
    try:
        with kind() as program:
            times = {"nothing": [], "bare": [], "memtop": []}
            for _ in range(kind.rounds):
                times["nothing"].append(program.work())
                with bare_traps(program.pid):
                    times["bare"].append(program.work())
                with memtop_on(program.pid, "--level", "heap"):
                    times["memtop"].append(program.work())
    except NotRun as why:
        return row(identity, what, unit="ms", target=target, note=f"not run: {why}")
    nothing = median(times["nothing"])
    bare, memtop = (median(times[name]) - nothing for name in ("bare", "memtop"))
    # Each round against its neighbours: what else the machine does changes slowly.
    ratio = median([(m - n) / (b - n) for n, b, m in zip(*times.values()) if b > n] or [0]) or None
    return row(identity, what, memtop, "ms", bare, ratio, target=target,
               note=f"of {nothing:.0f} ms of CPU time without")


def real_programs():
    return [real_program(JsonLoop), real_program(Redis)]


# --- memtop itself

def anonymous_bytes(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return int(re.search(r"^Anonymous:\s+(\d+)", file.read(), re.M).group(1)) * 1024


def itself(seconds=8):
    """With plain text for output: JSON of all frames takes more, and a reader who wants it."""
    with Target() as target:
        target.ask("hot 6 0 400")
        with subprocess.Popen([MEMTOP, "-b", "--level", "heap", "--side", "user", "-p",
                               str(target.pid)], stdout=subprocess.PIPE, text=True) as memtop:
            try:
                line = memtop.stdout.readline()
                if not line:
                    raise NotRun(f"memtop ended with {memtop.wait()}")
                target.ask(f"keep {SITES} 0 1")
                threading.Thread(target=memtop.stdout.read, daemon=True).start()
                time.sleep(3)  # names come meanwhile
                before, started = thread_cpu_ns(memtop.pid), time.monotonic()
                time.sleep(seconds)
                cpu = thread_cpu_ns(memtop.pid) - before
                percent = cpu / 1e9 / (time.monotonic() - started) * 100
                own = anonymous_bytes(memtop.pid) / 2**20
            finally:
                memtop.kill()
    return [row("self.cpu", f"memtop itself at 1 Hz, {SITES:,} sites: CPU", percent,
                "% of a core", target=at_most(1)),
            row("self.memory", "the same: memory beside tables and debug information", own, "MiB",
                target=at_most(64))]


# --- coming and going

def attach_service(rounds=3):
    times = []
    with Perception() as service:
        for _ in range(rounds):
            started = time.monotonic()
            with memtop_on(service.pid, "--level", "heap"):
                times.append(time.monotonic() - started)
    return [row("attach.service", "attach to first tick: perception_service", median(times), "s",
                target=at_most(0.5))]


def attach_large():
    script = os.path.join(os.environ["top_srcdir"], "tests/bpf/test_attach.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False,
                          timeout=120, env=dict(os.environ, ATTACH_MAPPINGS="300",
                                                ATTACH_MEGABYTES="200", ATTACH_SECONDS="60"))
    found = re.search(r"# (\d+) mappings, (\d+) MB of text\n(?:#.*\n)*?"
                      r"# first tick after ([\d.]+) s", done.stdout)
    what = "attach to first tick: 300 mappings, 200 MB of text"
    if not found:
        why = [line for line in done.stdout.splitlines() if "Failure" in line]
        return [row("attach.large", what, unit="s", target=at_most(1),
                    note="not run: " + (why or ["no answer"])[-1].lstrip("# "))]
    return [row("attach.large", what, float(found.group(3)), "s", target=at_most(1),
                note=f"{found.group(1)} mappings, {found.group(2)} MB")]


def detach(rounds=5):
    times = []
    with Perception("--fixed") as service:
        for _ in range(rounds):
            with memtop_on(service.pid, "--level", "heap") as memtop:
                text = LibcText(service.pid)
                started = time.monotonic()
                memtop.process.send_signal(signal.SIGTERM)
                wait_until(text.is_clean, 20, "probes are gone")
                times.append(time.monotonic() - started)
    return [row("detach", "detach: the target is as it was after", median(times), "s",
                target=at_most(0.3), note=f"worst of {rounds}: {max(times):.3f} s")]


def storm_once(quiet):
    """Seconds from 1,000 to 1,000,000 allocations a second until the target is let go."""
    with Target("forever") as target:
        target.ask("1000")
        with memtop_on(target.pid, "--level", "auto", "--budget", "10", delay=10) as memtop:
            if memtop.first["level"] != "heap":
                raise NotRun(f"auto did not enter heap: {memtop.first['level_reason']}")
            text = LibcText(target.pid)
            if text.is_clean():
                raise NotRun("no breakpoint is in libc")
            time.sleep(quiet)  # at any moment between two looks of the watch
            target.ask("1000000")
            started = time.monotonic()
            wait_until(text.is_clean, 20, "it is let go")
            return time.monotonic() - started


def storm(rounds=8):
    what = "1,000 to 1,000,000 allocations a second: let go after"
    try:
        times = [storm_once(0.5 + 0.1 * i / rounds) for i in range(rounds)]
    except NotRun as why:
        return [row("storm", what, unit="ms", target=at_most(300), note=f"not run: {why}")]
    return [row("storm", what, max(times) * 1e3, "ms", target=at_most(300),
                note=f"worst of {rounds}; median {median(times) * 1e3:.0f} ms; tick 10 s")]


# --- the figure on the screen

def measure_programs(target, memtop, request, seconds=10):
    """What the programs take is a guess until memtop has measured them, a second after the start."""
    guess = memtop.first["overhead"]["ns_per_event"]
    deadline = time.monotonic() + seconds
    while memtop.tick()["overhead"]["ns_per_event"] == guess:
        if time.monotonic() > deadline:
            raise NotRun("the programs were not measured")
        target.ask(request)


def overhead_once(target, shape, spins, pairs):
    """Nanoseconds of a pair and its work without memtop and with it, and the figure on the
    screen."""
    request = f"{shape} {spins} 0 {pairs}"
    without = target.ask(request)
    with memtop_on(target.pid, "--level", "heap", delay=0.2) as memtop:
        measure_programs(target, memtop, f"{shape} {spins} 0 {pairs // 8}")
        started = time.time_ns()
        watched = target.ask(request)
        ended = time.time_ns()
        said = []
        while True:
            tick = memtop.tick()
            if tick["time_unix_ns"] > ended:
                break
            # The figure is of the time since the tick before.
            if tick["time_unix_ns"] - 250e6 > started:
                said.append(tick["overhead"]["target_percent"])
    if not said:
        raise NotRun("no tick while the target worked")
    return without, watched, median(said)


OVERHEADS = ((4000, 240000), (25000, 80000), (120000, 22000))  # spins, pairs: 1 s each


# Each new of jemalloc has a return instruction that the kernel single-steps.
OVERHEADS_NEW = ((25000, 60000), (300000, 9000))
JEMALLOC = f"/usr/lib/{os.uname().machine}-linux-gnu/libjemalloc.so.2"


def overhead_figures(shape="mixed", loads=OVERHEADS, preload=None, rounds=4):
    """(spins, truth, said) for each load, in percent of the target's CPU time. The truth is by the
    least disturbed rounds: other load makes the target slower, never faster."""
    result = []
    with Target(prefix=("env", f"LD_PRELOAD={preload}") if preload else ()) as target:
        for spins, pairs in loads:
            seen = [overhead_once(target, shape, spins, pairs) for _ in range(rounds)]
            without, watched = (min(one[i] for one in seen) for i in (0, 1))
            result.append((spins, 100 * (watched - without) / watched,
                           median([one[2] for one in seen])))
    return result


def overhead():
    rows = []
    for spins, truth, said in overhead_figures():
        rows.append(row(f"overhead.{spins}",
                        f"overhead figure against the truth of {truth:.1f}%: off by",
                        100 * abs(said - truth) / truth, "%", target=at_most(20),
                        note=f"shown {said:.2f}%, true {truth:.2f}%"))
    return rows


# --- pages

def cpu_of_frames(service, clock, seconds):
    """What a frame takes of the service's CPU time, for a moment of its life."""
    def sample():
        frames = service.quiesce()["frames"]
        return frames["good"] + frames["bad"], time.clock_gettime(clock)

    frames, used = sample()
    service.go()
    time.sleep(seconds)
    more_frames, more_used = sample()
    return (more_used - used) / (more_frames - frames)


WARM_SECONDS = 2
PAGES_SECONDS = 0.25  # the machine itself changes from second to second


def pages(rounds=50):
    what = "pages level on perception_service: of its CPU"
    done = subprocess.run([MEMTOP, "-b", "-i", "1", "-p", str(os.getpid()), "--level", "pages"],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        return [row("pages", what, unit="%", target=at_most(1),
                    note=f"not run: {done.stderr.strip().removeprefix('memtop: ')}")]
    ratios = []
    with Perception("--fps", "0", "--fixed", wait=True) as service:
        clock = ~service.pid << 3 | 2  # the process's CPU time, as clock_getcpuclockid() gives it
        cpu_of_frames(service, clock, WARM_SECONDS)
        for _ in range(rounds):
            without = cpu_of_frames(service, clock, PAGES_SECONDS)
            with memtop_on(service.pid, "--level", "pages"):
                ratios.append(cpu_of_frames(service, clock, PAGES_SECONDS) / without)
    return [row("pages", what, 100 * (median(ratios) - 1), "%", target=at_most(1),
                note=f"median of {rounds} turns on one service that has run for a while")]
