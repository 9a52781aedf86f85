# SPDX-License-Identifier: GPL-2.0-only
"""Every target of speed in one table, with bench.json and bench.md for keeping.

    bench.py [--peers] [--only PART,...] [--output STEM]

`make bench` and `make bench-peers` call it. What cannot be measured here is in the table with the
reason. Exit status 0 if the table could be made, whatever it says."""

import argparse
import subprocess
import sys
import time
import traceback

import benchlib
import live
import peers
from benchlib import NotRun, at_most, program, row, run_figures
from target import built


def pairs(figures):
    seen = run_figures(program("bench_pair"), "7", "12000")
    figures.update(seen)
    rows = []

    def ratio(identity, what, shape, kind, limit, note=""):
        name = f"pair.{shape}.memtop_{kind}"
        rows.append(row(identity, what, seen[name + ".ns"], "ns",
                        seen[f"pair.{shape}.bare_{kind}.ns"], seen[name + ".ratio"],
                        target=at_most(limit, of="ratio"), note=note))

    for depth, limit in ((10, 1.2), (20, 1.2), (40, 1.25)):
        ratio(f"pair.{depth}", f"malloc and free, no frame pointers, depth {depth}",
              f"depth_{depth}", "session", limit,
              f"programs {seen[f'pair.depth_{depth}.memtop_session.programs_ns']:.0f} ns of it, "
              "by the kernel's run-time statistics")
    ratio("pair.churn", "the same, churn over 1 M live blocks", "1M_live", "session", 1.25)
    ratio("pair.threads", "the same, 8 threads of 200 paths", "8_threads", "session", 1.35)
    for depth in (10, 20):
        ratio(f"pair.multi.{depth}", f"kernels without sessions, depth {depth}",
              f"depth_{depth}", "multi", 1.25)

    def growth(identity, what, more, less):
        # Beside the trap, whose own cost grows with the caches that the target misses.
        added = [seen[f"pair.{shape}.memtop_session.ns"] - seen[f"pair.{shape}.bare_session.ns"]
                 for shape in (more, less)]
        rows.append(row(identity, what, added[0], "ns", added[1], added[0] / added[1]))

    growth("growth.live", "added to bare: 1 M live blocks, to 1,000", "1M_live", "1k_live")
    growth("growth.threads", "added to bare: 2 threads, to 1", "2_threads", "1_thread")
    return rows


def stacks(figures):
    seen = run_figures(program("bench_stacks"), program("stack_chain"), program("stack_chain_fp"),
                       "9")
    figures.update(seen)
    peer = {"bpf_get_stack": seen["stack.get_stack.20.ns"]}
    return [row("stack.verified", "capture of a stack, verified, depth 20",
                seen["stack.verified.20.ns"], "ns", peers=peer, target=at_most(300)),
            row("stack.walk", "capture of a stack, full walk, depth 20",
                seen["stack.walk.20.ns"], "ns", peers=peer, target=at_most(450))]


def kernel(figures):
    seen = run_figures(program("bench_kernel"))
    figures.update(seen)
    foreign, empty = seen["kernel.foreign.ns"], seen["kernel.empty.ns"]
    return [row("kernel.foreign", "kernel side, a foreign event", foreign, "ns", bare=empty,
                ratio=foreign / empty, target=at_most(70),
                note="bare: programs that do nothing on the same tracepoints, of which two stand on "
                     "each of a free, so that what an interrupt frees on top of one is seen")]


def ticks(figures):
    seen = run_figures(program("bench_tick"))
    figures.update(seen)

    def part(*parts, sites=10000):
        return sum(seen[f"tick.{sites}.{name}.us"] for name in parts)

    return [row("tick.read", "tick at 10,000 sites: read", part("read"), "us", target=at_most(50)),
            row("tick.model", "tick at 10,000 sites: model", part("model"), "us",
                target=at_most(2000)),
            row("tick.view", "tick at 10,000 sites: view and paint", part("view", "paint"), "us",
                target=at_most(1000)),
            row("tick.100000", "tick at 100,000 sites: all of it", part("all", sites=100000) / 1e3,
                "ms", target=at_most(20)),
            row("growth.sites", "tick at 100,000 sites, to 10 x that at 10,000",
                part("all", sites=100000) / 1e3, "ms", 10 * part("all") / 1e3,
                part("all", sites=100000) / (10 * part("all")))]


PARTS = {
    "pairs": pairs,
    "peers": None,
    "real": lambda figures: live.real_programs(),
    "stacks": stacks,
    "pages": lambda figures: live.pages(),
    "kernel": kernel,
    "ticks": ticks,
    "self": lambda figures: live.itself(),
    "attach": lambda figures: live.attach_service() + live.attach_large(),
    "detach": lambda figures: live.detach(),
    "storm": lambda figures: live.storm(),
    "overhead": lambda figures: live.overhead(),
}


def run_part(name, figures):
    """A part that fails is a row that says why: the others are not lost for it."""
    started = time.monotonic()
    try:
        rows = PARTS[name](figures)
    except (NotRun, OSError, subprocess.SubprocessError) as why:
        rows = [row(name, name, note=f"not run: {why}")]
    except Exception as why:  # pylint: disable=broad-except
        traceback.print_exc()
        rows = [row(name, name, note=f"not run: {type(why).__name__}: {why}")]
    print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    return rows


def no_peers(_):
    return [row("peers", "against bpftrace, memleak and heaptrack", target={"of": "ratio",
            "limit": 5, "least": True}, note="not run: make bench-peers")]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--output", default=built("bench"))
    arguments = parser.parse_args()
    wanted = arguments.only.split(",") if arguments.only else list(PARTS)
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        parser.error(f"no part {unknown[0]}; there are {', '.join(PARTS)}")
    PARTS["peers"] = peers.rows if arguments.peers else no_peers
    about, started = benchlib.machine(), time.monotonic()
    rows, figures = [], {}
    for name in wanted:
        rows += run_part(name, figures)
    results = benchlib.new_results(rows, figures, started)
    results["machine"] = about
    benchlib.write_results(results, arguments.output)
    benchlib.write_table(results, sys.stdout)
    print(f"\n{arguments.output}.json, {arguments.output}.md", file=sys.stderr)


if __name__ == "__main__":
    main()
