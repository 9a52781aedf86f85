# SPDX-License-Identifier: GPL-2.0-only
"""How the cost of a pair grows: measured, kept as JSON, drawn as one SVG of four panels.

    curves.py STEM [ROUNDS]     measures, writes STEM.json and STEM.svg
    curves.py --draw STEM       draws STEM.svg of STEM.json again

`make bench-curves` calls it."""

import html
import json
import math
import re
import sys
import time

import benchlib
from benchlib import program, run_figures

PANELS = (("depth", "frames on the stack", False), ("live", "live blocks", True),
          ("sites", "call paths in turn", True), ("threads", "threads of 200 paths", True))
LINES = (("bare_session", "bare traps", "#8a8f98"), ("memtop_session", "memtop", "#c8452f"))
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 420, 260, 56, 44, 24, 44
FONT = 'font-family="sans-serif"'


def curves(figures):
    """{panel: {line: [(x, ns), ...]}}"""
    result = {}
    for name, value in figures.items():
        found = re.fullmatch(r"pair\.([a-z]+)_(\d+)\.([a-z_]+)\.ns", name)
        if found:
            panel, number, line = found.groups()
            result.setdefault(panel, {}).setdefault(line, []).append((int(number), value))
    for lines in result.values():
        for points in lines.values():
            points.sort()
    return result


def nice_step(most):
    """A step of 1, 2 or 5 times a power of ten that makes four to eight of `most`."""
    power = 10 ** math.floor(math.log10(most / 4))
    return next(power * factor for factor in (1, 2, 5, 10) if most / (power * factor) <= 8)


def short(number):
    for unit, size in (("M", 10**6), ("k", 10**3)):
        if number >= size and number % size == 0:
            return f"{number // size}{unit}"
    return f"{number:g}"


class Panel:
    """One chart; (0, 0) is its upper left corner."""

    def __init__(self, name, title, logarithmic, lines, cores):
        self.name, self.title, self.lines, self.cores = name, title, lines, cores
        self.scale = math.log10 if logarithmic else float
        self.numbers = sorted({x for points in lines.values() for x, _ in points})
        self.most = max(ns for points in lines.values() for _, ns in points) * 1.08
        self.out = []

    def x(self, number):
        low, high = self.scale(self.numbers[0]), self.scale(self.numbers[-1])
        share = (self.scale(number) - low) / (high - low) if high > low else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, ns):
        return HEIGHT - BOTTOM - ns / self.most * (HEIGHT - TOP - BOTTOM)

    def text(self, x, y, words, size=11, anchor="middle", colour="#444"):
        self.out.append(f'<text x="{x:.1f}" y="{y:.1f}" {FONT} font-size="{size}" fill="{colour}" '
                        f'text-anchor="{anchor}">{html.escape(words)}</text>')

    def line(self, x1, y1, x2, y2, colour, more=""):
        self.out.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
                        f'stroke="{colour}" {more}/>')

    def axes(self):
        step = nice_step(self.most)
        for i in range(int(self.most / step) + 1):
            self.line(LEFT, self.y(i * step), WIDTH - RIGHT, self.y(i * step), "#e3e5e8")
            self.text(LEFT - 6, self.y(i * step) + 4, f"{i * step:,.0f}", anchor="end")
        for number in self.numbers:
            self.line(self.x(number), self.y(0), self.x(number), self.y(0) + 4, "#888")
            self.text(self.x(number), self.y(0) + 17, short(number))
        self.line(LEFT, self.y(0), WIDTH - RIGHT, self.y(0), "#888")
        self.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, self.title)
        self.text(LEFT, 20, f"ns of CPU for malloc and free, by {self.name}", 12, "start", "#111")

    def oversubscribed(self):
        more = [number for number in self.numbers if number > self.cores]
        if self.name != "threads" or not more:
            return
        fewer = [number for number in self.numbers if number <= self.cores]
        left = (self.x(more[0]) + self.x(fewer[-1])) / 2 if fewer else LEFT
        self.out.append(f'<rect x="{left:.1f}" y="{TOP}" width="{WIDTH - RIGHT - left:.1f}" '
                        f'height="{HEIGHT - TOP - BOTTOM}" fill="#f4ead5"/>')
        self.text((left + WIDTH - RIGHT) / 2, self.y(0) - 8, f"more threads than {self.cores} cores",
                  10, colour="#8a6d3b")

    def draw(self):
        self.oversubscribed()
        self.axes()
        for index, (key, name, colour) in enumerate(LINES):
            points = self.lines.get(key, [])
            path = " ".join(f"{self.x(x):.1f},{self.y(ns):.1f}" for x, ns in points)
            self.out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" '
                            'stroke-width="2"/>')
            for x, ns in points:
                self.out.append(f'<circle cx="{self.x(x):.1f}" cy="{self.y(ns):.1f}" r="3" '
                                f'fill="{colour}"/>')
            self.text(LEFT + 8 + 90 * index, 36, "● " + name, 11, "start", colour)
        return self.out


def draw(results, path):
    about = results["machine"]
    panels = curves(results["figures"])
    out = []
    for index, (name, title, logarithmic) in enumerate(PANELS):
        if name not in panels:
            continue
        panel = Panel(name, title, logarithmic,
                      {key: panels[name].get(key, []) for key, _, _ in LINES}, about["cores"])
        out.append(f'<g transform="translate({index % 2 * WIDTH},{index // 2 * HEIGHT})">')
        out += panel.draw() + ["</g>"]
    height = 2 * HEIGHT + 24
    caption = (f"{about['cpu']}, {about['cores']} cores, kernel {about['kernel']}, "
               f"{about['system']}, {results['date']}, {results['commit'] or ''}")
    out.append(f'<text x="8" y="{height - 8}" {FONT} font-size="10" fill="#666">'
               f'{html.escape(caption)}</text>')
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * WIDTH}" '
                   f'height="{height}" viewBox="0 0 {2 * WIDTH} {height}">\n'
                   f'<rect width="100%" height="100%" fill="#fff"/>\n' + "\n".join(out) +
                   "\n</svg>\n")


def main():
    words = sys.argv[1:]
    if len(words) == 2 and words[0] == "--draw":
        with open(words[1] + ".json", encoding="utf-8") as file:
            draw(json.load(file), words[1] + ".svg")
        return
    if not 1 <= len(words) <= 2:
        sys.exit(__doc__)
    about, started = benchlib.machine(), time.monotonic()
    rounds = words[1] if len(words) > 1 else "5"
    try:
        figures = run_figures(program("bench_pair"), "curves", rounds, "8000", seconds=3600)
    except benchlib.NotRun as why:
        sys.exit(f"curves: {why}")
    results = benchlib.new_results([], figures, started)
    results["machine"] = about
    with open(words[0] + ".json", "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
        file.write("\n")
    draw(results, words[0] + ".svg")
    print(f"{words[0]}.json, {words[0]}.svg")


if __name__ == "__main__":
    main()
