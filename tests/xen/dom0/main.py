# SPDX-License-Identifier: GPL-2.0
"""Runs the cases in dom0, one after the other, and looks at its kernel's log after each.

Talks lines of JSON with the build machine, as tests/system/guest/agent.py does, whose judgement of a log this is: it is sent
{"module", "cases", "slow"} and answers {"begin"}, {"say"}, {"end", "ok", "why", "seconds"} for each case, {"file"} and {"done"}.
"""

import base64
import glob
import os
import re
import sys
import time
import traceback

import agent
import lab
import host
import life
import reload
import traffic
import tunnels

CASES = host.FIRST + traffic.CASES + tunnels.CASES + reload.CASES + life.CASES + host.LAST
# Without these no other case has anything to work with.
ALWAYS = {"xen", "install", "start", "guests"}
# The C module of 6.12 writes a tunnel key's options in a way that its own FORTIFY_SOURCE complains of.
STOCK_ALLOWED = re.compile(r"field-spanning write.*(net/openvswitch|ip_tunnels)")


def name_of(case):
    return case.__name__.removeprefix("case_")


class Log:
    """What the kernel has said since it was last asked, if it is a complaint."""

    def __init__(self, allowed):
        self.seen, self.allowed = 0, allowed

    def complaints(self):
        lines = agent.dmesg()
        new, self.seen = lines[self.seen:], len(lines)
        return [line for line in new if agent.BAD.search(line) and not agent.HARMLESS.search(line)
                and not (self.allowed and self.allowed.search(line))]


def judge(case, lane, log, send):
    """Run one case. Returns whether the next ones have something to work with."""
    send(begin=name_of(case), title=case.__doc__)
    start, why, facts = time.monotonic(), [], None
    try:
        facts = case(lane)
    except lab.Failure as e:
        why.append(str(e))
    except Exception:
        why.append(traceback.format_exc())
    complaints = log.complaints()
    if complaints:
        why.append("dom0's kernel log: " + complaints[0])
    send(end=name_of(case), ok=not why, why="\n".join(why), facts=facts or "",
         uptime=round(host.uptime(), 1), seconds=round(time.monotonic() - start, 1))
    return not why or name_of(case) not in ALWAYS


def main():
    port = agent.Port((glob.glob("/dev/vport*p1") or ["/dev/vport0p1"])[0])
    port.send(hello=os.uname().release)
    config = port.recv()
    lane = lab.Lane(config["module"], config["slow"], lambda text: port.send(say=text))
    log = Log(STOCK_ALLOWED if lane.module == "stock" else None)
    wanted = set(config["cases"]) | ALWAYS
    for case in CASES:
        if (not config["cases"] or name_of(case) in wanted) and not judge(case, lane, log, port.send):
            break
    for path in glob.glob("/var/log/openvswitch/*.log") + glob.glob("/var/log/xen/*.log"):
        with open(path, "rb") as f:
            port.send(file=os.path.basename(path), data=base64.b64encode(f.read()[-1 << 20:]).decode())
    text = agent.quiet("dmesg").stdout + agent.quiet("xl", "dmesg").stdout
    port.send(file="dmesg", data=base64.b64encode(text.encode()).decode())
    port.send(done=True)


if __name__ == "__main__":
    sys.exit(main())
