#!/usr/bin/env python3
"""The leaking service keeps its promises: rates, leak, ledger, signals, options. Speaks TAP.

Rates are counts per frame times the default frame rate, so that no test depends on the machine's
speed; whatever is waited for is a condition with a deadline.
"""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

TARGETS = os.path.join(os.environ.get("top_builddir", "."), "tests", "targets")
DEADLINE_S = 300
FRAMES_PER_SECOND = 6 * 30
BAD_BYTES = 320 * 216 * 3
COUNTERS = ("allocated_bytes", "allocated_blocks", "freed_bytes", "freed_blocks",
            "live_bytes", "live_blocks")
BUILDS = (("perception_service", "libdecode.so", "libpipeline.so"),
          ("perception_service_fp", "libdecode_fp.so", "libpipeline_fp.so"))


def program(name="perception_service"):
    return os.path.join(TARGETS, name)


def wait_for(condition, what):
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError("not within %d s: %s" % (DEADLINE_S, what))


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def run_frames(directory, frames, *options, name="perception_service", env=None):
    """Runs the service for so many frames of each camera, as fast as it can; its ledger."""
    path = os.path.join(directory, "ledger.json")
    if os.path.exists(path):
        os.unlink(path)
    done = subprocess.run([program(name), "--fps", "0", "--frames", str(frames), "--ledger", path,
                           *options], capture_output=True, timeout=DEADLINE_S,
                          env=dict(os.environ, **(env or {})), check=False)
    assert done.returncode == 0, done
    assert done.stderr == b"", done.stderr
    assert not os.path.exists(path + ".tmp")
    return load(path)


def sites_named(ledger, name):
    return [site for site in ledger["sites"] if site["site"] == name]


def the_site(ledger, name):
    found = sites_named(ledger, name)
    assert len(found) == 1, (name, found)
    return found[0]


class Service:
    """A service under --wait; ended at the end of its `with`."""

    def __init__(self, directory, *options):
        self.path = os.path.join(directory, "ledger.json")
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.process = subprocess.Popen([program(), "--wait", "--ledger", self.path, *options],
                                        stdout=subprocess.PIPE)
        line = self.process.stdout.readline().decode()
        assert line == "ready %d\n" % self.process.pid, line
        self.number = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def go(self):
        self.process.send_signal(signal.SIGUSR1)

    def ledger(self):
        if not os.path.exists(self.path):
            return None
        found = load(self.path)
        return found if found["number"] == self.number else None

    def quiesce(self):
        self.number += 1
        self.process.send_signal(signal.SIGUSR2)
        return wait_for(self.ledger, "ledger %d" % self.number)

    def quiesce_after(self, condition, what):
        """Quiesces and goes on until the ledger fulfils the condition; quiescent then."""
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            found = self.quiesce()
            if condition(found):
                return found
            self.go()
        raise AssertionError("not within %d s: %s" % (DEADLINE_S, what))


def ledger_adds_up(directory):
    for name, _, _ in BUILDS:
        ledger = run_frames(directory, 70, name=name)
        for key in COUNTERS:
            assert ledger["totals"][key] == sum(site[key] for site in ledger["sites"]), key
        for site in ledger["sites"]:
            for book in (site, site["since_ready"]):
                for unit in ("bytes", "blocks"):
                    assert book["live_" + unit] == \
                        book["allocated_" + unit] - book["freed_" + unit] >= 0, site
            for unit in ("bytes", "blocks"):
                assert site["live_" + unit] == site["since_ready"]["live_" + unit] + \
                    site["before_live_" + unit], site
        addresses = [site["return_address"] for site in ledger["sites"]]
        assert len(set(addresses)) == len(addresses)


def run_witnessed(directory, frames, name):
    """The ledger, and the four counters by return address as the preloaded witness saw them."""
    witness = os.path.join(directory, "witness")
    ledger = run_frames(directory, frames, name=name,
                        env={"LD_PRELOAD": os.path.abspath(os.path.join(TARGETS, "witness.so")),
                             "WITNESS_FILE": witness})
    seen = {}
    with open(witness, encoding="ascii") as file:
        for line in file:
            address, *counts = line.split()
            seen[int(address, 16)] = [int(count) for count in counts]
    return ledger, seen


def a_witness_agrees_with_the_ledger(directory):
    for name, _, _ in BUILDS:
        ledger, seen = run_witnessed(directory, 70, name)
        assert len(ledger["sites"]) >= 40
        for site in ledger["sites"]:
            truth = seen[int(site["return_address"], 16)]
            assert truth == [site[key] for key in COUNTERS[:4]], (site, truth)


def nothing_outside_the_ledger_stays(directory):
    """What libjpeg and libc hold does not depend on the frames made: libjpeg_live is 0."""
    outside = []
    for frames in (7, 140):
        ledger, seen = run_witnessed(directory, frames, "perception_service")
        known = {int(site["return_address"], 16) for site in ledger["sites"]}
        others = [counts for address, counts in seen.items() if address not in known]
        assert sum(counts[1] for counts in others) > 5 * 6 * frames, "libjpeg was not seen"
        outside.append((sum(counts[0] - counts[2] for counts in others),
                        sum(counts[1] - counts[3] for counts in others)))
        assert ledger["libjpeg_live"] == {"bytes": 0, "blocks": 0}
    assert outside[0] == outside[1], outside


def honest_traffic_is_heavy_and_varied(directory):
    ledger = run_frames(directory, 210)
    frames = ledger["frames"]["good"] + ledger["frames"]["bad"]
    assert frames == 6 * 210
    blocks = sum(site["since_ready"]["allocated_blocks"] for site in ledger["sites"])
    assert blocks / frames * FRAMES_PER_SECOND >= 20000, blocks / frames
    busy = [site for site in ledger["sites"] if site["since_ready"]["allocated_blocks"]]
    assert len(busy) >= 40, len(busy)
    assert {site["kind"] for site in busy} == \
        {"malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"}


def one_frame_in_seven_leaks(directory):
    for name, libdecode, _ in BUILDS:
        ledger = run_frames(directory, 210, name=name)
        assert ledger["frames"]["bad"] == 6 * 210 // 7
        site = the_site(ledger, "jpeg_decode_frame")
        assert site["module"] == libdecode and site["kind"] == "malloc", site
        assert site["allocated_blocks"] == 6 * 210
        # Each camera holds its last good frame.
        assert site["live_blocks"] == ledger["frames"]["bad"] + 6, site
        held = site["live_bytes"] - ledger["frames"]["bad"] * BAD_BYTES
        assert 0 < held <= 6 * BAD_BYTES, held
        rate = ledger["frames"]["bad"] * BAD_BYTES / (6 * 210) * FRAMES_PER_SECOND
        assert 5.0e6 < rate < 5.5e6, rate


def nothing_else_grows(directory):
    filling = {"feature_cache_put", "cache_entry_new", "cache_key"}
    in_flight = {"message_new", "message_payload"}
    short, long = run_frames(directory, 210), run_frames(directory, 420)
    for site in long["sites"]:
        before = the_site(short, site["site"])
        if site["site"] == "jpeg_decode_frame":
            assert site["live_blocks"] - before["live_blocks"] == 6 * 210 // 7
        elif site["site"] in in_flight:
            assert site["live_blocks"] <= 64, site
        elif site["site"] not in filling:
            assert site["live_bytes"] == before["live_bytes"], (before, site)


def the_cache_fills_and_stays_full(directory):
    minute = run_frames(directory, 60 * 30 + 300, "--fixed")
    longer = run_frames(directory, 3 * 60 * 30, "--fixed")
    for ledger in (minute, longer):
        cache = the_site(ledger, "feature_cache_put")
        assert cache["live_blocks"] == 96, cache
        assert cache["live_bytes"] == 96 * 48 * 1024
    assert the_site(longer, "feature_cache_put")["freed_blocks"] > \
        the_site(minute, "feature_cache_put")["freed_blocks"] > 0
    half = run_frames(directory, 30 * 30, "--fixed")
    half = the_site(half, "feature_cache_put")
    assert 40 <= half["live_blocks"] <= 60, half


def fixed_stays_flat(directory):
    for frames in (210, 420):
        ledger = run_frames(directory, frames, "--fixed")
        assert ledger["frames"]["bad"] == 6 * frames // 7
        assert the_site(ledger, "jpeg_decode_frame")["live_blocks"] == 6


def bad_every_zero_means_none(directory):
    ledger = run_frames(directory, 70, "--bad-every", "0", "--cameras", "2")
    assert ledger["frames"] == {"good": 140, "bad": 0}
    assert the_site(ledger, "jpeg_decode_frame")["live_blocks"] == 2


def modules_and_offsets_are_right(directory):
    with Service(directory) as service:
        ledger = start_and_quiesce(service)
        with open("/proc/%d/maps" % service.process.pid, encoding="utf-8") as file:
            maps = [re.split(r"[- ]", line.rstrip("\n"), 2) for line in file]
        for site in ledger["sites"]:
            address = int(site["return_address"], 16)
            path = [line[2] for line in maps if int(line[0], 16) <= address < int(line[1], 16)]
            assert path and path[0].endswith("/" + site["module"]), (site, path)
            base = min(int(line[0], 16) for line in maps if line[2].endswith("/" + site["module"]))
            assert site["module_offset"] == address - base, site
        assert {site["module"] for site in ledger["sites"]} == set(BUILDS[0])


def start_and_quiesce(service):
    service.go()
    return service.quiesce_after(lambda ledger: ledger["frames"]["bad"] >= 6, "6 bad frames")


def signals_quiesce_and_resume(directory):
    with Service(directory) as service:
        ready = service.quiesce()
        assert ready["frames"] == {"good": 0, "bad": 0}
        assert all(not site["since_ready"]["allocated_blocks"] for site in ready["sites"])
        assert all(site["before"] for site in ready["sites"])
        first = start_and_quiesce(service)
        again = service.quiesce()
        assert first["sites"] == again["sites"], "not quiescent"
        service.go()
        later = service.quiesce_after(lambda ledger: ledger["frames"]["good"] >
                                      first["frames"]["good"], "more frames")
        assert later["totals"]["allocated_blocks"] > first["totals"]["allocated_blocks"]
        service.go()
        service.number += 1
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(DEADLINE_S) == 0
        assert service.ledger()["frames"]["good"] >= later["frames"]["good"]


def kernel_memory_is_kept(directory):
    def descriptors():
        return len(os.listdir("/proc/%d/fd" % service.process.pid))

    with Service(directory, "--leak-kernel") as service:
        start = descriptors()
        service.go()
        ledger = service.quiesce_after(lambda found: found["kernel"]["socketpairs"] >= 12,
                                       "12 socket pairs")
        kept = ledger["kernel"]
        assert descriptors() - start == 2 * (kept["pipes"] + kept["socketpairs"])
    with Service(directory) as service:
        start = descriptors()
        start_and_quiesce(service)
        assert descriptors() == start


def start_rss_is_held_and_touched(directory):
    with Service(directory, "--start-rss", "64M") as service:
        ledger = service.quiesce()
        assert the_site(ledger, "model_part_new")["before_live_bytes"] == 64 << 20
        with open("/proc/%d/statm" % service.process.pid, encoding="ascii") as file:
            resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        assert resident >= 64 << 20, resident


def seconds_end_it(_):
    started = time.monotonic()
    done = subprocess.run([program(), "--seconds", "0.5"], timeout=DEADLINE_S, check=False)
    assert done.returncode == 0 and time.monotonic() - started >= 0.5


def bad_options_say_so(_):
    for options in (["--nope"], ["--cameras", "0"], ["--cameras", "x"], ["--start-rss", "5T"],
                    ["stray"], ["--cameras"], ["--fps", "-1"], ["--seconds", "1e99"],
                    ["--ledger="], ["-x"], ["--start-rss", "99999999999G"], ["--frames", ""]):
        done = subprocess.run([program(), *options], capture_output=True, timeout=DEADLINE_S,
                              check=False)
        assert done.returncode == 1, (options, done)
        assert done.stdout == b"" and done.stderr.count(b"\n") == 1, (options, done)
    done = subprocess.run([program(), "--help"], capture_output=True, timeout=DEADLINE_S,
                          check=False)
    assert done.returncode == 0 and b"--bad-every" in done.stdout and not done.stderr, done


def a_ledger_that_cannot_be_written_is_told(directory):
    done = subprocess.run([program(), "--seconds", "0.1", "--ledger",
                           os.path.join(directory, "none", "ledger.json")],
                          capture_output=True, timeout=DEADLINE_S, check=False)
    assert b"cannot write" in done.stderr and done.stderr.count(b"\n") == 1, done
    assert done.returncode == 1, done


TESTS = (ledger_adds_up, a_witness_agrees_with_the_ledger,
         nothing_outside_the_ledger_stays, honest_traffic_is_heavy_and_varied,
         one_frame_in_seven_leaks, nothing_else_grows, the_cache_fills_and_stays_full,
         fixed_stays_flat, bad_every_zero_means_none, modules_and_offsets_are_right,
         signals_quiesce_and_resume, kernel_memory_is_kept, start_rss_is_held_and_touched,
         seconds_end_it, bad_options_say_so, a_ledger_that_cannot_be_written_is_told)


def main():
    failed = 0
    print("1..%d" % len(TESTS))
    for number, test in enumerate(TESTS, 1):
        with tempfile.TemporaryDirectory() as directory:
            try:
                test(directory)
                print("ok %d - %s" % (number, test.__name__), flush=True)
            except Exception as error:  # pylint: disable=broad-except
                failed += 1
                reason = "%s: %s" % (type(error).__name__, " ".join(str(error).split()))
                print("not ok %d - %s: %s" % (number, test.__name__,
                                              reason.replace("#", " ")[:500]), flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
