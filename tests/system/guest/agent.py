# SPDX-License-Identifier: GPL-2.0
"""Runs cases inside the VM, one after the other, and judges the kernel after each.

Talks lines of JSON with the host over a virtio-serial port (or the serial line that the kernel's argument agent= names): the host sends {"run": case, …}, the
agent answers {"begin"}, {"log"}, {"file"} and {"end"}. A case passes if its program exits 0, the
kernel log shows nothing bad, and the module can be removed with nothing left behind.
"""

import base64
import contextlib
import glob
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import tty

MODULE = "openvswitch"
OUT = "/run/out"
STOCK = "/guest/stock.ko"
KMEMLEAK = "/sys/kernel/debug/kmemleak"  # where the kernel has it

# What a kernel says when something is wrong with it, or with us: lockdep, RCU, KASAN, UBSAN, kmemleak, the debugging of lists, objects,
# slabs and references, and what every kernel has.
COMPLAINTS = re.compile(
    r'^(?:BUG\b|WARNING:|UBSAN:|KASAN:|KFENCE:|ODEBUG: (?!selftest|\d+ of)|Oops|Kernel panic|Internal error|general protection|refcount_t:|DEBUG_LOCKS_WARN_ON|unreferenced object'
    r'|kernel BUG at|RTNL: assertion failed|INFO: (?:possible|suspicious|rcu|task|trying)|rcu: INFO:|unregister_netdevice: waiting for)'
    r'|^kmemleak: [1-9]\d* new suspected|^kmemleak: .*disabled|\bBUG: (?:KASAN|sleeping|scheduling|spinlock|key|unable)|KASAN: .* in |UBSAN: '
    r'|possible (?:recursive|circular|irq lock)|inconsistent lock state|suspicious RCU usage|list_(?:add|del) corruption|[Ss]leeping function called'
    r'|scheduling while atomic|ref_tracker: .*(?:leaked|has)|can\'t free all objects|Objects remaining|still has objects'
    r'|(?<!out-of-tree module )taint(?:s|ing) kernel|Disabling lock debugging|BUG: MAX_LOCK|Failure not reported to KUnit')
BAD = re.compile(
    COMPLAINTS.pattern + r"|WARNING:|WARN_ON|\bBUG\b|Oops|general protection|Call Trace|refcount_t|use-after-free|KASAN|UBSAN|"
    r"rcu.*(stall|self-detected)|scheduling while atomic|sleeping function|unregister_netdevice: waiting|"
    r"hung task|blocked for more than|soft lockup|hard LOCKUP|bad page|stack guard|suspicious RCU|"
    r"possible recursive|lockdep|field-spanning|disagrees about|Unknown symbol|Unknown rela|"
    r"kernel NULL pointer|unable to handle|slab.*(corrupt|Objects remaining)|still has objects|"
    r"memory leak|page allocation failure|invalid opcode|double fault|Hardware error")
# "hw csum failure" and the like go through WARN; these lines are known to be harmless.
HARMLESS = re.compile(r"stall warnings timeout|memory leak detector initialized|lockdep checking is enabled|use-after-free debug is enabled|Kernel command line|Command line:|loading out-of-tree module|module verification failed")
OUT_OF_TREE, UNSIGNED = 1 << 12, 1 << 13


class Port:
    def __init__(self, path):
        deadline = time.monotonic() + 10
        while not os.path.exists(path) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        if os.isatty(self.fd):
            tty.setraw(self.fd)
        self.buf = b""

    def send(self, **msg):
        data = json.dumps(msg).encode() + b"\n"
        while data:
            data = data[os.write(self.fd, data):]

    def recv(self):
        while b"\n" not in self.buf:
            chunk = os.read(self.fd, 65536)
            if not chunk:
                time.sleep(0.05)  # the host has not connected yet
            self.buf += chunk
        line, self.buf = self.buf.split(b"\n", 1)
        return json.loads(line)


def quiet(*cmd, **kw):
    return subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kw)


def loaded():
    return os.path.isdir("/sys/module/" + MODULE)


def dmesg():
    return quiet("dmesg", "--notime").stdout.splitlines()


def taint():
    with open("/proc/sys/kernel/tainted") as f:
        return int(f.read())


def taint_of_ours():
    """An unsigned module taints only a kernel that knows signatures."""
    with open("/guest/config") as f:
        return OUT_OF_TREE | (UNSIGNED if "CONFIG_MODULE_SIG=y\n" in f else 0)


def slabs():
    """{cache: active objects} of the module's own slab caches."""
    with open("/proc/slabinfo") as f:
        rows = [r.split() for r in f]
    return {r[0]: int(r[1]) for r in rows if r[0].startswith("sw_flow")}


def kernel_log_since(mark):
    """The kernel's lines after the line `mark`, which an earlier call wrote to /dev/kmsg."""
    lines = dmesg()
    at = max((i for i, l in enumerate(lines) if mark in l), default=-1)
    return lines[at + 1:]


def remove_datapaths():
    for dp in quiet("ovs-dpctl", "dump-dps").stdout.split():
        quiet("ovs-dpctl", "del-dp", dp)


def leftovers():
    """Remove whatever a case left: processes, datapaths, namespaces, devices, connections of the VM's own stack."""
    me = os.getpid()
    for p in glob.glob("/proc/[0-9]*"):
        pid = int(p[6:])
        try:
            if pid not in (1, me) and os.readlink(p + "/exe") and os.getpgid(pid) != os.getpgid(me):
                os.kill(pid, signal.SIGKILL)
        except (OSError, ProcessLookupError):
            pass  # a kernel thread, or gone
    for ns in quiet("ip", "netns", "list").stdout.split("\n"):
        if ns:
            quiet("ip", "netns", "delete", ns.split()[0])
    if loaded():
        remove_datapaths()
    for dev in json.loads(quiet("ip", "-j", "link").stdout or "[]"):
        name = dev["ifname"]
        if name != "lo" and os.path.isdir("/sys/class/net/" + name) and not os.path.exists(
                "/sys/class/net/%s/device" % name):
            quiet("ip", "link", "delete", name)
    if os.path.exists("/proc/sys/net/netfilter/nf_conntrack_count"):
        forget_connections()


def forget_connections():
    """IPCTNL_MSG_CT_DELETE without a tuple. A datapath has kernels before 6.12 track what the VM itself sends (L5)."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as s:
        s.settimeout(10)
        s.send(struct.pack("=IHHIIBBH", 20, 1 << 8 | 2, 1 | 4, 1, 0, 0, 0, 0))
        s.recv(4096)


def unload():
    """None, or why the module would not go."""
    why = ""
    for _ in range(50):
        if not loaded():
            break
        p = quiet("rmmod", MODULE, timeout=60)
        why = p.stdout.strip()
        if p.returncode == 0:
            break
        time.sleep(0.2)
    else:
        return "rmmod: " + why
    left = {k: v for k, v in slabs().items() if v}
    if left:
        return "slab objects left after rmmod: %s" % left
    return None


def write(path, text):
    """To a file of the kernel's that not every kernel has."""
    if os.path.exists(path):
        with open(path, "w") as f:
            f.write(text)


def leaked():
    """What nobody refers to since the last time, where the kernel has kmemleak. Scanned twice: an object must be some seconds
    old, and not have changed since a scan before. What has been reported is not reported again."""
    if not os.path.exists(KMEMLEAK):
        return ""
    try:
        for _ in range(2):
            time.sleep(6)
            write(KMEMLEAK, "scan")
        with open(KMEMLEAK) as f:
            found = f.read()
        write(KMEMLEAK, "clear")
        return found
    except OSError as e:
        return "unreferenced object: not looked for: %s" % e


def lockdep_is_off():
    """It ends for good with the first report, whosever it was."""
    if not os.path.exists("/proc/lockdep_stats"):
        return False
    with open("/proc/lockdep_stats") as f:
        return re.search(r"debug_locks:\s+0", f.read()) is not None


def ask(port, req):
    """Run a case on the stock module of this kernel. Returns what the case on ours is told of its answers."""
    said = "/run/asked"
    if os.path.exists(said):
        os.unlink(said)
    os.makedirs(OUT + "/stock")
    needs = quiet("modinfo", "-F", "depends", STOCK).stdout.strip().replace(",", " ").split()
    quiet("modprobe", "-a", *needs)
    p = quiet("insmod", STOCK)
    if p.returncode:
        raise RuntimeError("insmod of the stock module: " + p.stdout.strip())
    child, late = execute(port, req, OUT + "/stock", MODULE="stock", ASKING=said, RECORDED="")
    leftovers()
    gone = unload()
    for name in reversed(needs):  # ours must not find what it does not load itself
        quiet("modprobe", "-r", name)
    if gone:
        raise RuntimeError("the stock module: " + gone)
    shutil.copy(OUT + "/stock/log", OUT + "/stock-log")
    env = {"ASKED": said}
    if not os.path.exists(said):
        open(said, "w").close()
    if child.returncode or late:
        env["ASKED_IN_PART"] = "1"
    leaked()  # that is the C module's
    shutil.copy(said, OUT + "/stock-golden.txt")
    return env


def execute(port, req, out, **more):
    """Run the case's program, its output into `out`/log. Returns the finished process and whether it took too long."""
    env = dict(os.environ, CASE=req["run"], OUT=out, LIB="/guest/lib", PYTHONPATH="/guest/lib", MODULE=req["module"],
               KERNEL=os.uname().release, PYTHONDONTWRITEBYTECODE="1", **req.get("env", {}))
    env.update(more)
    path = "/guest/cases/" + req["file"]
    argv = ["/usr/bin/python3", "-u", path] if path.endswith(".py") else ["/bin/bash", path]
    work, late = "/run/work", False
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    with open(out + "/log", "wb") as log:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=env,
                                 cwd=work, start_new_session=True)
        deadline, sent = time.monotonic() + req["timeout"], 0
        while child.poll() is None:
            if time.monotonic() > deadline:
                late = True
                quiet("bash", "-c", "echo w > /proc/sysrq-trigger; echo l > /proc/sysrq-trigger")
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                break
            time.sleep(0.05)
            sent = forward(port, sent, req.get("show"), out)
        forward(port, sent, req.get("show"), out)
    return child, late


def last_words():
    """What a case that ended with lib.sh's `die` said last."""
    with open(OUT + "/log", errors="replace") as f:
        said = [l for l in f.read().splitlines() if l.startswith("FAILED: ")]
    return ", " + said[-1] if said else ""


def run(port, req):
    name, start = req["run"], time.monotonic()
    why, skip, answers = [], None, {}
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(OUT)
    port.send(begin=name)
    if req.get("ask"):
        try:
            answers = ask(port, req)
        except RuntimeError as e:
            why.append(str(e))
    mark = "CASE %s %d begins" % (name, time.monotonic_ns())
    with open("/dev/kmsg", "w") as f:
        f.write("<6>%s\n" % mark)
    taint0 = taint()
    write("/sys/kernel/debug/clear_warn_once", "1")  # ours must warn, although the C module or another case did
    if lockdep_is_off():
        why.append("lockdep is off: a case before, or the C module, had a report")
    if not why and not req.get("keep_module"):
        p = quiet("modprobe", MODULE)
        if p.returncode:
            why.append("modprobe: " + p.stdout.strip())
    if not why:
        child, late = execute(port, req, OUT, **answers)
        if late:
            why.append("timeout after %d s" % req["timeout"])
        if child.returncode == 77:
            with open(OUT + "/log", errors="replace") as f:
                skip = (f.read().strip().splitlines() or ["skipped"])[-1]
        elif child.returncode and not why:
            why.append("exit %d%s" % (child.returncode, last_words()))
    leftovers()
    if not req.get("keep_module"):
        gone = unload()
        if gone:
            why.append(gone)
    leaks = leaked()
    if leaks:
        why.append("kmemleak: %d objects" % leaks.count("unreferenced object"))
        with open(OUT + "/kmemleak", "w") as f:
            f.write(leaks)
    lines = kernel_log_since(mark)
    allow = re.compile(req["allow"]) if req.get("allow") else None
    bad = [l for l in lines if BAD.search(l) and not HARMLESS.search(l) and not (allow and allow.search(l))]
    if bad:
        why.append("kernel log: " + bad[0])
    new = taint() & ~taint0 & ~(taint_of_ours() if req["module"] == "ours" else 0)
    if new and not (allow and new == 1 << 9):  # an allowed WARN taints with W
        why.append("taint %#x" % new)
    with open(OUT + "/dmesg", "w") as f:
        f.write("\n".join(lines) + "\n")
    for path in sorted(glob.glob(OUT + "/*")):
        if os.path.isfile(path):
            with open(path, "rb") as f:
                data = f.read()
            port.send(file=os.path.basename(path), data=base64.b64encode(data).decode())
    result = "FAIL" if why else "SKIP" if skip else "PASS"
    port.send(end=name, result=result, why="; ".join(why) or skip or "", secs=round(time.monotonic() - start, 1),
              stuck=loaded() and not req.get("keep_module"))


def forward(port, sent, show, out):
    """Pass lines on at once: all of them to `show`, else those that start with `:: ` (progress)."""
    with open(out + "/log", "rb") as f:
        f.seek(sent)
        data = f.read()
    end = data.rfind(b"\n") + 1
    for line in data[:end].splitlines():
        if show:
            port.send(show=line.decode(errors="replace"))
        elif line.startswith(b":: "):
            port.send(log=line[3:].decode(errors="replace"))
    return sent + end


def main():
    os.setpgid(0, 0)
    given = os.environ.get("agent")
    port = Port(given) if given else Port("/dev/vport0p1") if os.path.exists("/dev/vport0p1") else Port(
        (glob.glob("/dev/vport*p1") or ["/dev/vport0p1"])[0])
    leftovers()  # of the kernel's own: drivers that are built in make devices
    leaked()  # while the kernel started
    early = [l for l in dmesg() if BAD.search(l) and not HARMLESS.search(l)]
    with open("/proc/uptime") as f:
        up = float(f.read().split()[0])
    port.send(hello=os.uname().release, uptime=up, cpus=os.cpu_count(), taint=taint(), early=early)
    while True:
        req = port.recv()
        if "run" in req:
            run(port, req)
        else:
            return


if __name__ == "__main__":
    sys.exit(main())
