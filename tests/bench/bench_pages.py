# SPDX-License-Identifier: GPL-2.0-only
"""What level pages costs perception_service: the CPU time of the same frames, watched and not, in
turns; and what memtop says of it. BENCH_FRAMES and BENCH_ROUNDS say how much."""

import json
import os
import statistics
import subprocess

from target import MEMTOP, built

FRAMES = os.environ.get("BENCH_FRAMES", "300")
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "9"))


def service():
    process = subprocess.Popen([built("tests/targets/perception_service"), "--wait", "--frames",
                                FRAMES], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().startswith("ready")
    return process


def cpu_of(process):
    process.stdout.read()
    used = os.wait4(process.pid, 0)[2]
    process.returncode = 0
    return used.ru_utime + used.ru_stime


def plain():
    process = service()
    process.send_signal(10)
    return cpu_of(process)


def watched(level, said):
    process = service()
    with subprocess.Popen([MEMTOP, "-b", "--format", "json", "--level", level, "--side", "user",
                           "-p", str(process.pid)], stdout=subprocess.PIPE, text=True) as memtop:
        memtop.stdout.readline()
        process.send_signal(10)
        used = cpu_of(process)
        for line in memtop.stdout:
            percent = json.loads(line)["overhead"]["target_percent"]
            if percent is not None:
                said.append(percent)
    return used


def main():
    runs = {"not watched": [], "rss": [], "pages": []}
    said = {"rss": [], "pages": []}
    for _ in range(ROUNDS):
        runs["not watched"].append(plain())
        for level in ("rss", "pages"):
            runs[level].append(watched(level, said[level]))
    bare = statistics.median(runs["not watched"])
    print(f"perception_service, CPU time of {FRAMES} frames of each camera, {ROUNDS} rounds")
    for name, times in runs.items():
        middle = statistics.median(times)
        told = f", memtop says {statistics.median(said[name]):.2f}%" if said.get(name) else ""
        print(f"{name:12} {middle:8.3f} s  {100 * (middle / bare - 1):+6.2f}%{told}"
              f"  (from {min(times):.3f} to {max(times):.3f})")


main()
