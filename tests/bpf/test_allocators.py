# SPDX-License-Identifier: GPL-2.0-only
"""Allocators: each function of each family by its own name, linked, preloaded and static, against
what the target truly holds. The targets are built here, as each is linked in another way."""

import os
import subprocess
import tempfile

from books import NONE, Book, Target, add, compare, foreign, own_sum
from tap import Failure, check, check_equal, run

LIBRARIES = "/usr/lib/x86_64-linux-gnu"
ALLOCATORS = {"jemalloc": "libjemalloc.so.2", "tcmalloc": "libtcmalloc_minimal.so.4",
              "mimalloc": "libmimalloc.so.2.0"}
TARGETS = os.path.join(os.environ["top_srcdir"], "tests/targets")
COMMON = ("books_stop.c", "ledger.c", "ledger_calls.c")
FLAGS = ("-D_GNU_SOURCE", "-O2", "-g", "-fno-builtin", "-fno-omit-frame-pointer",
         "-fno-optimize-sibling-calls", "-pthread")
# musl has no pvalloc; the thunk of that name needs something to jump to.
MUSL = ("-DALLOC_STATIC", "-Wl,--defsym=pvalloc=valloc")
folder = tempfile.TemporaryDirectory(prefix="memtop-alloc-")


def target_program(name, *flags, compiler="cc", source="alloc.c"):
    """Builds a target once; flags for the linker come after the sources."""
    path = os.path.join(folder.name, name)
    if not os.path.exists(path):
        sources = [os.path.join(TARGETS, file) for file in (source, *COMMON)]
        done = subprocess.run([compiler, *FLAGS, "-o", path, *sources, *flags], check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        check_equal(done.returncode, 0, f"{name}: {done.stdout}")
    return path


def plain():
    return target_program("alloc", "-rdynamic", "-Wl,--no-as-needed", "-lstdc++", "-ldl")


def through_wrappers(book, ledger):
    """The book with the sites of an operator new that calls malloc at the place that called it."""
    own = {site["return_address"] for site in ledger["sites"]}
    sites = [dict(site, address=next((caller for caller in (site["address"], *site["callers"])
                                      if caller in own), site["address"]))
             for site in book["sites"]]
    return dict(book, sites=sites)


def rows(program, kind="session", options=(), preload=None, stops=("rows", "end"), losses=()):
    """Every function's blocks while they are held and after they are freed; names the wrong."""
    case, last = stops
    wrong, seen_rows = [], 0
    with Target(case, program=program, preload=preload) as target:
        with Book(target.pid, "--kind", kind, *options) as book:
            while True:
                target.say()
                ledger = target.stopped_anywhere()
                seen = through_wrappers(book.read(), ledger)
                try:
                    compare(seen, ledger, losses)
                    check_equal(seen["before_attach_frees"], 0, "frees of unknown blocks")
                except Failure as failure:
                    wrong.append(f"{ledger.get('row')} {ledger['stop']}: {failure}")
                    break
                seen_rows += 1 + 2 * ledger.get("rows", 0)
                if ledger["stop"] == last:
                    break
            check(not wrong, "\n".join(wrong))
            own = own_sum(seen, ledger)
            check_equal((own["live_bytes"], own["live_blocks"]), (0, 0), "live at the end")
            check(own["allocated_blocks"] > 0, "something was allocated")
            target.end()
    return seen_rows // 2, seen


def glibc():
    count, seen = rows(plain())
    check(count >= 20, f"{count} rows")
    # operator new of libstdc++ calls malloc: no probe of its own.
    check(not [name for name in seen["points"] if name.startswith("_Z")], str(seen["points"]))


def preloaded():
    expected = {"jemalloc": ("_Znwm", "_ZdlPvm", "mallocx", "sdallocx", "xallocx"),
                "tcmalloc": ("_Znwm", "_ZnwmSt11align_val_t", "tc_free_sized"),
                "mimalloc": ("_Znwm", "mi_new_aligned", "mi_heap_malloc")}
    least = {"jemalloc": 20, "tcmalloc": 40, "mimalloc": 60}
    for name, library in ALLOCATORS.items():
        count, seen = rows(plain(), preload=os.path.join(LIBRARIES, library),
                           stops=("together", "freed"))
        check(count >= least[name], f"{name}: {count} rows")
        missing = [point for point in expected[name] if point not in seen["points"]]
        check(not missing, f"{name}: {missing} not probed, but {seen['points']}")


def linked():
    """The same as a library that the program names, and as a part of the program."""
    for name, flags in (("jemalloc", ("-ljemalloc",)), ("mimalloc", ("-lmimalloc",)),
                        ("jemalloc_in", (f"{LIBRARIES}/libjemalloc.a", "-lm", "-ldl")),
                        ("tcmalloc_in", (f"{LIBRARIES}/libtcmalloc_minimal.a", "-lm"))):
        program = target_program(f"linked_{name}", "-rdynamic", "-Wl,--no-as-needed", *flags,
                                 "-lstdc++", "-ldl")
        rows(program, stops=("together", "freed"))


def preloaded_over_linked():
    """The preloaded one is bound; the linked one is mapped and not called."""
    program = target_program("linked_jemalloc", "-rdynamic", "-Wl,--no-as-needed", "-ljemalloc",
                             "-lstdc++", "-ldl")
    rows(program, preload=os.path.join(LIBRARIES, ALLOCATORS["tcmalloc"]),
         stops=("together", "freed"))


def static_programs():
    for name, flags in (("glibc", ("-static",)), ("pie", ("-static-pie", "-fPIE")),
                        ("jemalloc", ("-static", f"{LIBRARIES}/libjemalloc.a", "-lm",
                                      "-Wl,--defsym=pvalloc=valloc")),
                        ("tcmalloc", ("-static", "-Wl,--whole-archive", f"{LIBRARIES}/libtcmalloc_minimal.a",
                                      "-Wl,--no-whole-archive"))):
        program = target_program(f"static_{name}", "-DALLOC_STATIC", *flags,
                                 "-lstdc++", "-lm")
        rows(program, stops=("together", "freed"))


def musl():
    rows(target_program("musl", *MUSL, compiler="musl-gcc"), stops=("together", "freed"))
    rows(target_program("musl_static", *MUSL, "-static", compiler="musl-gcc"),
         stops=("together", "freed"))


def other_kinds_of_probes():
    for kind, allocator in (("multi", "jemalloc"), ("perf", "tcmalloc"), ("perf", "mimalloc")):
        rows(plain(), kind, preload=os.path.join(LIBRARIES, ALLOCATORS[allocator]),
             stops=("together", "freed"))


def beside_another_observer():
    """Who returns are observed of elsewhere finds a trampoline on its stack, too, as the kernel
    puts it up for every process that is stopped at the same instruction."""
    for kind, options, allocator in (("session", ("--return-probes", "no"), "mimalloc"),
                                     ("multi", ("--return-probes", "no"), "tcmalloc"),
                                     ("perf", ("--return-probes", "no"), None),
                                     ("session", (), "mimalloc"), ("multi", (), "jemalloc")):
        preload = allocator and os.path.join(LIBRARIES, ALLOCATORS[allocator])
        with Target("rows", program=plain(), preload=preload) as other:
            with Book(other.pid, "--kind", "session"):
                rows(plain(), kind, options, preload=preload, stops=("together", "freed"))


def without_return_probes():
    for kind, allocator in (("session", None), ("multi", None), ("perf", "jemalloc"),
                            ("session", "tcmalloc"), ("multi", "mimalloc")):
        _, seen = rows(plain(), kind, ("--return-probes", "no"),
                       preload=allocator and os.path.join(LIBRARIES, ALLOCATORS[allocator]),
                       stops=("together", "freed"))
        check(not [name for name, point in seen["points"].items() if point[1] == 1],
              f"return probes: {seen['points']}")


def follow(case, stops, unknown=0, **options):
    with Target(case, program=plain(), **options) as target:
        with Book(target.pid) as book:
            for stop in stops:
                ledger = target.until(stop)
                seen = book.read()
                compare(seen, ledger)
                check(seen["before_attach_frees"] <= unknown,
                      f"{seen['before_attach_frees']} frees of unknown blocks")
            target.end()
    return seen, ledger


def ends_of_threads_and_of_the_process():
    for preload in (None, ALLOCATORS["jemalloc"], ALLOCATORS["tcmalloc"]):
        # A thread of glibc that ends frees its cache, and once more what it holds of freed blocks.
        seen, ledger = follow("ends", ("held", "exit"), 0 if preload else 2 * 100,
                              preload=preload and os.path.join(LIBRARIES, preload))
        check_equal(own_sum(seen, ledger)["live_blocks"], 0, "live blocks at exit")


def the_linkers_own_blocks():
    """What dlopen() takes, dlclose() gives back, and nothing is freed that was not seen."""
    seen, ledger = follow("linker", ("closed",),
                          environment={"ALLOC_LIBRARY": f"{LIBRARIES}/libmimalloc.so.2.0"})
    live = dict(NONE)
    for site in foreign(seen, ledger):
        add(live, site)
    check(live["allocated_blocks"] >= 50, f"the linker took {live['allocated_blocks']} blocks")
    check(live["live_blocks"] <= 8, f"the linker holds {live['live_blocks']} blocks")


if __name__ == "__main__":
    run([glibc, preloaded, linked, preloaded_over_linked, static_programs, musl,
         other_kinds_of_probes, without_return_probes, beside_another_observer,
         ends_of_threads_and_of_the_process, the_linkers_own_blocks])
