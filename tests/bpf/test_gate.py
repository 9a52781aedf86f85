# SPDX-License-Identifier: GPL-2.0-only
"""The gate: --fail-if-leaked with suppressions and baselines, and that it fails closed."""

import json
import os
import re
import signal
import subprocess
import tempfile

from tap import check, check_equal, run, wait_for
from target import MEMTOP, built, running

LEAKY = os.path.abspath(built("tests/targets/leaky"))
OWN = os.path.abspath(built("tests/targets/leaky_own"))
SIDE = ("--side", "user")


def gate(*words, limit="0", options=()):
    """`words` are the command's; its code and what memtop said."""
    command = words if words[0].startswith("/") or words[0] == "sh" else (LEAKY, *words)
    done = subprocess.run([MEMTOP, "--fail-if-leaked", limit, *SIDE, *options, "--", *command],
                          check=False, capture_output=True, text=True, timeout=120)
    check_equal(done.stdout, "", "nothing of memtop's in the command's output")
    return done.returncode, done.stderr


def expect(code, text, *words, **options):
    seen, said = gate(*words, **options)
    check_equal(seen, code, f"{words} {options}: {said}")
    for part in [text] if isinstance(text, str) else text:
        check(part in said, f"{words} {options}: {part!r} is not in {said!r}")
    return said


class Folder:
    """Files of a test."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, content):
        with open(self.path(name), "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        return self.path(name)


def judged():
    expect(0, "SUMMARY: memtop: 0 bytes in 0 blocks", "free:100")
    expect(99, ["SUMMARY: memtop: 100 bytes in 1 block never freed at 1 site", "memtop: leaked"],
           "one:100")
    expect(0, "SUMMARY: memtop: 100 bytes", "one:100", limit="100")
    expect(99, "more than 99 bytes", "one:100", limit="99")
    expect(0, "SUMMARY: memtop: 1000 bytes", "one:1000", limit="1K")
    expect(99, "0 bytes in 1 block never freed", "one:0")
    expect(0, "0 bytes in 1 block never freed", "one:0", limit="1")


def the_report():
    said = expect(99, "", "one:100", "one:100", "two:3000")
    lines = said.splitlines()
    check("leaky[" in lines[0] and lines[0].endswith("never freed: 3200 bytes in 3 blocks"), lines[0])
    heads = [(n, line) for n, line in enumerate(lines) if "allocated by" in line]
    check_equal([line for _, line in heads],
                ["3000 bytes in 1 block allocated by malloc from:",
                 "200 bytes in 2 blocks allocated by malloc from:"], "the largest first")
    for (at, _), name in zip(heads, ("forget_two", "forget_one")):
        check(lines[at + 1].lstrip().startswith("#0 0x") and f" in {name} " in lines[at + 1] and
              "leaky.c:" in lines[at + 1], f"the first frame: {lines[at + 1]}")
        check(any(" in main " in line for line in lines[at + 2:at + 5]), "its callers")
    check("SUMMARY: memtop: 3200 bytes in 3 blocks never freed at 2 sites" in lines, said)
    said = expect(99, ["and 200 bytes in 2 blocks at 1 more site", "SUMMARY: memtop: 3200 bytes"],
                  "one:100", "one:100", "two:3000", options=("--top", "1"))
    check_equal(said.count("allocated by"), 1, "one site is listed")


def sides_and_filters_hide_nothing():
    expect(99, "100 bytes in 1 block never freed", "one:100",
           options=("--filter", "no such name", "--min-size", "1G", "--older", "1000"))
    done = subprocess.run([MEMTOP, "--fail-if-leaked", "0", "--side", "kernel", "--", LEAKY,
                           "one:100"], check=False, capture_output=True, text=True, timeout=120)
    check_equal(done.returncode, 99, done.stderr)


def json_reports():
    with Folder() as folder:
        path = folder.path("out.json")
        said = expect(99, f"leaked: 3100 bytes in 2 blocks; see {path}", "one:100", "two:3000",
                      options=("--report", path))
        check_equal(said.count("\n"), 1, said)
        with open(path, encoding="ascii") as file:
            report = json.loads(file.read())
        check_equal((report["schema"], report["final"], report["level"]),
                    ("memtop/1", True, "heap"), "a last object")
        leaks = report["leaks"]
        whole = {"bytes": 3100, "blocks": 2, "sites": 2}
        check_equal((leaks["all"], leaks["leaked"]), (whole, whole), "sums")
        check_equal((leaks["judged"], leaks["failed"], leaks["limit_bytes"], leaks["not_judged"]),
                    (True, True, 0, None), "the verdict")
        check_equal([site["live_bytes"] for site in report["sites"]], [3000, 100], "sites")
        for name in ("live_bytes", "live_blocks", "allocated_bytes", "freed_blocks"):
            check_equal(sum(site[name] for site in report["sites"]) + report["rest"][name],
                        report["user"][name], f"sites and the rest: {name}")
        done = subprocess.run([MEMTOP, *SIDE, "--level", "heap", "--format", "json", "--", LEAKY,
                               "one:5"], check=False, capture_output=True, text=True, timeout=120)
        report = json.loads(done.stderr)
        check_equal((done.returncode, done.stdout, report["leaks"]["all"]["bytes"]), (0, "", 5),
                    "JSON on standard error")
        check_equal((report["leaks"]["judged"], report["leaks"]["failed"],
                     report["leaks"]["limit_bytes"]), (False, None, None), "no gate")
        path = folder.path("out.txt")
        expect(99, f"see {path}", "one:100", options=("--report", path))
        with open(path, encoding="ascii") as file:
            check("SUMMARY: memtop: 100 bytes" in file.read(), "text")


def the_commands_own_failure_wins():
    expect(7, "memtop: leaked", "one:100", "exit:7")
    expect(143, "memtop: leaked", "one:100", "raise:15")
    expect(7, "not judged", "one:100", "exit:7", options=("--level", "rss"))
    expect(139, "SUMMARY", "raise:11")
    expect(127, "cannot execute", "/no/such/program")
    expect(126, "cannot execute", "/etc/passwd")


def not_judged():
    expect(98, "not judged: level rss, not heap throughout", "free:1", options=("--level", "rss"))
    expect(98, "not judged: the governor is on", "free:1", options=("--budget", "10"))
    expect(98, "not judged: the governor is on", "free:1", options=("--level", "auto"))
    expect(0, "SUMMARY", "free:1", options=("--level", "auto", "--budget", "none"))
    expect(0, "SUMMARY", "free:1", options=("--level", "heap", "--budget", "10"))
    expect(98, "not judged: events were lost: size_too_large 1", OWN, f"one:{1 << 36}")
    expect(99, "more than 10 bytes", OWN, "one:100", limit="10")


def not_judged_without_privileges():
    words = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", MEMTOP]
    for options, code, text in (((), 125, "CAP_BPF"),
                                (("--level", "auto", "--budget", "none"), 98, "not judged: level rss")):
        done = subprocess.run([*words, "--fail-if-leaked", "0", *options, "--", "/bin/true"],
                              check=False, capture_output=True, text=True, timeout=120)
        check_equal(done.returncode, code, done.stderr)
        check(text in done.stderr, done.stderr)


# It is not the first to end, however slow the machine is, and keeps no stream open.
LASTING = ("sh", "-c", "exec sleep 300 >/dev/null 2>&1")


def end_lasting(said):
    """Ends the command that memtop left running."""
    match = re.search(r"process (\d+) runs on without memtop", said)
    check(match, f"it says that the command runs on: {said!r}")
    os.kill(int(match.group(1)), signal.SIGKILL)


def not_judged_after_an_exec():
    """Where the kernel does not tell its types, a command is not held at an exec."""
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(["unshare", "-m", "sh", "-c",
                               f'mount --bind {empty} /sys/kernel/btf && exec "$@"', "sh", MEMTOP,
                               "--fail-if-leaked", "0", *SIDE, "--", LEAKY, "exec", "free:100"],
                              check=False, capture_output=True, text=True, timeout=120)
    check_equal(done.returncode, 98, done.stderr)
    check("not judged: " in done.stderr, done.stderr)


def memtop_ends_first():
    done = subprocess.run([MEMTOP, "-b", "-i", "1", "--fail-if-leaked", "0", *SIDE, "--", *LASTING],
                          check=False, capture_output=True, text=True, timeout=120)
    end_lasting(done.stderr)
    check_equal(done.returncode, 98, done.stderr)
    check("not judged: memtop ended before the command did" in done.stderr, done.stderr)
    with running(MEMTOP, "-b", "-d", "0.1", "--fail-if-leaked", "0", *SIDE, "--", *LASTING,
                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as memtop:
        memtop.stdout.readline()
        memtop.stdout.close()
        check_equal(memtop.wait(120), 98, "its reader is gone")
        end_lasting(memtop.stderr.read())
    with open("/dev/full", "wb") as full:
        done = subprocess.run([MEMTOP, "-b", "-d", "0.1", "--fail-if-leaked", "0", *SIDE, "--",
                               "true"], check=False, stdout=full, stderr=subprocess.PIPE,
                              text=True, timeout=120)
        check_equal(done.returncode, 125, f"a full disk: {done.stderr}")
    expect(125, "cannot write the report", "free:1", options=("--report", "/dev/full"))


def steps_down_and_is_not_judged():
    """What the governor lets go of, under a budget that nothing fits in."""
    script = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"
    code, said = gate("sh", "-c", script, options=("--level", "auto", "--budget", "0"))
    check_equal(code, 98, said)
    check("not judged: " in said, said)


def children():
    said = expect(0, ["had child processes; they were not followed", "SUMMARY: memtop: 0 bytes"],
                  "fork:500")
    check("500" not in said, "of the child")
    check("child processes" not in expect(0, "SUMMARY", "free:5"), "there was none")


def suppressions():
    with Folder() as folder:
        def with_file(content):
            return ("--suppress", folder.write("leaks.supp", content))
        words = ("one:100", "two:3000")
        said = expect(99, ["SUMMARY: memtop: 3000 bytes in 1 block never freed at 1 site; "
                           "suppressed: 100 bytes in 1 block",
                           "Suppressions used:\n  count      bytes template\n"
                           "      1        100 forget_one\n",
                           "unused suppression, line 4: leak:no_such"], *words,
                      options=with_file("# accepted\n\n  leak:forget_one \r\nleak:no_such\n"))
        check("forget_one leaky.c" not in said and "in forget_one " not in said, said)
        for pattern, expected in (("leaky.c$", 0), ("tests/targets/leaky$", 0), ("^main$", 0),
                                  ("one*forget", 99)):
            code, said = gate(*words, options=with_file(f"leak:for*two\nleak:{pattern}"))
            check_equal(code, expected, f"{pattern}: {said}")


def hostile_suppressions():
    with Folder() as folder:
        for content, text in (("leak\n", ":1: not of the form"), ("# a\nrace:x\n", ":2: not of"),
                              ("leak:a\n\nleak:\n", ":3: a pattern that matches everything"),
                              ("leak:^*$\n", ":1: a pattern that matches everything"),
                              ("LEAK:a\n", ":1: "), (b"leak:a\0b\n", ":1: it holds a NUL"),
                              (b"\0", ":1: it holds a NUL"), (b"leak:x\n" * 200000, "too large"),
                              ("\x7fELF\n", ":1: ")):
            path = folder.write("bad.supp", content)
            said = expect(125, [path, text], f"file:{folder.path('began')}",
                          options=("--suppress", path))
            check_equal(said.count("\n"), 1, said)
        for path, text in ((folder.path("none"), "No such file"), (folder.path(""), "cannot read"),
                           ("/dev/zero", "too large")):
            expect(125, text, f"file:{folder.path('began')}", options=("--suppress", path))
        check(not os.path.exists(folder.path("began")), "the command was not started")
        wild = folder.write("odd.supp", b"leak:\xff\xfe\nleak:" + b"*a" * 20000 + b"\n")
        expect(99, "unused suppression, line 2", "one:1", options=("--suppress", wild))


def baselines():
    with Folder() as folder:
        old = folder.path("old.json")
        options = ("--baseline", old)

        def record(*words, limit="1G"):
            expect(0, "", *words, limit=limit, options=("--report", old))
        record("one:100", "two:3000")
        expect(0, "SUMMARY: memtop: 0 bytes in 0 blocks never freed at 0 sites; "
                  "in the baseline: 3100 bytes in 2 blocks", "one:100", "two:3000", options=options)
        expect(0, "SUMMARY: memtop: 0 bytes", "one:60", "two:3000", options=options)
        expect(0, "SUMMARY: memtop: 0 bytes", "free:7", options=options)
        expect(99, ["130 bytes in 1 block allocated by malloc (100 bytes in 1 block in the baseline)",
                    "SUMMARY: memtop: 30 bytes in 0 blocks never freed at 1 site"],
               "one:130", "two:3000", options=options)
        expect(0, "SUMMARY: memtop: 30 bytes", "one:130", "two:3000", limit="30", options=options)
        record("one:100")
        expect(99, "SUMMARY: memtop: 3000 bytes in 1 block never freed at 1 site",
               "one:100", "two:3000", options=options)
        # Batch output does as well: its last object counts.
        with open(old, "w", encoding="ascii") as file:
            subprocess.run([MEMTOP, "-b", "--format", "json", "-d", "0.1", "--level", "heap",
                            "--top", "0", *SIDE, "--", LEAKY, "one:100"], check=True, stdout=file,
                           timeout=120)
        expect(0, "in the baseline: 100 bytes in 1 block", "one:100", options=options)
        new = folder.path("new.json")
        expect(99, "see", "one:150", "one:20", options=(*options, "--report", new,
               "--suppress", folder.write("s", "leak:no_such_name\n")))
        with open(new, encoding="ascii") as file:
            leaks = json.load(file)["leaks"]
        check_equal(leaks["all"]["bytes"], leaks["leaked"]["bytes"] + leaks["baseline"]["bytes"],
                    "the parts")
        check_equal(leaks["suppressions"], [{"pattern": "no_such_name", "line": 1, "bytes": 0,
                                             "blocks": 0, "sites": 0}], "suppressions")


def hostile_baselines():
    site = '{"side":"user","key":"00000000000000ab","live_bytes":%s,"live_blocks":1}'
    whole = '{"schema":"memtop/1","sites":[%s]}'
    with Folder() as folder:
        for content in ("", " \n", "{", "nonsense", "[]", "3", '{"schema":"memtop/2","sites":[]}',
                        '{"schema":"memtop/1"}', '{"schema":"memtop/1","sites":3}',
                        whole % "3", whole % "{}", whole % '{"side":"user"}',
                        whole % (site % "-1"), whole % (site % "1.5"), whole % (site % "null"),
                        whole % (site % "99999999999999999999999"),
                        whole % '{"side":"user","key":"xyz","live_bytes":1,"live_blocks":1}',
                        whole % (site % "1") + "\n{", "[" * 100000, b"\xff\xfe", b"\0" * 9):
            path = folder.write("bad.json", content)
            said = expect(125, path, f"file:{folder.path('began')}", options=("--baseline", path))
            check(said.count("\n") == 1 and len(said) < 1000, said)
        expect(125, "No such file", "one:1", options=("--baseline", folder.path("none")))
        check(not os.path.exists(folder.path("began")), "the command was not started")
        good = folder.write("good.json", whole % ",".join([site % str(2 ** 63 - 1)] * 3 +
                                                          ['{"side":"kernel"}']))
        expect(99, "SUMMARY: memtop: 1 byte in 1 block", "one:1", options=("--baseline", good))
        expect(125, "cannot write", "one:1", options=("--report", "/no/such/folder/x"))


def a_command_on_the_screen():
    """It was quit before the command ended."""
    from terminal import Terminal
    with Terminal([MEMTOP, "--tui", "--fail-if-leaked", "0", *SIDE, "--", *LASTING]) as terminal:
        terminal.wait_text("sleep[")
        terminal.type("q")
        screen = terminal.wait_text("exit=98")
        end_lasting(screen)
        check("not judged: memtop ended before" in screen, screen)


run([judged, the_report, sides_and_filters_hide_nothing, json_reports,
     the_commands_own_failure_wins, not_judged, not_judged_without_privileges,
     not_judged_after_an_exec, memtop_ends_first,
     steps_down_and_is_not_judged, children, suppressions, hostile_suppressions, baselines,
     hostile_baselines, a_command_on_the_screen])
