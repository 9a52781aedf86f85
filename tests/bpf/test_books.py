# SPDX-License-Identifier: GPL-2.0-only
"""The heap book against the ledger that the target keeps itself: bytes and blocks, site by site."""

import tempfile
import time

from batch import TOTALS, Batch, by_address, function_of
from tap import check, check_equal, in_time, run
from target import Perception


def compare(tick, ledger):
    seen = by_address(tick)
    wrong = []
    for site in ledger["sites"]:
        expected = site["since_ready"]
        have = seen.get(int(site["return_address"], 16), dict.fromkeys(TOTALS, 0))
        for name in TOTALS:
            if have[name] != expected[name]:
                wrong.append(f"{site['site']} {site['kind']} {name}: "
                             f"{expected[name]} kept, {have[name]} seen")
    check(not wrong, "the book differs from the ledger: " + "; ".join(wrong))
    check(len(ledger["sites"]) >= 40, "the ledger lists the target's sites")


def books_equal_the_ledger():
    with Perception(wait=True) as service:
        with Batch("-p", str(service.pid), "--level", "heap", "--top", "0",
                   "--side", "user") as memtop:
            first = memtop.tick()
            check_equal(first["level"], "heap", "level")
            service.go()
            for _ in range(3):
                memtop.tick_where(lambda tick: tick["user"]["allocated_blocks"] > 60000,
                                  "the target allocates")
                ledger = service.quiesce()
                tick = memtop.tick_after()
                compare(tick, ledger)
                check_equal(tick["losses"]["total"], 0, "losses")
                service.go()


def books_equal_the_ledger_with_an_attach_in_the_middle():
    """Blocks from before the attach are not known; what comes after is exact again once the cameras
    have stood still for a moment."""
    with Perception(wait=True) as service:
        service.go()
        time.sleep(1)  # any moment will do: the point is that it is none in particular
        with Batch("-p", str(service.pid), "--level", "heap", "--top", "0") as memtop:
            memtop.tick()
            before = service.quiesce()
            start = by_address(memtop.tick_after())
            service.go()
            memtop.tick_where(lambda tick: tick["user"]["allocated_blocks"] > 60000,
                              "the target allocates")
            after = service.quiesce()
            end = by_address(memtop.tick_after())
        then = {site["return_address"]: site for site in before["sites"]}
        none = dict.fromkeys(TOTALS, 0)
        for site in after["sites"]:
            address = int(site["return_address"], 16)
            old = then.get(site["return_address"], {"since_ready": none})
            for name in ("allocated_bytes", "allocated_blocks"):
                check_equal(
                    end.get(address, none)[name] - start.get(address, none)[name],
                    site["since_ready"][name] - old["since_ready"][name],
                    f"{site['site']} {name}")
            check(end.get(address, none)["live_blocks"] <= site["live_blocks"],
                  f"{site['site']}: no more live than the target has")


def books_need_no_kernel_types():
    """As where the kernel was built without BTF: the heap is all there, the kernel side is not."""
    with tempfile.TemporaryDirectory() as empty, Perception(wait=True) as service:
        hidden = ("unshare", "-m", "sh", "-c",
                  f'mount --bind {empty} /sys/kernel/btf && exec "$@"', "sh")
        with Batch("-p", str(service.pid), "--level", "heap", "--top", "0", "--side", "user",
                   prefix=hidden) as memtop:
            check_equal(memtop.tick()["level"], "heap", "level")
            service.go()
            memtop.tick_where(lambda tick: tick["user"]["allocated_blocks"] > 30000,
                              "the target allocates")
            ledger = service.quiesce()
            compare(memtop.tick_after(), ledger)
        with Batch("-p", str(service.pid), "--level", "heap", prefix=hidden) as memtop:
            check("BTF" in memtop.tick()["level_reason"], "why there is no kernel side")


def find_leak():
    """Seconds until it is on top, and until it is called leaking."""
    with Perception() as service:
        with Batch("-p", str(service.pid), "--level", "heap", "--sort", "delta") as memtop:
            first = memtop.tick()["elapsed_s"]
            tick = memtop.tick_where(
                lambda t: t["sites"] and function_of(t["sites"][0]) == "jpeg_decode_frame",
                "jpeg_decode_frame is on top")
            on_top = tick["elapsed_s"] - first
            tick = memtop.tick_where(
                lambda t: function_of(t["sites"][0]) == "jpeg_decode_frame" and
                t["sites"][0]["verdict"] == "leaking", "it is called leaking")
            site, judged = tick["sites"][0], tick["elapsed_s"] - first
            check(0.10 < site["kept_ratio"] < 0.19, f"1 in 7 kept: {site['kept_ratio']}")
            mean = site["live_bytes"] / tick["elapsed_s"]
            check(0.5 < site["rate_bytes_per_s"] / mean < 2,
                  f"rate {site['rate_bytes_per_s']}, the mean is {mean}")
            return on_top, judged


def leak_is_on_top_within_ten_seconds():
    """And judged within fifteen."""
    in_time(lambda: max(took / most for took, most in zip(find_leak(), (10, 15))), 1,
            "of the time that it may take", 5)


def fixed_service_is_steady_and_never_called_leaking():
    """Its cache fills for a minute; once it is full nothing grows."""
    with Perception("--fixed") as service:
        with Batch("-p", str(service.pid), "--level", "heap", "--side", "all", "--top",
                   "0") as memtop:
            while True:
                tick = memtop.tick()
                leaking = [function_of(site) for site in tick["sites"]
                           if site["verdict"] == "leaking"]
                check(not leaking, f"at {tick['elapsed_s']:.0f} s called leaking: {leaking}")
                check(tick["rss"]["verdict"] != "leaking", "RSS is not called leaking")
                if tick["elapsed_s"] > 70 and tick["rss"]["verdict"] == "steady":
                    break
                check(tick["elapsed_s"] < 600, f"RSS is {tick['rss']['verdict']} after 600 s")


run([books_equal_the_ledger, books_equal_the_ledger_with_an_attach_in_the_middle,
     books_need_no_kernel_types, leak_is_on_top_within_ten_seconds,
     fixed_service_is_steady_and_never_called_leaking])
