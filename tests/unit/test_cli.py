#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The program's exit codes and its one line on standard error, at level rss."""

import json
import os
import shutil
import signal
import subprocess
import tempfile

import tap
from target import running

MEMTOP = os.environ["MEMTOP"]
SECONDS = 120  # that anything may take
RSS = ["-b", "--level", "rss", "-d", "0.1"]


def memtop(*words, **options):
    done = subprocess.run([MEMTOP, *words], check=False, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=SECONDS, **options)
    return done.returncode, done.stdout, done.stderr


def fails(code, expected, *words):
    seen, out, err = memtop(*words)
    tap.check_equal((seen, out), (code, ""), f"{words}: {err}")
    tap.check(err.startswith("memtop: ") and err.count("\n") == 1, f"one line: {err!r}")
    tap.check(expected in err, f"{words}: {err!r} does not say {expected!r}")


def unused_pid():
    """The first that no process can have: one that ended may have been given to another."""
    with open("/proc/sys/kernel/pid_max", encoding="ascii") as file:
        return file.read().strip()


def wait_for_words(processes, words):
    """Until they all have become that command: a process takes its new name before its words."""
    def have_words():
        for process in processes:
            with open(f"/proc/{process.pid}/cmdline", "rb") as file:
                if file.read() != b"".join(word.encode() + b"\0" for word in words):
                    return False
        return True
    tap.wait_for(have_words, " ".join(words))


def usage():
    fails(1, "--frobnicate", "--frobnicate")
    fails(1, "--pid 0", "-p", "0")
    fails(1, "--pid 12x", "-p", "12x")
    fails(1, "--record is not part of this version", "--record", "x", "-p", "1")
    fails(1, "not a terminal; use --batch", "-p", str(os.getpid()))


def memtop_on_itself():
    done = subprocess.run(["sh", "-c", 'exec "$0" -b -p $$', MEMTOP], check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=SECONDS)
    tap.check_equal((done.returncode, done.stdout), (1, ""), done.stderr)
    tap.check_equal(done.stderr.count("\n"), 1, done.stderr)


def no_target():
    fails(2, "", *RSS, "-p", unused_pid())


def waits_for_its_target():
    """By name and by command line, until there is one."""
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "memtop-waits")
        os.symlink(shutil.which("sleep"), program)
        for words in (["--match", rf"^{program} 600\.5$"], ["-n", "memtop-waits"]):
            with running(MEMTOP, *RSS, "-i", "1", "--format", "json", *words,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as top:
                tap.check(top.stderr.readline().startswith("memtop: waiting for "), "it says so")
                with running(program, "600.5") as target:
                    out, err = top.communicate(timeout=SECONDS)
                    tap.check_equal((top.returncode, json.loads(out)["target"]["pid"]),
                                    (0, target.pid), err)


def several_targets():
    words = ["sleep", f"600.{os.getpid()}"]  # nobody else's
    with running(*words) as one, running(*words) as two:
        wait_for_words((one, two), words)
        fails(2, str(one.pid), *RSS, "--match", rf"^sleep 600\.{os.getpid()}$")


def not_supported():
    # In a PID namespace of its own there may be no kernel thread to see.
    if os.path.exists("/proc/2/comm") and open("/proc/2/comm",
                                               encoding="utf-8").read() == "kthreadd\n":
        fails(3, "kernel thread", "-b", "-p", "2")


def batch_counts_ticks():
    code, out, err = memtop(*RSS, "--format", "json", "-i", "3", "-p", str(os.getpid()))
    tap.check_equal((code, err), (0, ""), "end")
    ticks = [json.loads(line) for line in out.splitlines()]
    tap.check_equal(len(ticks), 3, "ticks")
    tap.check_equal({tick["target"]["pid"] for tick in ticks}, {os.getpid()}, "pid")
    tap.check_equal({tick["level"] for tick in ticks}, {"rss"}, "level")


def batch_ends_with_the_target():
    with running("sleep", "600") as target, \
            running(MEMTOP, "-b", "--level", "rss", "-d", "3600", "--format", "json", "-p",
                    str(target.pid), stdout=subprocess.PIPE, text=True) as top:
        first = json.loads(top.stdout.readline())
        tap.check_equal(first["final"], False, "first tick comes at once")
        target.kill()
        last = [json.loads(line) for line in top.stdout][-1]
        tap.check_equal((last["final"], last["target"]["state"]), (True, "killed"), "final")
        tap.check_equal(top.wait(timeout=SECONDS), 0, "exit code")


def batch_ends_with_its_reader():
    with running(MEMTOP, *RSS, "-p", str(os.getpid()), stdout=subprocess.PIPE,
                 stderr=subprocess.PIPE) as top:
        top.stdout.readline()
        top.stdout.close()
        tap.check_equal((top.wait(timeout=SECONDS), top.stderr.read()), (0, b""), "a closed pipe")


def signals_end_batch():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with running(MEMTOP, *RSS, "-p", str(os.getpid()), stdout=subprocess.PIPE,
                     stderr=subprocess.PIPE) as top:
            top.stdout.readline()
            top.send_signal(number)
            top.stdout.read()
            tap.check_equal((top.wait(timeout=SECONDS), top.stderr.read()), (0, b""), number.name)


def a_commands_status_is_passed_on():
    for script, code in (("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)):
        seen, out, err = memtop("--level", "rss", "--", "sh", "-c", script)
        tap.check_equal((seen, out), (code, ""), f"{script}: {err}")
    fails(127, "/no/such", "--", "/no/such")
    fails(126, "/etc/passwd", "--", "/etc/passwd")


def help_and_version():
    for words in (["--help"], ["--version"], ["--check"]):
        code, out, err = memtop(*words)
        tap.check_equal((code, err), (0, ""), words[0])
        tap.check(out, words[0])
    with open("/dev/full", "wb") as full:
        done = subprocess.run([MEMTOP, "--help"], check=False, stdout=full,
                              stderr=subprocess.PIPE)
        tap.check_equal(done.returncode, 4, "a full disk")


tap.run([usage, memtop_on_itself, no_target, waits_for_its_target, several_targets, not_supported, batch_counts_ticks,
         batch_ends_with_the_target, batch_ends_with_its_reader, signals_end_batch,
         a_commands_status_is_passed_on, help_and_version])
