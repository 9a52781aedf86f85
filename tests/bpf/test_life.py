# SPDX-License-Identifier: GPL-2.0-only
"""What happens to targets while they are watched, and what happens to commands that memtop runs."""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time

from batch import Batch, function_of
from tap import check, check_equal, run, wait_for
from target import MEMTOP, built, naps, running, state_of, waits_for_signal

LIFE = built("tests/targets/life")
# What a plain life sleeps in: clock_nanosleep().
NANOSLEEP = {"x86_64": "230 ", "aarch64": "115 "}[os.uname().machine]
HEAP = ("--level", "heap", "--side", "user", "--top", "0")
NEVER = 3600  # a tick that is not due as long as a test takes


def probes_stand(pid):
    """Does the target's libc differ from its file?"""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        row = next(line.split() for line in maps if "libc.so" in line and "r-xp" in line)
    start, end = (int(part, 16) for part in row[0].split("-"))
    with open(f"/proc/{pid}/mem", "rb") as memory, open(row[5], "rb") as file:
        memory.seek(start)
        file.seek(int(row[2], 16))
        return memory.read(end - start) != file.read(end - start)


@contextlib.contextmanager
def life(*words, begun=True):
    with running(LIFE, *words, stdout=subprocess.PIPE) as target:
        if begun:
            check_equal(target.stdout.readline(), b"ready\n", "the target")
        yield target


def another_program():
    """exec: a last object of the old generation, then an empty book, long before the next tick."""
    with life("exec") as target, Batch("-p", str(target.pid), *HEAP, delay=NEVER) as memtop:
        first = memtop.tick()
        check_equal((first["target"]["generation"], first["level"]), (1, "heap"), "the first")
        for generation in (1, 2, 3):
            target.send_signal(signal.SIGUSR1)
            last = memtop.tick_where(lambda tick: tick["final"], "a last object")
            check_equal(last["target"]["generation"], generation, "of the old generation")
            check_equal(last["target"]["state"], "running", "its state")
            new = memtop.tick()
            check_equal((new["target"]["generation"], new["final"], new["level"]),
                        (generation + 1, False, "heap"), "the next program")
            check_equal(new["user"]["allocated_blocks"],
                        sum(site["allocated_blocks"] for site in new["sites"]),
                        "its totals begin anew, with its own sites")
            check(new["elapsed_s"] > last["elapsed_s"] and new["tick"] == last["tick"] + 1,
                  "time runs on")
            old = {site["id"] for site in last["sites"]}
            check(not old & {site["id"] for site in new["sites"]}, "no id is used again")


def nothing_of_the_next_program():
    """What a constructor takes right after the exec is in no object of the old generation."""
    environment = dict(os.environ, LEAKY_EARLY="100")
    for _ in range(5):
        with tempfile.TemporaryDirectory() as folder:
            note = os.path.join(folder, "pid")
            with running(built("tests/targets/leaky"), f"file:{note}", "wait", "exec", "wait",
                         env=environment) as target:
                wait_for(lambda: os.path.exists(note) and waits_for_signal(target.pid), "the target")
                with Batch("-p", str(target.pid), *HEAP, delay=NEVER) as memtop:
                    check_equal(memtop.tick()["user"]["allocated_blocks"], 0, "it waits")
                    target.send_signal(signal.SIGUSR1)
                    last = memtop.tick()
                    check_equal((last["final"], last["target"]["generation"], last["level"]),
                                (True, 1, "heap"), "a last object")
                    check_equal((last["user"]["allocated_blocks"], last["sites"]), (0, []),
                                "of the old program alone")
                    check_equal(memtop.tick()["target"]["generation"], 2, "the next one")


def its_book_is_there_to_the_end():
    """A process that takes its time to go has no memory for a while, and is no other program."""
    for step in range(4):  # the watch is at another moment each time
        with life("fat") as target:
            check_equal(target.stdout.readline(), b"fat\n", "its memory")
            with Batch("-p", str(target.pid), *HEAP, delay=NEVER) as memtop:
                memtop.tick()
                before = naps(target.pid)  # it takes a block before each
                wait_for(lambda: naps(target.pid) > before + 20 + 37 * step, "blocks")
                target.terminate()
                last = memtop.tick()
                check_equal((last["final"], last["target"]["state"], last["target"]["generation"],
                             last["level"]), (True, "killed", 1, "heap"), "the last object")
                check(last["sites"] and last["user"]["live_blocks"] > 10, "its book")
                check_equal(memtop.process.wait(120), 0, "the end")


def kernel_totals_begin_anew():
    with life("exec") as target, Batch("-p", str(target.pid), "--level", "rss", "--side", "all",
                                       delay=0.3) as memtop:
        memtop.tick()
        target.send_signal(signal.SIGUSR1)
        last = memtop.tick_where(lambda tick: tick["final"], "a last object")
        check(last["kernel"]["allocated_blocks"] > 50, "exec takes kernel memory")
        new = memtop.tick()
        check(new["kernel"]["allocated_blocks"] < 50, "a new book of the kernel side")


def many_short_threads():
    with life("threads") as target, Batch("-p", str(target.pid), *HEAP, delay=1) as memtop:
        tick = memtop.tick_where(lambda tick: tick["user"]["allocated_blocks"] > 5000, "threads")
        check(not tick["losses"].get("thread_table_full"), f"room for all: {tick['losses']}")


def children_are_not_the_target():
    with life("fork") as target, Batch("-p", str(target.pid), *HEAP) as memtop:
        tick = memtop.tick_where(lambda tick: tick["user"]["live_blocks"] > 20, "blocks")
        check_equal(tick["user"]["live_bytes"], 64 * tick["user"]["live_blocks"],
                    "blocks of the target alone")
        check(target.poll() is None, "the target lives")


def a_library_is_loaded():
    """A site is named even if its library is younger than the last look at the maps."""
    library = os.path.abspath(built("tests/targets/life_library.so"))
    with life("dlopen", library) as target, Batch("-p", str(target.pid), *HEAP,
                                                  delay=0.1) as memtop:
        memtop.tick()
        target.send_signal(signal.SIGUSR1)
        tick = memtop.tick_where(lambda tick: any(site["live_bytes"] > 20 * 123
                                                  for site in tick["sites"]), "its blocks")
        sites = [site for site in tick["sites"]
                 if site["live_blocks"] and site["live_bytes"] == 123 * site["live_blocks"]]
        check(sites, "sites of the library")
        tick = memtop.tick_where(lambda tick: all(function_of(site) == "leak_in_library"
                                                  for site in tick["sites"]
                                                  if site["id"] in {s["id"] for s in sites}),
                                 "named")


def two_watch_one():
    with life("plain") as target, Batch("-p", str(target.pid), *HEAP) as one:
        one.tick()
        with Batch("-p", str(target.pid), *HEAP) as two:
            two.tick_where(lambda tick: tick["user"]["allocated_blocks"] > 50, "blocks of both")
            one.process.terminate()
            one.process.wait(120)
            seen = two.tick()["user"]["allocated_blocks"]
            two.tick_where(lambda tick: tick["user"]["allocated_blocks"] > seen + 50,
                           "the other one goes on")


def in_namespaces_of_its_own():
    with running("unshare", "-m", "-p", "-f", "--kill-child", LIFE, "plain",
                 stdout=subprocess.DEVNULL) as outer:
        path = f"/proc/{outer.pid}/task/{outer.pid}/children"
        pid = wait_for(lambda: open(path, encoding="ascii").read().split(), "the child")[0]
        wait_for(lambda: os.readlink(f"/proc/{pid}/exe").endswith("life"), "its program")
        with Batch("-p", pid, *HEAP) as memtop:
            tick = memtop.tick_where(lambda tick: tick["user"]["live_blocks"] > 50, "its blocks")
            check_equal(function_of(tick["sites"][0]) is not None, True, "named")


def not_in_a_pid_namespace():
    """memtop in a container would see no event: it says so instead of showing none."""
    script = f"'{LIFE}' plain >/dev/null & '{MEMTOP}' -b --level heap -i 1 -p $!; code=$?; kill $!; exit $code"
    done = subprocess.run(["unshare", "-p", "-f", "--kill-child", "--mount-proc", "sh", "-c",
                           script], check=False, capture_output=True, text=True, timeout=120)
    check_equal((done.returncode, done.stdout), (3, ""), done.stderr)
    check("namespace" in done.stderr, done.stderr)


def a_stopped_target():
    with life("plain") as target:
        target.send_signal(signal.SIGSTOP)
        wait_for(lambda: state_of(target.pid) == "T", "stopped")
        with Batch("-p", str(target.pid), *HEAP) as memtop:
            check_equal(memtop.tick()["level"], "heap", "level")
            check_equal(memtop.tick()["user"]["allocated_blocks"], 0, "nothing happens")
            target.send_signal(signal.SIGCONT)
            memtop.tick_where(lambda tick: tick["user"]["allocated_blocks"] > 50, "it goes on")


def hardly_begun():
    """A program that its loader has not put together yet."""
    for _ in range(10):
        with life("plain", begun=False) as target:
            done = subprocess.run([MEMTOP, "-b", "-i", "1", "--level", "heap", "-p",
                                   str(target.pid)], check=False, capture_output=True, text=True,
                                  timeout=120)
            check_equal((done.returncode, done.stderr), (0, ""), "attach")


def ends_while_attaching():
    for step in range(24):
        with running("sleep", str(step * 0.012)) as target:
            done = subprocess.run([MEMTOP, "-b", "--format", "json", "-d", "0.2", "--level",
                                   ("auto", "heap")[step % 2], "-p", str(target.pid)],
                                  check=False, capture_output=True, text=True, timeout=120)
        if done.returncode == 0:
            last = json.loads(done.stdout.splitlines()[-1])
            check_equal((last["final"], last["target"]["state"], done.stderr),
                        (True, "exited", ""), "the end")
        else:
            check_equal((done.returncode, done.stdout, done.stderr.count("\n")), (2, "", 1),
                        f"gone before: {done.stderr}")


def heap_rows(tick):
    pages = ("page-fault", "populated", "before-attach")
    return [site for site in tick["sites"]
            if site["side"] == "user" and site["kind"] not in pages]


def a_storm_is_let_go():
    """However long a tick is. How soon, test_governor says."""
    for delay in (0.5, NEVER):
        with life("storm") as target, Batch("-p", str(target.pid), "--budget", "10",
                                            "--top", "0", delay=delay) as memtop:
            check_equal(memtop.tick()["level"], "heap", "level before")
            check(probes_stand(target.pid), "probes before")
            target.send_signal(signal.SIGUSR1)
            wait_for(lambda: not probes_stand(target.pid), "no probes")
            if delay < 1:
                tick = memtop.tick_where(lambda tick: tick["level"] == "pages", "the level")
                check("over the budget" in tick["level_reason"] and
                      "as of" in tick["level_reason"], tick["level_reason"])
                frozen = heap_rows(tick)
                check(frozen and all(site["ended"] for site in frozen), "its rows stay")
                check_equal([site["allocated_blocks"] for site in heap_rows(memtop.tick())],
                            [site["allocated_blocks"] for site in frozen], "and are frozen")


def is_let_go(target):
    """Was it left alone from the beginning? What did not run while it was looked at is let go of
    when it does."""
    with Batch("-p", str(target.pid)) as memtop:
        first = memtop.tick()
        tick = memtop.tick_where(lambda tick: tick["level"] == "pages", "the level")
        check("over the budget of 10%" in tick["level_reason"], tick["level_reason"])
        check(not probes_stand(target.pid), "no probes")
        return first["level"] == "pages"


def a_storm_is_not_entered():
    with life("storm") as target:
        target.send_signal(signal.SIGUSR1)
        check(any(is_let_go(target) for _ in range(10)), "it was entered each time")
        for words in (("--budget", "none"), ("--level", "heap")):
            with Batch("-p", str(target.pid), *words) as memtop:
                memtop.tick_where(lambda tick: tick["elapsed_s"] > 1, "a second")
                check_equal(memtop.tick()["level"], "heap", f"{words}: taken at their word")


def memory_cgroup():
    for line in open("/proc/mounts", encoding="utf-8"):
        words = line.split()
        if words[2] == "cgroup" and "memory" in words[3].split(","):
            return words[1], "memory.limit_in_bytes", "tasks"
        if words[2] == "cgroup2":
            controllers = os.path.join(words[1], "cgroup.subtree_control")
            if "memory" in open(controllers, encoding="ascii").read():
                return words[1], "memory.max", "cgroup.procs"
    return None


def removed(folder):
    """A cgroup cannot be removed as long as somebody is in it."""
    with contextlib.suppress(OSError):
        os.rmdir(folder)
    return not os.path.exists(folder)


def killed_for_want_of_memory():
    mount = memory_cgroup()
    check(mount, "a memory cgroup")
    folder = os.path.join(mount[0], f"memtop-test-{os.getpid()}")
    os.mkdir(folder)
    try:
        with open(os.path.join(folder, mount[1]), "w", encoding="ascii") as file:
            file.write(str(40 << 20))

        def enter():
            with open(os.path.join(folder, mount[2]), "w", encoding="ascii") as file:
                file.write("0")

        with running(LIFE, "hog", preexec_fn=enter, stdout=subprocess.DEVNULL) as target:
            with Batch("-p", str(target.pid), "--level", "rss", "--side", "user") as memtop:
                last = memtop.tick_where(lambda tick: tick["final"], "the end")
                check_equal((last["target"]["state"], last["target"]["signal"]),
                            ("oom-killed", signal.SIGKILL), "how")
                check_equal(memtop.process.wait(120), 0, "exit code")
    finally:
        wait_for(lambda: removed(folder), "the cgroup is empty")


def goes_before_the_target():
    with life("plain") as target, Batch("-p", str(target.pid), "--level", "rss") as memtop:
        memtop.tick()
        with open(f"/proc/{memtop.process.pid}/oom_score_adj", encoding="ascii") as file:
            check_equal(file.read().strip(), "1000", "memtop's")
        with open(f"/proc/{target.pid}/oom_score_adj", encoding="ascii") as file:
            check(int(file.read()) < 1000, "the target's")
    done = subprocess.run([MEMTOP, "--", "cat", "/proc/self/oom_score_adj"], check=False,
                          capture_output=True, text=True, timeout=120)
    check(done.stdout.startswith("0\n"), f"a command's is as before: {done.stdout!r}")


def command_outlives_memtop():
    with tempfile.TemporaryDirectory() as folder:
        note = os.path.join(folder, "pid")
        script = f"echo $$ >'{note}'; exec '{LIFE}' plain"
        with running(MEMTOP, "--level", "heap", "--", "sh", "-c", script,
                     stdout=subprocess.DEVNULL) as memtop:
            pid = int(wait_for(lambda: os.path.exists(note) and
                               open(note, encoding="ascii").read().strip(), "the command"))
            wait_for(lambda: os.readlink(f"/proc/{pid}/exe").endswith("life"), "exec")
            memtop.kill()
            memtop.wait(120)
            try:
                wait_for(lambda: lives(pid), lambda: f"the command runs on: {state_of(pid)}")
                wait_for(lambda: not probes_stand(pid), "no probes")
            finally:
                os.kill(pid, signal.SIGKILL)


def children_of(pid):
    """Its children; and whether they have become the command."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        children = [int(word) for word in file.read().split()]

    def is_held(child):
        with contextlib.suppress(OSError):
            return os.readlink(f"/proc/{child}/exe").endswith("/life")
        return False
    return [(child, is_held(child)) for child in children]


def lives(pid):
    """Does it do what a plain life does? It is not stopped in there, either."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/syscall", encoding="ascii") as file:
        return file.read().startswith(NANOSLEEP) and state_of(pid) in ("S", "R")
    return False


def command_outlives_memtop_from_its_first_moment():
    """While memtop holds the command, which then has to run on, not to die of the tracer's end."""
    begun = 0
    for step in range(60):
        with running(MEMTOP, "--level", "heap", "--", LIFE, "plain",
                     stdout=subprocess.DEVNULL) as memtop:
            wait_for(lambda: any(held or step % 2 for _, held in children_of(memtop.pid)),
                     "a child", every=0.0005)
            time.sleep(step * 0.0004)  # not a wait: the moment of death is what varies
            children = children_of(memtop.pid)
            memtop.kill()
            memtop.wait()
        for pid, held in children:
            wait_for(lambda: state_of(pid) in (None, "Z") or lives(pid),
                     lambda: f"the command's main(), or its end: {state_of(pid)}")
            state = state_of(pid)
            if state not in (None, "Z"):
                os.kill(pid, signal.SIGKILL)
            begun += held
            check(not held or state not in (None, "Z"), f"the command ended: {state}")
    check(begun >= 30, f"{begun} commands were held")


def stopped_and_continued():
    """Ctrl-Z, as the shell's job control sees it."""
    with life("plain") as target, Batch("-p", str(target.pid), "--level", "rss",
                                        delay=0.2) as memtop:
        memtop.tick()
        memtop.process.send_signal(signal.SIGTSTP)
        wait_for(lambda: open(f"/proc/{memtop.process.pid}/stat",
                              encoding="ascii").read().split()[2] == "T", "stopped")
        memtop.process.send_signal(signal.SIGCONT)
        memtop.tick_after()


if __name__ == "__main__":
    run([another_program, nothing_of_the_next_program, its_book_is_there_to_the_end,
         kernel_totals_begin_anew, many_short_threads, children_are_not_the_target,
         a_library_is_loaded, two_watch_one, in_namespaces_of_its_own, not_in_a_pid_namespace,
         a_stopped_target, hardly_begun, ends_while_attaching, a_storm_is_let_go,
         a_storm_is_not_entered, killed_for_want_of_memory, goes_before_the_target,
         command_outlives_memtop, command_outlives_memtop_from_its_first_moment,
         stopped_and_continued])
