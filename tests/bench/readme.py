# SPDX-License-Identifier: GPL-2.0-only
"""Puts the table of `make bench` or `make bench-peers` into README.md, between its two marks.

    readme.py RESULTS.json README.md

`make bench-table` calls it. Reasons are given for what falls short or was not run."""

import json
import sys

from benchlib import HEADINGS, SCHEMA, cells

BEGIN = "<!-- make bench-table writes from here -->\n"
END = "<!-- to here -->\n"


def table(results):
    about, rows = results["machine"], results["rows"]
    lines = [f"Measured on {about['cpu']}, {about['cores']} cores, kernel {about['kernel']}, "
             f"{about['system']}, {results['date']}, at {results['commit'] or 'no commit'}:", "",
             "| " + " | ".join(HEADINGS) + " |", "|" + " --- |" * len(HEADINGS)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells(row)) + " |"
              for row in rows]
    reasons = [f"- {row['what']}: {row['note']}" for row in rows
               if row["note"] and row["verdict"] in ("fall short", "not run")]
    return "\n".join(lines + ([""] + reasons if reasons else [])) + "\n"


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        with open(sys.argv[1], encoding="utf-8") as file:
            results = json.load(file)
        with open(sys.argv[2], encoding="utf-8") as file:
            text = file.read()
    except (OSError, ValueError) as why:
        sys.exit(f"readme: {why}")
    if results.get("schema") != SCHEMA:
        sys.exit(f"readme: {sys.argv[1]}: not results of make bench")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"readme: {sys.argv[2]}: the marks of the table are not there")
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n{table(results)}\n{END}{after}")


if __name__ == "__main__":
    main()
