# SPDX-License-Identifier: GPL-2.0-only
"""What benchmarks share: rows of the table, figures of the C programs, processes, the machine."""

import contextlib
import json
import os
import platform
import re
import statistics
import subprocess
import time

from target import built

SCHEMA = "memtop-bench/1"


class NotRun(Exception):
    """Why something could not be measured here."""


def median(values):
    return statistics.median(values)


def program(name):
    return built(f"tests/bench/{name}")


def run_figures(*command, seconds=240):
    """Runs a C benchmark; its figures by name. They stand in lines "= NAME VALUE"."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    figures = {name: float(value)
               for name, value in re.findall(r"^= (\S+) (\S+)$", done.stdout, re.M)}
    if done.returncode or not figures:
        raise NotRun((done.stderr.strip().splitlines() or ["no figures"])[-1])
    return figures


class Target:
    """A pair_target, alone or under another program."""

    def __init__(self, *arguments, prefix=()):
        self.process = subprocess.Popen([*prefix, program("pair_target"), *arguments],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def ask(self, line):
        """The number that answers a line; what other programs say in between is passed over."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        while True:
            answer = self.process.stdout.readline()
            if not answer:
                raise NotRun("the target has died")
            with contextlib.suppress(ValueError):
                return float(answer)

    def end(self):
        if self.process.poll() is None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                stream.close()


@contextlib.contextmanager
def bare_traps(pid):
    """Empty programs where memtop would place its probes."""
    process = subprocess.Popen([program("bench_watch"), str(pid)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        if process.stdout.readline() != "ready\n":
            raise NotRun(process.stderr.read().strip() or "no bare traps")
        yield
    finally:
        process.communicate()


def thread_cpu_ns(pid):
    """CPU time of all threads that live, in nanoseconds."""
    total = 0
    for tid in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/task/{tid}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
    return total


def machine():
    model = platform.machine()
    with contextlib.suppress(OSError):
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            model = next((line.split(":", 1)[1].strip() for line in file
                          if line.startswith("model name")), model)
    try:
        with open("/etc/os-release", encoding="utf-8") as file:
            system = re.search(r'^PRETTY_NAME="?([^"\n]*)', file.read(), re.M).group(1)
    except (OSError, AttributeError):
        system = platform.system()
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(), "system": system,
            "load_before": round(os.getloadavg()[0], 2)}


def commit(folder):
    done = subprocess.run(["git", "-C", folder, "describe", "--always", "--dirty"],
                          capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def row(identity, what, value=None, unit="", bare=None, ratio=None, peers=None, target=None,
        note=""):
    """A row of the table. What is held against the target (most it may be, or `>=` the least) is
    the ratio where the target is one, else the value."""
    verdict = "not run"
    judged = None
    if target:
        kind, least, limit = target["of"], target.get("least", False), target["limit"]
        judged = ratio if kind == "ratio" else value
        if judged is not None:
            verdict = "pass" if (judged >= limit if least else judged <= limit) else "fall short"
    elif value is not None or ratio is not None:
        verdict = "-"
    return {"id": identity, "what": what, "value": value, "unit": unit, "bare": bare,
            "ratio": ratio, "peers": peers or {}, "target": target, "judged": judged,
            "verdict": verdict, "note": note}


def at_most(limit, of="value"):
    return {"of": of, "limit": limit}


def at_least(limit, of="value"):
    return {"of": of, "limit": limit, "least": True}


def number(value):
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def target_text(row_):
    target = row_["target"]
    if not target:
        return "-"
    sign = "≥" if target.get("least") else "≤"
    return f"{sign} {target['limit']:g}" + (" x bare" if target["of"] == "ratio" else
                                            " " + row_["unit"] if row_["unit"] else "")


HEADINGS = ("what", "memtop", "bare", "ratio", "peers", "target", "result")


def cells(row_):
    value = number(row_["value"])
    if row_["value"] is not None and row_["unit"]:
        value += " " + row_["unit"]
    peers = ", ".join(f"{name} {text if isinstance(text, str) else number(text)}"
                      for name, text in row_["peers"].items())
    return (row_["what"], value, number(row_["bare"]),
            f"{row_['ratio']:.3f}" if row_["ratio"] is not None else "-", peers or "-",
            target_text(row_), row_["verdict"].upper() if row_["verdict"] == "fall short"
            else row_["verdict"])


def write_table(results, out):
    """As a Markdown table, which reads as text too."""
    about = results["machine"]
    print(f"memtop {results['commit'] or ''}: {about['cpu']}, {about['cores']} cores, kernel "
          f"{about['kernel']}, {about['system']}; {results['date']}; load before "
          f"{about['load_before']}; {results['seconds']:.0f} s\n", file=out)
    lines = [HEADINGS] + [cells(row_) for row_ in results["rows"]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADINGS))]
    for index, line in enumerate(lines):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |",
              file=out)
        if not index:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|", file=out)
    notes = [row_ for row_ in results["rows"] if row_["note"]]
    if notes:
        print(file=out)
    for row_ in notes:
        print(f"- {row_['what']}: {row_['note']}", file=out)
    counts = {}
    for row_ in results["rows"]:
        counts[row_["verdict"]] = counts.get(row_["verdict"], 0) + 1
    print("\n" + ", ".join(f"{counts[name]} {name}" for name in ("pass", "fall short", "not run")
                           if name in counts), file=out)


def write_results(results, stem):
    """STEM.json and STEM.md."""
    with open(stem + ".json", "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1, ensure_ascii=False)
        file.write("\n")
    with open(stem + ".md", "w", encoding="utf-8") as file:
        write_table(results, file)


def new_results(rows, figures, started):
    return {"schema": SCHEMA, "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            "commit": commit(os.environ.get("top_srcdir", ".")), "machine": None,
            "seconds": time.monotonic() - started, "rows": rows, "figures": figures}
