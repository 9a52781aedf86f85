#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The option table: what it takes, what it refuses, and that every list of options agrees."""

import os
import re
import subprocess
import tempfile

import tap

TOP = os.environ["top_srcdir"]
PROGRAM = os.path.join(os.environ["top_builddir"], "tests/unit/try_options")
LATER = ["--record x", "-w x", "--replay x", "-r x", "--export x.json", "--lang de",
         "--own x"]
BAD = {
    "--pid": ["0", "-1", "+1", "", " 1", "1x", "0x10", "1.5", "2147483648",
              "99999999999999999999"],
    "--delay": ["0", "0.09", "3601", "nan", "inf", "1e1", "1s", "", ".", "-1", "1.2.3"],
    "--iterations": ["0", "-1", "x", "", "9223372036854775808"],
    "--top": ["-1", "x", "", "4294967296"],
    "--budget": ["-1", "x", "", "nan", "10%", "10001"],
    "--level": ["", "Heap", "all"],
    "--side": ["", "both"],
    "--sort": ["", "size"],
    "--format": ["", "xml"],
    "--older": ["-1", "x", ""],
    "--min-size": ["-1", "x", "", "1KB", "1.5K", "K", "18446744073709551616", "99999999999G"],
    "--limit": ["0", "-1", "x", "", "1KiB"],
    "--max-blocks": ["0", "999", "-1", "x", "", "1000.5", "100000001", "1M"],
    "--unwind-memory": ["0", "-1", "x", "", "1KiB"],
    "--filter": ["(", "["],
    "--match": ["(", ""],
    "--name": ["", "a/b"],
    "--debug-dir": [""],
    "--fail-if-leaked": ["-1", "x", "", "1KB", "1.5K"],
    "--suppress": [""],
    "--baseline": [""],
    "--report": [""],
    "--prefix": ["", "je-", "je *"],
    "--config": [""],
    "--function": ["", "x", "x:alloc", "x:alloc()", "x:alloc(0)", "x:alloc(7)", "x:alloc(1", "x:free",
                   "x:alloc(12)", "x:alloc(1,2)", "x:alloc(=0)", "x:alloc(=)", "x:alloc(=64G)",
                   "x:alloc(=99999999999999999999)", "x:realloc(1)", "x:take(1)", ":alloc(1)",
                   ":x:alloc(1)", "a/b:x:alloc(1)", "+0x10:alloc(1)", "m+0x:alloc(1)",
                   "m+0x1g:alloc(1)", "x:free(1*2)", "x" * 600 + ":alloc(1)", "A::b"],
}


def parse(*words):
    done = subprocess.run([PROGRAM, *words], check=False, stdout=subprocess.PIPE, text=True)
    return done.returncode, done.stdout


def seen(*words):
    code, text = parse(*words)
    tap.check_equal(code, 0, f"{words}: {text}")
    return dict(word.split("=", 1) for word in text.split())


def refused(words, expected):
    code, text = parse(*words)
    tap.check_equal(code, 1, f"{words}: {text}")
    tap.check(text.startswith("error ") and text.count("\n") == 1, f"one line: {text!r}")
    tap.check(expected in text, f"{words}: {text!r} does not say {expected!r}")


def defaults():
    got = seen("-p", "1")
    expected = {"pid": "1", "level": "auto", "budget": "10", "delay": "1", "batch": "0",
                "iterations": "0", "format": "0", "sides": "7", "top": "20", "min": "0",
                "blocks": "0", "unwind": str(256 << 20), "sided": "0"}
    for name, value in expected.items():
        tap.check_equal(got[name], value, name)


def values():
    got = seen("-b", "-n", "ab", "-d", "0.1", "-i5", "--format=json", "--level", "heap", "--budget",
             "none", "--side", "kernel", "-s", "RATE", "--top", "0", "-f", "x|y", "--older",
             "2.5", "--min-size", "4k", "--limit", "3G", "--max-blocks", "5000000", "--unwind-memory", "64M",
             "--debug-dir", "/d")
    expected = {"name": "ab", "delay": "0.1", "iterations": "5", "format": "1", "level": "heap",
                "budget": "nan", "sides": "4", "sort": "3", "top": "0", "filter": "x|y",
                "older": "2.5", "min": "4096", "limit": str(3 << 30), "blocks": "5000000", "unwind": str(64 << 20),
                "debug": "/d", "sided": "1"}
    for name, value in expected.items():
        tap.check_equal(got[name], value, name)


def command_line_of_another():
    got = seen("--level", "rss", "--", "/bin/echo", "--help", "-p", "0")
    tap.check_equal(got["command"], "/bin/echo", "command")
    refused(["-p", "1", "--", "x"], "only one of")


def a_gate_takes_the_heap():
    for words, level in (("", "heap"), ("--level rss", "rss"), ("--level auto", "auto"),
                         ("--budget 5", "auto"), ("--budget none", "auto")):
        got = seen("--fail-if-leaked", "2K", *words.split(), "--suppress", "s", "--baseline", "b",
                   "--report", "r", "--format", "json", "--", "x")
        tap.check_equal((got["level"], got["leak"], got["suppress"], got["baseline"],
                         got["report"]), (level, "2048", "s", "b", "r"), words)
    tap.check_equal(seen("--", "x")["leak"], "-1", "no gate")


def bad_values():
    for option, arguments in BAD.items():
        for argument in arguments:
            words = [option, argument] + ([] if option in ("--pid", "--name", "--match") else
                                          ["-p", "1", "-b"])
            refused(words, option)


def unknown_and_later():
    refused(["--frobnicate"], "unknown option --frobnicate; see memtop --help")
    refused(["-Z"], "unknown option -Z; see memtop --help")
    refused(["-bZ"], "unknown option -Z")
    refused(["--batch=1"], "--batch takes no argument")
    refused(["-p"], "--pid needs its PID")
    refused(["word"], "'word' is no option")
    refused([""], "'' is no option")
    refused([], "what to watch?")
    for words in LATER:
        code, text = parse(*words.split())
        tap.check_equal(code, 1, words)
        tap.check(re.fullmatch(r"error --[a-z-]+ is not part of this version\n", text), text)


def what_does_not_go_together():
    for words in ("-p 1 -n x", "--tui -p 1", "--tui -b -- x", "--format json -p 1", "-i 1 -p 1",
                  "--fail-if-leaked 0 -p 1", "--suppress x -p 1", "--baseline x -p 1",
                  "--report x -n y"):
        code, _ = parse(*words.split())
        tap.check_equal(code, 1, words)


def in_file(text, *words, mode=0o600, path=None, environment=None):
    """What comes of a file of options, and of words beside it."""
    with tempfile.TemporaryDirectory(prefix="memtop-test-") as folder:
        file = os.path.join(folder, path or "memtop.conf")
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with open(file, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, mode)) as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(text)
        own = {name: value.replace("FOLDER", folder) for name, value in (environment or {}).items()}
        given = () if environment else ("--config", file)
        inherited = {name: value for name, value in os.environ.items() if name != "MEMTOP_CONFIG"}
        done = subprocess.run([PROGRAM, *given, *words], check=False, stdout=subprocess.PIPE,
                              text=True, env=dict(inherited, **own) if environment else None)
        return done.returncode, done.stdout.replace(folder, "FOLDER")


def seen_in_file(text, *words, **how):
    code, out = in_file(text, *words, **how)
    tap.check_equal(code, 0, f"{text!r}: {out}")
    return dict(word.split("=", 1) for word in out.split())


def a_file_of_options():
    text = ("# for the perception stack\n\n; so it is\n  delay = 0.5 \nlevel=heap\r\n"
            "function = FramePool::acquire:alloc(=4096)\nfunction = FramePool::release:free(2)\n"
            "prefix = own_\nno-return-probes\nside = user\ndebug-dir = /d")
    got = seen_in_file(text, "-p", "1", "-d", "2", "--function", "x:alloc(1)")
    expected = {"delay": "2", "level": "heap", "functions": "3", "prefixes": "1", "returns": "0",
                "sides": "1", "sided": "1", "debug": "/d", "pid": "1"}
    for name, value in expected.items():
        tap.check_equal(got[name], value, name)
    got = seen_in_file("suppress = s\nbaseline = b\n", "-p", "1")
    tap.check_equal((got["suppress"], got["baseline"]), ("-", "-"), "only with a command")
    tap.check_equal(seen_in_file("suppress = s", "--", "x")["suppress"], "s", "of a command")
    got = seen_in_file("level = rss", "--fail-if-leaked", "0", "--", "x")
    tap.check_equal(got["level"], "rss", "a file's level counts as given")


def lines_that_are_wrong():
    for text, expected in (("delay = 0.5\ndelay = x", ":2: --delay x: not seconds"),
                           ("colour = blue", ":1: 'colour' is nothing that"),
                           ("pid = 1", ":1: 'pid' is nothing that"),
                           ("[memtop]", ":1: '[memtop]' is nothing"),
                           ("\n\ndelay", ":3: delay needs its SECONDS: delay = SECONDS"),
                           ("no-return-probes = yes", ":1: no-return-probes stands alone"),
                           ("function = a", ":1: --function a"),
                           ("function = a:alloc(1)\n" * 17, ":17: --function"),
                           ("delay = 0\0", ": not a text file"),
                           ("#" * 70000, ": longer than 65536 bytes")):
        code, out = in_file(text, "-p", "1")
        tap.check_equal(code, 1, f"{text[:40]!r}: {out}")
        tap.check(out.startswith(f"error FOLDER/memtop.conf{expected}") and out.count("\n") == 1,
                  f"{text[:40]!r}: {out!r} does not say {expected!r}")
    for words in (["-p", "1"], ["--check"]):
        tap.check_equal(in_file("x", *words)[0], 1, f"{words}")
    for words in (["--help"], ["--version"]):
        tap.check_equal(in_file("x", *words)[0], 0, f"{words}")


def files_that_are_not_believed():
    for mode in (0o620, 0o602, 0o666):
        code, out = in_file("delay = 2", "-p", "1", mode=mode)
        tap.check_equal(code, 1, f"mode {mode:o}")
        tap.check("others may write it" in out and "--no-config" in out, out)
    refused(["-p", "1", "--config", "/no/such/file"], "/no/such/file: No such file")
    refused(["-p", "1", "--config", "/dev/null"], "not a regular file")
    if os.geteuid() == 0:
        with tempfile.NamedTemporaryFile("w", prefix="memtop-test-") as file:
            file.write("delay = 2")
            file.flush()
            os.chown(file.name, 12345, 12345)
            refused(["-p", "1", "--config", file.name], "belongs to user 12345")
    refused(["-p", "1", "--no-config", "--config", "x"], "exclude each other")


def usual_places():
    def delay(path, environment, *words):
        return seen_in_file("delay = 7", "-p", "1", *words, path=path,
                            environment=environment)["delay"]
    home = {"HOME": "FOLDER", "XDG_CONFIG_HOME": ""}
    tap.check_equal(delay(".config/memtop/memtop.conf", home), "7", "at home")
    tap.check_equal(delay(".config/memtop/memtop.conf", home, "--no-config"), "1", "--no-config")
    tap.check_equal(delay("x/memtop/memtop.conf", {"HOME": "/", "XDG_CONFIG_HOME": "FOLDER/x"}),
                    "7", "XDG_CONFIG_HOME")
    tap.check_equal(delay("x", dict(home, MEMTOP_CONFIG="FOLDER/x")), "7", "MEMTOP_CONFIG")
    tap.check_equal(delay(".config/memtop/memtop.conf", dict(home, MEMTOP_CONFIG="")), "1",
                    "MEMTOP_CONFIG empty")


def files_may_set_options_only():
    """What a file may set is an option, and all but those of targets and of the batch are."""
    with open(os.path.join(TOP, "src/options_file.c"), encoding="utf-8") as file:
        allowed = re.findall(r'"([a-z-]+)"', re.search(r"allowed\[\] = \{(.*?)\};", file.read(),
                                                      re.S).group(1))
    names = {name for _, name in options_of_help()[1]}
    tap.check(len(allowed) >= 18 and set(allowed) <= names, f"no options: {set(allowed) - names}")
    with open(os.path.join(TOP, "man/memtop.1"), encoding="utf-8") as file:
        manual = file.read().replace("\\-", "-").split(".SH FILES\n")[1].split("\n.SH ")[0]
    for name in allowed:
        tap.check(re.search(rf"\b{name}\b", manual), f"{name} is not in the manual's FILES")


def options_of_help():
    _, text = parse("--help")
    return text, re.findall(r"^ +(?:-(\w), )?--([a-z-]+)", text, re.M)


def help_is_narrow():
    text, options = options_of_help()
    tap.check(max(map(len, text.splitlines())) <= 80, "80 columns")
    tap.check(len(options) > 15, "options are listed")
    tap.check("print-completion" not in text, "what is hidden")


def manual_agrees():
    _, options = options_of_help()
    with open(os.path.join(TOP, "man/memtop.1"), encoding="utf-8") as file:
        manual = file.read().replace("\\-", "-")
    in_manual = set(re.findall(r"^\.BR? .*?--([a-z-]+)", manual, re.M))
    for letter, name in options:
        tap.check(name in in_manual, f"--{name} is not in the manual page")
        tap.check(not letter or f"-{letter} " in manual, f"-{letter} is not in the manual page")
    tap.check_equal(in_manual - {name for _, name in options}, set(), "only in the manual page")


def losses_of_help():
    """Name, sides, meaning and remedy of each, out of the help."""
    _, text = parse("--help=losses")
    tap.check(max(map(len, text.splitlines())) <= 80, "80 columns")
    found = re.findall(r"^(\w+) \(([a-z, ]+?)(; a note)?\)\n((?:    .+\n)+?)    To do: ((?:.+\n)+)",
                       text, re.M)
    return [(name, sides, bool(note), " ".join(meaning.split()), " ".join(remedy.split()))
            for name, sides, note, meaning, remedy in found]


def help_with_losses():
    losses = losses_of_help()
    with open(os.path.join(TOP, "src/core/losses.c"), encoding="ascii") as file:
        source = file.read()
    tap.check_equal(sorted(row[0] for row in losses),
                    sorted(re.findall(r'\.name = "(\w+)"', source)), "all")
    tap.check_equal([row[0] for row in losses if row[2]], ["stack_truncated"], "notes")
    for name, _, _, meaning, remedy in losses:
        tap.check(len(meaning) > 20 and len(remedy) > 20, f"{name}: {meaning!r} {remedy!r}")
    refused(["--help=x"], "--help=x: there is help with losses only")
    tap.check_equal(parse("-h")[1], parse("--help")[1], "-h")


def manual_has_the_losses():
    with open(os.path.join(TOP, "man/memtop.1"), encoding="utf-8") as file:
        manual = file.read().split(".SH LOSSES\n")[1].split("\n.SH ")[0].replace("\\-", "-")
    rows = [" ".join(row.replace("\n.br\n", " ").split()) for row in manual.split(".TP\n.B ")[1:]]
    tap.check(rows, "rows")
    tap.check_equal(rows, [f"{name} ({sides}{'; a note' * note}) {meaning}. To do: {remedy}."
                           for name, sides, note, meaning, remedy in losses_of_help()],
                    "the manual page's losses are those of src/core/losses.c")


def manual_formats():
    done = subprocess.run(["groff", "-man", "-ww", "-Tascii", "-P-c", "-P-b", "-P-u",
                           os.path.join(TOP, "man/memtop.1")], check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    tap.check_equal(done.stderr, "", "warnings")
    tap.check("without stopping it" in done.stdout, "the text")


def completion_agrees():
    _, made = parse("--print-completion")
    with open(os.path.join(TOP, "completions/memtop"), encoding="utf-8") as file:
        tap.check_equal(file.read(), made, "run make completions/update")
    for _, name in options_of_help()[1]:
        tap.check(f"--{name}" in made, f"--{name} is not completed")


def completion_works():
    def complete(*words):
        script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _memtop; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        return subprocess.run(["bash", "-c", script, "-", os.path.join(TOP, "completions/memtop"),
                               *words], check=True, stdout=subprocess.PIPE,
                              text=True).stdout.split()
    tap.check_equal(complete("memtop", "--lev"), ["--level"], "option")
    tap.check_equal(complete("memtop", "--level", "he"), ["heap"], "word")
    tap.check(str(os.getpid()) in complete("memtop", "-p", str(os.getpid())), "process")
    tap.check("bash" in complete("memtop", "--", "bas"), "command")


tap.run([defaults, values, command_line_of_another, a_gate_takes_the_heap,
     bad_values, unknown_and_later, a_file_of_options, lines_that_are_wrong,
         files_that_are_not_believed, usual_places, files_may_set_options_only,
         what_does_not_go_together, help_is_narrow, manual_agrees, help_with_losses,
     manual_has_the_losses, manual_formats,
         completion_agrees, completion_works])
