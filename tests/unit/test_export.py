#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The batch contract, field by field, and what hostile names become in each format."""

import json
import os
import subprocess

import tap

PROGRAM = os.path.join(os.environ["top_builddir"], "tests/unit/write_picture")
TOTALS = ["live_bytes", "live_blocks", "allocated_bytes", "allocated_blocks", "freed_bytes",
          "freed_blocks"]
FIELDS = {
    "": ["schema", "tick", "time_unix_ns", "elapsed_s", "target", "level", "level_reason", "allocators", "rss",
         "accounting", "user", "maps", "kernel", "losses", "overhead", "sites", "sites_total",
         "rest", "final", "holdings"],
    "target": ["pid", "comm", "exe", "state", "exit_code", "signal", "threads", "generation"],
    "rss": ["bytes", "anon_bytes", "file_bytes", "shmem_bytes", "swap_bytes", "limit_bytes",
            "limit_source", "limit_used_bytes", "headroom_bytes", "rate_bytes_per_s", "verdict",
            "confidence", "seconds_to_limit_low", "seconds_to_limit_high"],
    "accounting": ["heap_live_bytes", "allocator_slack_bytes", "anon_maps_bytes", "stacks_bytes",
                   "file_bytes", "shmem_bytes", "before_attach_bytes", "unexplained_bytes",
                   "explained_percent", "slack_or_before_attach_bytes"],
    "user": TOTALS + ["before_attach_frees"],
    "maps": TOTALS,
    "kernel": TOTALS + ["kinds"],
    "overhead": ["events_per_s", "ns_per_event", "target_percent", "worst_thread_percent",
                 "names_percent", "self_cpu_percent", "self_rss_bytes", "tables_bytes", "truncated_percent", "unwind_bytes",
                 "unwind_tables_pending", "unwind_tables_refused", "kernel_core_percent"],
    "rest": TOTALS,
}
SITE = (["id", "key", "side", "kind"] + TOTALS +
        ["delta_bytes", "delta_blocks", "rate_bytes_per_s", "oldest_s", "kept_ratio", "verdict",
         "confidence", "truncated", "frames", "object", "unmatched", "resident_bytes", "ended", "reclaimable"])
HOLDING = ["name", "exporter", "unit", "value", "limit", "delta", "rate_per_s", "came", "gone",
           "kept_ratio", "verdict", "confidence", "reason"]
FRAME = ["symbol", "offset", "module", "build_id", "module_offset", "file", "line", "inlined",
         "wrapper", "address", "reason"]


def output(*arguments):
    return subprocess.run([PROGRAM, *arguments], check=True, stdout=subprocess.PIPE).stdout


def picture(*arguments):
    raw = output("json", *arguments)
    tap.check(raw.endswith(b"\n") and raw.count(b"\n") == 1, "one object, one line")
    tap.check(all(0x20 <= byte < 0x7f for byte in raw[:-1]), "plain ASCII on the wire")

    def refuse(word):
        raise tap.Failure(f"{word} is no JSON")
    return json.loads(raw, parse_constant=refuse)


def fields_in_order():
    seen = picture()
    for name, fields in FIELDS.items():
        tap.check_equal(list(seen[name] if name else seen), fields, name or "top")
    for site in seen["sites"]:
        tap.check_equal(list(site), SITE, "site")
        for frame in site["frames"]:
            tap.check_equal(list(frame), FRAME, "frame")


def values():
    seen = picture()
    tap.check_equal(seen["schema"], "memtop/1", "schema")
    tap.check_equal(seen["time_unix_ns"], 1700000000123456789, "time")
    tap.check_equal(seen["level"], "heap", "level")
    tap.check_equal(seen["target"]["state"], "running", "state")
    tap.check_equal(seen["rss"]["limit_source"], "cgroup", "limit source")
    tap.check_equal(seen["rss"]["limit_bytes"], 2 << 30, "limit")
    tap.check_equal(seen["user"]["live_bytes"], 204000, "user live")
    tap.check_equal(seen["user"]["before_attach_frees"], 6, "frees of old blocks")
    tap.check_equal(seen["losses"]["total"], 2, "losses")
    tap.check_equal(seen["losses"]["free_missed"], 2, "named loss")
    leak = seen["sites"][0]
    tap.check_equal((leak["id"], leak["key"], leak["verdict"], leak["kind"]),
                    (3, "00000000000000ab", "leaking", "malloc"), "site")
    tap.check_equal((leak["live_bytes"], leak["live_blocks"]), (200000, 20), "live")
    tap.check_equal(leak["truncated"], True, "truncated")
    tap.check_equal([f["inlined"] for f in leak["frames"]], [True, False, False], "inlines")
    tap.check_equal([f["wrapper"] for f in leak["frames"]], [False, True, False], "wrappers")
    tap.check_equal(leak["frames"][2]["address"], "0x4020c8", "address")
    tap.check_equal(seen["overhead"]["names_percent"], 50, "share of names")
    tap.check_equal(list(seen["overhead"].values())[-5:-1], [12.5, 123456, 1, 2], "stacks")
    tap.check_equal(seen["overhead"]["kernel_core_percent"], 0.25, "of a core")


def held_beside_memory():
    seen = picture()["holdings"]
    for row in seen:
        tap.check_equal(list(row), HOLDING, "holding")
    rows = {row["name"]: row for row in seen}
    tap.check_equal(len(rows), len(seen), "each has its own name")
    tap.check_equal(list(rows["memfds"].values()),
                    ["memfds", None, "count", 300, None, 288, 2.5, 290, 2, 1, "leaking", 0, None],
                    "memfds")
    tap.check_equal([rows["socket_bytes"][name] for name in ("value", "came", "reason")],
                    [None, None, "elsewhere"], "not known")
    tap.check_equal([rows["dmabuf_exporter"][name] for name in ("exporter", "unit", "value")],
                    ["evil\ufffd\x1b[2J", "bytes", 1 << 20], "an exporter")
    text = output("text").decode()
    tap.check("LEAKING: memfds +2.5/s" in text, f"the leak in words: {text}")
    tap.check("memfds 300 +288" in text and "\x1b" not in text, f"what there is: {text}")


def not_known_is_null():
    seen = picture()
    tap.check_equal(seen["level_reason"], None, "no reason")
    tap.check_equal(seen["target"]["exit_code"], None, "exit code")
    tap.check_equal(seen["target"]["signal"], None, "signal")
    tap.check_equal(seen["rss"]["headroom_bytes"], None, "2^60 fits no double")
    tap.check_equal(seen["rss"]["seconds_to_limit_low"], None, "no forecast")
    tap.check_equal(seen["overhead"]["self_cpu_percent"], None, "infinity")
    tap.check_equal(seen["maps"]["live_bytes"], None, "side not watched")
    tap.check_equal(set(seen["accounting"].values()), {None}, "accounting")
    frame = seen["sites"][1]["frames"][0]
    tap.check_equal([frame[k] for k in FRAME[:7]], [None] * 7, "frame without a name")
    reasons = {f["reason"] for site in seen["sites"] for f in site["frames"]}
    tap.check_equal((frame["reason"], reasons), ("not read yet", {"not read yet", None}), "reasons")


def hostile_names():
    seen = picture()
    tap.check_equal(seen["target"]["comm"], "evil\ufffd\n", "comm")
    tap.check_equal(seen["target"]["exe"], "/opt/\u4e2d", "exe")
    tap.check_equal(seen["sites"][0]["frames"][0]["symbol"], "jpeg_\ufffd\x1b[31mdecode\n", "symbol")


def sums_hold_when_cut_or_filtered():
    for arguments, ids in ((["0"], [3, 5, 9]), (["1"], [3]), (["0", "camera_loop"], [3]),
                           (["0", "warming"], [5]), (["0", "eventpoll"], [9]), (["0", "nothing"], [])):
        seen = picture(*arguments)
        tap.check_equal([s["id"] for s in seen["sites"]], ids, f"sites of {arguments}")
        tap.check_equal(seen["sites_total"], 3, "all sites")
        for name in TOTALS:
            listed = sum(s[name] for s in seen["sites"] if not s["unmatched"])
            tap.check_equal(listed + seen["rest"][name], seen["user"][name], f"{arguments} {name}")


def leaks_are_the_users():
    report = json.loads(output("leaks-json"))
    tap.check_equal(list(report), FIELDS[""] + ["leaks"], "fields")
    tap.check_equal([s["id"] for s in report["sites"]], [3, 5], "sites, the largest first")
    for site in report["sites"]:
        tap.check_equal(list(site), SITE + ["suppressed_by", "baseline_bytes", "baseline_blocks"],
                        "site")
    whole = {"bytes": 204000, "blocks": 60, "sites": 2}
    none = {"bytes": 0, "blocks": 0, "sites": 0}
    tap.check_equal(report["leaks"], {
        "all": whole, "suppressed": none, "baseline": none, "leaked": whole, "limit_bytes": None,
        "judged": False, "not_judged": None, "failed": None, "children": False,
        "suppressions": []}, "leaks")
    for name in TOTALS:
        tap.check_equal(sum(s[name] for s in report["sites"]) + report["rest"][name],
                        report["user"][name], name)
    text = output("leaks").decode()
    tap.check("SUMMARY: memtop: 204000 bytes in 60 blocks never freed at 2 sites" in text, text)
    tap.check(text.index("200000 bytes in 20 blocks") < text.index("4000 bytes in 40 blocks"), text)
    tap.check("and 4000 bytes in 40 blocks at 1 more site" in output("leaks", "1").decode(), "cut")


def the_kernel_side_has_kinds():
    kinds = picture()["kernel"]["kinds"]
    tap.check_equal(list(kinds), ["slab", "page", "vmalloc", "percpu"], "kinds")
    for kind in kinds.values():
        tap.check_equal(list(kind), TOTALS + ["reason"], "kind")
    tap.check_equal(list(kinds["page"].values()), [8192, 2, 12288, 3, 4096, 1, None], "pages")
    tap.check_equal(list(kinds["percpu"].values()), [None] * 6 + ["because"], "not watched")
    text = output("text").decode()
    tap.check("kernel = page 8.0K" in text, f"in words: {text}")


def unmatched_has_no_live():
    site = picture()["sites"][-1]
    tap.check_equal((site["unmatched"], site["live_bytes"], site["object"]),
                    (True, None, "eventpoll_epi"), "unmatched")


def text_is_clean_and_narrow():
    for kind in ("text", "leaks"):
        text = output(kind).decode("utf-8")
        tap.check(all(c == "\n" or (c >= " " and not "\x7f" <= c < "\xa0") for c in text),
                  "no control characters")
        if kind == "text":
            tap.check(max(map(len, text.splitlines())) <= 80, "80 columns")
        tap.check("jpeg_\ufffd\ufffd[31mdecode\ufffd" in text, "the site")
    tap.check("refused for 2 modules" in output("text").decode(), "the stacks")
    tap.check("LEAKING: 1 in 7 never freed" in output("text").decode(), "the verdict")


def a_full_disk_is_an_error():
    with open("/dev/full", "wb") as full:
        for kind in ("json", "text", "leaks", "leaks-json"):
            code = subprocess.run([PROGRAM, kind], stdout=full, check=False).returncode
            tap.check_equal(code, 1, kind)


tap.run([fields_in_order, values, held_beside_memory, not_known_is_null, hostile_names, sums_hold_when_cut_or_filtered,
         leaks_are_the_users,
         the_kernel_side_has_kinds, unmatched_has_no_live, text_is_clean_and_narrow, a_full_disk_is_an_error])
