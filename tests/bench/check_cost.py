# SPDX-License-Identifier: GPL-2.0-only
"""The overhead figure on the screen against the truth, the target's own throughput with memtop and
without: within 20 %, whether the target does nothing but allocate or hardly allocates."""

from live import JEMALLOC, OVERHEADS_NEW, overhead_figures
from tap import check, run

WITHIN = 0.2


def compare(seen):
    for _, truth, said in seen:
        print(f"# shown {said:.2f}%, true {truth:.2f}%")
    for _, truth, said in seen:
        check(abs(said - truth) <= WITHIN * truth, f"{said:.2f}% is shown, {truth:.2f}% is true")


def the_figure_is_true():
    compare(overhead_figures())


def with_single_steps():
    compare(overhead_figures("new", OVERHEADS_NEW, JEMALLOC))


run([the_figure_is_true, with_single_steps])
