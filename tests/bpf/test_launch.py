# SPDX-License-Identifier: GPL-2.0-only
"""memtop -- CMD: followed from the first instruction, and otherwise as if memtop were not there."""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time

from tap import check, check_equal, run, wait_for
from target import MEMTOP, built, running, state_of, waits_for_signal

LEAKY = os.path.abspath(built("tests/targets/leaky"))
STATIC = os.path.abspath(built("tests/targets/leaky_static"))
EARLY = dict(os.environ, LEAKY_EARLY="100")


def report_of(*command, options=(), environment=None):
    """The exit code and the report as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "report.json")
        done = subprocess.run([MEMTOP, "--level", "heap", "--side", "user", "--report", path,
                               *options, "--", *command], check=False, capture_output=True,
                              text=True, timeout=120, env=environment)
        with open(path, encoding="ascii") as file:
            return done, json.load(file)


def function_of(site):
    return next((frame["symbol"] for frame in site["frames"] if not frame["wrapper"]), None)


def sums(report, name):
    sites = [site for site in report["sites"] if function_of(site) == name]
    return (sum(site["live_bytes"] for site in sites), sum(site["live_blocks"] for site in sites),
            len(sites))


def constructors():
    """Case 30, and that their stacks are whole although the loader is at work."""
    for program in (LEAKY, STATIC):
        for _ in range(5):
            done, report = report_of(program, "one:50", environment=EARLY)
            check_equal(done.returncode, 0, done.stderr)
            check_equal(sums(report, "forget_early"), (1000, 10, 1), f"{program}: the constructor")
            check_equal(sums(report, "forget_one"), (50, 1, 1), f"{program}: main")
            check_equal(report["losses"]["stack_truncated"], 0, "whole stacks")


def a_library_with_a_constructor():
    """Preloaded: its constructor runs before the program's."""
    source = """#include <stdlib.h>
        static void *volatile kept;
        __attribute__((noinline)) void preloaded_keep(void) { kept = malloc(77); }
        __attribute__((constructor)) static void begin(void)
        { for (int i = 0; i < 3; i++) preloaded_keep(); }"""
    with tempfile.TemporaryDirectory() as folder:
        library = os.path.join(folder, "early.so")
        subprocess.run([*os.environ.get("CC", "cc").split(), "-g", "-O1", "-fPIC", "-shared",
                        "-fno-builtin", "-fno-optimize-sibling-calls", "-o", library, "-xc", "-"],
                       input=source, text=True, check=True)
        done, report = report_of(LEAKY, "one:5", environment=dict(EARLY, LD_PRELOAD=library))
        check_equal(done.returncode, 0, done.stderr)
        check_equal(sums(report, "preloaded_keep")[:2], (231, 3), "of the library")
        check_equal(sums(report, "forget_early"), (1000, 10, 1), "of the program")


def scripts():
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(folder, "script")
        with open(script, "w", encoding="ascii") as file:
            file.write(f"#!{LEAKY} one:12\nany text\n")
        os.chmod(script, 0o755)
        done, report = report_of(script, environment=EARLY)
        check_equal(done.returncode, 0, done.stderr)
        check_equal(sums(report, "forget_early"), (1000, 10, 1), "the interpreter's constructor")
        with open(script, "w", encoding="ascii") as file:
            file.write("exit 6\n")
        check_equal(report_of(script)[0].returncode, 6, "a script that names no interpreter")


def what_cannot_run():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file")
        for text, mode, code in (("", None, 127), ("#!/no/such/interpreter\n", 0o755, 127),
                                 ("text", 0o644, 126), ("\x7fELF rubbish", 0o755, 126)):
            if mode:
                with open(path, "w", encoding="latin-1") as file:
                    file.write(text)
                os.chmod(path, mode)
            done = subprocess.run([MEMTOP, "--fail-if-leaked", "0", "--", path], check=False,
                                  capture_output=True, text=True, timeout=120)
            check_equal((done.returncode, done.stdout), (code, ""), f"{text!r}: {done.stderr}")
            check(path in done.stderr and done.stderr.count("\n") == 1, done.stderr)


def streams_are_the_commands():
    done = subprocess.run([MEMTOP, "--level", "heap", "--", LEAKY, "print:to-out", "read"],
                          check=False, input="from in\nmore\n", capture_output=True, text=True,
                          timeout=120)
    check_equal((done.returncode, done.stdout), (0, "to-out\nfrom in"), done.stderr)
    with running(MEMTOP, "-b", "--format", "json", "--level", "heap", "-d", "0.1", "--", LEAKY,
                 "print:to-out", "read", "print:end", stdin=subprocess.PIPE,
                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as memtop:
        out, err = memtop.communicate("from in\n", 120)
        lines = out.splitlines()
        objects = [json.loads(line) for line in lines if line.startswith("{")]
        others = "".join(line for line in lines if not line.startswith("{"))
        check_equal((others, err, memtop.returncode), ("to-outfrom inend", "", 0), "of the command")
        check(objects and objects[-1]["final"], "batch output is whole lines")
        check_equal(objects[-1]["target"]["exit_code"], 0, "its status")


def descriptors_are_those_that_were_there():
    plain = subprocess.run(["ls", "/proc/self/fd"], check=True, capture_output=True, text=True)
    held = subprocess.run([MEMTOP, "--level", "heap", "--", "ls", "/proc/self/fd"], check=True,
                          capture_output=True, text=True, timeout=120)
    check_equal(held.stdout, plain.stdout, "open files")


def dispositions_are_those_that_were_there():
    command = ["sh", "-c", "exec cat /proc/self/status"]

    def of(prefix, **options):
        out = subprocess.run([*prefix, *command], check=True, capture_output=True, text=True,
                             timeout=120, **options).stdout
        return [line for line in out.splitlines() if line.startswith(("SigBlk", "SigIgn"))]
    check_equal(of([MEMTOP, "--level", "heap", "--"]), of([]), "signals")

    def ignore():
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    done = subprocess.run([MEMTOP, "--level", "heap", "--", LEAKY, "exit:9"], check=False,
                          capture_output=True, timeout=120, preexec_fn=ignore)
    check_equal(done.returncode, 9, "its status, where SIGCHLD is ignored")


@contextlib.contextmanager
def waiting(*options):
    """memtop and the process id of its command, which waits for SIGUSR1."""
    with tempfile.TemporaryDirectory() as folder:
        note = os.path.join(folder, "pid")
        with running(MEMTOP, "--level", "heap", "--side", "user", *options, "--", LEAKY,
                     f"file:{note}", "wait", "exit:21", stdout=subprocess.DEVNULL,
                     stderr=subprocess.PIPE, text=True) as memtop:
            wait_for(lambda: os.path.exists(note), "the command")
            with open(note, encoding="ascii") as file:
                pid = int(file.read())
            wait_for(lambda: waits_for_signal(pid), "it waits")
            yield memtop, pid


def through_execs():
    """Each program is followed from its own first instruction."""
    for words in (["env", "A=b", LEAKY], ["sh", "-c", 'exec "$@"', "-", LEAKY],
                  ["env", "env", "env", "env", LEAKY], [LEAKY, "one:7", "exec"], [STATIC, "exec"],
                  ["env", STATIC]):
        done, report = report_of(*words, "one:50", environment=EARLY, options=("-d", "3600"))
        check_equal(done.returncode, 0, f"{words}: {done.stderr}")
        check_equal(sums(report, "forget_early"), (1000, 10, 1), f"{words}: the constructor")
        check_equal(sums(report, "forget_one"), (50, 1, 1), f"{words}: main, and nothing of before")
        check_equal((report["level"], report["losses"]["total"]), ("heap", 0), "exactly")
        execs = words.count("env") + words.count("sh") + words.count("exec")
        check_equal(report["target"]["generation"], 1 + execs, "generations")


def an_exec_that_fails_is_none():
    done, report = report_of("sh", "-c", "exec /no/such/program 2>/dev/null; exit 3")
    check(done.returncode, "it goes on, or ends")
    check_equal((report["target"]["generation"], report["level"]), (1, "heap"), "one program")


def signals_at_an_exec():
    """A process that others signal while it is held."""
    for number in (signal.SIGTERM, signal.SIGSTOP):
        for step in range(6):
            with tempfile.TemporaryDirectory() as folder:
                note = os.path.join(folder, "pid")
                with running(MEMTOP, "--level", "heap", "--side", "user", "--", LEAKY,
                             f"file:{note}", "exec", "exec", "exec", "exit:4",
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as memtop:
                    wait_for(lambda: os.path.exists(note), "the command", every=0.002)
                    with open(note, encoding="ascii") as file:
                        pid = int(file.read())
                    time.sleep(step * 0.15)  # not a wait: the moment is what varies
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
                        if number == signal.SIGSTOP:
                            time.sleep(0.05)
                            os.kill(pid, signal.SIGCONT)
                    expected = (4,) if number == signal.SIGSTOP else (4, 143)
                    check(memtop.wait(120) in expected, f"{number.name}: {memtop.returncode}")


def memtop_dies_at_an_exec():
    """The command runs on, whatever memtop was at."""
    for step in range(12):
        with tempfile.TemporaryDirectory() as folder:
            note, end = os.path.join(folder, "pid"), os.path.join(folder, "end")
            with running(MEMTOP, "--level", "heap", "--side", "user", "--", LEAKY, f"file:{note}",
                         "exec", "exec", f"file:{end}", stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL) as memtop:
                wait_for(lambda: os.path.exists(note), "the command", every=0.002)
                time.sleep(step * 0.06)  # not a wait: the moment of death is what varies
                memtop.kill()
                memtop.wait()
            wait_for(lambda: os.path.exists(end), f"it goes on to its end, step {step}")


def signals_are_passed_on():
    for number, code in ((signal.SIGUSR1, 21), (signal.SIGTERM, 143), (signal.SIGINT, 130),
                         (signal.SIGHUP, 129), (signal.SIGQUIT, 131), (signal.SIGUSR2, 140)):
        with waiting() as (memtop, _):
            memtop.send_signal(number)
            check_equal(memtop.wait(120), code, number.name)
    with waiting() as (memtop, pid):
        os.kill(pid, signal.SIGKILL)
        check_equal(memtop.wait(120), 137, "killed by another")


def stopped_and_continued():
    """Job control of the command goes by without memtop."""
    with waiting() as (memtop, pid):
        os.kill(pid, signal.SIGSTOP)
        wait_for(lambda: state_of(pid) == "T", "stopped")
        os.kill(pid, signal.SIGCONT)
        wait_for(lambda: waits_for_signal(pid), "going on")
        os.kill(pid, signal.SIGUSR1)
        check_equal(memtop.wait(120), 21, "its status")


run([constructors, a_library_with_a_constructor, scripts, what_cannot_run,
     streams_are_the_commands, descriptors_are_those_that_were_there,
     dispositions_are_those_that_were_there, through_execs, an_exec_that_fails_is_none,
     signals_at_an_exec, memtop_dies_at_an_exec, signals_are_passed_on, stopped_and_continued])
