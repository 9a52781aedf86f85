# SPDX-License-Identifier: GPL-2.0-only
"""Attaching to a process with some hundred libraries: how soon the first tick is there, whether ticks
come on time from then on, and what the tables take.

    ATTACH_MAPPINGS=300 ATTACH_MEGABYTES=200 test_attach.py

loads the largest libraries of the machine until the process has as many executable mappings and as
much text. As a test it wants 100 mappings and 50 MB, which any machine that builds memtop has."""

import glob
import os
import time

from batch import Batch
from plugins import PluginHost, plugin
from tap import check, check_equal, in_time, run

WANTED_MAPPINGS = int(os.environ.get("ATTACH_MAPPINGS", "100"))
WANTED_TEXT = int(os.environ.get("ATTACH_MEGABYTES", "50")) << 20
FOLDERS = ("/usr/lib/*-linux-gnu", "/usr/lib/llvm-*/lib", "/usr/lib/*-linux-gnu/*")
BATCH = 8  # libraries of one command
FIRST_TICK_S = float(os.environ.get("ATTACH_SECONDS", "20"))
LATE_S = 0.25


def text_of(pid):
    """Executable mappings of files, and their bytes."""
    count = size = 0
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps:
        for line in maps:
            words = line.split(None, 5)
            if "x" in words[1] and len(words) > 5 and words[5].startswith("/"):
                start, end = words[0].split("-")
                size += int(end, 16) - int(start, 16)
                count += 1
    return count, size


def libraries():
    """The machine's libraries, the largest first; sanitizers would take malloc over."""
    files = {os.path.realpath(path) for folder in FOLDERS
             for path in glob.glob(folder + "/*.so*") if os.path.isfile(path)}
    unwanted = ("san.so", "libpthread", "jemalloc", "tcmalloc", "mimalloc", "libmemusage", "_fp.so")
    names = [path for path in files if not any(part in path for part in unwanted)]
    return sorted(names, key=os.path.getsize, reverse=True)


def load(host):
    names = libraries()
    while names:
        host.open(*names[:BATCH])
        del names[:BATCH]
        count, size = text_of(host.pid)
        if count >= WANTED_MAPPINGS and size >= WANTED_TEXT:
            break
    return text_of(host.pid)


def attach(host):
    """Seconds to the first tick, and how late ticks were: the machine may take its time for one or
    two of them, so the third latest counts."""
    started = time.monotonic()
    with Batch("-p", str(host.pid), "--level", "heap", "--top", "0", "--side", "user",
               delay=0.5) as memtop:
        first = memtop.tick()
        attached = time.monotonic() - started
        late = []
        for _ in range(10):
            tick = memtop.tick()
            due = first["elapsed_s"] + 0.5 * (tick["tick"] - first["tick"])
            late.append(tick["elapsed_s"] - due)
        memtop.tick_with_tables()
        host.tell("run 100 100")
        tick = memtop.tick_after()
    overhead = tick["overhead"]
    whole = sum(site["live_blocks"] for site in tick["sites"] if not site["truncated"])
    print(f"# first tick after {attached:.2f} s, ticks at most {max(late) * 1e3:.0f} ms late, "
          f"{overhead['unwind_bytes'] / 1e6:.1f} MB of tables, "
          f"{overhead['self_rss_bytes'] / 1e6:.0f} MB of memtop, "
          f"{tick['tick'] - first['tick']} ticks", flush=True)
    check_equal(overhead["unwind_tables_refused"], 0, "tables refused")
    check(overhead["unwind_bytes"] <= 256 << 20, "bytes of tables")
    check(whole >= 100, f"{whole} blocks with whole stacks")
    return attached, sorted(late)[-3]


def attach_to_a_large_process():
    with PluginHost() as host:
        count, size = load(host)
        check(count >= WANTED_MAPPINGS * 0.9, f"only {count} mappings could be had")
        print(f"# {count} mappings, {size / 1e6:.0f} MB of text", flush=True)
        host.open(plugin("alpha"))
        in_time(lambda: max(seconds / most for seconds, most in
                            zip(attach(host), (FIRST_TICK_S, LATE_S))),
                1, "of the time that the first tick and the others may take", 5)


run([attach_to_a_large_process])
