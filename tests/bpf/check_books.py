# SPDX-License-Identifier: GPL-2.0-only
"""Every case of the books on a busy machine, and a table of what came of it.

    check_books.py [CASE]...        by number; all without

Both cores are kept busy by the tests' own churn. What is short runs three times (BOOKS_RUNS), what
is long once, with the full amounts: 100 attaches in the middle of churn, 2^24 blocks through one
site, a million reallocs (less where the environment says so). `expected` is what the target's own
ledger said last, `seen` the book; `times` is how often the two were held against each other, or a
loss against the number that had to be lost."""

import contextlib
import os
import subprocess
import sys
import time

from books import Target

HERE = os.path.dirname(os.path.abspath(__file__))
RUNS = int(os.environ.get("BOOKS_RUNS", "3"))
LONG = {"BOOKS_ROUNDS": "100", "BOOKS_WRAP_BLOCKS": str((1 << 24) + 100000),
        "BOOKS_REALLOC_ROUNDS": "1000000", "BOOKS_SECONDS": "1800"}
SECONDS = 3600

# Number, what the target does, file, its test, and whether it is long.
CASES = (
    (1, "a realloc that fails", "test_cases", "realloc_that_fails", False),
    (2, "realloc to nothing", "test_cases", "realloc_to_nothing", False),
    (3, "realloc among threads", "test_cases", "realloc_among_threads", True),
    (4, "realloc of blocks from before", "test_cases", "realloc_of_blocks_from_before", False),
    (5, "posix_memalign that fails", "test_cases", "posix_memalign_that_fails", False),
    (6, "the smallest blocks", "test_cases", "tiny_blocks", False),
    (7, "a block that is mapped", "test_cases", "block_that_is_mapped", False),
    (7, "its mapping", "test_mapped", "block_that_is_mapped", False),
    (8, "every function", "test_cases", "every_kind", False),
    (8, "functions in functions", "test_cases", "nested_calls_count_once", False),
    (9, "attached to in churn", "test_cases", "attach_in_the_middle_of_churn", True),
    (10, "2^24 blocks, 2^40 bytes", "test_cases", "counters_do_not_wrap", True),
    (11, "500,000 live blocks", "test_cases", "many_live_blocks", False),
    (12, "a table too small", "test_cases", "table_of_blocks_too_small", False),
    (12, "a crowded table", "test_cases", "table_of_blocks_three_quarters_full", False),
    (13, "too many stacks", "test_cases", "table_of_sites_too_small", False),
    (13, "too many threads", "test_cases", "table_of_threads_too_small", False),
    (14, "mappings of all kinds", "test_pages", "mappings_are_exact_to_the_page", False),
    (14, "the break, up and down", "test_mapped", "break_up_and_down", False),
    (15, "idle threads", "test_cases", "idle_threads", False),
    (15, "their stacks and arenas", "test_mapped", "stacks_and_arenas", False),
    (16, "fork and vfork", "test_cases", "children_do_not_count", False),
    (16, "children that live on", "test_cases", "children_that_live_on", False),
    (16, "exec", "test_life", "another_program", False),
    (16, "what comes after an exec", "test_life", "nothing_of_the_next_program", False),
    (17, "signal handlers", "test_cases", "signals", False),
    (17, "longjmp out of calls", "test_cases", "calls_that_are_left", False),
    (17, "longjmp out of reallocs", "test_released", "left_reallocs", False),
    (17, "pthread_cancel", "test_cases", "threads_that_are_cancelled", False),
    (17, "threads that end in a call", "test_cases", "threads_that_end_inside_a_call", False),
    (18, "a library for another", "test_cases", "library_in_the_place_of_another", False),
    (18, "names of libraries", "test_modules", "", False),
    (19, "other allocators", "test_cases", "other_allocators", True),
    (19, "glibc", "test_allocators", "glibc", False),
    (19, "preloaded allocators", "test_allocators", "preloaded", False),
    (19, "linked allocators", "test_allocators", "linked", False),
    (19, "one preloaded over another", "test_allocators", "preloaded_over_linked", False),
    (19, "heaps given back at once", "test_released", "heaps_that_go_as_a_whole", False),
    (19, "bound to its own", "test_late", "bound_to_its_own", False),
    (19, "one that comes later", "test_late", "comes_by_dlopen", False),
    (19, "threads and process end", "test_allocators", "ends_of_threads_and_of_the_process", False),
    (19, "a pool's own functions", "test_pools", "arenas_of_all_shapes", False),
    (20, "static programs", "test_allocators", "static_programs", False),
    (20, "musl", "test_allocators", "musl", False),
    (20, "stripped and static", "test_pools", "without_symbols", False),
    (21, "a root of its own", "test_ends", "in_a_root_of_its_own", False),
    (21, "a mount of its own", "test_ends", "in_a_mount_namespace_of_its_own", False),
    (22, "exit", "test_ends", "exits", False),
    (22, "a fault", "test_ends", "faults", False),
    (22, "abort", "test_ends", "aborts", False),
    (22, "kill", "test_ends", "is_killed", False),
    (22, "out of memory", "test_ends", "is_killed_for_want_of_memory", False),
    (23, "threads born later", "test_cases", "threads_born_later", False),
    (24, "32 threads, 200 paths", "test_cases", "many_threads_and_paths", False),
    (25, "kernel memory", "test_kernel_book", "", False),
    (26, "attach and detach", "test_cases", "rounds_of_attach_and_detach", True),
    (26, "memtop is killed", "test_harm", "kill_9", False),
    (27, "exceptions", "test_cases", "exceptions", False),
    (27, "through operator new", "test_pools", "exceptions_through_operator_new", False),
    (27, "through a pool's function", "test_pools", "frames_of_a_pool", False),
    (28, "handlers on another stack", "test_cases", "signals_on_another_stack", False),
    (28, "handlers on a higher stack", "test_pools", "handler_on_a_higher_stack", False),
    (28, "no return probes", "test_allocators", "without_return_probes", False),
    (28, "another observer's", "test_allocators", "beside_another_observer", False),
    (29, "filters of system calls", "test_pools", "filters_of_system_calls", False),
    (29, "filters that come later", "test_pools", "filters_that_come_later", False),
    (30, "constructors that leak", "test_launch", "constructors", False),
    (30, "those of a library", "test_launch", "a_library_with_a_constructor", False),
    (30, "memtop dies meanwhile", "test_life", "command_outlives_memtop_from_its_first_moment",
     False),
    (0, "other kinds of probes", "test_cases", "other_kinds_of_probes", True),
)


@contextlib.contextmanager
def busy_machine():
    """Threads of two other programs take, grow and free blocks all the time."""
    with Target("churn") as first, Target("churn") as second:
        for target in (first, second):
            target.say()
        yield


def run_once(file, test):
    """Whether it passed, how much was compared, and the last of it: of the whole book, or any."""
    words = [sys.executable, os.path.join(HERE, file + ".py")] + ([test] if test else [])
    try:
        done = subprocess.run(words, check=False, stdout=subprocess.PIPE, text=True,
                              timeout=SECONDS, env={**LONG, **os.environ, "BOOKS_TABLE": "1"})
    except subprocess.TimeoutExpired:
        return False, 0, ["", "", f"nothing within {SECONDS} s"]
    lines = [line.split("\t")[1:] for line in done.stdout.splitlines() if line.startswith("#=\t")]
    books = [line for line in lines if line[0] == "book"]
    passed = done.returncode == 0 and "\nok 1" in done.stdout
    if not passed:
        print(done.stdout, end="")
    return passed, len(lines), (books or lines or [["", "", ""]])[-1]


def run_case(case):
    number, what, file, test, is_long = case
    start = time.monotonic()
    runs = [run_once(file, test) for _ in range(1 if is_long else RUNS)]
    passed = sum(run[0] for run in runs)
    subject, expected, seen = next((run[2] for run in runs if not run[0]), runs[-1][2])
    print(f"{number or '-':>4}  {what:<27}  {passed}/{len(runs)} {runs[-1][1]:5}  "
          f"{time.monotonic() - start:6.1f} s  {'' if subject == 'book' else subject + ': '}"
          f"expected {expected}", flush=True)
    print(f"{'':56}seen     {seen}", flush=True)
    return passed == len(runs)


def main():
    wanted = {int(word) for word in sys.argv[1:]}
    print(f"case  {'the target does':<27}  pass times      time  expected by its ledger, seen in "
          "the book")
    with busy_machine():
        failed = sum(not run_case(case) for case in CASES if not wanted or case[0] in wanted)
    print(f"{failed} failed")
    sys.exit(1 if failed else 0)


main()
