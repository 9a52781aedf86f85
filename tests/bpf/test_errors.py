# SPDX-License-Identifier: GPL-2.0-only
"""Bad input and bad places: one clear line on standard error, the exit code, no harm."""

import array
import fcntl
import json
import os
import signal
import subprocess
import tempfile
import termios
import threading

from batch import Batch
from tap import check, check_equal, run, wait_for
from target import MEMTOP, running
from terminal import Terminal

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all",
          "--bounding-set=-all"]


def memtop(*words, prefix=(), **options):
    done = subprocess.run([*prefix, MEMTOP, *words], check=False, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120,
                          **options)
    return done.returncode, done.stdout, done.stderr


def fails(code, expected, *words, **options):
    seen, out, err = memtop(*words, **options)
    check_equal((seen, out), (code, ""), f"{words}: {err}")
    check(err.startswith("memtop: ") and err.count("\n") == 1, f"one line: {err!r}")
    check(expected in err, f"{words}: {err!r} does not say {expected!r}")


def no_process():
    for pid in ("0", "-5", "0x10", "", " 12", "1e3", "99999999999999999999"):
        fails(1, "not a process id", "-b", "-p", pid)
    for pid in ("999999999", "4194304"):
        fails(2, f"no process with PID {pid}", "-b", "-p", pid)


def no_target():
    zombie = subprocess.Popen(["true"])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    for level in ("auto", "heap", "rss"):
        fails(2, "already ended", "-b", "--level", level, "-p", str(zombie.pid))
    zombie.wait()
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        fails(2, f"is a thread of process {os.getpid()}: use -p {os.getpid()}", "-b", "-p",
              str(thread.native_id))
    finally:
        end.set()
        thread.join()


def a_kernel_thread():
    threads = [pid for pid in os.listdir("/proc") if pid.isdigit() and is_kernel_thread(pid)]
    check(threads, "a kernel thread")
    for level in ("auto", "heap", "rss"):
        fails(3, "is a kernel thread", "-b", "--level", level, "-p", threads[0])


def is_kernel_thread(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rsplit(")", 1)[1].split()[6]) & 0x200000
    except OSError:
        return False


def without_privileges(prefix):
    with running(*prefix, "sleep", "60") as target:
        wait_for(lambda: open(f"/proc/{target.pid}/comm", encoding="ascii").read() == "sleep\n",
                 "the target")
        pid = str(target.pid)
        for level in ("heap", "pages"):
            fails(3, "CAP_BPF", "-b", "--level", level, "-p", pid, prefix=NOBODY)
        code, out, err = memtop("-b", "--format", "json", "-i", "2", "-d", "0.1", "-p", pid,
                                prefix=NOBODY)
        check_equal((code, err), (0, ""), "auto goes on")
        for line in out.splitlines():
            tick = json.loads(line)
            check_equal(tick["level"], "rss", "at rss")
            check("CAP_BPF" in tick["level_reason"], f"and says why: {tick['level_reason']!r}")
            check(tick["rss"]["bytes"] > 0, "RSS")
            check_equal(tick["kernel"]["live_bytes"], None, "no kernel side")


def nobody_and_nobodys_process():
    without_privileges(NOBODY)


def nobody_and_roots_process():
    without_privileges([])


def nobody_runs_a_command():
    code, out, err = memtop("--", "sh", "-c", "exit 5", prefix=NOBODY)
    check_equal(code, 5, f"its status: {out} {err}")
    code, out, err = memtop("--level", "heap", "--", "sh", "-c", "echo began", prefix=NOBODY)
    check_equal((code, out), (125, ""), "not begun")
    check("CAP_BPF" in err and err.count("\n") == 1, f"one line: {err!r}")


def programs_that_cannot_be_watched():
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "loop.c")
        with open(source, "w", encoding="ascii") as file:
            file.write("#include <stdlib.h>\n#include <unistd.h>\n"
                       "int main(void) { for (;;) { free(malloc(10)); usleep(1000); } }\n")
        program = os.path.join(folder, "loop")
        compiler = os.environ.get("CC", "cc").split()
        subprocess.run([*compiler, "-static", "-s", "-o", program, source], check=True)
        with running(program) as target:
            fails(3, "static program without symbols", "-b", "--level", "heap", "-p",
                  str(target.pid))
            with Batch("-p", str(target.pid)) as top:
                tick = top.tick()
                check_equal(tick["level"], "pages", "auto goes on")
                check("static program" in tick["level_reason"], tick["level_reason"])
        subprocess.run([*compiler, "-static", "-o", program, source], check=True)
        with Batch("--level", "heap", "--", program) as top:
            top.tick_where(lambda tick: tick["user"]["allocated_blocks"] > 10, "a static program")
            kill_child(top.process.pid)


def kill_child(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        os.kill(int(file.read().split()[0]), signal.SIGKILL)


def a_foreign_program():
    """32 bits: three instructions that wait for ever."""
    code = bytes.fromhex("b81d000000" "cd80" "ebf7")  # pause() in a loop
    header = (b"\x7fELF\x01\x01\x01" + bytes(9) +
              b"".join(n.to_bytes(size, "little") for n, size in
                       ((2, 2), (3, 2), (1, 4), (0x8048054, 4), (52, 4), (0, 4), (0, 4), (52, 2),
                        (32, 2), (1, 2), (0, 2), (0, 2), (0, 2))))
    size = 84 + len(code)
    segment = b"".join(n.to_bytes(4, "little")
                       for n in (1, 0, 0x8048000, 0x8048000, size, size, 5, 0x1000))
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "foreign")
        with open(program, "wb") as file:
            file.write(header + segment + code)
        os.chmod(program, 0o755)
        with running(program) as target:
            wait_for(lambda: os.readlink(f"/proc/{target.pid}/exe") == program, "it runs")
            fails(3, "", "-b", "--level", "heap", "-p", str(target.pid))
            code, _, err = memtop("-b", "-i", "1", "-p", str(target.pid))
            check_equal((code, err), (0, ""), "auto goes on")


def a_full_disk():
    with running("sleep", "60") as target, open("/dev/full", "wb") as full:
        for form in ("text", "json"):
            done = subprocess.run([MEMTOP, "-b", "--level", "rss", "--format", form, "-p",
                                   str(target.pid)], check=False, stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=120)
            check_equal(done.returncode, 4, done.stderr)
            check("No space left" in done.stderr and done.stderr.count("\n") == 1, done.stderr)


def a_reader_that_stopped_reading():
    """memtop ends when it is asked to, even if nobody takes its output."""
    with running("sleep", "60") as target, running(
            MEMTOP, "-b", "--level", "rss", "-d", "0.1", "--format", "json", "-p",
            str(target.pid), stdout=subprocess.PIPE) as top:
        fcntl.fcntl(top.stdout.fileno(), fcntl.F_SETPIPE_SZ, 4096)
        top.stdout.readline()
        sizes = []

        def stands_still():
            waiting = array.array("i", [0])
            fcntl.ioctl(top.stdout.fileno(), termios.FIONREAD, waiting)
            sizes.append(waiting[0])
            return waiting[0] and len(sizes) > 20 and len(set(sizes[-20:])) == 1
        wait_for(stands_still, "a full pipe")  # for ten ticks
        top.send_signal(signal.SIGTERM)
        check_equal(top.wait(120), 0, "exit code")


def odd_terminals():
    with running("sleep", "60") as target:
        command = [MEMTOP, "--level", "rss", "-p", str(target.pid)]
        for term in (None, "", "dumb", "no-such-terminal"):
            environment = dict(TERM=term or "")
            words = ["env", "-u", "TERM", *command] if term is None else command
            with Terminal(words, environment=environment) as terminal:
                screen = terminal.wait(lambda text: "\nexit=" in text or "sleep" in
                                       text.splitlines()[0], f"TERM={term}")
                if "\nexit=" in screen:
                    check("exit=0" not in screen and "memtop: " in screen, screen)
                else:
                    terminal.type("q")
                    terminal.wait_text("exit=0")


def a_tiny_terminal():
    with running("sleep", "60") as target, Terminal(
            [MEMTOP, "--level", "rss", "-p", str(target.pid)], columns=10, rows=3) as terminal:
        terminal.wait(lambda screen: "small" in screen, "too small")
        terminal.resize(100, 30)
        terminal.wait_text("sleep")
        terminal.resize(1, 1)
        terminal.resize(100, 30)
        terminal.wait_text("sleep")
        terminal.type("q")
        terminal.wait_text("exit=0")


def commands():
    for words, code in ((["sh", "-c", "exit 99"], 99), (["sh", "-c", "kill -TERM $$"], 143),
                        (["/no/such/program"], 127), (["/etc"], 126), (["/etc/passwd"], 126),
                        (["true", "-b", "--frobnicate"], 0)):
        seen, out, err = memtop("--", *words)
        check_equal((seen, out), (code, ""), f"{words}: {err}")
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(folder, "script")
        with open(script, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\necho \"$1\"\nexit 3\n")
        os.chmod(script, 0o755)
        seen, out, err = memtop("--", script, "said")
        check_equal((seen, out.splitlines()[:1]), (3, ["said"]), f"a script: {err}")
    seen, out, err = memtop("--", "sh", "-c", "(true; true) & wait; exit 4")
    check_equal(seen, 4, f"a command that forks: {err}")


run([no_process, no_target, a_kernel_thread, nobody_and_nobodys_process, nobody_and_roots_process,
     nobody_runs_a_command, programs_that_cannot_be_watched, a_foreign_program, a_full_disk,
     a_reader_that_stopped_reading, odd_terminals, a_tiny_terminal, commands])
