# SPDX-License-Identifier: GPL-2.0-only
"""A thousand times memtop comes and goes (SOAK_ROUNDS), and is killed in each tenth, at any moment:
afterwards the target does what it did before, as fast as before, and nothing of memtop is left in
the machine."""

import contextlib
import json
import os
import random
import subprocess
import tempfile
import time

from books import Target
from tap import check, check_equal, run, wait_for
from target import MEMTOP, differing_text, running

ROUNDS = int(os.environ.get("SOAK_ROUNDS", "1000"))
SPEED_S = 2.0


def held(pid):
    """The BPF objects that a process holds, as (kind, id)."""
    found = set()
    for name in os.listdir(f"/proc/{pid}/fdinfo"):
        with contextlib.suppress(OSError):  # closed meanwhile
            with open(f"/proc/{pid}/fdinfo/{name}", encoding="ascii") as file:
                found |= {(line.split("_")[0], int(line.split()[1])) for line in file
                          if line.startswith(("prog_id:", "map_id:", "link_id:"))}
    return found


def loaded(kind):
    """Those of a kind that there are in the machine."""
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    listing = subprocess.run(["bpftool", "-j", kind, "show"], check=True, capture_output=True,
                             text=True, env=dict(os.environ, PATH=path)).stdout
    return {(kind, each["id"]) for each in json.loads(listing or "[]")}


def speed(target):
    """Blocks a second, between two stops of the target's."""
    start, before = time.monotonic(), target.ledger_now["totals"]["allocated_blocks"]
    time.sleep(SPEED_S)
    target.say()
    target.ledger_now = target.stopped_at("freed")
    after = target.ledger_now["totals"]["allocated_blocks"]
    result = (after - before) / (time.monotonic() - start)
    target.say()
    return result


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def state(pid):
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        return descriptors(pid), sum("uprobes" not in line for line in maps)


def come_and_go(pid, number, chance):
    """One attach with a tick or two, or one that is killed at any moment. Gives what it held."""
    found = set()
    killed = time.monotonic() + (chance.random() * 2 if number % 10 == 9 else 120)
    with tempfile.TemporaryFile("w+") as output, running(
            MEMTOP, "-b", "-d", "0.1", "-i", str(1 + number % 2), "--level", "heap", "--format",
            "json", "-p", str(pid), stdout=output, stderr=subprocess.STDOUT) as memtop:
        while memtop.poll() is None and time.monotonic() < killed:
            with contextlib.suppress(OSError):  # it has ended
                found |= held(memtop.pid)
            time.sleep(0.05)
        if number % 10 == 9:
            return found
        check_equal(memtop.poll(), 0, f"round {number}: memtop's exit status")
        output.seek(0)
        tick = json.loads(output.readlines()[-1])
    lost = {name: count for name, count in tick["losses"].items()
            if count and name not in ("total", "kernel_event_missed", "stack_truncated")}
    check_equal((tick["level"], lost), ("heap", {}), f"round {number}")
    return found


def comes_and_goes():
    chance = random.Random(7)
    found = set()
    with Target("churn") as target:
        target.say()
        target.ledger_now = {"totals": {"allocated_blocks": 0}}
        speed(target)
        first = max(speed(target) for _ in range(3))
        descriptors = len(os.listdir(f"/proc/{target.pid}/fd"))
        for number in range(ROUNDS):
            found |= come_and_go(target.pid, number, chance)
            if number % 50 == 49:
                print(f"# {number + 1} rounds", flush=True)
        check(len(found) > 2 * ROUNDS, "each had programs and maps of its own")
        wait_for(lambda: differing_text(target.pid) == 0, "the target's code is as it was")
        for kind in ("prog", "map", "link"):
            wait_for(lambda kind=kind: not loaded(kind) & found, f"no {kind} is left")
        check_equal(len(os.listdir(f"/proc/{target.pid}/fd")), descriptors,
                    "the target's descriptors")
        speed(target)  # up to here it counts what it did all the while
        last = max(speed(target) for _ in range(3))
        print(f"# {ROUNDS} rounds, {len(found)} BPF objects: {first:.0f} blocks/s before, "
              f"{last:.0f} after", flush=True)
        check(last > first * 0.7, f"{first:.0f} blocks a second before, {last:.0f} after")


run([comes_and_goes])
