# SPDX-License-Identifier: GPL-2.0-only
"""A Redis server of one's own on a socket in a folder of its own, and a client for it."""

import contextlib
import os
import socket
import subprocess
import tempfile

from tap import wait_for

# Debian's redis-tools has the whole server under this name; redis-server would start a service.
PROGRAM = "/usr/bin/redis-check-rdb"


def command(*words):
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part)
                                              for part in parts)


class Redis:
    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="memtop-redis-")
        path = os.path.join(self.folder.name, "socket")
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", path, "--dir", self.folder.name,
             "--save", "", "--appendonly", "no"], executable=PROGRAM, stdout=subprocess.DEVNULL)
        self.pid = self.process.pid
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(120)
        wait_for(lambda: self.connects(path), "the server listens")
        self.answers = self.socket.makefile("rb")
        return self

    def connects(self, path):
        with contextlib.suppress(OSError):
            self.socket.connect(path)
            return True
        return False

    def __exit__(self, *_):
        self.answers.close()
        self.socket.close()
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    def answer(self):
        line = self.answers.readline()
        if line[:1] != b"$":
            return line.decode().strip()
        return self.answers.read(int(line[1:]) + 2)[:-2].decode()

    def ask(self, *words):
        self.socket.sendall(command(*words))
        return self.answer()

    def ask_all(self, commands, batch=500):
        """Many commands, some at a time on their way."""
        commands = list(commands)
        for at in range(0, len(commands), batch):
            part = commands[at:at + batch]
            self.socket.sendall(b"".join(command(*words) for words in part))
            for _ in part:
                self.answer()

    def used_memory(self):
        lines = self.ask("INFO", "memory").splitlines()
        return int(next(line for line in lines if line.startswith("used_memory:")).split(":")[1])
