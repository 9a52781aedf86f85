# SPDX-License-Identifier: GPL-2.0-only
"""Processes that tests start and always end."""

import contextlib
import json
import os
import signal
import subprocess
import tempfile

from tap import Failure, wait_for

MEMTOP = os.environ.get("MEMTOP", "./memtop")
BUILD = os.environ.get("top_builddir", ".")


def built(path):
    return os.path.join(BUILD, path)


@contextlib.contextmanager
def running(*command, **options):
    """A process that is killed when the block ends."""
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                with contextlib.suppress(OSError):
                    stream.close()


class Perception:
    """The leaking service. With wait=True it stands still until go()."""

    def __init__(self, *options, build="perception_service", wait=False):
        self.folder = tempfile.TemporaryDirectory(prefix="memtop-test-")
        self.ledger_file = os.path.join(self.folder.name, "ledger.json")
        self.command = [built(f"tests/targets/{build}"), "--ledger", self.ledger_file, *options]
        self.wait = wait
        if wait:
            self.command.append("--wait")

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.PIPE if self.wait else subprocess.DEVNULL, text=True)
        self.pid = self.process.pid
        if self.wait:
            line = self.process.stdout.readline()
            if line.strip() != f"ready {self.pid}":
                raise Failure(f"the service said {line!r}")
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()
        self.folder.cleanup()

    def go(self):
        os.kill(self.pid, signal.SIGUSR1)

    def quiesce(self):
        """Stops all threads between two frames and returns the ledger as of then."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.ledger_file)
        os.kill(self.pid, signal.SIGUSR2)
        wait_for(lambda: os.path.exists(self.ledger_file), "the service writes its ledger")
        with open(self.ledger_file, encoding="utf-8") as file:
            return json.load(file)


def cpu_seconds(pid):
    """CPU time that a process has used."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# What sigsuspend() is to the kernel.
SIGSUSPEND = {"x86_64": "130 ", "aarch64": "133 "}[os.uname().machine]


def waits_for_signal(pid):
    """Is it in sigsuspend()?"""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/syscall", encoding="ascii") as file:
        return file.read().startswith(SIGSUSPEND)
    return False


def state_of(pid):
    """The letter of its state; None where it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return None


def naps(pid):
    """How often it has gone to sleep by itself."""
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        return next(int(line.split()[1]) for line in file
                    if line.startswith("voluntary_ctxt_switches"))


def differing_text(pid):
    """Bytes of the target's libc code that differ from the file: breakpoints."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        row = next(line.split() for line in maps if "libc.so" in line and "r-xp" in line)
    start, end = (int(part, 16) for part in row[0].split("-"))
    with open(f"/proc/{pid}/mem", "rb") as memory:
        memory.seek(start)
        mapped = memory.read(end - start)
    with open(row[5], "rb") as file:
        file.seek(int(row[2], 16))
        original = file.read(end - start)
    return sum(a != b for a, b in zip(mapped, original))


class LibcText:
    """The code of a process's libc, to see in a millisecond whether a breakpoint is in it."""

    def __init__(self, pid):
        with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
            row = next(line.split() for line in maps if "libc.so" in line and "r-xp" in line)
        self.start, end = (int(part, 16) for part in row[0].split("-"))
        self.size, self.pid = end - self.start, pid
        with open(row[5], "rb") as file:
            self.original = os.pread(file.fileno(), self.size, int(row[2], 16))

    def is_clean(self):
        with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as memory:
            return os.pread(memory.fileno(), self.size, self.start) == self.original


def held_programs(pid):
    """Ids of the BPF programs that a process holds, itself or by links."""
    ids = set()
    for name in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            with open(f"/proc/{pid}/fdinfo/{name}", encoding="ascii") as file:
                ids |= {int(line.split()[1]) for line in file if line.startswith("prog_id:")}
        except OSError:
            pass  # closed meanwhile
    return ids


def loaded_programs():
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    listing = subprocess.run(["bpftool", "-j", "prog", "show"], check=True, capture_output=True,
                             text=True, env=dict(os.environ, PATH=path))
    return {program["id"] for program in json.loads(listing.stdout or "[]")}
