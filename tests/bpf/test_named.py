# SPDX-License-Identifier: GPL-2.0-only
"""Names that must outlive what they come from, and names of code that has no file."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile

from batch import Batch
from plugins import PluginHost, plugin
from symbolizer import build_id
from tap import check, check_equal, run
from target import MEMTOP, built, running
from terminal import Terminal


def names_of(tick):
    return {frame["symbol"] for site in tick["sites"] for frame in site["frames"]}


def last_tick(memtop):
    while True:
        tick = memtop.tick()
        if tick["final"]:
            return tick


def check_share_of_names(tick, least, most):
    """The tick says how many of its frames have names."""
    frames = [frame for site in tick["sites"] for frame in site["frames"] if not frame["inlined"]]
    share = 100 * sum(frame["symbol"] is not None for frame in frames) / len(frames)
    check(least <= share <= most, f"{share} % of {len(frames)} frames are named")
    check(abs(tick["overhead"]["names_percent"] - share) < 0.1,
          f"said {tick['overhead']['names_percent']} %, are {share} %")


def share_on(screen):
    """The share of frames named, as the screen says; -1 while it does not."""
    match = re.search(r"names (\d+)%", screen)
    return int(match.group(1)) if match else -1


def the_last_table_is_named():
    """Also of sites that no tick had seen before the target died."""
    for seen_before in (True, False):
        with PluginHost() as host, Batch("-p", str(host.pid), "--level", "heap", "--side", "user",
                                         delay=0.5) as memtop:
            memtop.tick()
            host.open(plugin("alpha"))
            memtop.tick_with_tables()
            if not seen_before:
                memtop.process.send_signal(signal.SIGSTOP)
            host.tell("run 20 100")
            if seen_before:
                memtop.tick_where(lambda tick: "alpha_keep" in names_of(tick), "a named site")
            host.process.kill()
            memtop.process.send_signal(signal.SIGCONT)
            tick = last_tick(memtop)
            check_equal(tick["target"]["state"], "killed", "how it ended")
            kept = sum(site["live_blocks"] for site in tick["sites"] if any(
                frame["symbol"] == "alpha_keep" for frame in site["frames"]))
            check_equal(kept, 20, f"blocks of the library's function, of {names_of(tick)}")
            check("main" in names_of(tick), f"the program's function: {names_of(tick)}")
            check_share_of_names(tick, 75, 100)


def the_screen_stays_named():
    with PluginHost() as host:
        host.open(plugin("alpha"))
        command = [os.path.abspath(MEMTOP), "-p", str(host.pid), "--level", "heap"]
        with Terminal(command) as terminal:
            terminal.wait_text("live 1s")
            # Should its tables be late, the site of whole stacks is on top all the same.
            host.tell("pace 300 16")
            host.tell("pace 300 100000")
            terminal.wait_text("alpha_keep")
            terminal.wait(lambda text: share_on(text) >= 90, "names of nearly all frames")
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
                memtop.tick_with_tables()
                host.tell("run 20 100")
                tick = memtop.tick_after()
                names = names_of(tick)
                check({"alpha_keep", "main"} <= names, f"names of what is mapped: {names}")
                check("omega_keep" not in names, "no name of the new file")
                check(not any(site["truncated"] for site in tick["sites"]), "whole stacks")


@contextlib.contextmanager
def changed_library():
    """A library whose file gets another build-id, once the block says so, while it is mapped."""
    with tempfile.TemporaryDirectory(prefix="memtop-test-") as folder:
        library = os.path.join(folder, "library.so")
        shutil.copy(plugin("alpha"), library)
        identity = bytes.fromhex(build_id(library))

        def change():
            with open(library, "r+b") as file:
                at = file.read().index(identity)
                file.seek(at)
                file.write(bytes(byte ^ 0xff for byte in identity))
        with PluginHost() as host:
            host.open(library)
            yield host, library, change


def another_build_is_not_believed_and_that_is_said():
    with changed_library() as (host, library, change), \
            Batch("-p", str(host.pid), "--level", "heap", "--side", "user") as memtop:
        memtop.tick_with_tables()
        before = build_id(library)
        change()
        host.tell("run 20 100")
        tick = memtop.tick_after()
        check("alpha_keep" not in names_of(tick), f"names of what is not mapped: {names_of(tick)}")
        check_share_of_names(tick, 10, 90)
        reasons = {frame["reason"] for site in tick["sites"] for frame in site["frames"]
                   if frame["module"] == library}
        check_equal(reasons, {f"file replaced: build-id {build_id(library)}, mapped {before}"},
                    "reasons")
        check(all(frame["reason"] is None for site in tick["sites"] for frame in site["frames"]
                  if frame["module"] != library and frame["symbol"]), "no reason to doubt others")
    with changed_library() as (host, library, change):
        command = [os.path.abspath(MEMTOP), "-p", str(host.pid), "--level", "heap"]
        with Terminal(command) as terminal:
            terminal.wait_text("live 1s")
            change()
            host.tell("pace 500 100000")
            terminal.wait_text("library.so+0x")

            def shares(text):
                host.tell("run 1 100000")  # should all so far have been cut short
                return 10 <= share_on(text) <= 90
            terminal.wait(shares, "some frames without names")
            terminal.key("j")
            terminal.key("Enter")
            terminal.wait_text("file replaced")
            terminal.type("q")


def code_of_a_jit_is_walked_and_named():
    """By the frame pointer, marked as not proven; named by its map."""
    with running(built("tests/targets/jit"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                 text=True) as jit:
        try:
            check_equal(jit.stdout.readline(), "ready\n", "the compiler")
            with Batch("-p", str(jit.pid), "--level", "heap", "--side", "user") as memtop:
                memtop.tick_with_tables()
                jit.stdin.write("\n")
                jit.stdin.flush()
                told = [int(word, 16) for word in jit.stdout.readline().split()]
                tick = memtop.tick_after()
                check_equal(len(tick["sites"]), 1, "sites")
                site = tick["sites"][0]
                frames = [frame for frame in site["frames"] if not frame["inlined"]]
                check_equal(site["live_blocks"], 100, "blocks")
                check_equal([int(frame["address"], 16) for frame in frames[:2]], told,
                            "compiled frames")
                names = [frame["symbol"] for frame in frames]
                check_equal(names[:4], ["jit_inner", "jit_outer", "run_compiled", "main"], "names")
                check_equal(site["truncated"], True, "marked")
        finally:
            os.unlink(f"/tmp/perf-{jit.pid}.map")


JAVASCRIPT = """
const kept = [];
function keepBuffers(count) { for (let i = 0; i < count; i++) kept.push(Buffer.allocUnsafeSlow(20000 + i % 7)); }
for (let i = 0; i < 3000; i++) { keepBuffers(10); kept.length = 0; }
console.log('ready');
setInterval(() => { keepBuffers(20); if (kept.length > 4000) kept.length = 0; }, 10);
"""


def scripts_of_node_are_walked_and_named():
    with tempfile.TemporaryDirectory(prefix="memtop-test-") as folder:
        script = os.path.join(folder, "keep.js")
        with open(script, "w", encoding="utf-8") as file:
            file.write(JAVASCRIPT)
        with running("node", "--perf-basic-prof", "--interpreted-frames-native-stack", script,
                     stdout=subprocess.PIPE, text=True, cwd=folder) as node:
            perf_map = f"/tmp/perf-{node.pid}.map"
            try:
                check_equal(node.stdout.readline(), "ready\n", "node")
                with Batch("-p", str(node.pid), "--level", "heap", "--side", "user", "--top",
                           "0") as memtop:
                    memtop.tick()

                    def through(tick):
                        return [site for site in tick["sites"] if any(
                            "keepBuffers" in (frame["symbol"] or "") for frame in site["frames"])]
                    tick = memtop.tick_where(through, "a function of the script")
                    for site in through(tick):
                        check(site["truncated"], "marked as not proven")
            finally:
                if os.path.exists(perf_map):
                    os.unlink(perf_map)


cases = [the_last_table_is_named, the_screen_stays_named, a_replaced_binary_is_not_mistaken,
         another_build_is_not_believed_and_that_is_said, code_of_a_jit_is_walked_and_named]
if shutil.which("node"):  # more of the same, where there is one
    cases.append(scripts_of_node_are_walked_and_named)
run(cases)
