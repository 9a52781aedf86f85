#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""
Files as the target sees them: in another root, in namespaces of its own, mapped by other users;
and perf maps that are not to be trusted. Each with and without the right to open map_files.
"""

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import tempfile

from symbolizer import (Build, Symbolizer, address_in, build_id, command, executable, mapper,
                        symbol_at)
from tap import Failure, check, check_equal, run, wait_for
from target import running

NOBODY = 65534
# As root but without what map_files asks for: only paths are left.
PATHS_ONLY = ("setpriv", "--bounding-set=-sys_admin,-checkpoint_restore")


def needed(program):
    """Libraries that a program is linked with, and its interpreter."""
    words = command("ldd", program).split()
    return [word for word in words if word.startswith("/")]


class Root:
    """A root folder of its own: a program, its libraries, the debug file of its stripped library.
    Where memtop looks at the same paths there are other files."""

    def __init__(self, prefix):
        self.prefix = prefix

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        folder = tempfile.TemporaryDirectory(prefix="memtop-root-")
        self.folder = self.stack.enter_context(folder)
        os.chmod(self.folder, 0o755)
        self.build = self.stack.enter_context(Build("gcc", "-O2", "-g"))
        other = self.stack.enter_context(Build("gcc", "-O0", "-g"))
        for path in {self.build.program, self.build.library, *needed(self.build.program)}:
            self.add(path)
        self.full = {path: self.add(path, path + ".full")
                     for path in (self.build.program, self.build.library)}
        identity = build_id(self.build.library)
        debug = f"{self.folder}/usr/lib/debug/.build-id/{identity[:2]}/{identity[2:]}.debug"
        os.makedirs(os.path.dirname(debug))
        command("objcopy", "--only-keep-debug", self.build.library, debug)
        command("strip", self.folder + self.build.library)
        shutil.copy(other.program, self.build.program)
        shutil.copy(other.library, self.build.library)
        self.process = self.stack.enter_context(running(
            *self.prefix(self.folder), self.build.program, stdout=subprocess.PIPE, text=True))
        check(self.process.stdout.readline().startswith("ready"), "the program in its root")
        self.pid = self.inner(self.process.pid)
        return self

    def mapped(self, path):
        """Its name in /proc/PID/maps, which is as seen from here where it can be seen."""
        with open(f"/proc/{self.pid}/maps", encoding="utf-8") as maps:
            for line in maps:
                name = line.split(None, 5)[-1].strip().removesuffix(" (deleted)")
                if name.endswith(path):
                    return name
        raise Failure(f"{path} is not mapped")

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.stack.close()

    def add(self, path, name=None):
        inside = self.folder + (name or path)
        os.makedirs(os.path.dirname(inside), exist_ok=True)
        shutil.copy(path, inside)
        return inside

    def inner(self, pid):
        """The program itself, where its starter waits for it."""
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            children = file.read().split()
        return self.inner(int(children[0])) if children else pid

    def address(self, path, function):
        return address_in(self.pid, self.mapped(path), function, self.full[path])


def check_names(root, **options):
    with Symbolizer(root.pid, **options) as symbolizer:
        for path, function in ((root.build.program, "physical"),
                               (root.build.library, "library_hidden")):
            seen = symbolizer.ask("user", root.address(path, function))[-1]
            check_equal(seen["symbol"], function, f"{path}: {seen}")
            check_equal(seen["module"], root.mapped(path), "module")
            check(seen["line"] > 0, f"a line of {path}")


def chrooted(folder):
    return "chroot", folder


def contained(folder):
    """Namespaces of its own, and a root that nobody else sees: on a file system of its own."""
    os.mkdir(f"{folder}/mnt")
    return ("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c",
            f'mount -t tmpfs none "{folder}/mnt" && cd "{folder}" && cp -a lib* usr tmp mnt && '
            'cd mnt && mkdir old && pivot_root . old && exec "$@"', "sh")


def other_root():
    with Root(chrooted) as root:
        check_names(root)
        check_names(root, prefix=PATHS_ONLY)


def container():
    with Root(contained) as root:
        check(not os.listdir(os.path.join(root.folder, "mnt")), "its files are not to be seen")
        check_names(root)
        check_names(root, prefix=PATHS_ONLY)


def dead_in_its_root():
    """The root stays open: names of a target that has died there."""
    with Root(chrooted) as root:
        address = root.address(root.build.library, "library_hidden")
        with Symbolizer(root.pid) as symbolizer:
            symbolizer.ask("revision")  # it has read the mappings
            os.kill(root.pid, signal.SIGKILL)
            root.process.wait()
            check_equal(symbol_at(symbolizer, address), "library_hidden", "after its death")


def links_stay_inside():
    """A link of the target leads to its own files, also where it tries to leave its root."""
    with Root(contained) as root:
        path = f"/proc/{root.pid}/root{root.build.library}"
        real = path + ".real"
        address = root.address(root.build.library, "library_hidden")
        with Symbolizer(root.pid, prefix=PATHS_ONLY) as symbolizer:
            symbolizer.ask("revision")  # it has read the mappings
            os.rename(path, real)
            os.symlink("../" * 30 + root.build.library[1:] + ".real", path)
            check_equal(symbol_at(symbolizer, address), "library_hidden", "a link up and out")


def pipes_are_not_waited_for():
    with Root(contained) as root:
        path = f"/proc/{root.pid}/root{root.build.library}"
        address = root.address(root.build.library, "library_hidden")
        with Symbolizer(root.pid, prefix=PATHS_ONLY) as symbolizer:
            symbolizer.ask("revision")
            os.unlink(path)
            os.mkfifo(path)
            seen = symbolizer.ask("user", address)[-1]
            check_equal(seen["symbol"], None, "a pipe in its place")
            reason = symbolizer.ask("reason", address)
            check("unreadable" in reason or "replaced" in reason, reason)


def without_map_files():
    """A deleted program by /proc/PID/exe; a library that was replaced is not believed."""
    with Root(chrooted) as root:
        program = root.address(root.build.program, "physical")
        library = root.address(root.build.library, "library_hidden")
        with Symbolizer(root.pid, prefix=PATHS_ONLY) as symbolizer:
            symbolizer.ask("revision")
            os.unlink(root.folder + root.build.program)
            os.unlink(root.folder + root.build.library)
            shutil.copy(root.build.library, root.folder + root.build.library)
            check_equal(symbol_at(symbolizer, program), "physical", "deleted")
            check_equal(symbol_at(symbolizer, library), None, "replaced")
            reason = symbolizer.ask("reason", library)
            check(reason.startswith("file replaced: build-id"), reason)


@contextlib.contextmanager
def generated_code(**options):
    """(pid, where its anonymous code is, path of its perf map)"""
    with mapper(**options) as process:
        process.stdout.readline()
        path = f"/tmp/perf-{process.pid}.map"
        try:
            yield process.pid, executable(process.pid), path
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def write_map(path, start, owner=0):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{start:x} 40 generated\n")
    os.chown(path, owner, owner)


def perf_map_owners():
    """The target's user's and root's count, nobody else's, and none by a link."""
    for user, owner, named in ((NOBODY, NOBODY, True), (NOBODY, 0, True), (NOBODY, 1, False),
                               (0, NOBODY, False), (0, 0, True)):
        with generated_code(user=user, group=user) as (pid, start, path):
            write_map(path, start, owner)
            with Symbolizer(pid) as symbolizer:
                check_equal(symbol_at(symbolizer, start + 8), "generated" if named else None,
                            f"a map of {owner} for a target of {user}")
                reason = symbolizer.ask("reason", start + 8)
                check(named or "root" in reason, f"reason: {reason}")


def perf_map_is_no_file():
    """A pipe is not waited for, a folder and a device are not read, a huge one is not loaded."""
    def huge(path):
        with open(path, "wb") as file:
            file.truncate(1 << 30)
    kinds = {"a pipe": os.mkfifo, "a folder": os.mkdir, "a huge file": huge,
             "a device": lambda path: os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))}
    for what, make in kinds.items():
        with generated_code() as (pid, start, path):
            make(path)
            try:
                with Symbolizer(pid) as symbolizer:
                    seen = symbolizer.ask("user", start + 8)[-1]
                    check_equal((seen["symbol"], seen["pending"]), (None, False), what)
            finally:
                if os.path.isdir(path):
                    os.rmdir(path)


def perf_map_of_a_container():
    """Named after the PID that the target itself sees, in its own /tmp."""
    prefix = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c",
              'mount -t tmpfs none /tmp && exec "$@"', "sh")
    with mapper(prefix=prefix) as process:
        process.stdout.readline()
        with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
            pid = int(file.read().split()[0])
        start = executable(pid)
        with open(f"/proc/{pid}/root/tmp/perf-1.map", "w", encoding="utf-8") as file:
            file.write(f"{start:x} 40 generated\n")
        with Symbolizer(pid) as symbolizer:
            wait_for(lambda: symbol_at(symbolizer, start + 8) == "generated", "its name")


if __name__ == "__main__":
    run([other_root, container, dead_in_its_root, links_stay_inside, pipes_are_not_waited_for,
         without_map_files, perf_map_owners, perf_map_is_no_file, perf_map_of_a_container])
