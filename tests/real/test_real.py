# SPDX-License-Identifier: GPL-2.0-only
"""Programs as Debian ships them, watched as a user would, against what they or valgrind say of
their memory.

    REAL_FULL=1 test_real.py

takes the full amounts and the programs that a test of every change need not wait for."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile

from batch import Batch
from leaks import differences, memtop_leaks, total, valgrind_leaks
from redis import Redis
from tap import check, check_equal, run, wait_for
from target import running

FULL = os.environ.get("REAL_FULL") == "1"
HEAP = ("--level", "heap", "--side", "user", "--top", "1")


def note(what):
    print(f"# {what}", flush=True)


def no_losses(tick):
    check_equal(tick["losses"]["total"], 0, f"losses: {tick['losses']}")


# --- python3: objects of known size

PYTHON = """
import sys
def stop(word):
    print(word, flush=True)
    sys.stdin.readline()
count = int(sys.argv[1])
sizes = [50 + i % 400 for i in range(count)]
kept = [None] * count
stop("ready")
for i in range(count):
    kept[i] = bytes(sizes[i])
stop(sum(sys.getsizeof(each) for each in kept))
for i in range(count):
    kept[i] = None
stop("dropped")
"""


def python_holds_and_drops_objects():
    """Live bytes grow by the sum of the objects' sizes and shrink by as much."""
    count = 200000 if FULL else 20000
    with running("/usr/bin/python3", "-c", PYTHON, str(count), stdin=subprocess.PIPE,
                 stdout=subprocess.PIPE, text=True,
                 env=dict(os.environ, PYTHONMALLOC="malloc")) as python:
        def until():
            python.stdin.write("\n")
            python.stdin.flush()
            return python.stdout.readline().strip()

        check_equal(python.stdout.readline().strip(), "ready", "python")
        with Batch("-p", str(python.pid), *HEAP) as memtop:
            memtop.tick()
            start = memtop.tick_after()["user"]["live_bytes"]
            truth = int(until())
            held = memtop.tick_after()
            check_equal(until(), "dropped", "python")
            dropped = memtop.tick_after()
        grown = held["user"]["live_bytes"] - start
        shrunk = held["user"]["live_bytes"] - dropped["user"]["live_bytes"]
        note(f"python3: {count} objects of {truth} bytes: live grew by {grown}, shrank by {shrunk}")
        no_losses(dropped)
        check(abs(grown - truth) <= truth / 100, f"{truth} bytes held, {grown} seen")
        check(abs(shrunk - truth) <= truth / 100, f"{truth} bytes dropped, {shrunk} seen")
        check(held["user"]["live_blocks"] >= count, "a block for each object")


# --- redis: what it says it uses

def every_type(count):
    for i in range(count):
        yield "HSET", f"hash:{i % (count // 10)}", f"field:{i % 100}", b"h" * (i % 300)
        yield "LPUSH", f"list:{i % (count // 100)}", b"l" * (i % 100)
        yield "ZADD", f"set:{i % (count // 100)}", i, f"member:{i}"


def redis_steps(count):
    """What a client does, as generators of commands by name."""
    yield "set", (("SET", f"key:{i}", b"x" * (10 + i % 500)) for i in range(count))
    yield "overwritten", (("SET", f"key:{i}", b"y" * (10 + i * 7 % 700)) for i in range(count))
    yield "of every type", every_type(count)
    yield "a tenth deleted", (("DEL", f"key:{i}") for i in range(0, count, 10))


def redis_agrees():
    """The growth of what is live (as requested) is that of used_memory (as given), but for the
    allocator's rounding; once all is flushed, both are back."""
    count = 100000 if FULL else 20000
    with Redis() as server, Batch("-p", str(server.pid), *HEAP) as memtop:
        def growth():
            used = server.used_memory()
            tick = memtop.tick_after()
            return used, tick["user"]["live_bytes"], tick

        memtop.tick()
        # Of each command the first takes what stays: statistics, buffers.
        for _, commands in redis_steps(1000):
            server.ask_all(commands)
        server.ask("FLUSHALL")
        used_before, live_before, _ = growth()
        most = 0
        for what, commands in redis_steps(count):
            server.ask_all(commands)
            used, live, tick = growth()
            ratio = (live - live_before) / (used - used_before)
            most = max(most, used - used_before)
            note(f"redis {what}: used_memory grew by {used - used_before}, live by "
                 f"{live - live_before}, {tick['user']['live_blocks']} blocks: {ratio:.3f}")
            no_losses(tick)
            check(0.80 <= ratio <= 1.00, f"{what}: {ratio:.3f}")
        server.ask("FLUSHALL")

        def back():
            used, live, _ = growth()
            result = max(abs(used - used_before), abs(live - live_before))
            note(f"redis flushed: used_memory {used - used_before:+}, live {live - live_before:+}")
            return result <= most / 100

        wait_for(back, "both are back within 1 %")


# --- sqlite3: its own count of allocations

SQL = (
    "create table t(a integer primary key, b text); create index i on t(b);",
    "with recursive n(i) as (select 1 union all select i + 1 from n where i < {}) "
    "insert into t select i, 'text ' || i * 7 from n;",
    "select count(distinct b) from t;",
    "update t set b = b || ' more' where a % 3 = 0;",
    "delete from t where a % 2;",
    "drop table t; vacuum;",
)


class Sqlite:
    def __init__(self, process):
        self.process = process

    def ask(self, words):
        self.process.stdin.write(words + "\n.print end\n")
        self.process.stdin.flush()
        return "".join(iter(self.process.stdout.readline, "end\n"))

    def memory(self):
        """Bytes and blocks of which the library counts up what each holds."""
        text = self.ask(".stats")
        return [int(re.search(rf"{what}:\s+(\d+)", text)[1])
                for what in ("Memory Used", "Outstanding Allocations")]


def sqlite_agrees():
    """Block for block; each begins with 8 bytes for its size. The shell has a few of its own."""
    with running("sqlite3", "-batch", ":memory:", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                 text=True) as process:
        shell = Sqlite(process)
        shell.memory()
        with Batch("-p", str(process.pid), *HEAP) as memtop:
            memtop.tick()
            bytes_before, blocks_before = shell.memory()
            before = memtop.tick_after()["user"]
            for words in SQL:
                shell.ask(words.format(200000 if FULL else 50000))
                used, blocks = shell.memory()
                tick = memtop.tick_after()
                blocks -= blocks_before
                used += 8 * blocks - bytes_before
                seen_blocks = tick["user"]["live_blocks"] - before["live_blocks"]
                seen = tick["user"]["live_bytes"] - before["live_bytes"]
                note(f"sqlite3 {words.split(maxsplit=1)[0]}: {used} bytes in {blocks} blocks, "
                     f"{seen} in {seen_blocks} seen")
                no_losses(tick)
                check(0 <= seen_blocks - blocks <= 8 and 0 <= seen - used <= 4096,
                      "the shell's own are few")


# --- nginx: what connections take goes with them

NGINX = """
daemon off; master_process off; worker_processes 1; error_log {0}/error.log; pid {0}/pid;
events {{ worker_connections 512; }}
http {{
    access_log {0}/access.log; client_body_temp_path {0}/a; proxy_temp_path {0}/b;
    fastcgi_temp_path {0}/c; uwsgi_temp_path {0}/d; scgi_temp_path {0}/e;
    keepalive_requests 100000; keepalive_timeout 600s;
    server {{ listen unix:{0}/socket; root {0}; }}
}}
"""


def nginx_requests(path, connections, requests):
    """Gives the connections, each of which had so many answers."""
    opened = []
    for _ in range(connections):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(120)
        client.connect(path)
        opened.append(client)
    for number in range(requests):
        for client in opened:
            target = ("/page", "/nothing")[number % 2]
            client.sendall(f"GET {target} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
            answer = client.makefile("rb")
            lines = list(iter(answer.readline, b"\r\n"))
            length = next(int(line.split()[1]) for line in lines
                          if line.lower().startswith(b"content-length"))
            answer.read(length)
            answer.close()
    return opened


def nginx_gives_back():
    with tempfile.TemporaryDirectory(prefix="memtop-nginx-") as folder:
        path = os.path.join(folder, "socket")
        configuration = os.path.join(folder, "configuration")
        with open(configuration, "w", encoding="ascii") as file:
            file.write(NGINX.format(folder))
        with open(os.path.join(folder, "page"), "w", encoding="ascii") as file:
            file.write("text " * 1000)
        with running("/usr/sbin/nginx", "-p", folder, "-c", configuration,
                     stderr=subprocess.DEVNULL) as server:
            wait_for(lambda: os.path.exists(path), "the server listens")
            with Batch("-p", str(server.pid), *HEAP) as memtop:
                memtop.tick()
                for client in nginx_requests(path, 8, 4):
                    client.close()
                idle = memtop.tick_after()["user"]
                clients = nginx_requests(path, 100, 50)
                busy = memtop.tick_after()["user"]
                for client in clients:
                    client.close()
                last = memtop.tick_where(
                    lambda tick: tick["user"]["live_bytes"] == idle["live_bytes"] and
                    tick["user"]["live_blocks"] == idle["live_blocks"], "all is given back")
        note(f"nginx: 100 connections, 5000 requests: {idle['live_bytes']} bytes before, "
             f"{busy['live_bytes']} with them, {last['user']['live_bytes']} after; "
             f"{busy['allocated_blocks'] - idle['allocated_blocks']} blocks allocated")
        no_losses(last)
        check(busy["live_blocks"] - idle["live_blocks"] >= 100, "each connection takes some")
        check(busy["allocated_blocks"] - idle["allocated_blocks"] >= 5000, "each request takes some")


# --- commands: what is left at their exit

def same_as_valgrind(*command, apart=None, **more):
    """Blocks that belong to a function whose name begins with `apart` are only listed."""
    expected = valgrind_leaks(command, **more)
    seen, tick = memtop_leaks(command, **more)
    note(f"{os.path.basename(command[0])}: valgrind has {total(expected)[0]} bytes in "
         f"{total(expected)[1]} blocks in use at exit, memtop {total(seen)[0]} in {total(seen)[1]}")
    for line in differences(expected, seen):
        note(line)
    no_losses(tick)
    if apart:
        expected, seen = ([leak for leak in leaks
                           if not any(frame.startswith(apart) for frame in leak.frames)]
                          for leaks in (expected, seen))
    check(expected, "there is something to compare")
    check_equal(total(seen), total(expected), "bytes and blocks never freed")


@contextlib.contextmanager
def source_file():
    """A C file, and its folder for what comes of it."""
    with tempfile.TemporaryDirectory(prefix="memtop-source-") as folder:
        path = os.path.join(folder, "source.c")
        with open(path, "w", encoding="ascii") as file:
            file.write("#include <stdio.h>\nint main(void) { return puts(\"text\") < 0; }\n")
        yield path, folder


def compiler_driver_leaks():
    with source_file() as (path, folder):
        same_as_valgrind("/usr/bin/gcc", "-c", path, "-o", os.path.join(folder, "object.o"))


def compiler_leaks():
    """The collector's tables apart: how many there are depends on how far its pages are apart."""
    program = subprocess.run(["gcc", "-print-prog-name=cc1"], check=True, capture_output=True,
                             text=True).stdout.strip()
    with source_file() as (path, folder):
        with open(path, "w", encoding="ascii") as file:
            file.write("int function(int number) { return number + 1; }\n")
        same_as_valgrind(program, "-quiet", path, "-o", os.path.join(folder, "assembly.s"),
                         apart="ggc_internal_alloc")


def xz_leaks():
    with tempfile.TemporaryDirectory(prefix="memtop-xz-") as folder:
        path = os.path.join(folder, "file")
        shutil.copy("/usr/bin/xz", path)
        same_as_valgrind("/usr/bin/xz", "-6" if FULL else "-0", "-k", "-f", path)


def openssl_leaks():
    same_as_valgrind("/usr/bin/openssl", "sha256", "/bin/true")


def sqlite_leaks():
    same_as_valgrind("/usr/bin/sqlite3", ":memory:", "create table t(a); insert into t values(1); "
                     "select count(*) from t;")


def python_leaks():
    same_as_valgrind("/usr/bin/python3", "-c", "import json", PYTHONMALLOC="malloc",
                     PYTHONHASHSEED="0")


SHORT = [python_holds_and_drops_objects, redis_agrees, sqlite_agrees, compiler_driver_leaks,
         xz_leaks, openssl_leaks]
LONG = [nginx_gives_back, compiler_leaks, sqlite_leaks, python_leaks]
run(SHORT + LONG if FULL else SHORT)
