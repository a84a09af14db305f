# SPDX-License-Identifier: GPL-2.0
"""The host: Xen's daemons, our RPM, Open vSwitch by its start helper, xapi's kind of bridges, two guests; and all of it away again."""

import glob
import os
import re
import subprocess
import time

import agent
from lab import SERVICE, Guest, check

RELEASE = os.uname().release


def modinfo(lane, field):
    return lane.run("modinfo", "-F", field, "openvswitch").strip()


def version():
    """Of the loaded module; the kernel's own has none."""
    path = "/sys/module/openvswitch/version"
    if not os.path.exists(path):
        return ""
    with open(path) as f:
        return f.read().strip()


def install(lane):
    """rpm -U of our module, as the guide has it."""
    rpm, = (p for p in glob.glob("/guest/openvswitch-modules-*.rpm"))
    lane.run("rpm", "-U", rpm, seconds=60)
    check(modinfo(lane, "filename") == "/lib/modules/%s/extra/openvswitch/openvswitch.ko" % RELEASE,
          "depmod does not take ours: " + modinfo(lane, "filename"))
    return rpm


def case_xen(lane):
    """Xen, its daemons, netback"""
    for module in ("xenfs", "xen-evtchn", "xen-gntdev", "xen-gntalloc", "xen-netback"):
        lane.run("modprobe", module)
    lane.run("mount", "-t", "xenfs", "xenfs", "/proc/xen")
    subprocess.run(["xenstored", "--pid-file", "/run/xenstored.pid"], check=True)
    lane.wait("xenstored", lambda: subprocess.run(["xenstore-read", "-s", "/"], stderr=subprocess.DEVNULL,
                                                  stdout=subprocess.DEVNULL).returncode == 0)
    lane.run("xen-init-dom0")
    subprocess.run(["xenconsoled", "--pid-file=/run/xenconsoled.pid"], check=True)
    info = dict(re.findall(r"^(\w+)\s*: (.*)$", lane.run("xl", "info"), re.M))
    lane.run("rpm", "--initdb")
    lane.run("rpm", "-U", "/guest/stand-in.rpm") if lane.ours else None
    return "Xen %s.%s%s under emulation, dom0 %s, %s" % (info["xen_major"], info["xen_minor"], info["xen_extra"], RELEASE,
                                                          info["virt_caps"])


def case_install(lane):
    """rpm -U of our module into this dom0: depmod takes it before the kernel's own"""
    check("kernel/net/openvswitch" in modinfo(lane, "filename"), "there is another module: " + modinfo(lane, "filename"))
    if not lane.ours:
        return "nothing to install: the kernel's own module, on request"
    rpm = install(lane)
    check(not agent.loaded(), "the RPM has loaded a module")
    return "%s: %s %s" % (os.path.basename(rpm), modinfo(lane, "description"), modinfo(lane, "version"))


def uptime():
    with open("/proc/uptime") as f:
        return float(f.read().split()[0])


def case_start(lane):
    """openvswitch-service start; bridges as xapi makes them"""
    while uptime() < 11:  # before it is up for 10 s, ovs-vswitchd counts no CPUs
        time.sleep(0.5)
    lane.run(SERVICE, "start", seconds=60)
    check(version() == (modinfo(lane, "version") if lane.ours else ""), "loaded is version '%s'" % version())
    ids = "external-ids:xs-network-uuids=abababab-0000-4000-8000-00000000000"
    lane.vsctl("--may-exist", "add-br", "xenbr0", "--", "set", "Bridge", "xenbr0", "fail_mode=standalone", ids + "1",
               "other-config:hwaddr=00:16:3e:00:00:01")
    lane.vsctl("--may-exist", "add-br", "xapi5", "xenbr0", "5", "--", "br-set-external-id", "xapi5", "xs-network-uuids",
               "abababab-0000-4000-8000-000000000005")
    lane.vsctl("--may-exist", "add-br", "xapi7", "--", "set", "Bridge", "xapi7", ids + "7")
    # An emulated host is slow; what a case looks for in the datapath must still be there. (xapi sets 5000.)
    lane.vsctl("set", "Open_vSwitch", ".", "other_config:max-idle=60000")
    for device, address in (("xenbr0", "10.0.0.1/24"), ("xapi5", "10.5.0.1/24"), ("xapi7", "10.7.0.1/24")):
        lane.run("ip", "addr", "add", address, "dev", device)
        lane.run("ip", "link", "set", device, "up")
    said = lane.run(SERVICE, "status")
    check("ovs-vswitchd is running" in said and "ovs-xapi-sync is running" in said, said)
    return "%s, Open vSwitch %s" % ("ours, version " + version() if lane.ours else "the C module", lane.vsctl("get", "Open_vSwitch", ".", "ovs_version"))


def case_guests(lane):
    """two PV guests, two vifs each, put onto their bridges by our vif script"""
    start = time.monotonic()
    g1 = Guest(lane, "g1", "10.0.0.11", [(0x11, "xenbr0"), (0x21, "xenbr0")])
    g2 = Guest(lane, "g2", "10.0.0.12", [(0x12, "xenbr0"), (0x22, "xapi5")])
    for g in (g1, g2):  # one after the other: a host of one slow CPU
        g.create()
        g.kernel = g.up(120)
        for n in (0, 1):
            lane.wait(g.vif(n) + " is up", lambda: up(g.vif(n)))
    check(lane.bridge_of(g1.vif(1)) == "xenbr0" and lane.bridge_of(g2.vif(1)) == "xapi5", "the vifs are on other bridges")
    ids = lane.vsctl("get", "Interface", g1.vif(), "external_ids")
    check('attached-mac="00:16:3e:00:00:11"' in ids and "xs-vm-uuid=" in ids and "xs-vif-uuid=" in ids, "external_ids: " + ids)
    g1.run("ip link set eth1 up")
    g2.run("ip link set eth1 up")
    return "%s; up %.0f s after the first xl create" % (g1.kernel, time.monotonic() - start)


def up(device):
    try:
        with open("/sys/class/net/%s/operstate" % device) as f:
            return f.read().strip() == "up"
    except OSError:
        return False


def case_remove(lane):
    """everything stopped, the datapath and the module away, nothing left of either"""
    for g in list(lane.guests.values()):
        g.destroy()
    lane.run(SERVICE, "stop", seconds=60)
    agent.remove_datapaths()
    gone = agent.unload()
    check(gone is None, gone)
    if lane.ours:
        name, = (n for n in lane.run("rpm", "-qa").split() if n.startswith("openvswitch-modules"))
        lane.run("rpm", "-e", name)
        check("kernel/net/openvswitch" in modinfo(lane, "filename"), "after rpm -e it is " + modinfo(lane, "filename"))
        check(not os.path.exists("/lib/modules/%s/extra" % RELEASE), "rpm -e leaves /lib/modules/%s/extra" % RELEASE)
        return "rmmod, no object left in its slabs; after rpm -e the kernel's own module has its place again"
    return "rmmod, no object left in its slabs"


FIRST = [case_xen, case_install, case_start, case_guests]
LAST = [case_remove]
