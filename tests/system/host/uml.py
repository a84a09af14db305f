# SPDX-License-Identifier: GPL-2.0
"""A kernel as a program of the host (UML), and the conversation with the agent in it: the cases under the sanitizers of
`make kunit SAN=`. Programs in it run natively, so that a case takes a fraction of its time under emulation.
"""

import os
import socket
import subprocess

from .kernel import TOP
from .vm import Died, Vm


def module(kernel):
    """Our module for it, as the suites have it; they are left alone."""
    p = subprocess.run([os.path.join(TOP, "kunit/run"), "--build", "--kdir", kernel.build], stdout=subprocess.PIPE, text=True)
    if p.returncode:
        raise SystemExit("no openvswitch.ko built for " + kernel.name)
    return p.stdout.strip()


class UmlVm(Vm):
    """As a QEMU machine; the agent is at the first serial line."""

    def __init__(self, kernel, image, guest, ko=None, smp=1, mem=768, console=None, append=""):
        self.prepare(console)
        initrd = kernel.initrd(self.work, dict(guest), ko)
        self.sock, theirs = socket.socketpair()
        port = theirs.fileno()
        # c: the image is others', too, and QEMU takes UML's lock of it for a writer's.
        args = [kernel.vmlinuz, "mem=%dM" % mem, "ncpus=%d" % smp, "seccomp=on", "initrd=" + initrd, "ubd0rc=" + image, "ssl=null", "ssl0=fd:%d,fd:%d" % (port, port),
                "con0=null,fd:1", "con=null", "console=tty0", "agent=/dev/ttyS0", "kunit.enable=0", "quiet", "loglevel=5", "slab_nomerge", "panic=-1",
                "rcupdate.rcu_expedited=1", *append.split()]
        self.err = open(self.console, "wb+")
        env = dict(os.environ, TMPDIR="/dev/shm")
        try:
            self.proc = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=self.err, stderr=self.err, pass_fds=[port], env=env,
                                         start_new_session=True)
        except OSError as e:
            raise Died("the kernel did not start: %s" % e)
        finally:
            theirs.close()
        self.sock.setblocking(False)
