# SPDX-License-Identifier: GPL-2.0
"""What the tests of packages share, RPMs (rpm/) and Debian's (deb/): files, programs, and a root whose tools write down how they are called."""

import os
import shutil
import subprocess
import sys
import tempfile

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(SOURCE, "tests/system"))
from host.kernel import busybox  # noqa: E402


class Failure(Exception):
    pass


def check(true, what):
    if not true:
        raise Failure(what)


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


def read(path):
    with open(path) as f:
        return f.read()


class Programs:
    """Runs programs in the directory `top`, with the environment `env`, for so many seconds."""

    top, env, seconds = None, None, 300

    def run(self, argv, cwd=None, fails=False, env=None, seconds=None):
        """The output of a program. Its exit status must be 0, or with `fails` another one."""
        p = subprocess.run(argv, cwd=cwd or self.top, env={**self.env, **(env or {})}, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=seconds or self.seconds)
        if (p.returncode != 0) != fails:
            tail = "\n".join(p.stdout.splitlines()[-25:])
            raise Failure("%s: exit status %d\n%s" % (" ".join(argv), p.returncode, tail))
        return p.stdout


class Root:
    """A root directory with a busybox for what scripts call, and tools that write into its file `log` how they are called."""

    def __init__(self, kit, applets, tools):
        self.kit, self.root = kit, tempfile.mkdtemp(dir=kit.top)
        os.chmod(self.root, 0o755)
        os.makedirs(self.path("bin"))
        shutil.copy(busybox(), self.path("bin/busybox"))
        os.chmod(self.path("bin/busybox"), 0o755)
        for applet in applets:
            os.symlink("busybox", self.path("bin/" + applet))
        for tool in tools:
            write(self.path(tool), '#!/bin/sh\necho "${0##*/} $*" >> /log\n', 0o755)

    def path(self, name):
        return os.path.join(self.root, name)

    def log(self):
        """How the tools were called since it was last asked."""
        path = self.path("log")
        lines = read(path).splitlines() if os.path.exists(path) else []
        write(path, "", 0o666)
        return lines

    def called(self, *lines):
        log = self.log()
        check(log == list(lines), "tools were called as:\n  %s\nnot as:\n  %s" % ("\n  ".join(log), "\n  ".join(lines)))
