#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""
What names cost on a target with over 200 MB of DWARF, and whether the display waits for them:
bench_names.py PROGRAM SMALL. Prints numbers; it is no test.

The screen runs on a terminal of this program's own, which notes when something was painted. The
memory is memtop's anonymous part: files are mapped, and their pages are the kernel's to take back.
"""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

MEMTOP = os.environ.get("MEMTOP", "./memtop")
DELAY = 0.2
ROUNDS = 5
QUIET = 5
IDLE = 24  # names are given back after 16 s without questions


def anonymous_mb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return int(re.search(r"RssAnon:\s+(\d+)", file.read()).group(1)) / 1024


class Screen:
    """memtop on a pseudo terminal; `paints` are the times of its output."""

    def __init__(self, *options):
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.environ["TERM"] = "xterm-256color"
            os.execv(MEMTOP, [MEMTOP, *options])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.begin = time.monotonic()
        self.paints, self.text, self.highest = [], "", 0.0

    def run(self, seconds, until=None):
        """Reads until `until` is seen in the output; when, since the start, or None."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0.02)[0]:
                self.text += os.read(self.fd, 65536).decode("utf-8", "replace")
                self.paints.append(time.monotonic() - self.begin)
                if until and re.search(until, self.text):
                    return self.paints[-1]
            self.highest = max(self.highest, anonymous_mb(self.pid))
        return None

    def key(self, text):
        self.text = ""
        os.write(self.fd, text.encode())

    def close(self):
        self.key("q")
        for _ in range(100):
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                return
            time.sleep(0.05)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def gaps(paints, since):
    times = [paint for paint in paints if paint >= since]
    return sorted(after - before for before, after in zip(times, times[1:]))


def forget(path):
    """Lets the kernel read the file from the disk again."""
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def attach(pid):
    """Seconds until the first screen that shows sites."""
    screen = Screen("-p", str(pid), "-d", str(DELAY), "--level", "heap")
    seconds = screen.run(30, r"big_dwarf\+0x|unit_work|Work")
    screen.run(1)
    return screen, seconds


def look(screen, full):
    """Unfolds a site while names are being looked for, then leaves the target to itself."""
    screen.key("j\r")
    began = time.monotonic() - screen.begin
    line = screen.run(120, r"unit\.cc:\d+")
    screen.run(QUIET)
    late = gaps(screen.paints, full)
    return (f"a source line {(line or float('nan')) - began:.2f} s after a site was unfolded; "
            f"between paints (a tick is {DELAY} s) median {late[len(late) // 2]:.2f} s, longest "
            f"{late[-1]:.2f} s; own memory at most {screen.highest:.0f} MB")


def main():
    """PROGRAM with much debug information, and SMALL, the same with hardly any."""
    big, small = sys.argv[1:3]
    with contextlib.ExitStack() as stack:
        targets = {}
        for path in (big, small):
            forget(path)
            target = stack.enter_context(subprocess.Popen([path], stdout=subprocess.PIPE))
            stack.callback(target.kill)
            target.stdout.readline()
            targets[path] = target.pid
        seconds = {big: [], small: []}
        for number in range(ROUNDS):
            for path in (small, big):
                screen, full = attach(targets[path])
                seconds[path].append(full)
                if path == big and number in (0, ROUNDS - 1):
                    print(("cold" if not number else "warm") + ": " + look(screen, full),
                          flush=True)
                if path == big and number == ROUNDS - 1:
                    os.kill(targets[big], signal.SIGSTOP)  # no new sites, no questions
                    screen.run(IDLE)
                    print(f"own memory after {IDLE} s without questions "
                          f"{anonymous_mb(screen.pid):.0f} MB", flush=True)
                    os.kill(targets[big], signal.SIGCONT)
                screen.close()
        print("first screen with sites: " + ", ".join(
            f"{name} {min(seconds[path]):.2f} to {max(seconds[path]):.2f} s"
            for name, path in (("big", big), ("small", small))))


main()
