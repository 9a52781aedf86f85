# SPDX-License-Identifier: GPL-2.0-only
"""Targets that keep a ledger and stop on command, the reader of the book, and their comparison."""

import contextlib
import json
import os
import select
import subprocess
import tempfile

from tap import Failure, check, check_equal, compared
from target import built

TOTALS = ("allocated_bytes", "allocated_blocks", "freed_bytes", "freed_blocks",
          "live_bytes", "live_blocks")
NONE = dict.fromkeys(TOTALS, 0)
SECONDS = int(os.environ.get("BOOKS_SECONDS", "300"))  # for a target's next stop


def read_line(stream, what, seconds=SECONDS):
    """A line of a pipe that nothing has been read ahead from."""
    line = b""
    while not line.endswith(b"\n"):
        if not select.select([stream], [], [], seconds)[0]:
            raise Failure(f"{what}: nothing said within {seconds} s")
        piece = os.read(stream.fileno(), 1)
        if not piece:
            raise Failure(f"{what} has ended")
        line += piece
    return line.decode()


class Target:
    """A books program, stopped at `ready`. `inside` is a command that runs it as /books in a root
    and a PID namespace of its own, as its only child."""

    def __init__(self, case, program="books", preload=None, environment=None, runner=(),
                 inside=None, preexec_fn=None):
        self.case, self.program, self.preload, self.runner = case, program, preload, runner
        self.inside, self.preexec_fn = inside, preexec_fn
        self.environment = dict(os.environ, **(environment or {}))
        if preload:
            self.environment["LD_PRELOAD"] = preload

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="memtop-books-")
        self.ledger_file = os.path.join(self.folder.name, "ledger.json")
        program = (self.program if os.path.isabs(self.program) else
                   built(f"tests/targets/{self.program}"))
        command = [*self.runner, program, self.case, self.ledger_file]
        if self.inside:
            command = [*self.inside, "/books", self.case, "/ledger.json"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        bufsize=0, env=self.environment,
                                        preexec_fn=self.preexec_fn)
        self.pid = self.process.pid
        self.says("ready")
        if self.inside:
            with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as file:
                self.pid = int(file.read())
            self.ledger_file = f"/proc/{self.pid}/root/ledger.json"
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                stream.close()
        self.folder.cleanup()

    def say(self):
        self.process.stdin.write(b"go\n")

    def says(self, name):
        check_equal(read_line(self.process.stdout, self.case).strip(), name, "the target's stop")

    def stopped_at(self, name):
        self.says(name)
        with open(self.ledger_file, encoding="utf-8") as file:
            return json.load(file)

    def stopped_anywhere(self):
        """The ledger at whatever stop comes next, with that stop's name."""
        name = read_line(self.process.stdout, self.case).strip()
        with open(self.ledger_file, encoding="utf-8") as file:
            return dict(json.load(file), stop=name)

    def until(self, name):
        """Goes on to the stop `name`; gives the ledger as of then."""
        self.say()
        return self.stopped_at(name)

    def end(self):
        self.say()
        check_equal(self.process.wait(120), 0, "the target's exit code")


class Book:
    """The heap book of a process by itself."""

    def __init__(self, pid, *options):
        self.command = [built("tests/bpf/book_reader"), str(pid), *options]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, bufsize=0)
        self.answer()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def answer(self):
        return json.loads(read_line(self.process.stdout, "the reader of the book"))

    def ask(self, command):
        self.process.stdin.write(command.encode() + b"\n")
        return self.answer()

    def read(self):
        return self.ask("read")

    def reopen(self):
        self.ask("reopen")


def add(sums, totals):
    for name in TOTALS:
        sums[name] += totals[name]


def by_address(book):
    sites = {}
    for site in book["sites"]:
        add(sites.setdefault(int(site["address"], 16), dict(NONE)), site)
    return sites


def addresses(ledger):
    return {int(site["return_address"], 16) for site in ledger["sites"]}


def own_sum(book, ledger):
    """What the book has for the ledger's sites together."""
    sums, own = dict(NONE), addresses(ledger)
    for address, totals in by_address(book).items():
        if address in own:
            add(sums, totals)
    return sums


def foreign(book, ledger):
    """The book's sites that are none of the ledger's."""
    own = addresses(ledger)
    return [site for site in book["sites"] if int(site["address"], 16) not in own]


def compared_sums(ledger, have):
    truth = dict(NONE)
    for site in ledger["sites"]:
        add(truth, site["since_ready"])
    compared("book", *(f"{sums['allocated_blocks']} blocks of {sums['allocated_bytes']} bytes, "
                       f"{sums['live_blocks']} of {sums['live_bytes']} live"
                       for sums in (truth, have)))


def compare(book, ledger, losses=()):
    """Each site of the ledger, exactly; and no loss but those named."""
    seen, wrong = by_address(book), []
    for site in ledger["sites"]:
        expected = site["since_ready"]
        have = seen.get(int(site["return_address"], 16), NONE)
        wrong += [f"{site['site']} {site['kind']} {name}: {expected[name]} kept, "
                  f"{have[name]} seen" for name in TOTALS if have[name] != expected[name]]
    compared_sums(ledger, own_sum(book, ledger))
    check(not wrong, "the book differs from the ledger: " + "; ".join(wrong[:12]) +
          f"; losses {book['losses']}, {book['before_attach_frees']} frees of unknown blocks, "
          f"other sites: {foreign(book, ledger)}")
    check_losses(book, losses)
    check_table(book)


def check_losses(book, allowed=()):
    unexpected = {name: count for name, count in book["losses"].items()
                  if name not in allowed and name != "stack_truncated"}
    check(not unexpected, f"losses: {unexpected}")


def check_table(book):
    """The table of live blocks holds what the totals say."""
    sums = dict(NONE)
    for site in book["sites"]:
        add(sums, site)
    check_equal((book["table"]["blocks"], book["table"]["bytes"]),
                (sums["live_blocks"], sums["live_bytes"]), "blocks and bytes in the table")
