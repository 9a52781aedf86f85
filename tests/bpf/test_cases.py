# SPDX-License-Identifier: GPL-2.0-only
"""The cases of the books: what a target does, against what it truly holds. Bytes and blocks of
every site are equal, or what is missing is counted under the name of its loss."""

import os
import signal

from books import (NONE, Book, Target, add, by_address, check_losses, check_table, compare,
                   foreign, own_sum)
from tap import Failure, check, check_equal, run, wait_for
from target import differing_text, held_programs, loaded_programs

KINDS = ("session", "multi", "perf")
ALLOCATORS = {name: f"/usr/lib/x86_64-linux-gnu/{file}" for name, file in (
    ("jemalloc", "libjemalloc.so.2"), ("tcmalloc", "libtcmalloc_minimal.so.4"),
    ("mimalloc", "libmimalloc.so.2.0"))}


def follow(case, stops, kind="session", options=(), **target_options):
    """Runs a case from `ready` on and compares at each stop; gives the last book and ledger."""
    with Target(case, **target_options) as target:
        with Book(target.pid, "--kind", kind, *options) as book:
            for stop in stops:
                ledger = target.until(stop)
                seen = book.read()
                compare(seen, ledger)
            target.end()
    return seen, ledger


def live_is_zero(book, ledger):
    check_equal((own_sum(book, ledger)["live_bytes"], own_sum(book, ledger)["live_blocks"]),
                (0, 0), "live")


def realloc_that_fails():
    live_is_zero(*follow("realloc_fails", ("failed", "freed")))


def realloc_to_nothing():
    live_is_zero(*follow("realloc_zero", ("reallocated", "freed")))


def realloc_among_threads():
    follow("realloc_threads", ("done",))


def realloc_of_blocks_from_before():
    with Target("realloc_before") as target:
        with Book(target.pid) as book:
            for stop in ("reallocated", "freed"):
                ledger = target.until(stop)
                seen = book.read()
                compare(seen, ledger)
                check_equal(seen["before_attach_frees"], ledger["before_frees_since_ready"],
                            "frees of blocks from before the attach")


def posix_memalign_that_fails():
    live_is_zero(*follow("posix_memalign_fails", ("failed", "freed")))


def tiny_blocks():
    with Target("tiny") as target:
        with Book(target.pid) as book:
            for stop, threads in (("two", 2), ("eight", 8), ("sizes", 0), ("freed", 0)):
                ledger = target.until(stop)
                seen = book.read()
                compare(seen, ledger)
                if threads:
                    live = own_sum(seen, ledger)
                    check_equal((live["live_bytes"], live["live_blocks"]),
                                (threads * 400000, threads * 100000), "live")


def block_that_is_mapped():
    with Target("mapped_block") as target:
        with Book(target.pid) as book:
            ledger = target.until("held")
            seen = book.read()
            compare(seen, ledger)
            check_equal(own_sum(seen, ledger)["live_bytes"], 1 << 20, "live bytes")
            ledger = target.until("freed")
            seen = book.read()
            compare(seen, ledger)
            live_is_zero(seen, ledger)


def every_kind(kind="session"):
    seen, ledger = follow("every_kind", ("held", "freed"), kind)
    live_is_zero(seen, ledger)
    others = foreign(seen, ledger)
    check_equal(sum(site["live_blocks"] for site in others), 0, "live blocks of libc's functions")
    check(any((site["allocated_blocks"], site["allocated_bytes"]) == (1000, 17000)
              for site in others), "strdup is one site of 1,000 blocks of 17 bytes")


def attach_in_the_middle_of_churn():
    rounds = int(os.environ.get("BOOKS_ROUNDS", "20"))
    with Target("churn") as target:
        target.say()
        with Book(target.pid) as book:
            for _ in range(rounds):
                book.reopen()
                target.say()
                ledger = target.stopped_at("freed")
                seen = book.read()
                live_is_zero(seen, ledger)
                check_losses(seen)
                check_table(seen)
                target.say()


def counters_do_not_wrap():
    seen, ledger = follow("wrap", ("done",))
    check(own_sum(seen, ledger)["allocated_bytes"] > 1 << 40, "more than 2^40 bytes")
    live_is_zero(seen, ledger)


def many_live_blocks():
    """Truth is never above 500,000 blocks, nor may any reading be."""
    with Target("many_live") as target:
        with Book(target.pid) as book:
            target.until("churning")
            reads = []
            for _ in range(40):
                seen = book.read()
                live = [totals["live_blocks"] for totals in by_address(seen).values()]
                check(sum(live) <= 500000 + 64 and min(live) >= 0, f"live blocks: {live}")
                reads.append(seen["read_ns"])
            check(sorted(reads)[20] < 1000000, f"reading the totals takes {sorted(reads)[20]} ns")
            target.say()
            for stop in ("still", "freed"):
                ledger = target.stopped_at(stop)
                seen = book.read()
                compare(seen, ledger)
                target.say()
            live_is_zero(seen, ledger)


def table_of_blocks_too_small():
    """Lost blocks are in no total, are counted exactly, and so are their frees."""
    with Target("capped") as target:
        with Book(target.pid, "--buckets", "1024") as book:
            lost = 0
            for stop in ("full", "freed", "again", "grown", "end"):
                ledger = target.until(stop)
                seen = book.read()
                check_losses(seen, ("live_table_full",))
                check_table(seen)
                truth = dict(NONE)
                for site in ledger["sites"]:
                    add(truth, site["since_ready"])
                have = own_sum(seen, ledger)
                before, lost = lost, seen["losses"]["live_table_full"]
                check_equal(have["allocated_blocks"], truth["allocated_blocks"] - lost,
                            f"{stop}: blocks booked")
                check_equal(seen["untracked_frees"], truth["freed_blocks"] - have["freed_blocks"],
                            f"{stop}: frees of lost blocks")
                check_equal(seen["before_attach_frees"], 0, f"{stop}: frees from before")
                if stop == "full":
                    check(lost >= 4096 and have["live_blocks"] > 3000, f"{lost} lost")
                if stop == "again":
                    check_equal(lost, before, "losses after there is room again")
                if stop in ("freed", "end"):
                    live_is_zero(seen, ledger)


def table_of_blocks_three_quarters_full():
    """Nothing is lost for being crowded out of where it should be."""
    for library in (None, ALLOCATORS["jemalloc"]):
        live_is_zero(*follow("crowded", ("held", "freed"), options=("--buckets", "32768"),
                             preload=library))


def table_of_sites_too_small():
    with Target("many_stacks") as target:
        with Book(target.pid, "--sites", "1024") as book:
            for stop in ("held", "freed"):
                ledger = target.until(stop)
                seen = book.read()
                check_losses(seen, ("site_table_full",))
                check_table(seen)
                have = own_sum(seen, ledger)
                unknown = by_address(seen)[0]
                check(unknown["allocated_blocks"] > 0, "some are at the unknown site")
                add(have, unknown)
                check_equal(have["allocated_blocks"], 4096, "known and unknown together")
                check_equal(have["allocated_bytes"], 4096 * 16, "known and unknown together")
                check_equal(seen["losses"]["site_table_full"], unknown["allocated_blocks"],
                            "each block at the unknown site is a loss")
            check_equal(have["live_blocks"], 0, "live")


def idle_threads():
    live_is_zero(*follow("idle_threads", ("idle", "ended")))


def children_do_not_count(kind="session"):
    live_is_zero(*follow("children", ("held", "freed"), kind))


def children_that_live_on(kind="session"):
    """They are let go of: no breakpoint stays in their pages; those of the target stay."""
    with Target("lasting_children") as target:
        with Book(target.pid, "--kind", kind) as book:
            children = target.until("forked")["children"]
            try:
                for child in children:
                    wait_for(lambda pid=child: differing_text(pid) == 0,
                             "the child's code is as it was")
                check(differing_text(target.pid) > 0, "the target's probes stand")
                ledger = target.until("freed")
                seen = book.read()
                compare(seen, ledger)
                live_is_zero(seen, ledger)
            finally:
                for child in children:
                    os.kill(child, signal.SIGKILL)


def library_in_the_place_of_another():
    live_is_zero(*follow("plugins", ("first", "second", "freed")))


def threads_born_later():
    follow("late_threads", ("done",))


def many_threads_and_paths(kind="session"):
    live_is_zero(*follow("cross", ("done", "freed"), kind))


def nested_calls_count_once():
    follow("nested", ("done",), program="books_own")


def own(ledger):
    """The sites that count by themselves, in the ledger's form."""
    return {"sites": [site for site in ledger["own_sites"] if site]}


def signals(case="signals", kind="session"):
    with Target(case, program="books_own") as target:
        with Book(target.pid, "--kind", kind) as book:
            ledger = target.until("done")
            seen = book.read()
            compare(seen, own(ledger))
            check_equal(seen["before_attach_frees"], 0, "frees of unknown blocks")


def signals_on_another_stack():
    signals("signals_on_another_stack")


def calls_that_are_left():
    """A left call's block is lost, and named, or was given out before the call was left."""
    with Target("left_calls", program="books_own") as target:
        with Book(target.pid) as book:
            for stop in ("left", "again", "over"):
                ledger = target.until(stop)
                seen = book.read()
                check_losses(seen, ("return_missed",))
                check_table(seen)
                missed = seen["losses"].get("return_missed", 0)
                truth = {site["site"]: site for site in own(ledger)["sites"]}
                have = {name: by_address(seen).get(int(site["return_address"], 16), NONE)
                        for name, site in truth.items()}
                kept, booked = truth["left"]["since_ready"], have["left"]
                check_equal(booked["freed_blocks"], kept["freed_blocks"], "frees")
                surplus = booked["allocated_blocks"] - kept["allocated_blocks"]
                check(0 <= surplus <= ledger["left"], f"{surplus} booked of what was left")
                if stop == "again":
                    check_equal(have["interrupted"]["allocated_blocks"], 1000, "blocks after")
                    check(0 < missed <= ledger["left"] - surplus, f"{missed} missed")
                if stop == "over":
                    lost = (truth["interrupted"]["since_ready"]["allocated_blocks"] -
                            have["interrupted"]["allocated_blocks"])
                    check(0 <= lost <= missed and lost < 2000, f"{lost} lost, {missed} named")


def threads_that_are_cancelled():
    live_is_zero(*follow("cancelled", ("cancelled",)))


def threads_that_end_inside_a_call(kind="session"):
    """Each is one return missed; a realloc's old block is lost with it."""
    with Target("dead_threads", program="books_own") as target:
        with Book(target.pid, "--kind", kind) as book:
            ledger = target.until("dead")
            dead, lost = ledger["left"], ledger["left"] // 2
            wait_for(lambda: book.read()["losses"].get("return_missed") == dead,
                     lambda: f"{dead} returns missed: {book.read()['losses']}")
            for stop in ("dead", "freed"):
                if stop == "freed":
                    ledger = target.until(stop)
                seen = book.read()
                check_table(seen)
                check_losses(seen, ("return_missed",))
                check_equal(seen["losses"]["return_missed"], dead, f"{stop}: returns missed")
                truth = next(site for site in own(ledger)["sites"] if site["site"] == "dead")
                have = by_address(seen)[int(truth["return_address"], 16)]
                truth = truth["since_ready"]
                check_equal((have["allocated_blocks"], have["allocated_bytes"]),
                            (truth["allocated_blocks"], truth["allocated_bytes"]), "allocated")
                check_equal(have["freed_blocks"], max(truth["freed_blocks"], lost), "freed")
                check_equal(seen["untracked_frees"], lost if stop == "freed" else 0,
                            f"{stop}: frees of lost blocks")
                # The C library frees what it had for a thread from before the attach.
                check(seen["before_attach_frees"] <= 1, f"{stop}: frees from before")


def exceptions():
    with Target("exceptions", program="books_cxx") as target:
        with Book(target.pid) as book:
            for stop in ("thrown", "held", "freed"):
                ledger = target.until(stop)
                seen = book.read()
                compare(seen, ledger)
                live = dict(NONE)
                for site in foreign(seen, ledger):
                    add(live, site)
                check_equal((live["live_bytes"], live["live_blocks"]),
                            (ledger.get("new_bytes", 0), ledger.get("new_blocks", 0)),
                            f"{stop}: held through operator new")


def table_of_threads_too_small():
    """What threads without a slot take is lost and counted; what they free is booked."""
    with Target("cross") as target:
        with Book(target.pid, "--threads", "16") as book:
            for stop in ("done", "freed"):
                ledger = target.until(stop)
                seen = book.read()
                check_losses(seen, ("thread_table_full",))
                check_table(seen)
                have, truth = dict(NONE), dict(NONE)
                for site in ledger["sites"]:
                    add(truth, site["since_ready"])
                for site in seen["sites"]:
                    add(have, site)
                lost = seen["losses"]["thread_table_full"]
                ours = own_sum(seen, ledger)
                check(0 < truth["allocated_blocks"] - ours["allocated_blocks"] <= lost,
                      f"{truth['allocated_blocks']} allocated, {ours['allocated_blocks']} booked, "
                      f"{lost} lost")
            live_is_zero(seen, ledger)


def rounds_of_attach_and_detach():
    """Every tenth reader is killed; the target's speed is that of before."""
    rounds = int(os.environ.get("BOOKS_ROUNDS", "20"))
    with Target("churn") as target:
        target.say()
        programs = set()
        for number in range(rounds):
            with Book(target.pid) as book:
                book.read()
                programs |= held_programs(book.process.pid)
                if number % 10 == 9:
                    book.process.kill()
        check(len(programs) >= 2 * rounds, "each reader has programs of its own")
        wait_for(lambda: not programs & loaded_programs(), "no program is left")
        wait_for(lambda: differing_text(target.pid) == 0, "the target's code is as it was")
        with Book(target.pid) as book:
            target.say()
            ledger = target.stopped_at("freed")
            seen = book.read()
            live_is_zero(seen, ledger)
            check_losses(seen)


def other_kinds_of_probes():
    for kind in KINDS[1:]:
        every_kind(kind)
        many_threads_and_paths(kind)
        children_do_not_count(kind)
        follow("realloc_zero", ("reallocated", "freed"), kind)
        follow("realloc_fails", ("failed", "freed"), kind)
        follow("nested", ("done",), kind, program="books_own")
        signals(kind=kind)


def other_allocators():
    wrong = []
    for name, library in ALLOCATORS.items():
        for case, stops in (("every_kind", ("held", "freed")), ("tiny", ("two", "eight", "sizes",
                                                                        "freed")),
                            ("realloc_fails", ("failed", "freed")),
                            ("realloc_zero", ("reallocated", "freed")),
                            ("posix_memalign_fails", ("failed", "freed")),
                            ("realloc_threads", ("done",)), ("cross", ("done", "freed"))):
            try:
                follow(case, stops, preload=library)
            except Failure as failure:
                wrong.append(f"{name}: {case}: {failure}")
    check(not wrong, "\n".join(wrong))


if __name__ == "__main__":
    run([realloc_that_fails, realloc_to_nothing, realloc_among_threads,
         realloc_of_blocks_from_before, posix_memalign_that_fails, tiny_blocks,
         block_that_is_mapped, every_kind, attach_in_the_middle_of_churn, counters_do_not_wrap,
         many_live_blocks, table_of_blocks_too_small,
         table_of_blocks_three_quarters_full, table_of_sites_too_small, idle_threads,
         children_do_not_count, children_that_live_on, library_in_the_place_of_another, threads_born_later,
         many_threads_and_paths, nested_calls_count_once, signals, signals_on_another_stack,
         calls_that_are_left, threads_that_are_cancelled,
         threads_that_end_inside_a_call, exceptions, table_of_threads_too_small,
         rounds_of_attach_and_detach, other_kinds_of_probes, other_allocators])
