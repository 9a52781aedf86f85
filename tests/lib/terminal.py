# SPDX-License-Identifier: GPL-2.0-only
"""
A terminal emulator for tests: tmux, with a server of its own.

A screen that is looked at may be half of one paint and half of the one before: rows are painted from
the top down. So what has to be on a screen together is waited for together, and after a key
something is waited for that only its paint has.
"""

import os
import shlex
import subprocess
import tempfile

from tap import Failure, wait_for

SECONDS = 120.0


class Terminal:
    def __init__(self, command, columns=120, rows=40, environment=None):
        self.command = command
        self.columns = columns
        self.rows = rows
        self.environment = environment or {}

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="memtop-tmux-")
        self.socket = os.path.join(self.folder.name, "socket")
        shell = "exec bash --norc --noprofile"
        environment = dict(os.environ, LC_ALL="C.UTF-8", PS1="$ ")
        environment.pop("TMUX", None)
        try:
            self.start(shell, environment)
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self, shell, environment):
        self.tmux("-f", "/dev/null", "new-session", "-d", "-s", "test", "-x", str(self.columns),
                  "-y", str(self.rows), shell, environment=environment)
        self.tmux("set-option", "-g", "default-terminal", "screen-256color")
        self.tmux("set-option", "-g", "status", "off")
        self.tmux("resize-window", "-t", "test", "-x", str(self.columns), "-y", str(self.rows))
        # Put together when it runs, so that the command's echo is not taken for its output.
        self.type("echo rea'dy'\n")
        self.wait_text("\nready", "the shell")
        if self.command:
            words = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
            self.type(" ".join(words + [shlex.join(self.command)]) + "; echo exit=$?\n")

    def __exit__(self, *_):
        self.tmux("kill-server", check=False)
        self.folder.cleanup()

    def tmux(self, *arguments, check=True, environment=None):
        done = subprocess.run(["tmux", "-S", self.socket, *arguments], check=False, text=True,
                              capture_output=True, env=environment, timeout=SECONDS)
        if check and done.returncode:
            raise Failure(f"tmux {arguments[0]}: {done.stderr.strip()}")
        return done.stdout

    def type(self, text):
        """Keys as text; a newline is Enter."""
        for part in text.splitlines(keepends=True):
            if part.rstrip("\n"):
                self.tmux("send-keys", "-t", "test", "-l", part.rstrip("\n"))
            if part.endswith("\n"):
                self.key("Enter")

    def key(self, *names):
        self.tmux("send-keys", "-t", "test", *names)

    def resize(self, columns, rows):
        self.tmux("resize-window", "-t", "test", "-x", str(columns), "-y", str(rows))

    def screen(self):
        return self.tmux("capture-pane", "-p", "-t", "test")

    def styled(self):
        return self.tmux("capture-pane", "-p", "-e", "-t", "test")

    def pane_pid(self):
        return int(self.tmux("display-message", "-p", "-t", "test", "#{pane_pid}"))

    def wait(self, condition, what, seconds=SECONDS):
        """Waits until condition(screen) holds; returns the screen. `what` may be told of it."""
        screen = ""

        def look():
            nonlocal screen
            screen = self.screen()
            return screen if condition(screen) else None
        return wait_for(look, lambda: f"{what(screen) if callable(what) else what}; "
                                      f"the screen is:\n{screen}", seconds)

    def wait_all(self, conditions, seconds=SECONDS):
        """Waits until all of {what: condition} hold of one screen; returns that."""
        def missing(screen):
            return [what for what, condition in conditions.items() if not condition(screen)]
        return self.wait(lambda screen: not missing(screen),
                         lambda screen: ", ".join(missing(screen)), seconds)

    def wait_text(self, text, what=None, seconds=SECONDS):
        return self.wait(lambda screen: text in "\n" + screen, what or f"{text!r} on screen",
                         seconds)
