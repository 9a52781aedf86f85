# SPDX-License-Identifier: GPL-2.0-only
"""memtop on the leaking service, in a terminal, by keys."""

import os
import re
import signal
import subprocess
import time

from tap import check, check_equal, run, wait_for
from target import MEMTOP, Perception, built, running
from terminal import Terminal


def braille(screen):
    return any(0x2801 <= ord(character) <= 0x28ff for character in screen)


def first_site(screen):
    """The table's first row, without its marks."""
    rows = screen.splitlines()
    heading = next(i for i, row in enumerate(rows) if "VERDICT" in row and "LIVE" in row)
    return rows[heading + 1]


def on_service(service, columns=120, rows=40, **options):
    return Terminal([MEMTOP, "-p", str(service.pid), "--level", "heap"], columns, rows, **options)


def leak_is_on_top(screen):
    return "VERDICT" in screen and "jpeg_decode_frame" in first_site(screen)


def shows_header_graph_panes_and_leak():
    with Perception() as service, on_service(service) as terminal:
        screen = terminal.wait(lambda s: leak_is_on_top(s) and braille(s) and "of its CPU" in s,
                               "leak on top, a graph, the cost")
        check(f"[{service.pid}]" in screen.splitlines()[0], "the header names the target")
        for word in ("user", "kernel", "RSS", "limit", "Δ attach▼"):
            check(word in screen, f"{word!r} on screen")
        foot = terminal.wait(lambda s: re.search(r"^ *(\d+) of (\d+) .* (\d+) sites? under \d",
                                                 s, re.M), "what is left out, counted")
        shown, total, hidden = map(int, re.search(
            r"^ *(\d+) of (\d+) .* (\d+) sites? under \d", foot, re.M).groups())
        check_equal(shown + hidden, total, "sites shown and left out")
        check(foot.count("▸") == shown, "no row for what is left out")
        terminal.wait(lambda s: "LEAKING" in first_site(s), "the verdict", 30)
        terminal.key("q")
        terminal.wait_text("exit=0")


def keys_sort_freeze_unfold_help():
    with Perception() as service, on_service(service) as terminal:
        terminal.wait(leak_is_on_top, "leak on top")
        terminal.key("Enter")
        screen = terminal.wait(lambda s: "libdecode.so" in s, "the stack, unfolded")
        check(re.search(r"▶ 0  jpeg_decode_frame\+0x.* yours", screen), "the first own frame")
        check(re.search(r"start_thread\+0x.*libc\.so\.6 \w{6}$", screen, re.M),
              "the C library is not the user's own")
        terminal.key("Enter")
        terminal.wait(lambda s: "libdecode.so" not in s, "folded again")
        terminal.key("Space")
        frozen = terminal.wait(lambda s: re.search("frozen", s, re.I), "the banner")
        live = first_site(frozen)
        terminal.key("Down", "Up")
        check_equal(first_site(terminal.screen()).split()[2:4], live.split()[2:4],
                    "numbers while frozen")
        terminal.key("Space")
        terminal.wait(lambda s: not re.search("frozen", s, re.I), "live again")
        before = terminal.wait(leak_is_on_top, "leak on top")
        terminal.key("I")
        terminal.wait(lambda s: "VERDICT" in s and "jpeg_decode_frame" not in first_site(s),
                      "order inverted")
        terminal.key("I")
        terminal.wait(leak_is_on_top, "order as before")
        heading = next(row for row in before.splitlines() if "VERDICT" in row)
        terminal.key("<")
        terminal.wait(lambda s: "VERDICT" in s and heading not in s, "another sort column")
        terminal.key("?")
        terminal.wait(lambda s: "freeze" in s and "VERDICT" not in s or "Help" in s, "help")
        terminal.key("Escape")
        terminal.wait(lambda s: "VERDICT" in s, "back to the table")
        terminal.key("Tab")
        terminal.wait(lambda s: "VERDICT" in s and "jpeg_decode_frame" not in first_site(s),
                      "the kernel side")
        check("kernel_event_missed" not in before, "the heap is not charged with kernel losses")
        terminal.key("BTab")
        terminal.wait(leak_is_on_top, "the user side again")
        terminal.key("l")
        terminal.wait_text("Leave heap?")
        terminal.key("y")
        screen = terminal.wait(lambda s: "not watched" in s and "heap rows as of" in s, "rss")
        check("of its CPU" not in screen, "no cost where nothing is watched")
        check("jpeg_decode_frame" not in screen.splitlines()[1],
              "nobody is blamed by a book that is closed")
        terminal.key("q")
        terminal.wait_text("exit=0")


def looks_back_at_the_program_before():
    with running(built("tests/targets/life"), "exec", stdout=subprocess.PIPE) as target:
        check_equal(target.stdout.readline(), b"ready\n", "the target")
        with Terminal([MEMTOP, "--level", "heap", "--side", "user", "-d", "0.3", "-p",
                       str(target.pid)]) as terminal:
            terminal.wait(lambda s: "live_exec" in s, "its site", 30)
            terminal.key("[")
            terminal.wait_text("Nothing earlier: no other program ran here")
            target.send_signal(signal.SIGUSR1)
            check_equal(target.stdout.readline(), b"ready\n", "the next program")

            end = time.monotonic() + 30
            screen = "Nothing earlier"
            while "Nothing earlier" in screen and time.monotonic() < end:
                terminal.key("Down")  # takes the message away
                terminal.wait(lambda s: "Nothing earlier" not in s, "no message")
                terminal.key("[")
                screen = terminal.wait(lambda s: "Nothing earlier" in s or "GENERATION" in s,
                                       "an answer")
            check("GENERATION 1 of 2" in screen, screen)
            screen = terminal.wait(lambda s: "live_exec" in s, "its table")
            check("past" in screen.splitlines()[0], screen)
            terminal.key("]")
            terminal.wait(lambda s: "GENERATION" not in s and "live_exec" in s,
                          "the present")
            terminal.type("q")
            terminal.wait_text("exit=0")


def small_sites_are_all_shown_on_demand():
    with Perception() as service:
        command = [MEMTOP, "-p", str(service.pid), "--level", "heap", "--min-size", "0"]
        with Terminal(command) as terminal:
            screen = terminal.wait(lambda s: re.search(r"^ *(\d+) of \1 ", s, re.M), "all sites")
            check(" under " not in screen, "none is left out")
            terminal.key("q")
            terminal.wait_text("exit=0")


def end_of_the_target_shows_what_it_was():
    with Perception() as service, on_service(service) as terminal:
        terminal.wait(leak_is_on_top, "leak on top")
        service.process.kill()
        screen = terminal.wait_text("killed by signal 9")
        check(not re.search(r"^RSS 0", screen, re.M), "RSS is the last that was seen")
        # Not always on top: in the first seconds the service's cache grows as fast.
        check("jpeg_decode_frame" in screen, f"the leak is still there: {screen}")
        terminal.key("q")
        terminal.wait_text("exit=0")


def level_without_the_heap_says_why_on_a_small_screen():
    with Perception() as service:
        command = [MEMTOP, "-p", str(service.pid), "--budget", "0.001"]
        with Terminal(command, 80, 24) as terminal:
            screen = terminal.wait(lambda s: "over the budget of" in s, "the reason")
            check(" pages " in screen.splitlines()[0], "and at which level it goes on")
            terminal.key("q")
            terminal.wait_text("exit=0")


def resizes_to_60x16_and_back():
    with Perception() as service, on_service(service) as terminal:
        terminal.wait(leak_is_on_top, "leak on top")
        for columns, rows in ((60, 16), (80, 24), (200, 60), (120, 40)):
            terminal.resize(columns, rows)
            screen = terminal.wait(leak_is_on_top, f"leak on top at {columns}x{rows}")
            check(all(len(row) <= columns for row in screen.splitlines()), "no row too long")
        terminal.resize(30, 8)
        terminal.wait_text("too small")
        terminal.resize(10, 3)
        terminal.wait(lambda s: "VERDICT" not in s, "nothing torn at 10x3")
        terminal.resize(120, 40)
        terminal.wait(leak_is_on_top, "leak on top again")
        terminal.key("q")
        terminal.wait_text("exit=0")


def plain_terminals():
    for environment in ({"LC_ALL": "C"}, {"TERM": "dumb"}, {"TERM": "no-such-terminal"},
                        {"TERM": "vt100"}):
        with Perception() as service, on_service(service, environment=environment) as terminal:
            screen = terminal.wait(leak_is_on_top, f"leak on top with {environment}")
            if "LC_ALL" in environment:
                check(not braille(screen) and screen.isascii(), "ASCII only")
            terminal.key("q")
            terminal.wait_text("exit=0")


def memtop_pid(terminal):
    def child():
        path = f"/proc/{terminal.pane_pid()}/task/{terminal.pane_pid()}/children"
        with open(path, encoding="ascii") as file:
            pids = [int(word) for word in file.read().split()]
        return next((pid for pid in pids if "memtop" in os.readlink(f"/proc/{pid}/exe")), None)
    return wait_for(child, "memtop runs")


def terminal_is_given_back():
    endings = {
        "q": lambda terminal: terminal.key("q"),
        "Ctrl-C": lambda terminal: terminal.key("C-c"),
        "SIGTERM": lambda terminal: os.kill(memtop_pid(terminal), signal.SIGTERM),
        "SIGSEGV": lambda terminal: os.kill(memtop_pid(terminal), signal.SIGSEGV),
    }
    with Perception() as service:
        for name, end in endings.items():
            with Terminal(None) as terminal:
                before, after = (os.path.join(service.folder.name, file) for file in "ba")
                terminal.type(f"stty -g > {before}; {MEMTOP} -p {service.pid} --level heap; "
                              f"stty -g > {after}; echo en'd'ed\n")
                terminal.wait(leak_is_on_top, "leak on top")
                end(terminal)
                screen = terminal.wait_text("\nended")
                check("VERDICT" not in screen, f"{name}: the shell's screen is back")
                with open(before, encoding="ascii") as first, open(after, encoding="ascii") as last:
                    check_equal(last.read(), first.read(), f"terminal settings after {name}")
        check(service.process.poll() is None, "the target goes on")


def suspend_and_resume():
    with Perception() as service, Terminal(None) as terminal:
        terminal.type(f"{MEMTOP} -p {service.pid} --level heap; echo exit=$?\n")
        terminal.wait(leak_is_on_top, "leak on top")
        terminal.key("C-z")
        screen = terminal.wait(lambda s: "Stopped" in s, "stopped")
        check("VERDICT" not in screen, "the shell's screen is back")
        terminal.type("fg\n")
        terminal.wait(leak_is_on_top, "leak on top again")
        terminal.key("q")
        terminal.wait(lambda s: "VERDICT" not in s, "ended")


def closed_terminal_ends_memtop():
    with Perception() as service, on_service(service) as terminal:
        terminal.wait(leak_is_on_top, "leak on top")
        pid = memtop_pid(terminal)
        terminal.tmux("kill-server", check=False)
        wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "memtop ends with its terminal")
        check(service.process.poll() is None, "the target goes on")


run([shows_header_graph_panes_and_leak, keys_sort_freeze_unfold_help,
     looks_back_at_the_program_before,
     small_sites_are_all_shown_on_demand, end_of_the_target_shows_what_it_was,
     level_without_the_heap_says_why_on_a_small_screen, resizes_to_60x16_and_back,
     plain_terminals, terminal_is_given_back, suspend_and_resume, closed_terminal_ends_memtop])
