# SPDX-License-Identifier: GPL-2.0-only
"""Whatever happens to memtop, the target goes on as it was."""

import json
import os
import signal
import subprocess
import time

from batch import Batch
from tap import check, check_equal, run, wait_for
from target import Perception, cpu_seconds, differing_text, held_programs, loaded_programs


def nothing_is_left(service, programs=frozenset()):
    wait_for(lambda: differing_text(service.pid) == 0, "the target's code is as it was")
    wait_for(lambda: not programs & loaded_programs(), "no program is left")
    before = cpu_seconds(service.pid)
    wait_for(lambda: cpu_seconds(service.pid) > before, "the target works")
    check(service.process.poll() is None, "the target lives")


def ends(how):
    with Perception() as service:
        with Batch("-p", str(service.pid), "--level", "heap") as memtop:
            memtop.tick_where(lambda tick: tick["user"]["allocated_blocks"] > 10000, "events")
            check(differing_text(service.pid) > 0, "probes stand while memtop runs")
            programs = held_programs(memtop.process.pid)
            check(len(programs) >= 2, "memtop holds its programs")
            how(memtop.process)
            memtop.process.wait(120)
        nothing_is_left(service, programs)


def kill_9():
    ends(lambda process: process.send_signal(signal.SIGKILL))


def terminated():
    ends(lambda process: process.send_signal(signal.SIGTERM))


def interrupted():
    ends(lambda process: process.send_signal(signal.SIGINT))


def kill_9_while_attaching():
    """At moments all over the attach."""
    with Perception() as service:
        for step in range(12):
            memtop = subprocess.Popen([os.environ.get("MEMTOP", "./memtop"), "-b", "-p",
                                       str(service.pid), "--level", "heap"],
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(step * 0.04)  # not a wait: the moment of death is what varies
            memtop.kill()
            memtop.wait()
        nothing_is_left(service)


def target_killed_while_watched():
    with Perception() as service:
        with Batch("-p", str(service.pid), "--level", "heap") as memtop:
            memtop.tick_where(lambda tick: tick["user"]["allocated_blocks"] > 10000, "events")
            service.process.kill()
            last = memtop.tick_where(lambda tick: tick.get("final"), "a last tick")
            check_equal(last["target"]["state"], "killed", "state")
            check_equal(last["target"]["signal"], signal.SIGKILL, "signal")
            check(last["sites"], "the last table stays")
            check_equal(memtop.process.wait(120), 0, "exit status")


run([kill_9, terminated, interrupted, kill_9_while_attaching, target_killed_while_watched])
