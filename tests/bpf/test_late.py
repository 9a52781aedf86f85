# SPDX-License-Identifier: GPL-2.0-only
"""Allocators that come into a target while it is watched."""

import contextlib
import os
import subprocess
import tempfile

from batch import Batch
from plugins import PluginHost, plugin
from tap import check, check_equal, run

HEAP = ("--level", "heap", "--side", "user", "--top", "0")
LONG = 90


def own(tick):
    """Blocks and bytes live, of calls of the plugin's allocator; all that were allocated."""
    sites = [site for site in tick["sites"]
             if any(frame["symbol"] == "own_keep" for frame in site["frames"])]
    return tuple(sum(site[name] for site in sites)
                 for name in ("live_blocks", "live_bytes", "allocated_blocks"))


def watched(tick):
    return {allocator["module"].rsplit("/", 1)[-1]: allocator for allocator in tick["allocators"]}


def follow(*options):
    with PluginHost() as host, Batch("-p", str(host.pid), *HEAP, *options) as memtop:
        first = memtop.tick(LONG)
        check_equal(list(watched(first)), ["libc.so.6"], "at the attach")
        host.open(plugin("alpha"))
        host.open(plugin("own"))
        tick = memtop.tick_where(lambda tick: "libplugin_own.so" in watched(tick),
                                 "its allocator", LONG)
        late = watched(tick)["libplugin_own.so"]
        check_equal(late["functions"], 3, "functions")
        check(first["elapsed_s"] < late["since_s"] <= tick["elapsed_s"] + 0.001,
              f"since when: {late}, now {tick['elapsed_s']}")
        check("libplugin_own.so is watched since" in tick["level_reason"], tick["level_reason"])
        before = tick["user"]["before_attach_frees"]
        host.tell("run 50 100")
        memtop.tick_where(lambda tick: own(tick) == (50, 5000, 100), "its blocks", LONG)
        host.tell("free")
        tick = memtop.tick_where(lambda tick: own(tick)[0] == 0, "that they are freed", LONG)
        check_equal(tick["user"]["before_attach_frees"], before, "frees of unknown blocks")
        check_equal(tick["losses"]["total"], 0, f"losses: {tick['losses']}")
        host.tell("close")
        host.open(plugin("own"))
        host.tell("run 7 60")
        tick = memtop.tick_where(lambda tick: own(tick)[:2] == (7, 420),
                                 "blocks after it came again", LONG)
        check_equal(watched(tick)["libplugin_own.so"]["functions"], 3, "nothing is watched twice")
        host.tell("free")
        memtop.tick_where(lambda tick: own(tick)[0] == 0, "that they are freed", LONG)
        check_equal(host.process.poll(), None, "the target lives")


def comes_by_dlopen():
    follow()


def without_return_probes():
    follow("--no-return-probes")


def blocks_from_before_are_unknown():
    """What it gave out before it was watched is freed as such, and counted."""
    with PluginHost() as host:
        host.open(plugin("own"))
        host.tell("run 20 100")
        with Batch("-p", str(host.pid), *HEAP) as memtop:
            tick = memtop.tick(LONG)
            check("libplugin_own.so" in watched(tick), f"watched: {tick['allocators']}")
            host.tell("free")
            tick = memtop.tick_where(lambda tick: tick["user"]["before_attach_frees"] >= 20,
                                     "frees of unknown blocks", LONG)
            check_equal(own(tick), (0, 0, 0), "its books")


@contextlib.contextmanager
def plugin_with_mimalloc():
    with tempfile.TemporaryDirectory() as place:
        path = os.path.join(place, "libplugin_deep.so")
        source = os.path.join(os.environ["top_srcdir"], "tests/targets/plugin.c")
        subprocess.run(["cc", "-O1", "-fno-builtin", "-fPIC", "-shared", "-DKEEP=deep_keep",
                        "-DHEAPS", "-o", path, source, "-Wl,--no-as-needed", "-lmimalloc"],
                       check=True)
        yield path


def deep_keep(tick):
    sites = [site for site in tick["sites"]
             if any(frame["symbol"] == "deep_keep" for frame in site["frames"])]
    return (sum(site["live_blocks"] for site in sites), sum(site["live_bytes"] for site in sites))


def bound_to_its_own():
    """RTLD_DEEPBIND: the plugin's malloc is that of its library, the program's is libc's."""
    with plugin_with_mimalloc() as path, PluginHost() as host:
        with Batch("-p", str(host.pid), *HEAP) as memtop:
            memtop.tick(LONG)
            host.tell("deep " + path)
            memtop.tick_where(lambda tick: "libmimalloc.so.2.0" in watched(tick), "mimalloc", LONG)
            host.tell("run 30 1000")
            memtop.tick_where(lambda tick: deep_keep(tick) == (30, 30000), "its blocks", LONG)
            host.tell("free")
            memtop.tick_where(lambda tick: deep_keep(tick) == (0, 0) and
                              tick["losses"].get("released_in_bulk"),
                              "that they are freed, and that a heap went in bulk", LONG)
            host.tell("run 20 500")
        with Batch("-p", str(host.pid), *HEAP) as memtop:
            memtop.tick(LONG)
            host.tell("run 12 100")
            memtop.tick_where(lambda tick: deep_keep(tick) == (12, 1200), "once it is there", LONG)
            host.tell("free")
            tick = memtop.tick_where(lambda tick: deep_keep(tick) == (0, 0), "its frees", LONG)
            check(tick["user"]["before_attach_frees"] >= 20, "those of before are unknown")


if __name__ == "__main__":
    run([comes_by_dlopen, without_return_probes, blocks_from_before_are_unknown,
         bound_to_its_own])
