# SPDX-License-Identifier: GPL-2.0-only
"""Names that must outlive what they come from, and names of code that has no file."""

import os
import shutil
import subprocess
import tempfile
import time

from batch import Batch
from plugins import PluginHost, plugin
from tap import check, check_equal, run, wait_for
from target import MEMTOP, built, running
from terminal import Terminal


def names_of(tick):
    return {frame["symbol"] for site in tick["sites"] for frame in site["frames"]}


def last_tick(memtop):
    while True:
        tick = memtop.tick()
        if tick["final"]:
            return tick


def the_last_table_is_named():
    """Also of sites that no tick had seen before the target died."""
    for seen_before in (True, False):
        with PluginHost() as host, Batch("-p", str(host.pid), "--level", "heap", "--side", "user",
                                         delay=0.5 if seen_before else 30) as memtop:
            memtop.tick()
            host.open(plugin("alpha"))
            time.sleep(0.6)  # until the library's stacks are whole
            host.tell("run 20 100")
            if seen_before:
                memtop.tick_where(lambda tick: "alpha_keep" in names_of(tick), "a named site")
            host.process.kill()
            tick = last_tick(memtop)
            check_equal(tick["target"]["state"], "killed", "how it ended")
            kept = sum(site["live_blocks"] for site in tick["sites"] if any(
                frame["symbol"] == "alpha_keep" for frame in site["frames"]))
            check_equal(kept, 20, f"blocks of the library's function, of {names_of(tick)}")
            check("main" in names_of(tick), f"the program's function: {names_of(tick)}")


def the_screen_stays_named():
    with PluginHost() as host:
        command = [os.path.abspath(MEMTOP), "-p", str(host.pid), "--level", "heap"]
        with Terminal(command) as terminal:
            terminal.wait_text("live 1s")
            host.open(plugin("alpha"))
            host.tell("pace 500 100000")
            terminal.wait_text("alpha_keep")
            host.process.kill()
            host.process.wait()
            screen = terminal.wait(lambda text: "killed" in text.lower(), "the end on screen")
            check("alpha_keep" in screen, f"the site after the end:\n{screen}")
            terminal.key("j")
            terminal.key("Enter")
            terminal.wait(lambda text: "alpha_keep" in text and "run" in text,
                          "the site unfolded after the end")
            terminal.type("q")


def a_replaced_binary_is_not_mistaken():
    """The file that is mapped counts, not what lies at its path now."""
    with tempfile.TemporaryDirectory(prefix="memtop-test-") as folder:
        path = os.path.join(folder, "host")
        library = os.path.join(folder, "library.so")
        shutil.copy(built("tests/targets/plugin_host"), path)
        shutil.copy(plugin("alpha"), library)
        with PluginHost(path) as host:
            host.open(library)
            os.unlink(library)
            shutil.copy(plugin("omega"), library)
            os.unlink(path)
            shutil.copy("/bin/true", path)
            with Batch("-p", str(host.pid), "--level", "heap", "--side", "user") as memtop:
                memtop.tick()
                host.tell("run 20 100")
                tick = memtop.tick_after()
                names = names_of(tick)
                check({"alpha_keep", "main"} <= names, f"names of what is mapped: {names}")
                check("omega_keep" not in names, "no name of the new file")
                check(not any(site["truncated"] for site in tick["sites"]), "whole stacks")


JAVASCRIPT = """
const zlib = require('zlib');
const kept = [];
function keepOneBuffer(n) { const b = Buffer.allocUnsafeSlow(20000 + n % 7); b[0] = 1; return b; }
function keepBuffers(count) { for (let i = 0; i < count; i++) kept.push(keepOneBuffer(i)); }
for (let i = 0; i < 3000; i++) { keepBuffers(10); kept.length = 0; }
console.log('ready');
setInterval(() => { keepBuffers(20); if (kept.length > 4000) kept.length = 0; }, 10);
"""


def code_of_a_jit_is_named_by_its_map():
    with tempfile.TemporaryDirectory(prefix="memtop-test-") as folder:
        script = os.path.join(folder, "keep.js")
        with open(script, "w", encoding="utf-8") as file:
            file.write(JAVASCRIPT)
        with running("node", "--perf-basic-prof", "--interpreted-frames-native-stack", script,
                     stdout=subprocess.PIPE, text=True, cwd=folder) as node:
            perf_map = f"/tmp/perf-{node.pid}.map"
            try:
                check_equal(node.stdout.readline(), "ready\n", "node")
                wait_for(lambda: os.path.exists(perf_map), "the map")
                with Batch("-p", str(node.pid), "--level", "heap", "--side", "user", "--top",
                           "0") as memtop:
                    memtop.tick()
                    tick = memtop.tick_where(
                        lambda t: any("keepOneBuffer" in (name or "") for name in names_of(t)),
                        "a function of the script", 40)
                    for site in tick["sites"]:
                        frames = [frame for frame in site["frames"] if not frame["module"]]
                        check(not frames or site["truncated"],
                              f"a stack through code without a file is marked: {site}")
            finally:
                if os.path.exists(perf_map):
                    os.unlink(perf_map)


run([the_last_table_is_named, the_screen_stays_named, a_replaced_binary_is_not_mistaken,
     code_of_a_jit_is_named_by_its_map])
