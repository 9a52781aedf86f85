# SPDX-License-Identifier: GPL-2.0-only
"""Functions that users describe, functions that throw, and targets that return probes may end."""

import os
import signal
import subprocess
import tempfile

from batch import Batch
from books import NONE, Book, Target, add, compare, own_sum
from tap import Failure, check, check_equal, run
from target import built

LIBRARIES = "/usr/lib/x86_64-linux-gnu"
ALLOCATORS = {"jemalloc": "libjemalloc.so.2", "tcmalloc": "libtcmalloc_minimal.so.4",
              "mimalloc": "libmimalloc.so.2.0"}
TARGETS = os.path.join(os.environ["top_srcdir"], "tests/targets")
FLAGS = ("-D_GNU_SOURCE", "-O2", "-g", "-fno-builtin", "-fno-omit-frame-pointer",
         "-fno-optimize-sibling-calls", "-pthread")
FRAMES = ("--function", "FramePool::acquire:alloc(=4K)",
          "--function", "FramePool::release:free(2)")
ARENA = ("--function", "arena_get:alloc(1*2)", "--function", "arena_get_one:alloc(1)",
         "--function", "alloc_pool:arena_get_switching:alloc(1)",
         "--function", "arena_resize:realloc(1,2)", "--function", "arena_put:free(2)")
KINDS = ("session", "multi", "perf")
folder = tempfile.TemporaryDirectory(prefix="memtop-pools-")


def execute(*words):
    done = subprocess.run(words, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    check_equal(done.returncode, 0, f"{words[0]}: {done.stdout}")
    return done.stdout


def program(name, source, *flags, compiler="cc"):
    path = os.path.join(folder.name, name)
    if not os.path.exists(path):
        objects = []
        for file in ("books_stop", "ledger", "ledger_calls"):
            objects.append(os.path.join(folder.name, f"{file}.o"))
            if not os.path.exists(objects[-1]):
                execute("cc", *FLAGS, "-fPIE", "-c", "-o", objects[-1],
                        os.path.join(TARGETS, f"{file}.c"))
        execute(compiler, *FLAGS, "-fPIE", "-o", path, os.path.join(TARGETS, source), *objects,
                *flags)
    return path


def pool(*flags, name="alloc_pool"):
    return program(name, "alloc_pool.cc", "-std=c++17", "-rdynamic", *flags, compiler="c++")


def guarded(*flags, name="alloc_guarded"):
    return program(name, "alloc_guarded.c", "-rdynamic", *flags)


def follow(path, case, stops, options=(), losses=(), unknown=0, **target_options):
    with Target(case, program=path, **target_options) as target:
        with Book(target.pid, *options) as book:
            for stop in stops:
                ledger = target.until(stop)
                seen = book.read()
                compare(seen, ledger, losses)
                check(seen["before_attach_frees"] <= unknown,
                      f"{stop}: {seen['before_attach_frees']} frees of unknown blocks")
            own = own_sum(seen, ledger)
            check_equal((own["live_bytes"], own["live_blocks"]), (0, 0), "live at the end")
            target.end()
    return seen


def frames_of_a_pool():
    """Its first frame lies where the slab does; 1,500 calls end in an exception, which is taken
    inside of the call and freed outside of it."""
    for kind in KINDS:
        seen = follow(pool(), "frames", ("held", "given") * 3 + ("destroyed",),
                      ("--kind", kind, *FRAMES), ("return_missed",), 3 * 500)
        points = seen["points"]
        check_equal(points["FramePool::acquire:alloc(=4K)"][1], 2, "seen at its returns")
        check(points["FramePool::acquire:alloc(=4K)"][2] >= 1, f"{points}")
        check(seen["losses"].get("return_missed", 0) <= 3 * 500, f"{seen['losses']}")


def arenas_of_all_shapes():
    for kind in KINDS:
        follow(pool(), "arenas", ("held", "resized", "given"), ("--kind", kind, *ARENA))


def without_symbols():
    """A stripped static program: it is said what to do, and that works."""
    path = pool("-static", name="pool_static")
    stripped = os.path.join(folder.name, "pool_stripped")
    execute("strip", "-o", stripped, path)
    places = {}
    for line in execute("nm", path).splitlines():
        words = line.split()
        if len(words) == 3:
            places[words[2]] = int(words[0], 16)
    with Target("arenas", program=stripped) as target:
        done = subprocess.run([built("memtop"), "-b", "-i", "1", "-p", str(target.pid), "--level",
                               "heap"], check=False, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        check_equal(done.returncode, 3, "exit code")
        check("static program without symbols" in done.stderr and
              "--function 'PROGRAM+0xADDRESS:alloc(1)'" in done.stderr, done.stderr)

    def place(name, use):
        return ("--function", f"pool_stripped+0x{places[name]:x}:{use}")

    follow(stripped, "arenas", ("held", "resized", "given"),
           (*place("arena_get", "alloc(1*2)"), *place("arena_get_one", "alloc(1)"),
            *place("arena_get_switching", "alloc(1)"), *place("arena_resize", "realloc(1,2)"),
            *place("arena_put", "free(2)")))


def refuse(target, function, expected):
    done = subprocess.run([built("memtop"), "-b", "-i", "1", "-p", str(target.pid),
                           "--function", function], check=False, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    check_equal(done.returncode, 3, f"{function}: {done.stdout}{done.stderr}")
    check(expected in done.stderr and done.stderr.count("\n") == 1 and
          done.stderr.startswith("memtop: --function "), f"{function}: {done.stderr!r}")


def descriptions_that_do_not_fit():
    """One line each, and the target is not touched."""
    middle = None
    for line in execute("nm", pool()).splitlines():
        if line.endswith(" arena_get_switching"):
            middle = int(line.split()[0], 16) + 1
    with Target("arenas", program=pool()) as target:
        for function, expected in (
                ("no_such:alloc(1)", "mapped no such function"),
                ("FramePool::take:alloc(1)", "mapped no such function"),
                ("libnone.so:arena_get:alloc(1)", "mapped no such module"),
                (f"alloc_pool+0x{middle:x}:alloc(1)", "no function begins there"),
                (f"alloc_pool+0x{middle:x}:free(1)", "no function begins there"),
                ("alloc_pool+0x10:alloc(1)", "there is no code"),
                ("alloc_pool+0xffffffffffff:alloc(1)", "there is no code"),
                ("malloc:alloc(1)", "watched already"),
                ("abort:alloc(1)", "")):
            refuse(target, function, expected)
        check_equal(target.process.poll(), None, "the target lives")


def in_the_program():
    """The same through memtop itself, and with a command that begins as another program."""
    with Target("frames", program=pool()) as target:
        with Batch("-p", str(target.pid), "--level", "heap", "--top", "0", *FRAMES) as memtop:
            memtop.tick()
            target.until("held")
            tick = memtop.tick_where(lambda tick: any(site["kind"] == "function"
                                                      for site in tick["sites"]), "frames")
            totals = dict(NONE)
            for site in tick["sites"]:
                if site["kind"] == "function":
                    for name in ("live_bytes", "live_blocks"):
                        totals[name] += site[name]
            check_equal((totals["live_bytes"], totals["live_blocks"]), (64 * 4096, 64), "frames")


def from_a_file():
    """A file is for all programs: what this one has counts, the rest is nothing to complain of."""
    file = os.path.join(folder.name, "memtop.conf")
    with open(file, "w", encoding="ascii") as stream:
        os.fchmod(stream.fileno(), 0o644)
        for word in FRAMES[1::2] + ("no_such:alloc(1)", "libnone.so:no_such:free(1)",
                                    "malloc:alloc(1)", "alloc_pool+0x10:alloc(1)"):
            stream.write(f"function = {word}\n")
        stream.write("level = heap\n")
    with Target("frames", program=pool()) as target:
        with Batch("-p", str(target.pid), "--top", "0", "--config", file) as memtop:
            check_equal(memtop.tick(60)["level"], "heap", "the file's level")
            target.until("held")

            def frames(tick):
                sites = [site for site in tick["sites"] if site["kind"] == "function"]
                return (sum(site["live_bytes"] for site in sites),
                        sum(site["live_blocks"] for site in sites))
            memtop.tick_where(lambda tick: frames(tick) == (64 * 4096, 64), "frames", 60)
    refused = subprocess.run([built("memtop"), "-b", "-i", "1", "-p", "1", "--config", "/dev/null"],
                             check=False, capture_output=True, text=True)
    check_equal((refused.returncode, refused.stdout), (1, ""), refused.stderr)


def exceptions_through_operator_new():
    """It is caught by the target, and the blocks between are right. (Debian's mimalloc is built as
    C and ends the program instead.)"""
    for name, library in ALLOCATORS.items():
        if name == "mimalloc":
            continue
        for kind in ("session", "perf"):
            follow(pool(), "thrown", ("held", "freed"), ("--kind", kind), ("return_missed",), 200,
                   preload=os.path.join(LIBRARIES, library))


def filters_of_system_calls():
    """Whatever the kind of probes, the target lives on and its books are right."""
    for kind in KINDS:
        for case in ("filtered", "filtered_later"):
            follow(guarded(), case, ("held", "freed"), ("--kind", kind))
    follow(guarded(), "filtered", ("held", "freed"), ("--return-probes", "no"))
    with Target("filtered", program=guarded()) as target:
        with Batch("-p", str(target.pid), "--level", "heap") as memtop:
            memtop.tick()
            for stop in ("held", "freed"):
                target.until(stop)
                memtop.tick()
            target.end()


def filters_that_come_later():
    """The target sets them while it is watched, with or without return probes."""
    follow(guarded(), "filtered_later", ("held", "freed"), ("--return-probes", "no"))
    for options in (*(("--kind", kind) for kind in KINDS), ("--return-probes", "no")):
        with Target("strict", program=guarded()) as target:
            with Book(target.pid, *options) as book:
                for stop, live in (("held", 2000), ("freed", 0)):
                    target.until(stop)
                    sums = dict(NONE)
                    for site in book.read()["sites"]:
                        add(sums, site)
                    check_equal([sums[name] for name in ("allocated_blocks", "allocated_bytes",
                                                         "live_blocks", "live_bytes")],
                                [2000, 48000, live, live * 24], f"{options}, {stop}")
                target.end()


def handler_on_a_higher_stack():
    """Without return probes the target lives, and nothing it gave back stays."""
    for kind in ("session", "multi"):
        with Target("other_stack", program=guarded("-DOWN_ALLOCATOR", name="interrupted")) as target:
            with Book(target.pid, "--kind", kind, "--return-probes", "no") as book:
                target.until("done")
                seen = book.read()
                check_equal(seen["points"]["malloc"][1], 2, "malloc is seen at its returns")
                live = dict(NONE)
                for site in seen["sites"]:
                    add(live, site)
                check(live["allocated_blocks"] >= 100, f"{live}")
                check_equal((live["live_bytes"], live["live_blocks"]), (0, 0), "live")
                target.end()


if __name__ == "__main__":
    run([frames_of_a_pool, arenas_of_all_shapes, without_symbols, descriptions_that_do_not_fit,
         in_the_program, from_a_file, exceptions_through_operator_new, filters_of_system_calls,
         filters_that_come_later, handler_on_a_higher_stack])
