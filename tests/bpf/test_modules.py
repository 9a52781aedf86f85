# SPDX-License-Identifier: GPL-2.0-only
"""Libraries that come and go while memtop watches: right stacks, right names."""

from batch import Batch
from plugins import PluginHost, plugin
from tap import check, check_equal, in_time, run

NOTICED_MS = 250


def sites_of(tick, function):
    return [site for site in tick["sites"] if site["side"] == "user" and
            any(frame["symbol"] == function for frame in site["frames"])]


def blocks_of(tick, function):
    return sum(site["live_blocks"] for site in sites_of(tick, function))


def watching(host):
    return Batch("-p", str(host.pid), "--level", "heap", "--top", "0", "--side", "user")


def two_libraries_at_one_address():
    """Names and books stay with the library that allocated, whether a tick saw it or not."""
    for tick_between in (True, False):
        with PluginHost() as host, watching(host) as memtop:
            memtop.tick()
            _, first = host.open(plugin("alpha"))
            memtop.tick_with_tables()
            host.tell("run 100 1000")
            if tick_between:
                tick = memtop.tick_after()
                check_equal(blocks_of(tick, "alpha_keep"), 100, "blocks of the first")
                alpha = {site["id"] for site in sites_of(tick, "alpha_keep")}
            host.tell("close")
            _, second = host.open(plugin("omega"))
            check_equal(second, first, "the second is where the first was")
            memtop.tick_with_tables()
            host.tell("run 70 1000")
            tick = memtop.tick_after()
            check_equal(blocks_of(tick, "alpha_keep"), 100, "blocks of the first, afterwards")
            check_equal(blocks_of(tick, "omega_keep"), 70, "blocks of the second")
            if tick_between:
                check_equal({site["id"] for site in sites_of(tick, "alpha_keep")}, alpha,
                            "the first's sites are the same")
            keys = [site["key"] for site in tick["sites"] if not site["truncated"]]
            check_equal(len(set(keys)), len(keys), "each proven site has a key of its own")
            host.tell("free")
            tick = memtop.tick_after()
            check_equal(blocks_of(tick, "alpha_keep") + blocks_of(tick, "omega_keep"), 0,
                        "blocks when all are freed")


def nothing_is_taken_for_what_was_there_before():
    """What the second library allocates before memtop has looked is booked apart and marked."""
    with PluginHost() as host, watching(host) as memtop:
        memtop.tick()
        host.open(plugin("alpha"))
        memtop.tick_with_tables()
        host.tell("run 100 1000")
        memtop.tick_after()
        for _ in range(5):
            host.tell("close")
            host.open(plugin("omega"))
            host.tell("run 7 1000")
            host.tell("close")
            host.open(plugin("alpha"))
        tick = memtop.tick_with_tables()
        proven = sum(site["live_blocks"] for site in sites_of(tick, "alpha_keep")
                     if not site["truncated"])
        check_equal(proven, 100, "blocks whose stack is proven to be the first's")
        marked = sum(site["live_blocks"] for site in tick["sites"]
                     if site["truncated"] and site["kind"] == "malloc")
        check(marked + blocks_of(tick, "omega_keep") >= 35, "blocks of the second")
        check_equal(tick["losses"]["live_table_full"], 0, "losses")


def the_same_library_again_is_the_same_site():
    with PluginHost() as host, watching(host) as memtop:
        memtop.tick()
        for times in range(1, 25):
            host.open(plugin("alpha"))
            if times % 8 == 1:
                memtop.tick_with_tables()
            host.tell("run 10 64")
            host.tell("close")
        host.open(plugin("alpha"))
        memtop.tick_with_tables()
        host.tell("run 10 64")
        tick = memtop.tick_after()
        complete = [site for site in sites_of(tick, "alpha_keep") if not site["truncated"]]
        check_equal(len(complete), 1, "sites with the whole stack")
        check_equal(blocks_of(tick, "alpha_keep"), 250, "blocks of all rounds")
        check_equal(tick["losses"]["site_table_full"], 0, "sites that found no room")


def notice():
    """Allocations, one a millisecond, until the stacks through a new library are whole."""
    with PluginHost() as host, watching(host) as memtop:
        memtop.tick_with_tables()
        host.open(plugin("omega"))
        host.tell("pace 1500 48")
        tick = memtop.tick_after()
        sites = sites_of(tick, "omega_keep")
        cut = sum(site["live_blocks"] for site in sites if site["truncated"])
        whole = sum(site["live_blocks"] for site in sites if not site["truncated"])
        check_equal(cut + whole, 1500, "allocations")
        check(all(site["frames"][-1]["module"].endswith("plugin_host") for site in sites
                  if not site["truncated"]), "whole stacks end where the program begins")
        return cut


def a_new_library_is_noticed_at_once():
    """Stacks through code that memtop does not know yet are marked; it knows within 250 ms."""
    in_time(notice, NOTICED_MS, "milliseconds until it was noticed")


def tables_that_find_no_room_are_named():
    with PluginHost() as host:
        with Batch("-p", str(host.pid), "--level", "heap", "--top", "0", "--side", "user",
                   "--unwind-memory", "4K") as memtop:
            overhead = memtop.tick_with_tables()["overhead"]
            check(overhead["unwind_tables_refused"] > 0, "tables are refused")
            check(overhead["unwind_bytes"] <= 8192, f"{overhead['unwind_bytes']} bytes of tables")
            host.open(plugin("alpha"))
            memtop.tick_with_tables()
            host.tell("run 30 16")
            tick = memtop.tick_after()
            sites = sites_of(tick, "alpha_keep")
            check_equal(sum(site["live_blocks"] for site in sites), 30, "blocks")
            check(all(site["truncated"] for site in sites), "the stacks are marked")
            check(tick["overhead"]["truncated_percent"] > 50, "their share is told")
    with PluginHost() as host, watching(host) as memtop:
        memtop.tick()
        host.open(plugin("alpha"))
        memtop.tick_with_tables()
        host.tell("run 30 16")
        overhead = memtop.tick_after()["overhead"]
        check_equal(overhead["unwind_tables_refused"], 0, "refused within the usual limit")
        check(overhead["truncated_percent"] < 50, "whole stacks within the usual limit")


run([two_libraries_at_one_address, nothing_is_taken_for_what_was_there_before,
     the_same_library_again_is_the_same_site, a_new_library_is_noticed_at_once,
     tables_that_find_no_room_are_named])
