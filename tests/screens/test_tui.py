# SPDX-License-Identifier: GPL-2.0-only
"""memtop on the leaking service, in a terminal, by keys."""

import os
import re
import signal
import subprocess
import time

from tap import check, check_equal, run, wait_for
from target import MEMTOP, Perception, built, running
from terminal import SECONDS, Terminal


def braille(screen):
    return any(0x2801 <= ord(character) <= 0x28ff for character in screen)


def heading(screen):
    """The table's, or "" where there is none (yet)."""
    return next((row for row in screen.splitlines() if "VERDICT" in row and "LIVE" in row), "")


def first_site(screen):
    """The table's first row, or ""."""
    rows = screen.splitlines() + [""]
    return rows[rows.index(heading(screen)) + 1] if heading(screen) else ""


def on_service(service, columns=120, rows=40, **options):
    return Terminal([MEMTOP, "-p", str(service.pid), "--level", "heap", "--side", "all"], columns,
                    rows, **options)


def leak_is_on_top(screen):
    """For good: by more than all that the service ever has at its other sites."""
    site = first_site(screen)
    return "jpeg_decode_frame" in site and re.search(r"\+(\d\d+\.\dM|[\d.]+G)", site)


def leak_is_shown(screen):
    """Anywhere in the table."""
    return "jpeg_decode_frame" in screen.partition(heading(screen) or screen)[2]


def foot_counts(screen):
    """Sites shown, of how many, and how many are left out."""
    found = re.search(r"^ *(\d+) of (\d+) .* (\d+) sites? under \d", screen, re.M)
    return tuple(map(int, found.groups())) if found else None


def shows_header_graph_panes_and_leak():
    with Perception() as service, on_service(service) as terminal:
        terminal.wait_all({
            "leak on top": leak_is_on_top,
            "a graph": braille,
            "the cost": lambda s: "of its CPU" in s,
            "the header names the target": lambda s: f"[{service.pid}]" in s.splitlines()[0],
        } | {repr(word): lambda s, word=word: word in s
             for word in ("user", "kernel", "RSS", "limit", "Δ attach▼")})
        terminal.wait_all({
            "what is left out, counted": foot_counts,
            "shown and left out are all": lambda s: foot_counts(s) and
            foot_counts(s)[0] + foot_counts(s)[2] == foot_counts(s)[1],
            "no row for what is left out": lambda s: foot_counts(s) and
            s.count("▸") == foot_counts(s)[0],
        })
        terminal.wait(lambda s: "LEAKING" in first_site(s), "the verdict")
        terminal.key("q")
        terminal.wait_text("exit=0")


def keys_sort_freeze_unfold_help():
    with Perception() as service, on_service(service) as terminal:
        terminal.wait(leak_is_on_top, "leak on top")
        terminal.key("Enter")
        terminal.wait_all({  # names come when they are known
            "the stack, unfolded": lambda s: "libdecode.so" in s,
            "the first own frame": lambda s: re.search(r"▶ 0  jpeg_decode_frame\+0x.* yours", s),
            "the C library is not the user's own":
            lambda s: re.search(r"start_thread\+0x.*libc\.so\.6 \w{6}$", s, re.M),
        })
        terminal.key("Enter")
        terminal.wait(lambda s: "libdecode.so" not in s, "folded again")
        terminal.key("Space")
        # The banner stands below the table: where it is, the rows are those of its paint.
        live = first_site(terminal.wait_text("FROZEN at", "the banner"))
        grown = resident_bytes(service.pid) + (8 << 20)
        terminal.key("Down", "Up")
        wait_for(lambda: resident_bytes(service.pid) > grown, "the service leaks on")
        screen = terminal.wait(lambda s: first_site(s) and "FROZEN at" in s, "the banner still")
        check_equal(first_site(screen).split()[2:4], live.split()[2:4], "numbers while frozen")
        terminal.key("Space")
        terminal.wait(lambda s: not re.search("frozen", s, re.I), "live again")
        before = terminal.wait(leak_is_on_top, "leak on top")
        terminal.key("I")
        terminal.wait(lambda s: first_site(s) and "jpeg_decode_frame" not in first_site(s),
                      "order inverted")
        terminal.key("I")
        terminal.wait(leak_is_on_top, "order as before")
        terminal.key("<")
        terminal.wait(lambda s: heading(s) not in ("", heading(before)), "another sort column")
        terminal.key("?")
        terminal.wait_text("keys and verdicts", "help")
        terminal.key("Escape")
        terminal.wait(lambda s: leak_is_on_top(s) and "keys and verdicts" not in s,
                      "back to the table")
        terminal.key("Tab")
        terminal.wait(lambda s: heading(s) and "jpeg_decode_frame" not in first_site(s),
                      "the kernel side")
        check("kernel_event_missed" not in before, "the heap is not charged with kernel losses")
        terminal.key("BTab")
        terminal.wait(leak_is_on_top, "the user side again")
        terminal.key("l")
        terminal.wait_text("Leave heap?")
        terminal.key("y")
        terminal.wait_all({
            "level rss": lambda s: "not watched" in s and "heap rows as of" in s,
            "no cost where nothing is watched": lambda s: "of its CPU" not in s,
            "nobody is blamed by a book that is closed":
            lambda s: "jpeg_decode_frame" not in s.splitlines()[1],
        })
        terminal.key("q")
        terminal.wait_text("exit=0")


def looks_back_at_the_program_before():
    with running(built("tests/targets/life"), "exec", stdout=subprocess.PIPE) as target:
        check_equal(target.stdout.readline(), b"ready\n", "the target")
        with Terminal([MEMTOP, "--level", "heap", "--side", "user", "-d", "0.3", "-p",
                       str(target.pid)]) as terminal:
            terminal.wait(lambda s: "live_exec" in s, "its site")
            terminal.key("[")
            terminal.wait_text("Nothing earlier: no other program ran here")
            target.send_signal(signal.SIGUSR1)
            check_equal(target.stdout.readline(), b"ready\n", "the next program")

            end = time.monotonic() + SECONDS
            screen = "Nothing earlier"
            while "Nothing earlier" in screen and time.monotonic() < end:
                terminal.key("Down")  # takes the message away
                terminal.wait(lambda s: "Nothing earlier" not in s, "no message")
                terminal.key("[")
                screen = terminal.wait(lambda s: "Nothing earlier" in s or
                                       "GENERATION 1 of 2" in s, "an answer")
            terminal.wait_all({"the generation before": lambda s: "GENERATION 1 of 2" in s,
                               "its table": lambda s: "live_exec" in s,
                               "that it is past": lambda s: "past" in s.splitlines()[0]})
            terminal.key("]")
            terminal.wait(lambda s: "GENERATION" not in s and "live_exec" in s,
                          "the present")
            terminal.type("q")
            terminal.wait_text("exit=0")


def small_sites_are_all_shown_on_demand():
    with Perception() as service:
        command = [MEMTOP, "-p", str(service.pid), "--level", "heap", "--side", "all", "--min-size",
                   "0"]
        with Terminal(command) as terminal:
            terminal.wait(lambda s: re.search(r"^ *(\d+) of \1 ", s, re.M) and " under " not in s,
                          "all sites, none left out")
            terminal.key("q")
            terminal.wait_text("exit=0")


def mappings_tell_what_of_them_is_resident():
    with subprocess.Popen([built("tests/targets/pages_holder")], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True, bufsize=1) as holder:
        check_equal(holder.stdout.readline(), "ready\n", "the target")
        with Terminal([MEMTOP, "-p", str(holder.pid), "--level", "pages", "--side", "all"]) as terminal:
            terminal.wait(lambda s: "VERDICT" in s, "the pages from before")
            holder.stdin.write("map_region 2560\nwrite_again 512\n")
            terminal.key("Tab")
            terminal.wait(lambda s: "map_region" in s, "the region on the maps side")
            terminal.key("Enter")
            terminal.wait_text("2.0M resident")
            terminal.key("q")
            terminal.wait_text("exit=0")
        holder.stdin.close()


def end_of_the_target_shows_what_it_was():
    with Perception() as service, on_service(service) as terminal:
        terminal.wait(leak_is_shown, "the leak")
        service.process.kill()
        terminal.wait_all({
            "its end": lambda s: "killed by signal 9" in s,
            "RSS is the last that was seen": lambda s: re.search(r"^RSS [1-9]", s, re.M),
            "the leak is still there": leak_is_shown,
        })
        terminal.key("q")
        terminal.wait_text("exit=0")


def level_without_the_heap_says_why_on_a_small_screen():
    with Perception() as service:
        command = [MEMTOP, "-p", str(service.pid), "--budget", "0.001", "--side", "all"]
        with Terminal(command, 80, 24) as terminal:
            terminal.wait_all({
                "the reason": lambda s: "over the budget of" in s,
                "at which level it goes on": lambda s: " pages " in s.splitlines()[0],
            })
            terminal.key("q")
            terminal.wait_text("exit=0")


def resizes_to_60x16_and_back():
    with Perception() as service, on_service(service) as terminal:
        terminal.wait(leak_is_shown, "the leak")
        for columns, rows in ((60, 16), (80, 24), (200, 60), (120, 40)):
            terminal.resize(columns, rows)
            screen = terminal.wait(
                lambda s, last=rows - 1: leak_is_shown(s) and "?" in s.splitlines()[last],
                f"leak and the row of keys at {columns}x{rows}")
            check(all(len(row) <= columns for row in screen.splitlines()), "no row too long")
        terminal.resize(30, 8)
        terminal.wait_text("too small")
        terminal.resize(10, 3)
        terminal.wait(lambda s: "VERDICT" not in s, "nothing torn at 10x3")
        terminal.resize(120, 40)
        terminal.wait(leak_is_shown, "the leak again")
        terminal.key("q")
        terminal.wait_text("exit=0")


def plain_terminals():
    for environment in ({"LC_ALL": "C"}, {"TERM": "dumb"}, {"TERM": "no-such-terminal"},
                        {"TERM": "vt100"}):
        with Perception() as service, on_service(service, environment=environment) as terminal:
            screen = terminal.wait(leak_is_shown, f"the leak with {environment}")
            if "LC_ALL" in environment:
                check(not braille(screen) and screen.isascii(), "ASCII only")
            terminal.key("q")
            terminal.wait_text("exit=0")


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


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
                terminal.wait(leak_is_shown, "the leak")
                end(terminal)
                screen = terminal.wait_text("\nended")
                check("VERDICT" not in screen, f"{name}: the shell's screen is back")
                with open(before, encoding="ascii") as first, open(after, encoding="ascii") as last:
                    check_equal(last.read(), first.read(), f"terminal settings after {name}")
        check(service.process.poll() is None, "the target goes on")


def suspend_and_resume():
    with Perception() as service, Terminal(None) as terminal:
        terminal.type(f"{MEMTOP} -p {service.pid} --level heap; echo exit=$?\n")
        terminal.wait(leak_is_shown, "the leak")
        terminal.key("C-z")
        screen = terminal.wait(lambda s: "Stopped" in s, "stopped")
        check("VERDICT" not in screen, "the shell's screen is back")
        terminal.type("fg\n")
        terminal.wait(leak_is_shown, "the leak again")
        terminal.key("q")
        terminal.wait(lambda s: "VERDICT" not in s, "ended")


def closed_terminal_ends_memtop():
    with Perception() as service, on_service(service) as terminal:
        terminal.wait(leak_is_shown, "the leak")
        pid = memtop_pid(terminal)
        terminal.tmux("kill-server", check=False)
        wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "memtop ends with its terminal")
        check(service.process.poll() is None, "the target goes on")


run([shows_header_graph_panes_and_leak, keys_sort_freeze_unfold_help,
     looks_back_at_the_program_before,
     small_sites_are_all_shown_on_demand, mappings_tell_what_of_them_is_resident,
     end_of_the_target_shows_what_it_was,
     level_without_the_heap_says_why_on_a_small_screen, resizes_to_60x16_and_back,
     plain_terminals, terminal_is_given_back, suspend_and_resume, closed_terminal_ends_memtop])
