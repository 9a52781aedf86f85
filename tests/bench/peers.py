# SPDX-License-Identifier: GPL-2.0-only
"""Other tools on the same target, in turns with memtop: what a pair costs the target, how many
frames of its stacks are shown, whether what is live is told right.

The audit script is what one writes with bpftrace to find a leak: blocks by address and by stack,
at the functions malloc and free. In its fuller form it watches all of the allocator, as memtop
does, and keeps counts of blocks too."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from benchlib import NotRun, Target, at_least, bare_traps, median, row
from live import memtop_on, wait_until

ROUNDS = 5
DEPTHS = {10: "hot 6 0 {}", 20: "hot 16 0 {}"}
PAIRS = 8000
KEPT = 50  # blocks, each from a call path of its own
TRUE_FRAMES = 26  # of each: one_pair, 19 of follow, follow_paths, answer, main, three around it
KEPT_BYTES = 64


def libc_of(pid):
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        return next(line.split()[5] for line in maps if "libc.so" in line and "r-xp" in line)


ALLOCATE = """
uprobe:{libc}:{name} /pid == {pid}/ {{ @size[tid] = {size}; {more} }}
uretprobe:{libc}:{name} /pid == {pid} && @size[tid]/ {{
	$block = {block};
	@live[$block] = @size[tid];
	@stack[$block] = ustack;
	@allocated[ustack] = sum(@size[tid]);
	{count}
	delete(@size[tid]);
}}
"""
FREE = """
uprobe:{libc}:{name} /pid == {pid} && @live[arg0]/ {{
	@freed[@stack[arg0]] = sum(@live[arg0]);
	{count}
	delete(@live[arg0]);
	delete(@stack[arg0]);
}}
"""
SIMPLE = (("malloc", "arg0", "", "retval"),)
FULL = SIMPLE + (
    ("calloc", "arg0 * arg1", "", "retval"),
    ("realloc", "arg1", "if (arg0) { delete(@live[arg0]); delete(@stack[arg0]); }", "retval"),
    ("aligned_alloc", "arg1", "", "retval"),
    ("memalign", "arg1", "", "retval"),
    ("posix_memalign", "arg2", "@where[tid] = arg0;", "*(uint64 *)@where[tid]"),
)


def script(pid, functions, counting):
    libc = libc_of(pid)
    text = "BEGIN { printf(\"ready\\n\"); }\n"
    for name, size, more, block in functions:
        text += ALLOCATE.format(libc=libc, name=name, pid=pid, size=size, more=more, block=block,
                                count="@blocks[ustack] = count();" if counting else "")
    text += FREE.format(libc=libc, name="free", pid=pid,
                        count="@gone[@stack[arg0]] = count();" if counting else "")
    return text


def end_quietly(process):
    process.send_signal(signal.SIGINT)
    try:
        return process.communicate(timeout=60)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()[0]


@contextlib.contextmanager
def tracer(command, ready, answer):
    """A tool that traces from outside; what it says is read by answer() at its end."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, env=dict(os.environ, BPFTRACE_MAP_KEYS_MAX="1000000"))
    said = ""
    try:
        while ready not in said:
            line = process.stdout.readline()
            if not line:
                why = [one.strip() for one in said.splitlines() if one.strip()]
                known = [one for one in why if "headers" in one or "fatal error" in one]
                raise NotRun((known or why or [f"{command[0]} ended"])[-1])
            said += line
        time.sleep(0.5)  # its probes are placed before it says so, or right after
        yield lambda: answer(end_quietly(process))
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


class Nothing:
    name = "unprobed"

    @contextlib.contextmanager
    def watching(self):
        with Target() as target:
            yield target, None


class Bare:
    name = "bare"

    @contextlib.contextmanager
    def watching(self):
        with Target() as target:
            target.ask("hot 1 0 100")
            with bare_traps(target.pid):
                yield target, None


class Memtop:
    name = "memtop"

    @contextlib.contextmanager
    def watching(self):
        with Target() as target:
            target.ask("hot 1 0 100")
            with memtop_on(target.pid, "--level", "heap", "--top", "0", delay=0.5) as memtop:
                yield target, lambda: self.answer(memtop)

    @staticmethod
    def answer(memtop):
        sites = [site for site in memtop.tick_after()["sites"]
                 if any(frame["symbol"] == "one_pair" for frame in site["frames"])]
        return (sum(site["live_blocks"] for site in sites),
                max((len(site["frames"]) for site in sites if site["live_blocks"]), default=0))


class Bpftrace:
    functions, counting = SIMPLE, False
    name = "bpftrace"

    @contextlib.contextmanager
    def watching(self):
        if not shutil.which("bpftrace"):
            raise NotRun("bpftrace is not installed")
        with Target() as target, tempfile.NamedTemporaryFile("w", suffix=".bt") as file:
            target.ask("hot 1 0 100")
            file.write(script(target.pid, self.functions, self.counting))
            file.flush()
            with tracer(["bpftrace", file.name], "ready", self.answer) as answer:
                yield target, answer

    @staticmethod
    def answer(said):
        blocks = len(re.findall(rf"^@live\[\d+\]: {KEPT_BYTES}$", said, re.M))
        stacks = re.findall(r"^@allocated\[([^\]]*)\]", said, re.M)
        return blocks, max((len(stack.split()) for stack in stacks if "one_pair" in stack),
                           default=0)


class BpftraceFull(Bpftrace):
    functions, counting = FULL, True
    name = "bpftrace, all of the allocator"


class Memleak:
    name = "bcc memleak"

    @contextlib.contextmanager
    def watching(self):
        command = shutil.which("memleak-bpfcc")
        if not command:
            raise NotRun("memleak-bpfcc (bpfcc-tools) is not installed")
        with Target() as target:
            target.ask("hot 1 0 100")
            with tracer([command, "-p", str(target.pid), "-T", "1000", "1"], "Attaching to",
                        self.answer) as answer:
                wait_until(lambda: os.path.exists(f"/proc/{target.pid}"), 1, "the target")
                yield target, answer

    @staticmethod
    def answer(said):
        last = said.split("Top ")[-1]
        groups = re.split(r"^\s*\d+ bytes in (\d+) allocations from stack$", last, flags=re.M)
        blocks = frames = 0
        for count, stack in zip(groups[1::2], groups[2::2]):
            if "one_pair" in stack:
                blocks += int(count)
                frames = max(frames, len([line for line in stack.splitlines() if line.strip()]))
        return blocks, frames


class Heaptrack:
    """In the target itself, from its start: no trap, but not for a process that runs."""

    name = "heaptrack (preloaded)"

    @contextlib.contextmanager
    def watching(self):
        if not shutil.which("heaptrack"):
            raise NotRun("heaptrack is not installed")
        with tempfile.TemporaryDirectory() as folder:
            stem = os.path.join(folder, "out")
            with Target(prefix=("heaptrack", "-o", stem)) as target:
                target.ask("hot 1 0 100")
                yield target, lambda: self.answer(target, folder)

    @staticmethod
    def answer(target, folder):
        target.end()
        file = os.path.join(folder, os.listdir(folder)[0])
        said = subprocess.run(["heaptrack_print", "-f", file, "-l", "1", "-a", "0", "-T", "0",
                               "-p", "0", "-n", "100", "-s", "1000"], capture_output=True,
                              text=True, check=False).stdout
        found = re.search(r"leaked over (\d+) calls from\s+one_pair\n(.*?)(?=leaked over \d+ calls "
                          r"from\n|\Z)", said, re.S)
        if not found:
            return 0, 0
        stacks = re.split(r"calls from:\n", found.group(2))[1:]
        return int(found.group(1)), max((1 + len(re.findall(r"^    \S", stack, re.M))
                                         for stack in stacks), default=0)


TOOLS = (Nothing, Bare, Memtop, Bpftrace, BpftraceFull, Memleak, Heaptrack)


def measure(tool, seen):
    """One round: nanoseconds a pair at each depth, then what the tool says of kept blocks."""
    with tool.watching() as (target, answer):
        for depth, request in DEPTHS.items():
            seen["ns"].setdefault(depth, []).append(target.ask(request.format(PAIRS)))
        if answer:
            target.ask(f"keep {KEPT} 0 1")
            seen["blocks"], seen["frames"] = answer()


def collect():
    tools = [kind() for kind in TOOLS]
    results = {tool.name: {"ns": {}, "why": None} for tool in tools}
    for number in range(ROUNDS):
        for tool in tools[number % len(tools):] + tools[:number % len(tools)]:
            seen = results[tool.name]
            if seen["why"]:
                continue
            try:
                measure(tool, seen)
            except (NotRun, OSError, subprocess.SubprocessError) as why:
                seen["why"] = str(why)
    return results


def rows(figures):
    results = collect()
    bare = {depth: median(ns) for depth, ns in results["bare"]["ns"].items()}
    own = {depth: median(ns) for depth, ns in results["memtop"]["ns"].items()}
    if 20 not in bare or 20 not in own:
        raise NotRun(results["memtop"]["why"] or results["bare"]["why"])
    table = []
    for name, seen in results.items():
        identity = "peer." + re.sub(r"[^a-z]+", "_", name).strip("_")
        if seen["why"]:
            table.append(row(identity, f"{name}: a pair", unit="ns",
                             note=f"not run: {seen['why'][:160]}"))
            continue
        ns = {depth: median(values) for depth, values in seen["ns"].items()}
        for depth, value in ns.items():
            figures[f"{identity}.{depth}.ns"] = value
        note = f"depth 10: {ns[10]:.0f} ns"
        if "blocks" in seen:
            note += (f"; {seen['frames']} frames of {TRUE_FRAMES} shown, "
                     f"{seen['blocks']} of {KEPT} live blocks told")
        slowdown = ns[20] / median(results["unprobed"]["ns"][20])
        note += f"; the target runs {slowdown:.0f} x slower in this loop of nothing but pairs"
        tracing = name.startswith(("bpftrace", "bcc"))
        table.append(row(identity, f"{name}: a pair, depth 20", ns[20], "ns", bare[20],
                         ns[20] / bare[20], peers={"x memtop": ns[20] / own[20]}, note=note))
        if tracing:
            # What is left of a pair's cost once the trap, which nobody can avoid, is paid.
            table.append(row(identity + ".cheaper", f"{name}: so many times memtop's cost",
                             ns[20] / own[20], "x", target=at_least(5)))
    return table
