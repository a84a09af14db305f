# SPDX-License-Identifier: GPL-2.0
"""One QEMU without KVM that boots Xen, which boots dom0."""

import os
import time

import parts  # noqa: F401  (finds tests/system's host/)
from host.vm import Died, Vm

# QEMU's SVM with nested paging is what PVH guests need; -cpu max crashes a PV dom0.
CPU = "qemu64,+svm,+npt"
# One CPU: time is counted in its instructions (-icount), 10^9 a second, so that the load of this machine breaks no time limit in dom0.
XEN = "console=com1 com1=115200 dom0_mem=%dM,max:%dM dom0_max_vcpus=1 bootscrub=0 loglvl=warning guest_loglvl=error"
DOM0 = ("console=hvc0 mitigations=off panic=-1 loglevel=4 audit=0 apparmor=0 nowatchdog cryptomgr.notests "
        "rcupdate.rcu_cpu_stall_timeout=60 rcupdate.rcu_expedited=1")

SILENT_CPU, SILENT = 400, 3600  # seconds


class XenHost(Vm):
    def __init__(self, hypervisor, kernel, image, files, console, mem=2304, dom0=1024):
        self.prepare(console)
        initrd = kernel.initrd(self.work, dict(files))
        self.start([
            "qemu-system-x86_64", "-accel", "tcg,thread=single,tb-size=512", "-icount", "shift=0", "-cpu", CPU, "-smp", "1", "-m", str(mem),
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-rtc", "base=utc,clock=vm", "-serial", "file:" + console,
            "-kernel", hypervisor, "-append", XEN % (dom0, dom0), "-initrd", "%s %s,%s" % (kernel.vmlinuz, DOM0, initrd),
            "-drive", "file=%s,if=virtio,format=raw,readonly=on,cache=unsafe" % image])

    def hear(self):
        """dom0's next message. It may take as long as it likes where others have the CPU, but not all CPU time, nor for ever."""
        began, used = time.monotonic(), self.cpu()
        while True:
            try:
                return self.recv(30)
            except Died:
                if self.proc.poll() is not None or self.cpu() - used > SILENT_CPU or time.monotonic() - began > SILENT:
                    raise

    def cpu(self):
        """Seconds of CPU that QEMU has used."""
        try:
            with open("/proc/%d/stat" % self.proc.pid) as f:
                fields = f.read().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except OSError:
            return 0

    def tail(self, lines=15):
        return "\n".join("      | " + line for line in self.console_tail(lines))


def files(here, top):
    """What dom0 finds under /guest: the first programs of tests/system's VMs, their agent as a library, and dom0/."""
    system = os.path.join(top, "tests", "system", "guest")
    found = {"init": os.path.join(system, "init"), "agent.py": os.path.join(system, "agent.py")}
    for name in sorted(os.listdir(os.path.join(here, "dom0"))):
        if not name.startswith("__"):
            found[name] = os.path.join(here, "dom0", name)
    return found
