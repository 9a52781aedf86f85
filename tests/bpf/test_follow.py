# SPDX-License-Identifier: GPL-2.0-only
"""A target that is known by its name ends, and another one of that name begins."""

import contextlib
import os
import re
import shutil
import signal
import tempfile

from batch import Batch
from plugins import PluginHost, plugin
from tap import check, check_equal, run
from target import MEMTOP, built
from terminal import Terminal

HEAP = ("--level", "heap", "--side", "user", "--top", "0")
LONG = 90  # seconds to wait for what comes at once on a machine that does nothing else


@contextlib.contextmanager
def named():
    """A program of a name that no other process has."""
    with tempfile.TemporaryDirectory(prefix="memtop-test-") as folder:
        path = os.path.join(folder, f"follow-{os.getpid()}")
        shutil.copy(built("tests/targets/plugin_host"), path)
        yield path


def kept(tick, name):
    sites = [site for site in tick["sites"]
             if any(frame["symbol"] == name for frame in site["frames"])]
    return (sum(site["live_blocks"] for site in sites), sum(site["live_bytes"] for site in sites))


def ids(tick):
    return {site["id"] for site in tick["sites"]}


def keep(host, name, count, size, memtop=None):
    host.open(plugin(name))
    if memtop:
        memtop.tick_with_tables()
    host.tell(f"run {count} {size}")


def ended(memtop, generation):
    last = memtop.tick_where(lambda tick: tick["final"], "a last object", LONG)
    check_equal((last["target"]["state"], last["target"]["signal"],
                 last["target"]["generation"]), ("killed", signal.SIGKILL, generation), "the end")
    return last


def the_next_one_is_a_generation():
    with named() as path:
        name = os.path.basename(path)
        with PluginHost(path) as host, Batch("-n", name, *HEAP) as memtop:
            check_equal(memtop.tick(LONG)["target"]["pid"], host.pid, "the first one")
            keep(host, "alpha", 20, 100, memtop)
            memtop.tick_where(lambda tick: kept(tick, "alpha_keep") == (20, 2000), "its blocks", LONG)
            host.process.kill()
            last = ended(memtop, 1)
            check_equal(kept(last, "alpha_keep"), (20, 2000), "its book")
            for generation in (2, 3):
                with PluginHost(path) as host:
                    tick = memtop.tick(LONG)
                    check_equal((tick["target"]["pid"], tick["target"]["generation"],
                                 tick["target"]["state"], tick["level"], tick["final"]),
                                (host.pid, generation, "running", "heap", False), "the next one")
                    check_equal(kept(tick, "alpha_keep"), (0, 0), "a book of its own")
                    check(tick["tick"] == last["tick"] + 1 and
                          tick["elapsed_s"] > last["elapsed_s"], "time runs on")
                    keep(host, "omega", 7, 50, memtop)
                    tick = memtop.tick_where(lambda tick: kept(tick, "omega_keep") == (7, 350),
                                             "its blocks", LONG)
                    check(not ids(tick) & ids(last), f"ids used again: {ids(tick) & ids(last)}")
                    host.process.kill()
                    last = ended(memtop, generation)
                    check_equal(kept(last, "omega_keep"), (7, 350), "its book")
            check_equal(memtop.process.poll(), None, "it waits for the next one")
            memtop.process.terminate()
            check_equal(memtop.process.wait(LONG), 0, "exit code")


def at_once_by_its_command_line():
    """Long before the next tick; what it allocated before the attach is not in its book."""
    with named() as path:
        with PluginHost(path) as host, Batch("--match", f"^{re.escape(path)}$", *HEAP,
                                             delay=3600) as memtop:
            memtop.tick(LONG)
            host.process.kill()
            ended(memtop, 1)
            with PluginHost(path) as host:
                tick = memtop.tick(LONG)
                check_equal((tick["target"]["pid"], tick["target"]["generation"],
                             tick["user"]["live_blocks"]), (host.pid, 2, 0), "the next one")
                host.process.kill()
                ended(memtop, 2)


def on_the_screen():
    with named() as path:
        name = os.path.basename(path)
        command = [os.path.abspath(MEMTOP), "-n", name, "--level", "heap", "--side", "user",
                   "--min-size", "0", "-d", "0.3"]
        with PluginHost(path) as host, Terminal(command) as terminal:
            terminal.wait_text("live 0.3s", seconds=LONG)
            keep(host, "alpha", 20, 100)
            terminal.wait_text("alpha_keep", seconds=LONG)
            host.process.kill()
            host.process.wait()
            screen = terminal.wait_text(f"killed by signal 9, waiting for {name}", seconds=LONG)
            check("alpha_keep" in screen, f"its last table:\n{screen}")
            with PluginHost(path) as host:
                terminal.wait_text("Started again: generation 2", seconds=LONG)
                keep(host, "omega", 7, 50)
                terminal.wait(lambda s: "omega_keep" in s and "alpha_keep" not in s, "its table",
                              LONG)
                terminal.key("[")
                screen = terminal.wait_text("GENERATION 1 of 2", seconds=LONG)
                terminal.wait_text("alpha_keep", "the table of the one before", LONG)
                terminal.key("]")
                terminal.wait(lambda s: "GENERATION" not in s and "omega_keep" in s,
                              "the present", LONG)
            terminal.wait_text(f"waiting for {name}", seconds=LONG)
            terminal.type("q")
            terminal.wait_text("exit=0", seconds=LONG)


if __name__ == "__main__":
    run([the_next_one_is_a_generation, at_once_by_its_command_line, on_the_screen])
