# SPDX-License-Identifier: GPL-2.0-only
"""The pages level: each stack's row says how much of RSS it brought in and still holds, in whatever
way it came and went; and the rows add up to RSS."""

import contextlib
import os
import subprocess
import tempfile

from batch import Batch, is_named
from tap import Failure, check, check_equal, run
from target import Perception, built

PAGE = 4096
MANY = 2000  # pages


class Holder:
    def __enter__(self):
        self.process = subprocess.Popen([built("tests/targets/pages_holder")],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        check_equal(self.process.stdout.readline(), "ready\n", "the target")
        return self

    def __exit__(self, *_):
        self.process.communicate()

    def do(self, way, pages=MANY):
        self.process.stdin.write(f"{way} {pages}\n")
        self.process.stdin.flush()
        check_equal(self.process.stdout.readline(), "ok\n", way)


class Pages(Batch):
    def __init__(self, pid):
        super().__init__("--level", "pages", "--side", "user", "--top", "0", "-p", str(pid),
                         delay=0.2)


def total(tick):
    return sum(site["live_bytes"] for site in tick["sites"])


def row(tick, name):
    """Resident pages of the stacks that have this function, or of the row of this kind."""
    return sum(site["live_bytes"] for site in tick["sites"]
               if site["kind"] == name or name in {f["symbol"] for f in site["frames"]}) // PAGE


def rows(tick):
    return {(site["frames"][0]["symbol"] if site["frames"] else site["kind"]):
            site["live_bytes"] // PAGE for site in tick["sites"] if site["live_bytes"]}


def off(tick):
    """By how much the rows miss RSS, of it. The bar's parts are all of it, if they are known."""
    check(tick["rss"]["bytes"] > 0, f"no memory: {tick['target']}")
    parts = tick["accounting"]
    if parts["file_bytes"] is not None:
        names = ("slack_or_before_attach_bytes", "anon_maps_bytes",
                 "stacks_bytes", "file_bytes", "shmem_bytes", "unexplained_bytes")
        check_equal(sum(parts[name] for name in names), tick["rss"]["bytes"], f"parts {parts}")
        check_equal(parts["heap_live_bytes"], None, "blocks are not told at this level")
    return abs(total(tick) - tick["rss"]["bytes"]) / tick["rss"]["bytes"]


def settles(memtop, wanted, slack=8):
    """A tick with these numbers of pages in the rows, none of them far off, and the whole right."""
    def fits(tick):
        return off(tick) < 0.01 and all(pages <= row(tick, name) <= pages + slack
                                        for name, pages in wanted.items())
    last = None
    try:
        last = memtop.tick_after()
        if not fits(last):
            last = memtop.tick_where(fits, wanted)
    except Failure as failure:
        raise Failure(f"{wanted}: {rows(last)} of {last['rss']['bytes'] // PAGE}: "
                      f"{str(failure)[:200]}") from None
    return last


def begin(memtop):
    tick = memtop.tick()
    check_equal(tick["level"], "pages", "the level")
    check(off(tick) < 0.01, f"the first tick: {rows(tick)} of {tick['rss']['bytes'] // PAGE}")
    check(row(tick, "before-attach") > 0, "pages from before the attach")
    return row(memtop.tick_with_tables(), "populated")


def fresh_pages_are_their_stacks():
    """Written by the program, by the kernel for it (read), by a thread born after the attach."""
    with Holder() as target, Pages(target.pid) as memtop:
        begin(memtop)
        target.do("touch_pages")
        settles(memtop, {"touch_pages": MANY})
        target.do("read_pages")
        settles(memtop, {"touch_pages": MANY, "read_pages": MANY})
        target.do("touch_in_thread")
        tick = settles(memtop, {"touch_pages": 2 * MANY, "read_pages": MANY,
                                "thread_body": MANY})
        site = next(site for site in tick["sites"]
                    if "read_pages" in {frame["symbol"] for frame in site["frames"]})
        check_equal((site["kind"], site["side"], site["truncated"]), ("page-fault", "user", False),
                    "a row")
        names = [frame["symbol"] for frame in site["frames"]]
        check("main" in names[names.index("read_pages"):], f"a whole stack: {names}")
        check_equal(tick["losses"]["event_lost"], 0, "losses")


def faults_of_memtops_own_reads_are_no_loss():
    """The kernel fills a buffer on the stack: where it faults, the stack cannot be read whole."""
    with Holder() as target, Pages(target.pid) as memtop:
        begin(memtop)
        target.do("read_to_stack", 16)
        tick = memtop.tick_after()
        check(tick["overhead"]["events_per_s"] is not None, "faults are counted")
        check_equal(tick["losses"]["event_lost"], 0, "losses")


def pages_given_back_leave_their_rows():
    with Holder() as target, Pages(target.pid) as memtop:
        begin(memtop)
        target.do("touch_pages")
        settles(memtop, {"touch_pages": MANY})
        target.do("unmap_half", 0)
        settles(memtop, {"touch_pages": MANY // 2})
        target.do("forget_all", 0)
        settles(memtop, {"touch_pages": 0})
        target.do("grow_break")
        settles(memtop, {"grow_break": MANY})
        target.do("shrink_break", MANY // 2)
        tick = settles(memtop, {"grow_break": MANY // 2})
        site = next(site for site in tick["sites"]
                    if "grow_break" in {frame["symbol"] for frame in site["frames"]})
        check_equal(site["allocated_bytes"] - site["freed_bytes"], site["live_bytes"], "totals")
        check(site["freed_blocks"] >= MANY // 2, f"freed: {site['freed_blocks']}")


def pages_that_move_stay_whose_they_are():
    """A buffer that realloc moves again and again is, page by page, of the stack that wrote it."""
    steps = 12
    with Holder() as target, Pages(target.pid) as memtop:
        before = begin(memtop)
        # Between walks, and across them.
        for _ in range(steps):
            target.do("grow_buffers", MANY // 20)
            memtop.tick()
        for _ in range(steps):
            target.do("grow_buffers", MANY // 20)
        grown = 4 * 2 * steps * (MANY // 20)
        settles(memtop, {"grow_buffers": grown, "populated": before}, 16)
        target.do("touch_pages")
        target.do("remap_elsewhere", 0)
        target.do("remap_shrink", MANY // 2)
        settles(memtop, {"touch_pages": MANY // 2, "grow_buffers": grown, "populated": before}, 16)
        # What is written first at the new place is its writer's.
        target.do("remap_grow", MANY)
        target.do("write_again", MANY)
        settles(memtop, {"touch_pages": MANY // 2, "write_again": MANY // 2,
                         "populated": before}, 16)
        target.do("free_buffers", 0)
        tick = settles(memtop, {"grow_buffers": 0, "touch_pages": MANY // 2,
                                "populated": before}, 16)
        check_equal(tick["losses"]["event_lost"], 0, "losses")


def pages_without_a_fault_have_a_row():
    with Holder() as target, Pages(target.pid) as memtop:
        before = begin(memtop)
        target.do("populate_pages")
        settles(memtop, {"populated": before + MANY, "populate_pages": 0})
        target.do("lock_pages")
        settles(memtop, {"populated": before + 2 * MANY, "lock_pages": 0}, 16)
        target.do("unmap_half", 0)
        settles(memtop, {"populated": before + 2 * MANY - MANY // 2}, 16)


def zero_pages_count_when_they_are_written():
    with Holder() as target, Pages(target.pid) as memtop:
        begin(memtop)
        target.do("look_at_pages")
        settles(memtop, {"look_at_pages": 0})
        target.do("write_again")
        settles(memtop, {"look_at_pages": 0, "write_again": MANY})


def copies_after_a_fork_stay_whose_they_were():
    with Holder() as target, Pages(target.pid) as memtop:
        begin(memtop)
        target.do("touch_pages")
        settles(memtop, {"touch_pages": MANY})
        target.do("fork_child", 0)
        target.do("write_again")
        tick = settles(memtop, {"touch_pages": MANY, "write_again": 0}, 32)
        check_equal(tick["target"]["generation"], 1, "the child is not the target")
        target.do("end_child", 0)
        settles(memtop, {"touch_pages": MANY, "write_again": 0}, 32)


@contextlib.contextmanager
def swap():
    """A file to swap to; whether the machine let it in."""
    with tempfile.NamedTemporaryFile(prefix="memtop-swap-", dir="/var/tmp") as file:
        file.write(bytes(8 * MANY * PAGE))
        file.flush()
        os.fsync(file.fileno())
        path = os.environ["PATH"] + ":/usr/sbin:/sbin"
        environment = dict(os.environ, PATH=path)
        subprocess.run(["mkswap", file.name], check=True, capture_output=True, env=environment)
        done = subprocess.run(["swapon", file.name], check=False, capture_output=True, text=True,
                              env=environment)
        if done.returncode:
            print(f"# no swap here: {done.stderr.strip()}")
        try:
            yield not done.returncode
        finally:
            if not done.returncode:
                subprocess.run(["swapoff", file.name], check=True, env=environment)


def pages_go_to_swap_and_come_back():
    """What is swapped out left RSS, and its row; who needs it again brought it in."""
    with swap() as there, Holder() as target, Pages(target.pid) as memtop:
        begin(memtop)
        target.do("touch_pages")
        settles(memtop, {"touch_pages": MANY})
        target.do("swap_out")
        least = MANY * PAGE * 0.99 if there else 0
        tick = memtop.tick_where(lambda tick: tick["rss"]["swap_bytes"] >= least, "pages in swap")
        swapped = tick["rss"]["swap_bytes"] // PAGE
        # What the kernel did not take is here, and its writer's, as before.
        settles(memtop, {"touch_pages": MANY - swapped})
        target.do("write_again")
        settles(memtop, {"touch_pages": MANY - swapped, "write_again": swapped}, 32)


def files_are_read_in_around_a_fault():
    with Holder() as target, Pages(target.pid) as memtop:
        begin(memtop)
        target.do("map_file")
        settles(memtop, {"map_file": MANY}, 64)


def huge_pages_are_one_fault():
    pages = 4 * 512
    with open("/sys/kernel/mm/transparent_hugepage/enabled", encoding="ascii") as file:
        mode = file.read()
    with Holder() as target, Pages(target.pid) as memtop:
        begin(memtop)
        target.do("touch_huge", pages)
        if "[never]" in mode:
            settles(memtop, {"touch_huge": 4})
            return

        # Where no huge page was to be had, one small one came in its place.
        def whole(tick):
            return off(tick) < 0.01 and 4 <= row(tick, "touch_huge") <= pages + 8
        tick = memtop.tick_where(whole, "huge pages")
        check((row(tick, "touch_huge") - 4) % 511 <= 8, f"{rows(tick)}")


def perception_service_adds_up():
    """And the leak is on top, at the stack that leaks at the heap level."""
    with Perception(wait=True) as service, Pages(service.pid) as memtop:
        begin(memtop)
        service.go()
        # It grows by megabytes a second, and the two are not read in the same instant, which is
        # seen where the machine stands still between them.
        errors = sorted(off(memtop.tick()) for _ in range(15))
        check(errors[4] < 0.01, f"rows miss RSS by {errors}")
        service.quiesce()
        memtop.tick_after()
        memtop.tick_where(lambda tick: off(tick) < 0.01, "rows are RSS when nothing grows")
        service.go()
        grown = memtop.tick_where(
            lambda tick: (tick["rss"]["bytes"] > 1.3 * tick["sites"][0]["live_bytes"]) and
            any(site["delta_bytes"] > 8 << 20 for site in tick["sites"]), "growth")
        top = max(grown["sites"], key=lambda site: site["delta_bytes"])
        names = [frame["symbol"] for frame in top["frames"]]
        check("jpeg_decode_frame" in names, f"the leak on top: {names}; {rows(grown)}")
        check(grown["accounting"]["explained_percent"] > 50, f"{grown['accounting']}")


def a_short_life_ends_well():
    """The last table stays."""
    with Holder() as target, Pages(target.pid) as memtop:
        begin(memtop)
        target.do("touch_pages")
        settles(memtop, {"touch_pages": MANY})
        os.kill(target.pid, 9)
        last = memtop.tick_where(lambda tick: tick["final"], "the end")
        check_equal(last["target"]["state"], "killed", "state")
        check(MANY <= row(last, "touch_pages") <= MANY + 8, f"the last table: {rows(last)}")


def held(tick, name):
    return next(row["value"] for row in tick["holdings"] if row["name"] == name)


def is_zombie(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rsplit(")", 1)[1].split()[0] == "Z"


def the_first_thread_may_end():
    """Then /proc/PID is that of a zombie, while the others go on."""
    with Holder() as target, Pages(target.pid) as memtop:
        begin(memtop)
        target.do("touch_pages")
        settles(memtop, {"touch_pages": MANY})
        target.do("open_files", 20)
        count = len(os.listdir(f"/proc/{target.pid}/fd"))
        tick = memtop.tick_where(lambda tick: held(tick, "fds") == count, "descriptors")
        gone = sum(row["gone"] or 0 for row in tick["holdings"])
        target.do("end_leader", 0)
        memtop.tick_where(lambda tick: is_zombie(target.pid), "the end of the first thread")
        target.do("touch_pages")
        settles(memtop, {"touch_pages": 2 * MANY})
        target.do("open_files", 7)
        tick = memtop.tick_where(lambda tick: held(tick, "fds") == count + 7, "more descriptors")
        check_equal(sum(row["gone"] or 0 for row in tick["holdings"]), gone, "none was closed")
        check_equal(tick["target"]["state"], "running", "state")
        check(tick["target"]["exe"].endswith("pages_holder"), f"exe {tick['target']['exe']}")
        target.do("map_region", 100)
        target.do("unmap_half", 0)
        target.do("touch_in_thread")
        settles(memtop, {"touch_pages": 3 * MANY})


def without_its_first_thread_the_heap_is_left():
    """The kernel takes probes out of such a process: it is said, and pages go on."""
    with Holder() as target, Batch("--side", "user", "--top", "0", "-p", str(target.pid),
                                   delay=0.2) as memtop:
        check_equal(memtop.tick()["level"], "heap", "the level")
        target.do("end_leader", 0)
        tick = memtop.tick_where(lambda tick: tick["level"] == "pages", "level pages")
        check("its first thread ended" in tick["level_reason"], f"why: {tick['level_reason']}")
        memtop.tick_with_tables()
        target.do("touch_pages")
        memtop.tick_where(lambda tick: MANY <= row(tick, "touch_pages") <= MANY + 8, "pages")


class Maps(Batch):
    def __init__(self, pid):
        super().__init__("--level", "pages", "--side", "maps", "--top", "0", "-p", str(pid),
                         delay=0.2)


def virtual_size(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[0])


def mapped(target, memtop, wanted):
    """These pages are mapped by these functions, exactly; all rows are all that is mapped."""
    memtop.tick_after()
    tick = memtop.tick_where(is_named, "names", 60)
    check_equal(tick["maps"]["live_bytes"], total(tick), "the side's total")
    check_equal({name: row(tick, name) for name in wanted}, wanted, f"{rows(tick)}")
    check_equal(total(tick) // PAGE, virtual_size(target.pid), f"all that is mapped {rows(tick)}")
    return tick


def mappings_are_exact_to_the_page():
    with Holder() as target, Maps(target.pid) as memtop:
        tick = memtop.tick()
        check_equal(total(tick) // PAGE, virtual_size(target.pid), "the first tick")
        memtop.tick_with_tables()
        mapped_before = row(tick, "before-attach")
        target.do("map_region", 100)
        mapped(target, memtop, {"map_region": 100})
        target.do("unmap_middle", 10)
        mapped(target, memtop, {"map_region": 90})
        target.do("unmap_tail", 5)
        mapped(target, memtop, {"map_region": 85})
        target.do("fail_to_unmap", 3)
        mapped(target, memtop, {"map_region": 85})
        target.do("unmap_two", 20)
        mapped(target, memtop, {"map_region": 85, "unmap_two": 20})
        target.do("map_region", 2000)  # as large as the kernel aligns to huge pages, or not
        target.do("map_region", 2048)
        mapped(target, memtop, {"map_region": 4133, "unmap_two": 20})
        target.do("remap_shrink", 48)
        mapped(target, memtop, {"map_region": 2085, "remap_shrink": 2000})
        target.do("remap_grow", 500)
        mapped(target, memtop, {"remap_shrink": 0, "remap_grow": 2500})
        target.do("remap_elsewhere", 0)
        mapped(target, memtop, {"remap_grow": 0, "remap_elsewhere": 2500})
        target.do("fail_to_remap", 7)
        mapped(target, memtop, {"remap_elsewhere": 2500})
        target.do("map_over", 9)
        mapped(target, memtop, {"remap_elsewhere": 2491, "map_over": 9})
        target.do("move_break", 33)
        mapped(target, memtop, {"move_break": 33})
        tick = mapped(target, memtop, {"before-attach": mapped_before})
        check_equal(tick["losses"]["event_lost"], 0, "losses")


def mappings_say_what_is_resident():
    """And a leak by mmap is on the maps side, at its stack."""
    with Holder() as target, Maps(target.pid) as memtop:
        memtop.tick_with_tables()
        target.do("map_region", 1000)
        target.do("touch_pages", 300)
        tick = mapped(target, memtop, {"map_region": 1000, "touch_pages": 300})
        resident = {name: sum(site["resident_bytes"] for site in tick["sites"]
                              if name in {frame["symbol"] for frame in site["frames"]})
                    for name in ("map_region", "touch_pages")}
        check_equal(resident, {"map_region": 0, "touch_pages": 300 * PAGE}, "resident")
        for _ in range(20):
            target.do("touch_pages", 500)
        tick = mapped(target, memtop, {"touch_pages": 10300})
        top = max(tick["sites"], key=lambda site: site["delta_bytes"])
        check("touch_pages" in {frame["symbol"] for frame in top["frames"]}, f"{rows(tick)}")
        check_equal(top["kind"], "mmap", "its kind")


run([fresh_pages_are_their_stacks, faults_of_memtops_own_reads_are_no_loss,
     pages_given_back_leave_their_rows, pages_that_move_stay_whose_they_are,
     pages_without_a_fault_have_a_row, zero_pages_count_when_they_are_written,
     copies_after_a_fork_stay_whose_they_were,
     pages_go_to_swap_and_come_back, files_are_read_in_around_a_fault, huge_pages_are_one_fault,
     perception_service_adds_up, a_short_life_ends_well,
     the_first_thread_may_end, without_its_first_thread_the_heap_is_left,
     mappings_are_exact_to_the_page, mappings_say_what_is_resident])
