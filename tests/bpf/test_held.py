# SPDX-License-Identifier: GPL-2.0-only
"""What is held beside memory: descriptors by kind against the target's own ledger, the verdict on
those that are never closed, and what cannot be asked of a target elsewhere."""

import contextlib
import json
import subprocess
import threading
import time

from batch import Batch
from tap import check, check_equal, run
from target import MEMTOP, built, running
from terminal import Terminal

KINDS = ("files", "devices", "pipes", "sockets", "eventfds", "epolls", "memfds", "dmabufs",
         "other_fds")
LEAKS_A_SECOND = 60
LEAKED_MOST = 14000


class Holder:
    """A kernel_holder, and what it says that it keeps."""

    def __init__(self, process):
        self.process, self.pid = process, process.pid
        self.do("ledger")

    def do(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        check_equal(answer["error"], None, line)
        return answer


@contextlib.contextmanager
def holder(*prefix):
    with running(*prefix, built("tests/targets/kernel_holder"), stdin=subprocess.PIPE,
                 stdout=subprocess.PIPE, text=True) as process:
        yield Holder(process)


@contextlib.contextmanager
def kept_up(step):
    """Calls step(seconds since the start) again and again, until the block ends."""
    stop, failed, start = threading.Event(), [], time.monotonic()

    def work():
        try:
            while not stop.wait(0.05):
                step(time.monotonic() - start)
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    check(not failed, f"the target failed: {failed}")


def rows(tick):
    return {row["exporter"] or row["name"]: row for row in tick["holdings"]}


def values(tick):
    return {name: row["value"] for name, row in rows(tick).items()}


def watch(target, *options, **how):
    return Batch("-p", str(target.pid), "--level", "rss", "--side", "all", *options, **how)


def looked(tick):
    return rows(tick)["fds"]["value"] is not None


def numbers_are_those_of_the_ledger():
    with holder() as target, watch(target) as batch:
        before = values(batch.tick_where(looked, "a first look", 60))
        ledger = target.do("pipes 30")
        for line in ("sockets 20", "streams 10", "memfds 15", "epolls 5"):
            ledger = target.do(line)
        wanted = {"pipes": 2 * ledger["pipes"], "memfds": ledger["memfds"],
                  "sockets": 2 * ledger["sockets"] + ledger["streams"],
                  "epolls": ledger["epolls"], "eventfds": ledger["epolls"]}

        def grown(tick):
            return all(values(tick)[name] - before[name] == wanted.get(name, 0) for name in KINDS)

        tick = batch.tick_where(grown, f"grown by {wanted}", 60)
        seen = rows(tick)
        check_equal(seen["fds"]["value"], sum(seen[name]["value"] for name in KINDS), "the sum")
        for name, count in wanted.items():
            check_equal((seen[name]["came"], seen[name]["gone"]), (count, 0), f"{name} came, gone")
        with open(f"/proc/{target.pid}/limits", encoding="ascii") as file:
            limit = next(line.split()[3] for line in file if line.startswith("Max open files"))
        check_equal(seen["fds"]["limit"], int(limit), "how many may be open")
        with open(f"/proc/{target.pid}/status", encoding="utf-8") as file:
            tables = next(int(line.split()[1]) for line in file if line.startswith("VmPTE"))
        check_equal(seen["page_tables"]["value"], tables * 1024, "page tables")
        check(seen["kernel_stacks"]["value"] >= 4096, "a stack in the kernel")
        for kind in ledger:
            if kind != "error":
                target.do(f"close {kind}")
        tick = batch.tick_where(lambda tick: all(values(tick)[name] == before[name]
                                                 for name in KINDS), "as before", 60)
        for name, count in wanted.items():
            row = rows(tick)[name]
            check_equal((row["came"], row["gone"]), (count, count), f"{name} came, gone")


def pss_and_sockets_are_told():
    with holder() as target, watch(target) as batch:
        target.do("sockets 4")
        seen = rows(batch.tick_where(
            lambda tick: rows(tick)["pss"]["value"] and rows(tick)["sockets"]["value"]
            and (rows(tick)["socket_bytes"]["value"] is not None
                 or rows(tick)["socket_bytes"]["reason"]), "PSS, sockets and their memory", 60))
        with open(f"/proc/{target.pid}/smaps_rollup", encoding="utf-8") as file:
            pss = next(int(line.split()[1]) for line in file if line.startswith("Pss:")) * 1024
        # Other processes that share the C library come and go meanwhile.
        check(pss / 2 < seen["pss"]["value"] < pss * 2, f"PSS {seen['pss']}, by the kernel {pss}")


def another_network_is_not_asked():
    with holder("unshare", "--net") as target, watch(target) as batch:
        target.do("sockets 4")
        tick = batch.tick_where(lambda tick: rows(tick)["socket_bytes"]["reason"], "a reason", 60)
        row = rows(tick)["socket_bytes"]
        check("namespace" in row["reason"] and row["value"] is None, f"said so: {row}")


def what_is_never_closed_is_a_leak_and_what_is_closed_is_none():
    with holder() as leaking, holder() as healthy:
        leaked = [0]

        def step(elapsed):
            count = min(int(elapsed * LEAKS_A_SECOND), LEAKED_MOST) - leaked[0]
            if count > 0:
                leaking.do(f"memfds {count}")
                leaked[0] += count
            healthy.do("churn 50")
            healthy.do("pipes 20" if int(elapsed) % 3 else "close pipes")

        def none_leaks(tick):
            called = [row["name"] for row in tick["holdings"] if row["verdict"] == "leaking"]
            check(not called, f"a healthy target is called leaking: {called}")
            return False

        with kept_up(step), watch(leaking) as batch, watch(healthy) as other:
            tick = batch.tick_where(lambda tick: rows(tick)["memfds"]["verdict"] == "leaking",
                                    "memfds are called a leak", 180)
            seen = rows(tick)
            check(seen["memfds"]["rate_per_s"] > 0 and seen["memfds"]["came"] > 0,
                  f"they grow: {seen['memfds']}")
            check_equal(seen["memfds"]["gone"], 0, "memfds that were closed")
            check_equal(seen["pipes"]["verdict"], "steady", "pipes of the one that leaks memfds")
            for _ in range(other.ticks.qsize()):
                none_leaks(other.tick())


def leak_is_on_the_screen():
    with holder() as target:
        leaked = [0]

        def step(elapsed):
            count = min(int(elapsed * LEAKS_A_SECOND), LEAKED_MOST) - leaked[0]
            if count > 0:
                target.do(f"memfds {count}")
                leaked[0] += count

        command = [MEMTOP, "-p", str(target.pid), "--level", "rss", "--side", "all"]
        with kept_up(step), Terminal(command, 80, 24) as terminal:
            terminal.wait(lambda screen: "RSS" in screen, "the screen")
            terminal.key("b")
            terminal.wait(lambda screen: "HELD BESIDE MEMORY" in screen and "memfds" in screen,
                          "rows of what is held")
            screen = terminal.wait(lambda screen: "LEAKING  memfds" in screen.splitlines()[1],
                                   "the verdict names memfds", 180)
            check("never closed" in screen.splitlines()[1], f"and says why: {screen}")
            terminal.resize(60, 16)
            terminal.wait(lambda screen: "HELD BESIDE" in screen
                          and len(screen.rstrip().splitlines()) <= 16, "the rows at 60x16")
            terminal.key("Escape")
            terminal.wait(lambda screen: "HELD BESIDE" not in screen, "back to the sites")
            terminal.key("q")
            terminal.wait_text("exit=0")


run([numbers_are_those_of_the_ledger, pss_and_sockets_are_told, another_network_is_not_asked,
     what_is_never_closed_is_a_leak_and_what_is_closed_is_none, leak_is_on_the_screen])
