#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The netlink cases of tests/system against the switch in userspace: seconds instead of a virtual machine.

usage: run.py SWITCH CASE...

SWITCH is the program made from userspace-shim/examples/stdio.rs. Each case runs as it is; only the socket under it, and a few `ip link`
commands, lead to that program. Where a case needs more of a kernel than that, it ends, and what it has said until then counts.
Answers are compared with tests/vectors/netlink: the stock module's.
"""

import os
import runpy
import shutil
import socket
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SYSTEM = os.path.join(HERE, "../system")
sys.path.insert(0, SYSTEM + "/lib")
import golden  # noqa: E402
import ovsnl  # noqa: E402

FAMILIES = {"ovs_datapath": 0x20, "ovs_vport": 0x21, "ovs_flow": 0x22, "ovs_packet": 0x23, "ovs_meter": 0x24,
            "ovs_ct_limit": 0x25}


class Switch:
    def __init__(self, program):
        self.p = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.sockets, self.last_port = {}, 9000

    def tell(self, *words):
        self.p.stdin.write(" ".join(map(str, words)) + "\n")
        self.p.stdin.flush()
        self.answer = ""
        while line := self.p.stdout.readline().strip():
            port, message = line.split()
            if port == "0":
                self.answer = bytes.fromhex(message).decode()
            elif int(port) in self.sockets:
                self.sockets[int(port)].queue.append(bytes.fromhex(message))
        if self.p.poll() is not None:
            raise SystemExit("the switch died")


class Socket:
    def __init__(self, *_):
        self.queue = []

    def bind(self, address):
        switch.last_port += 1
        self.port = address[0] or switch.last_port
        switch.sockets[self.port] = self
        switch.tell("bind", self.port)

    def getsockname(self):
        return self.port, 0

    def setsockopt(self, level, option, value):
        if option == ovsnl.NETLINK_ADD_MEMBERSHIP:
            switch.tell("join", self.port, value)

    def settimeout(self, _):
        pass

    def close(self):
        switch.sockets.pop(self.port, None)

    def send(self, message):
        _, kind, _, seq, port = struct.unpack_from("=IHHII", message)
        if kind == ovsnl.GENL_ID_CTRL:
            self.family(message[20:], seq, port)
        else:
            switch.tell("send", self.port, message.hex())

    def family(self, attrs, seq, port):
        name = ovsnl.first(ovsnl.parse(attrs), 2)
        number = FAMILIES[name.rstrip(b"\0").decode()]
        group = ovsnl.nest(1, ovsnl.attr(1, name), ovsnl.attr(2, ovsnl.u32(number)))
        body = b"\1\2\0\0" + ovsnl.attr(1, ovsnl.u16(number)) + ovsnl.attr(2, name)
        body += ovsnl.attr(3, ovsnl.u32(0)) + ovsnl.attr(4, ovsnl.u32(4)) + ovsnl.nest(7, group)
        for kind, body in ((ovsnl.GENL_ID_CTRL, body), (ovsnl.NLMSG_ERROR, ovsnl.u32(0) + b"\0" * 16)):
            self.queue.append(struct.pack("=IHHII", 16 + len(body), kind, 0, seq, port) + body)

    def recv(self, _):
        if not self.queue:
            raise socket.timeout()
        return self.queue.pop(0)


class SocketModule:
    """What ovsnl takes from `socket`."""

    AF_NETLINK = SOCK_RAW = SOL_SOCKET = SO_RCVBUF = 0
    AF_INET, AF_INET6, timeout = socket.AF_INET, socket.AF_INET6, socket.timeout
    inet_pton = staticmethod(socket.inet_pton)
    socket = Socket


class NeedsKernel(Exception):
    pass


def run(command, **_):
    """The `ip` commands that a switch without a kernel can follow."""
    command, done = list(command), subprocess.CompletedProcess(command, 0)
    if command[:3] == ["ip", "link", "add"] and "dummy" in command:
        switch.tell("device", command[3], command[command.index("index") + 1])
    elif command[:3] == ["ip", "link", "set"] and command[4] == "name":
        switch.tell("rename", command[3], command[5])
    elif command[:3] == ["ip", "link", "delete"] and "d3" in command:
        switch.tell("remove", command[3])
    elif command == ["ip", "-o", "link"]:
        switch.tell("devices")
        done.stdout = "".join("0: %s: \n" % name for name in switch.answer.split())
    else:
        raise NeedsKernel(" ".join(command))
    return done


class Golden(golden.Golden):
    def __init__(self, *args):
        super().__init__(*args)
        Golden.last = self

    def say(self, label, value):
        if not label.startswith("family "):  # what generic netlink tells of a family
            super().say(label, value)


def chmod(path, _):
    raise NeedsKernel("chmod " + path)


failed = False
ovsnl.socket = SocketModule
golden.VECTORS = os.path.join(HERE, "../vectors/netlink")
os.environ.update(MODULE="ours", KERNEL=golden.NEWEST, RECORDED=golden.NEWEST, OUT=tempfile.mkdtemp())
golden.Golden, os.chmod, real = Golden, chmod, subprocess.run
for case in sys.argv[2:]:
    switch = Switch(sys.argv[1])
    os.environ["CASE"] = case
    subprocess.run = run
    try:
        print(case + ": ", end="", flush=True)
        runpy.run_path("%s/cases/%s.py" % (SYSTEM, case))
    except SystemExit as e:
        failed = failed or bool(e.code)
    except NeedsKernel:
        failed = Golden.last.compare(partly=True) or failed
    subprocess.run = real
shutil.rmtree(os.environ["OUT"])
sys.exit(failed)
