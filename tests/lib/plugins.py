# SPDX-License-Identifier: GPL-2.0-only
"""The target that loads and unloads libraries as it is told."""

import os
import subprocess

from tap import check_equal
from target import built


def plugin(name):
    return os.path.abspath(built(f"tests/targets/libplugin_{name}.so"))


class PluginHost:
    def __init__(self, path=None):
        self.command = [path or built("tests/targets/plugin_host")]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        check_equal(self.process.stdout.readline(), "ready\n", "the host")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def tell(self, command):
        """The answer to one command."""
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def open(self, *files):
        """How many could be opened, and where the last one's plugin_run is."""
        count, address = self.tell("open " + " ".join(files)).split()
        return int(count), int(address, 16)
