# SPDX-License-Identifier: GPL-2.0
"""Runs tests of a suite inside the VM and judges the kernel after each.

The cases' agent (cases_agent.py here) lends its port, its reading of the kernel's log and its cleaning up. The host sends
{"setup": script} and then {"batch": …}: a command that runs one or more tests. With "pattern", results are lines of its
output; without, the batch is one test and its exit code tells. For each test the agent sends {"file"}s of a failure and
{"test", "result", "secs", "kernel"}; after the last {"done", "why"}.
"""

import base64
import glob
import os
import re
import select
import signal
import subprocess
import sys
import time

sys.path.insert(0, "/guest")
import cases_agent  # noqa: E402
import ovsnl  # noqa: E402
from cases_agent import BAD, HARMLESS, Port, dmesg, kernel_log_since, leftovers, loaded, quiet, taint, unload  # noqa: E402

LONGEST = 400 << 10  # bytes of a failed test's file that are kept: its end
# 6.12's tunnel drivers copy options behind a structure that FORTIFY takes to end before them, and say so once each. Theirs is the
# code that the WARNING names, whoever's packet it was.
CUT, END = "------------[ cut here ]------------", "---[ end trace"
FORTIFY = re.compile(r"memcpy: detected field-spanning write .* at include/net/ip_tunnels\.h:\d+ \(size 0\)")
DRIVER = re.compile(r"WARNING: .* at include/net/ip_tunnels\.h:\d+ \S+ \[(geneve|vxlan|ip_gre|ip6_gre)\]$")


def complaints(lines):
    """The lines of a kernel log that are held against a module: all that are bad but those of the tunnel drivers."""
    bad, block = [], None
    for line in lines:
        if CUT in line:
            bad += block or []
            block = []
        if block is None:
            bad.append(line)
        else:
            block.append(line)
            if END in line:
                if not (len(block) > 2 and FORTIFY.search(block[1]) and DRIVER.search(block[2])):
                    bad += block
                block = None
    return [l for l in bad + (block or []) if BAD.search(l) and not HARMLESS.search(l)][:4]


def remove_datapaths():
    """Without ovs-dpctl: the suites' root has no Open vSwitch but the one under test."""
    s = ovsnl.Sock()
    for m in s.dump("ovs_datapath").messages:
        s.request("ovs_datapath", ovsnl.DEL, m.dp_ifindex)
    s.close()


cases_agent.remove_datapaths = remove_datapaths


class Judge:
    """The kernel's complaints since it was last asked."""

    def __init__(self):
        self.n = 0
        self.mark()

    def mark(self):
        self.n += 1
        self.line = "SUITE mark %d %d" % (self.n, time.monotonic_ns())
        with open("/dev/kmsg", "w") as f:
            f.write("<6>%s\n" % self.line)

    def ask(self):
        """(complaints, all lines) since the last time."""
        lines = kernel_log_since(self.line)
        self.mark()
        return complaints(lines), lines


def setup(port, req):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with open("/proc/uptime") as f:  # ovs-vswitchd finds no CPUs earlier than at 10 s
            if float(f.read().split()[0]) >= 12:
                break
        time.sleep(0.2)
    p = quiet("bash", "-e", "-c", req["setup"])
    port.send(ready=p.returncode == 0, text=p.stdout[-2000:])


def send_files(port, patterns, lines, output):
    """A failed test's own files, what the kernel said, and what the command printed."""
    found = {os.path.basename(p): p for pattern in patterns for p in sorted(glob.glob(pattern)) if os.path.isfile(p)}
    blobs = {"dmesg": "\n".join(lines).encode(), "output": output}
    for name, path in found.items():
        try:
            with open(path, "rb") as f:
                f.seek(max(0, os.path.getsize(path) - LONGEST))
                blobs[name] = f.read()
        except FileNotFoundError:
            pass  # the result is printed before the test has cleared up: it may still remove files
    for name, data in blobs.items():
        port.send(file=name, data=base64.b64encode(data[-LONGEST:]).decode())


def batch(port, req):
    env = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", **req.get("env", {}))
    judge, taint0 = Judge(), taint()
    child = subprocess.Popen(req["command"], cwd=req["cwd"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, env=env, start_new_session=True)
    pattern = re.compile(req["pattern"]) if req.get("pattern") else None
    left, began, buf, said, late = list(req["batch"]), time.monotonic(), b"", b"", False

    def result(test, text):
        nonlocal began, said
        kernel, lines = judge.ask()
        if kernel or not re.match("ok|skipped", text):
            send_files(port, [p.replace("%TEST%", t) for p in req.get("keep", []) for t in names(test)], lines, said)
        port.send(test=test, result=text, secs=round(time.monotonic() - began, 1), kernel=kernel)
        began, said = time.monotonic(), b""

    while True:
        if select.select([child.stdout], [], [], 1)[0]:
            data = os.read(child.stdout.fileno(), 65536)
            if not data:
                break
            buf += data
            said = (said + data)[-LONGEST:]
            *lines, buf = buf.split(b"\n")
            for line in lines:
                m = pattern and pattern.match(line.decode(errors="replace"))
                if m and m.group(1) in left:
                    left.remove(m.group(1))
                    result(m.group(1), m.group(2))
        if left and time.monotonic() > began + req["timeout"]:
            late = True
            quiet("bash", "-c", "echo w > /proc/sysrq-trigger; echo l > /proc/sysrq-trigger")
            os.killpg(child.pid, signal.SIGKILL)
            break
        if not left and child.poll() is not None:
            break  # daemons may hold the pipe
    child.wait()
    if late:
        result(left.pop(0), "FAILED (no end after %d s)" % req["timeout"])
    elif left and not pattern:
        rc, text = child.returncode, said.decode(errors="replace")
        skip = rc == 4 or (rc == 0 and "[SKIP]" in text)
        last = (text.strip().splitlines() or [""])[-1].strip()
        result(left.pop(0), "skipped (%s)" % last if skip else "ok" if rc == 0 else "FAILED (exit %d: %s)" % (rc, last))
    why = [] if late or not left or not pattern else ["the suite ended (exit %d) without %s: %s" % (
        child.returncode, " ".join(left), said.decode(errors="replace").strip()[-300:])]
    os.chdir("/")
    leftovers()
    for name in ("vport_vxlan", "vport_geneve", "vport_gre"):  # the C module's, which OVS 3.1's suite loads
        if os.path.isdir("/sys/module/" + name):
            quiet("rmmod", name)
    gone = unload()
    if gone:
        why.append(gone)
    kernel, _ = judge.ask()
    port.send(done=True, why=why, kernel=kernel, stuck=late or loaded() or bool(gone), taint=taint() & ~taint0, left=left)


def names(test):
    """Autotest pads a test's number to the width of the last one's."""
    return [test.zfill(n) for n in range(1, 5)] if test.isdigit() else [test]


def main():
    os.setpgid(0, 0)
    port = Port("/dev/vport0p1" if os.path.exists("/dev/vport0p1") else (glob.glob("/dev/vport*p1") or ["/dev/vport0p1"])[0])
    early = [l for l in dmesg() if BAD.search(l) and not HARMLESS.search(l)]
    port.send(hello=os.uname().release, early=early)
    while True:
        req = port.recv()
        if "setup" in req:
            setup(port, req)
        elif "batch" in req:
            batch(port, req)
        else:
            return


if __name__ == "__main__":
    sys.exit(main())
