#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Debug files from debuginfod servers, honest, silent, slow and lying ones; all of them local."""

import contextlib
import http.server
import os
import shutil
import tempfile
import threading
import time

from oracle import compare
from symbolizer import (Build, Symbolizer, address_in, build_id, command, mapper, started,
                        symbol_at)
from tap import check, check_equal, run, wait_for

ROUNDS = 5  # of what goes against a time that is kept: the machine may stand still in some


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as the server's `answer(handler)` does."""

    def do_GET(self):
        self.server.asked.append(self.path)
        with contextlib.suppress(OSError):
            self.server.answer(self)

    def log_message(self, *_):
        pass

    def send_whole(self, body, length=None):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)


class Servers:
    """A server for a program whose library is stripped; its debug file is `self.debug`."""

    def __init__(self, answer, timeout=None):
        self.answer, self.timeout = answer, timeout

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        self.folder = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="memtop-fetch-"))
        self.build = self.stack.enter_context(Build("gcc", "-O2", "-g"))
        self.full = os.path.join(self.folder, "full.so")
        shutil.copy(self.build.library, self.full)
        command("objcopy", "--only-keep-debug", self.full, self.full + ".debug")
        with open(self.full + ".debug", "rb") as file:
            self.debug = file.read()
        command("strip", self.build.library)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.asked, self.server.ended = [], threading.Event()
        self.server.answer = lambda handler: self.answer(self, handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.process = self.stack.enter_context(started(self.build.program))
        self.hidden = self.address("library_hidden")
        return self

    def __exit__(self, *_):
        self.server.ended.set()
        self.server.shutdown()
        self.server.server_close()
        self.stack.close()

    def address(self, function):
        return address_in(self.process.pid, self.build.library, function, self.full)

    def symbolizer(self, **options):
        environment = {"DEBUGINFOD_URLS": f"http://127.0.0.1:{self.server.server_address[1]}",
                       "DEBUGINFOD_CACHE_PATH": os.path.join(self.folder, "cache"),
                       "no_proxy": "127.0.0.1"}
        if self.timeout:
            environment["DEBUGINFOD_TIMEOUT"] = str(self.timeout)
        return Symbolizer(self.process.pid, environment=environment, **options)

    def debug_path(self):
        return f"/buildid/{build_id(self.full)}/debuginfo"


def send_debug(servers, handler):
    if handler.path == servers.debug_path():
        handler.send_whole(servers.debug)
    else:
        handler.send_error(404)


def fetched():
    """Names and lines come by build-id, once; after that from the client's cache."""
    with Servers(send_debug) as servers:
        for _ in range(2):
            with servers.symbolizer() as symbolizer:
                first = symbolizer.ask("first", servers.hidden)[-1]
                check_equal((first["symbol"], first["pending"]), (None, True), "first look")
                seen = symbolizer.ask("user", servers.hidden)[-1]
                check_equal(seen["symbol"], "library_hidden", "name")
                check(seen["line"] > 0 and seen["file"].endswith("fixture_library.c"), seen)
                check_equal(seen["pending"], False, "pending")
        check_equal(servers.server.asked.count(servers.debug_path()), 1, "requests")


def not_found():
    with Servers(lambda _, handler: handler.send_error(404)) as servers:
        with servers.symbolizer() as symbolizer:
            seen = symbolizer.ask("user", servers.hidden)[-1]
            check_equal((seen["symbol"], seen["pending"]), (None, False), "not found")
            check_equal(symbol_at(symbolizer, servers.address("library_entry")), "library_entry",
                        "what the file itself has")
            check_equal(servers.server.asked.count(servers.debug_path()), 1, "requests")


def refused():
    """Nobody listens."""
    with Servers(send_debug) as servers:
        servers.server.shutdown()
        servers.server.server_close()
        with servers.symbolizer() as symbolizer:
            seen = symbolizer.ask("user", servers.hidden)[-1]
            check_equal((seen["symbol"], seen["pending"]), (None, False), "refused")


def liars():
    """Another file's debug information, no ELF file, one cut short, nothing: not believed."""
    with Build("gcc", "-O0", "-g") as other:
        with open(other.library, "rb") as file:
            foreign = file.read()
    answers = {
        "another file": lambda servers, handler: handler.send_whole(foreign),
        "no ELF file": lambda servers, handler: handler.send_whole(b"<html>" * 1000),
        "nothing": lambda servers, handler: handler.send_whole(b""),
        "less than said": lambda servers, handler: handler.send_whole(servers.debug[:2000],
                                                                      len(servers.debug)),
        "cut": lambda servers, handler: handler.send_whole(servers.debug[:len(servers.debug) // 2]),
        "huge": lambda servers, handler: handler.send_whole(servers.debug, 1 << 40),
    }
    for what, answer in answers.items():
        with Servers(answer, timeout=2) as servers, servers.symbolizer() as symbolizer:
            seen = symbolizer.ask("user", servers.hidden)[-1]
            check_equal((seen["symbol"], seen["file"], seen["pending"]), (None, None, False), what)
            check_equal(symbol_at(symbolizer, servers.address("library_entry")), "library_entry",
                        f"{what}: what the file itself has")


def hang(servers, _):
    servers.server.ended.wait()


def others_are_named_meanwhile():
    with Servers(hang) as servers, servers.symbolizer() as symbolizer:
        symbolizer.ask("first", servers.hidden)
        wait_for(lambda: servers.server.asked, "a request")
        program = address_in(servers.process.pid, servers.build.program, "physical")
        wait_for(lambda: symbolizer.ask("first", program)[-1]["line"], "another module's lines")
        return symbolizer.ask("first", servers.hidden)[-1]["pending"]


def silent():
    """While a server says nothing other modules get their names."""
    check(any(others_are_named_meanwhile() for _ in range(ROUNDS)), "still being fetched")


def given_up():
    """The wait for a silent server has an end."""
    with Servers(hang, timeout=3) as servers, servers.symbolizer() as symbolizer:
        seen = symbolizer.ask("user", servers.hidden)[-1]
        check_equal((seen["symbol"], seen["pending"]), (None, False), "given up")


def dripping():
    """A byte now and then is no reason to wait for ever."""
    def drip(servers, handler):
        handler.send_whole(b"", 1 << 20)
        while not servers.server.ended.wait(0.1):
            handler.wfile.write(b"x")
    with Servers(drip, timeout=2) as servers, servers.symbolizer() as symbolizer:
        seen = symbolizer.ask("user", servers.hidden)[-1]
        check_equal((seen["symbol"], seen["pending"]), (None, False), "given up")


def seconds_to_end():
    with Servers(hang) as servers:
        with servers.symbolizer() as symbolizer:
            symbolizer.ask("first", servers.hidden)
            wait_for(lambda: servers.server.asked, "a request")
            begin = time.monotonic()
        return time.monotonic() - begin


def ends_while_fetching():
    """Nor does memtop's end wait for a server."""
    check(any(seconds_to_end() < 12 for _ in range(ROUNDS)),
          "ended long before the server's time was up")


def shared_file_of_dwz():
    """Both halves of a debug file that dwz has split are fetched."""
    library = "/usr/lib/x86_64-linux-gnu/libbfd-2.40-system.so"
    identity = build_id(library)
    halves = [f"/usr/lib/debug/.build-id/{identity[:2]}/{identity[2:]}.debug",
              "/usr/lib/debug/.dwz/x86_64-linux-gnu/libbinutils.debug"]
    served = {}
    for path in halves:
        with open(path, "rb") as file:
            served[f"/buildid/{build_id(path)}/debuginfo"] = file.read()
    check_equal(len(served), 2, "halves")
    hidden = ("unshare", "-m", "sh", "-c",
              'mount -t tmpfs none /usr/lib/debug && exec "$@"', "sh")

    def send_half(_, handler):
        if handler.path in served:
            handler.send_whole(served[handler.path])
        else:
            handler.send_error(404)
    with Servers(send_half) as servers, mapper(library, prefix=hidden) as process:
        process.stdout.readline()
        servers.process = process
        compare(process.pid, library, halves[0],
                range(0x46000, 0x46c00, 7),
                start=lambda pid: servers.symbolizer(prefix=("nsenter", "-t", str(pid), "-m")))
        check(set(served) <= set(servers.server.asked), f"asked for {servers.server.asked}")


if __name__ == "__main__":
    run([fetched, not_found, refused, liars, silent, given_up, dripping, ends_while_fetching,
         shared_file_of_dwz])
