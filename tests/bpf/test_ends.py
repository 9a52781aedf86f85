# SPDX-License-Identifier: GPL-2.0-only
"""The whole program on targets that end in every way, and on targets in namespaces and roots of
their own: the last table is the ledger's, and tells how it ended."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile

from batch import Batch, by_address
from books import NONE, TOTALS, Target, add, compared_sums
from tap import check, check_equal, run, wait_for
from target import built
from test_life import memory_cgroup, removed

HEAP = ("--level", "heap", "--side", "user", "--top", "0")


def compare(tick, ledger):
    seen, sums = by_address(tick), dict(NONE)
    for site in ledger["sites"]:
        add(sums, seen.get(int(site["return_address"], 16), NONE))
    compared_sums(ledger, sums)
    for site in ledger["sites"]:
        have = seen.get(int(site["return_address"], 16), NONE)
        check_equal([have[name] for name in TOTALS],
                    [site["since_ready"][name] for name in TOTALS], site["site"])
    check_equal(tick["losses"]["total"], 0, f"losses: {tick['losses']}")


def ends(how, state, code, number, act=lambda pid: None, folder=None):
    """Ends the target; gives the last tick."""
    def enter():
        if folder:
            with open(folder, "w", encoding="ascii") as file:
                file.write("0")

    with Target("ends", environment={"BOOKS_END": how}, preexec_fn=enter) as target:
        with Batch("-p", str(target.pid), *HEAP, delay=3600) as memtop:
            memtop.tick()
            ledger = target.until("held")
            target.say()
            act(target.pid)
            last = memtop.tick_where(lambda tick: tick["final"], f"{how}: the end")
            compare(last, ledger)
            end = last["target"]
            check_equal((end["state"], end["exit_code"], end["signal"]), (state, code, number),
                        f"{how}: how it ended")
            check_equal(memtop.process.wait(120), 0, f"{how}: memtop's exit status")


def exits():
    ends("exit", "exited", 7, None)
    ends("_exit", "exited", 8, None)


def faults():
    for how in ("fault", "thread"):
        ends(how, "killed", None, signal.SIGSEGV)


def aborts():
    ends("abort", "killed", None, signal.SIGABRT)


def is_killed():
    ends("", "killed", None, signal.SIGKILL, lambda pid: os.kill(pid, signal.SIGKILL))
    ends("", "killed", None, signal.SIGTERM, lambda pid: os.kill(pid, signal.SIGTERM))


def is_killed_for_want_of_memory():
    mount, limit, members = memory_cgroup()
    folder = os.path.join(mount, f"memtop-ends-{os.getpid()}")
    os.mkdir(folder)
    try:
        with open(os.path.join(folder, limit), "w", encoding="ascii") as file:
            file.write(str(48 << 20))
        ends("memory", "oom-killed", None, signal.SIGKILL, folder=os.path.join(folder, members))
    finally:
        wait_for(lambda: removed(folder), "the cgroup is empty")


# --- 21: namespaces, and a C library of its own

def libraries(program):
    """Paths of the libraries and of the loader."""
    listing = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    return re.findall(r"(?:=> |^\s+)(/\S+)", listing, re.MULTILINE)


@contextlib.contextmanager
def own_root():
    """A root with the target and copies of all that it maps; gives the folder."""
    program = built("tests/targets/books")
    with tempfile.TemporaryDirectory(prefix="memtop-root-") as root:
        for path in libraries(program):
            os.makedirs(root + os.path.dirname(path), exist_ok=True)
            shutil.copy(path, root + path)
        shutil.copy(program, os.path.join(root, "books"))
        yield root


def compare_inside(command):
    """The case `cross` in there; the books are compared at both of its stops."""
    with Target("cross", inside=command) as target:
        with open(f"/proc/{target.pid}/status", encoding="ascii") as file:
            numbers = next(line for line in file if line.startswith("NSpid:")).split()[1:]
        check_equal(numbers, [str(target.pid), "1"], "a PID namespace of its own")
        with Batch("-p", str(target.pid), *HEAP) as memtop:
            memtop.tick()
            for stop in ("done", "freed"):
                ledger = target.until(stop)
                tick = memtop.tick_after()
                compare(tick, ledger)
            # Names come from the files in there.
            check(any(frame["symbol"] == "cross_thread" for site in tick["sites"]
                      for frame in site["frames"]), "its functions are named")


def in_a_root_of_its_own():
    with own_root() as root:
        compare_inside(("unshare", "-p", "-f", "--kill-child", "chroot", root))


def in_a_mount_namespace_of_its_own():
    """Its root, and the C library in it, are on a mount that nobody else sees."""
    script = 'mount -t tmpfs none "$1" && cp -a "$0/." "$1" && shift && exec chroot "$PLACE" "$@"'
    with own_root() as root, tempfile.TemporaryDirectory(prefix="memtop-mount-") as place:
        compare_inside(("env", "PLACE=" + place, "unshare", "-m", "-p", "-f", "--kill-child", "sh",
                        "-c", script, root, place))
        check_equal(os.listdir(place), [], "what the mount shows out here")


run([exits, faults, aborts, is_killed, is_killed_for_want_of_memory, in_a_root_of_its_own,
     in_a_mount_namespace_of_its_own])
