# SPDX-License-Identifier: GPL-2.0
"""One QEMU machine without KVM, and the conversation with the agent in it."""

import atexit
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time


class Died(Exception):
    """The VM ended or went silent in the middle of a conversation."""


def stoppable(main, word):
    """Run a program that makes VMs: on Ctrl-C or SIGTERM it says `word` and ends with status 130. VMs end with it, and their directories."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return main()
    except KeyboardInterrupt:
        print("\n" + word, file=sys.stderr, flush=True)
        return 130


def end(vms, threads):
    """Of a program that is stopped: the VMs that its threads have, and those that one is about to start."""
    for vm in list(vms):
        vm.close()
    for t in threads:
        t.join(10)


class Vm:
    proc = sock = err = None

    def __init__(self, kernel, image, guest, ko=None, smp=1, mem=768, console=None, append="", qemu=(), icount=False, tb=256):
        self.prepare(console)
        initrd = kernel.initrd(self.work, dict(guest), ko)
        if icount:
            accel = ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-rtc", "clock=vm,base=2026-01-01",
                     "-seed", "1"]
        else:
            # When its translations fill `tb` MiB QEMU forgets them all.
            accel = ["-accel", "tcg,thread=%s,tb-size=%d" % ("multi" if smp > 1 else "single", tb)]
        # cx16 off: QEMU 7.2 emulates cmpxchg16b wrongly and 6.12 faults on it.
        args = ["qemu-system-x86_64", "-M", "q35", *accel, "-cpu", "max,-cx16", "-smp", str(smp), "-m", str(mem),
                "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-net", "none",
                "-kernel", kernel.vmlinuz, "-initrd", initrd,
                # norandmaps: QEMU's translations are found by virtual address, so that with programs at random ones
                # each start of a program translates it anew: half of the time of a suite.
                # On a busy machine the TSC is calibrated wrongly by factors; the HPET keeps the host's time.
                "-append", ("tsc=reliable " if icount else "clocksource=hpet tsc=nowatchdog ") +
                           "console=ttyS0 quiet loglevel=5 slab_nomerge panic=-1 nokaslr norandmaps no5lvl mitigations=auto "
                           "rcupdate.rcu_expedited=1 rcupdate.rcu_cpu_stall_timeout=60 no_timer_check "
                           "cryptomgr.notests apparmor=0 audit=0 nowatchdog " + append,
                "-serial", "file:" + self.console,
                "-drive", "file=%s,if=virtio,format=raw,readonly=on,cache=unsafe" % image]
        self.start(args, qemu)

    def prepare(self, console=None):
        """A directory for what is made on the way."""
        self.work = tempfile.mkdtemp(prefix="ovsvm.")
        atexit.register(self.close)
        self.console = console or os.path.join(self.work, "console")
        self.buf = b""

    def start(self, args, more=()):
        """Start QEMU with a port to the agent, its first of that kind, and wait for it to connect."""
        sock = os.path.join(self.work, "ctl")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(sock)
        listener.listen(1)
        listener.settimeout(60)
        args = args + ["-device", "virtio-serial-pci,max_ports=2", "-chardev", "socket,id=ctl,path=" + sock,
                       "-device", "virtserialport,chardev=ctl,name=ctl,nr=1", *more]
        self.err = open(os.path.join(self.work, "qemu.err"), "wb+")
        self.proc = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=self.err, stderr=self.err)
        try:
            self.sock, _ = listener.accept()
        except socket.timeout:
            raise Died("QEMU did not start: " + self.stderr())
        finally:
            listener.close()
        self.sock.setblocking(False)

    def stderr(self):
        self.err.flush()
        with open(self.err.name, errors="replace") as f:
            return f.read()[-1000:]

    def send(self, **msg):
        self.sock.setblocking(True)
        self.sock.sendall(json.dumps(msg).encode() + b"\n")
        self.sock.setblocking(False)

    def recv(self, timeout):
        """The agent's next message."""
        deadline = time.monotonic() + timeout
        while b"\n" not in self.buf:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Died("silent for %d s" % timeout)
            if select.select([self.sock], [], [], min(left, 1))[0]:
                try:
                    data = self.sock.recv(1 << 16)
                except ConnectionError:
                    data = b""
                if not data:
                    raise Died("the VM ended (QEMU exit %s) %s" % (self.proc.wait(), self.stderr()))
                self.buf += data
        line, self.buf = self.buf.split(b"\n", 1)
        return json.loads(line)

    def console_tail(self, lines=40):
        try:
            with open(self.console, errors="replace") as f:
                return f.read().splitlines()[-lines:]
        except OSError:
            return []

    def close(self):
        if self.proc:
            if self.proc.poll() is None:
                self.proc.kill()
            self.proc.wait()
        for f in (self.sock, self.err):
            if f:
                f.close()
        shutil.rmtree(self.work, ignore_errors=True)
        atexit.unregister(self.close)
