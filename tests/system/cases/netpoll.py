# SPDX-License-Identifier: GPL-2.0
# title: netconsole on an internal port: what is logged in a thread goes out, what is logged in an interrupt is dropped (W14)
# module: ours
import os
import subprocess
import sys
import time

from ovsnl import *
from wire import *

# netpoll sends from any context. An interrupt may have stopped this CPU in the middle of the switch, and the devices
# behind its ports cannot be sent to in one: the stock module goes on, and the kernel warns (__local_bh_enable_ip).
HOGGED = "RT throttling activated"  # printk_deferred(): the console is written to in an interrupt


def log():
    return subprocess.run(["dmesg"], stdout=subprocess.PIPE, text=True).stdout


def hog(seconds):
    """A thread that the scheduler must stop, and says so."""
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


veth("p1", "q1")
s = Sock()
dp = s.new_dp("dp0", 1000)
s.new_port(dp, "p1", 1)
with open("/proc/sys/net/ipv6/conf/dp0/disable_ipv6", "w") as f:
    f.write("1")
subprocess.run(["ip", "addr", "add", "10.0.0.1/24", "dev", "dp0"], check=True)
subprocess.run(["ip", "link", "set", "dp0", "up"], check=True)
key = [k_port(0), k_eth(), k_type(0x800), k_ipv4(), k_udp()]
r = s.new_flow(dp, key, [a_output(1)], [k_port(0xffffffff), k_type(0xffff)])
if r.errno:
    sys.exit("flow: %s" % r.error)
wire = Wire("q1")
with open("/proc/sys/kernel/printk", "w") as f:
    f.write("8")
subprocess.run(["modprobe", "netconsole", "netconsole=4444@10.0.0.1/dp0,5555@10.0.0.2/02:00:00:00:00:02"], check=True)
time.sleep(0.5)
wire.drain(0.2)

with open("/dev/kmsg", "w") as f:
    f.write("<4>logged in a thread\n")
if not any(b"logged in a thread" in frame for frame, _ in wire.drain(0.5)):
    sys.exit("what a thread logs does not leave the switch")
hog(2)
time.sleep(0.2)
logged, sent = HOGGED in log(), any(HOGGED.encode() in frame for frame, _ in wire.drain(0.3))
with open("/sys/class/net/dp0/statistics/tx_dropped") as f:
    dropped = int(f.read())
print("an interrupt has logged: %s; that left the switch: %s; dropped: %d" % (logged, sent, dropped))
if logged and not sent and not dropped:
    sys.exit("what is dropped is not counted")
subprocess.run(["rmmod", "netconsole"], check=True)
s.dp(DEL, dp)
