# SPDX-License-Identifier: GPL-2.0
"""What the cases share: programs, guests on their consoles, TCP with checksums, and eyes on a vif."""

import hashlib
import os
import re
import select
import socket
import struct
import subprocess
import threading
import time
import tty

MEGABYTES = 4
SERVICE = "/usr/share/openvswitch/scripts/openvswitch-service"


class Failure(Exception):
    pass


def check(true, what):
    if not true:
        raise Failure(what)


class Lane:
    """One run: which module, the factor on all time limits, what is there so far."""

    def __init__(self, module, slow, say):
        self.module, self.slow, self.say = module, slow, say
        self.guests = {}
        self.data = os.urandom(MEGABYTES << 20)

    @property
    def ours(self):
        return self.module == "ours"

    def run(self, *argv, seconds=30, fails=False, env=None):
        """The output of a program, whose exit status must be 0, or with `fails` another one."""
        argv = [str(a) for a in argv]
        try:
            p = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               errors="replace", timeout=seconds * self.slow, env={**os.environ, **(env or {})})
        except subprocess.TimeoutExpired:
            raise Failure("%s: not done after %d s" % (" ".join(argv), seconds * self.slow))
        if (p.returncode != 0) != fails:
            raise Failure("%s: exit status %d\n%s" % (" ".join(argv), p.returncode, "\n".join(p.stdout.splitlines()[-8:])))
        return p.stdout

    def vsctl(self, *argv):
        return self.run("ovs-vsctl", "--timeout=%d" % (20 * self.slow), *argv).strip()

    def wait(self, what, true, seconds=20):
        """Until `true()` is; returns what it gave."""
        deadline = time.monotonic() + seconds * self.slow
        while time.monotonic() < deadline:
            got = true()
            if got:
                return got
            time.sleep(0.3)
        raise Failure("%s: not after %d s" % (what, seconds * self.slow))

    def ping(self, source, address, *options, count=3, device=None):
        """From a guest (or "dom0"): all of `count` must come back. Returns the round trip in words."""
        words = ["ping"] + (["-I", device] if device else []) + ["-c", str(count), "-W", "5", *options, address]
        said = self.run(*words) if source == "dom0" else source.run(" ".join(words))
        check("%d received" % count in said or "%d packets received" % count in said, said)
        m = re.search(r"min/avg/max\S* = [\d.]+/([\d.]+)/", said)
        return "%s ms" % m.group(1) if m else ""

    def bridge_of(self, port):
        p = subprocess.run(["ovs-vsctl", "--timeout=20", "port-to-br", port], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return p.stdout.strip()


class Guest:
    """A guest and its console. `vifs` are (MAC's last byte, bridge)."""

    def __init__(self, lane, name, address, vifs, kind="pv"):
        self.lane, self.name, self.address, self.kind = lane, name, address, kind
        self.buf, self.fd, self.count, self.has_file = b"", None, 0, False
        vif = ", ".join("'mac=00:16:3e:00:00:%02x,bridge=%s,script=/guest/vif-xapi'" % v for v in vifs)
        with open("/run/%s.cfg" % name, "w") as f:
            f.write('name = "%s"\ntype = "%s"\nkernel = "/guest/guest-kernel"\nramdisk = "/guest/guest-initrd"\nmemory = 192\nvcpus = 1\n'
                    'extra = "console=hvc0 quiet mitigations=off cryptomgr.notests addr=%s/24"\nvif = [ %s ]\n'
                    'on_crash = "preserve"\non_reboot = "destroy"\n' % (name, kind, address, vif))

    def create(self):
        self.lane.run("xl", "create", "/run/%s.cfg" % self.name, seconds=120)
        self.lane.guests[self.name] = self
        self.open_console()

    def open_console(self):
        """The pseudo terminal that xenconsoled has for this domain; it stays open, or xenconsoled makes another."""
        self.close_console()
        self.domid = self.lane.run("xl", "domid", self.name).strip()
        key = "/local/domain/%s/console/tty" % self.domid

        def there():
            return subprocess.run(["xenstore-read", key], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.strip()
        self.fd = os.open(self.lane.wait("console of " + self.name, there), os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.fd)
        self.buf = b""

    def close_console(self):
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None

    def line(self, deadline):
        while b"\n" not in self.buf:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                raise Failure("%s is silent; it said last: %s" % (self.name, self.buf[-200:].decode(errors="replace")))
            try:
                self.buf += os.read(self.fd, 65536)
            except OSError:
                raise Failure("the console of %s is gone" % self.name)
        line, self.buf = self.buf.split(b"\n", 1)
        return line.decode(errors="replace").rstrip("\r")

    def up(self, seconds=90):
        """Wait until it has started. Returns what it says of itself."""
        deadline = time.monotonic() + seconds * self.lane.slow
        while True:
            line = self.line(deadline)
            if line.startswith("GUEST-UP"):
                return line[9:]

    def run(self, command, seconds=30, fails=False):
        """The output of a shell command, whose exit status must be 0."""
        self.count += 1
        end = "@%s%d@" % (self.name, self.count)
        text = "{ %s; } </dev/null 2>&1; status=$?; echo; echo \"%s $status\"\n" % (command, end)
        os.write(self.fd, text.encode())
        lines, deadline = [], time.monotonic() + seconds * self.lane.slow
        while True:
            line = self.line(deadline)
            if line.startswith(end):
                status = line.split()[-1]
                break
            lines.append(line)
        said = "\n".join(lines).strip()
        if (status != "0") != fails:
            raise Failure("%s: %s: exit status %s\n%s" % (self.name, command, status, "\n".join(said.splitlines()[-8:])))
        return said

    def vif(self, number=0):
        return "vif%s.%d" % (self.domid, number)

    def destroy(self):
        self.lane.run("xl", "destroy", self.name, seconds=60)
        self.close_console()
        del self.lane.guests[self.name]


# ---- TCP with checksums -----------------------------------------------------------------------------------
class Sink(threading.Thread):
    """Takes one TCP connection and sums what comes; in another network namespace if told."""

    def __init__(self, port, netns=None, seconds=120):
        super().__init__(daemon=True)
        self.port, self.netns, self.seconds = port, netns, seconds
        self.ready, self.sum, self.size, self.error = threading.Event(), "", 0, None
        self.start()
        check(self.ready.wait(30), "no listener")

    def run(self):
        try:
            enter(self.netns)
            with socket.create_server(("", self.port)) as s:
                s.settimeout(self.seconds)
                self.ready.set()
                c, _ = s.accept()
            with c:
                c.settimeout(self.seconds)
                h = hashlib.sha256()
                while data := c.recv(1 << 17):
                    h.update(data)
                    self.size += len(data)
                self.sum = h.hexdigest()
        except OSError as e:
            self.error = e
            self.ready.set()

    def result(self):
        self.join(self.seconds + 30)
        check(not self.error, "receiving on port %d: %s" % (self.port, self.error))
        return "%s %d" % (self.sum, self.size)


def enter(netns):
    """The calling thread, into a network namespace."""
    if netns:
        fd = os.open("/run/netns/" + netns, os.O_RDONLY)
        os.setns(fd, os.CLONE_NEWNET)
        os.close(fd)


def push(address, port, data, netns=None, seconds=120):
    """Sends data by TCP, in a thread of its own where it is from another network namespace."""
    error = []

    def send():
        try:
            enter(netns)
            with socket.create_connection((address, port), timeout=seconds) as s:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                s.recv(1)  # the other end is done when it closes
        except OSError as e:
            error.append(e)
    t = threading.Thread(target=send, daemon=True)
    t.start()
    t.join(seconds + 30)
    check(not t.is_alive() and not error, "sending to %s: %s" % (address, error or "not done after %d s" % seconds))


def digest(data):
    return "%s %d" % (hashlib.sha256(data).hexdigest(), len(data))


def listen(guest, port):
    # Its input must not end before the data have come, or busybox nc ends first.
    guest.run("rm -f /tmp/got; (sleep 1000 | nc -l -p %d > /tmp/got) & sleep 1" % port)


def received(guest):
    """The sum of what has come, once the listener has seen its end."""
    said = guest.run("for i in 1 2 3 4 5 6 7 8 9 10; do pidof nc >/dev/null || break; sleep 0.5; done; mv /tmp/got /tmp/f; "
                     "echo $(sha256sum < /tmp/f | cut -c1-64) $(wc -c < /tmp/f); killall sleep nc 2>/dev/null; true")
    guest.has_file = True
    return said.split("\n")[0]  # the shell may tell that sleep was killed


def transfer(lane, source, target, address, port):
    """The file, by TCP; source and target are guests or "dom0". Returns the seconds; the sums must be equal."""
    if source != "dom0" and not source.has_file:
        transfer(lane, "dom0", source, source.address, 5000)
    want = digest(lane.data)
    if target == "dom0":
        sink = Sink(port, seconds=60 * lane.slow)
    else:
        listen(target, port)
    start = time.monotonic()
    if source == "dom0":
        push(address, port, lane.data, seconds=60 * lane.slow)
    else:
        source.run("nc %s %d < /tmp/f" % (address, port), seconds=60)
    seconds = time.monotonic() - start
    got = sink.result() if target == "dom0" else received(target)
    check(got == want, "sent %s, received %s" % (want, got))
    return seconds


# ---- eyes on a vif ------------------------------------------------------------------------------------------
SOL_PACKET, PACKET_VNET_HDR, PACKET_OUTGOING, SO_TIMESTAMPNS, SO_RCVBUFFORCE = 263, 15, 4, 35, 33
VNET = struct.Struct("<BBHHHH")


def packet_socket(device, vnet):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
    s.setsockopt(*((SOL_PACKET, PACKET_VNET_HDR, 1) if vnet else (socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)))
    s.bind((device, 3))
    return s


class FromGuest(threading.Thread):
    """How the packets look that netback has made of a guest's: PACKET_VNET_HDR tells of the sk_buff what no capture does."""

    def __init__(self, device, limit=300):
        super().__init__(daemon=True)
        self.socket, self.limit, self.stop = packet_socket(device, True), limit, False
        self.packets = self.gso = self.partial = self.paged = self.longest = self.missing = 0
        self.linear = None
        self.start()

    def run(self):
        buf = bytearray(256)
        while not self.stop and self.packets < self.limit:
            if not select.select([self.socket], [], [], 0.5)[0]:
                continue
            size, address = self.socket.recvfrom_into(buf, len(buf), socket.MSG_TRUNC)
            if address[2] == PACKET_OUTGOING:
                continue
            flags, gso, linear, _, _, _ = VNET.unpack_from(buf)
            size -= VNET.size
            self.packets += 1
            self.partial += flags & 1
            self.longest = max(self.longest, size)
            if gso:
                self.gso += 1
                self.paged += linear < size  # hdr_len is skb_headlen() of a GSO packet
                self.linear = linear if self.linear is None else min(self.linear, linear)

    def end(self):
        self.stop = True
        self.join()
        self.socket.close()
        return self


class Outage(threading.Thread):
    """When the echo requests that leave one guest (its vif's input) come to the other's vif (its output), to the millisecond."""

    def __init__(self, source, target):
        super().__init__(daemon=True)
        self.sockets = {packet_socket(source, False): False, packet_socket(target, False): True}
        self.sent, self.came, self.stop = {}, {}, False
        self.start()

    def run(self):
        while not self.stop:
            for s in select.select(list(self.sockets), [], [], 0.5)[0]:
                data, extra, _, address = s.recvmsg(64, 64)
                out = address[2] == PACKET_OUTGOING
                if out != self.sockets[s] or data[12:14] != b"\x08\x00" or data[23] != 1 or data[34] != 8:
                    continue
                seconds, nano = struct.unpack("qq", extra[0][2][:16])
                (self.came if out else self.sent)[data[38:42]] = seconds + nano / 1e9

    def end(self):
        """(requests sent, lost, the longest time in which none came)."""
        self.stop = True
        self.join()
        for s in self.sockets:
            s.close()
        lost = [k for k in self.sent if k not in self.came]
        times = sorted(self.came.values())
        return len(self.sent), len(lost), max((b - a for a, b in zip(times, times[1:])), default=0)
