# SPDX-License-Identifier: GPL-2.0
"""Answers of the stock C module, kept in tests/vectors/netlink, and ours compared with them.

A case makes requests in a fixed order and says each answer under a name; `finish` compares the
lines with the golden file. `tests/system/run --module stock --record` writes the files: CASE.txt
where the stock modules of all kernels agree, else CASE.6.1.txt and so on. Ours is one program for
all kernels and is held to the newest kernel's file. What the C module can and ours not yet is
marked `later`: ours must refuse it with EINVAL. Where the older kernel's module has the newer fix
(stable series get them at different times) the case marks the line `either`.
"""

import os
import sys

from ovsnl import text

LATER = "EINVAL"
NEWEST, OLDEST = "6.12", "6.1"
VECTORS = "/guest/vectors/netlink"


class Golden:
    def __init__(self, name=None):
        self.name = name or os.environ["CASE"]
        self.lines, self.later, self.either, self.ours = [], set(), set(), {}
        self.prefix = ""

    def say(self, label, value):
        label = self.prefix + label
        if any(l == label for l, _ in self.lines):
            raise SystemExit("label used twice: " + label)
        self.lines.append((label, value))

    def reply(self, label, family, r, later=False, star=("USED",)):
        """Record errno and messages of a request. Returns the reply."""
        value = " ; ".join([r.error] + [text(family, m, star) for m in r.messages])
        if later:
            self.later.add(self.prefix + label)
        if r.note:
            print("note", self.prefix + label, r.error, repr(r.note), r.note_offset)
        self.say(label, value)
        return r

    def finish(self):
        with open(os.environ["OUT"] + "/golden.txt", "w") as f:
            for label, value in self.lines:
                f.write("%s\t%s\n" % (label, value))
        sys.exit(1 if self.compare() else 0)

    def compare(self, partly=False):
        """Print what differs; true if anything does. `partly`: lines not said do not count."""
        stock = os.environ["MODULE"] == "stock"
        series = ".".join(os.environ["KERNEL"].split("+")[0].split(".")[:2]) if stock else NEWEST
        base = VECTORS + "/" + self.name
        path = next((p for p in ("%s.%s.txt" % (base, series), base + ".txt") if os.path.exists(p)), None)
        if path is None:
            print("no golden answers for", self.name)
            return not stock
        with open(path) as f:
            want = dict(line.rstrip("\n").split("\t", 1) for line in f)
        oldest = {}
        if self.either and not stock and os.path.exists("%s.%s.txt" % (base, OLDEST)):
            with open("%s.%s.txt" % (base, OLDEST)) as f:
                oldest = dict(line.rstrip("\n").split("\t", 1) for line in f)
        bad = 0
        for label, value in self.lines:
            expect = want.pop(label, "(no such line)")
            if label in self.later and not stock:
                expect = LATER
            if label in self.ours and not stock:
                expect = self.ours[label]  # a deliberate difference
            if label in self.either and value == oldest.get(label):
                continue
            if value != expect:
                bad += 1
                if bad <= int(os.environ.get("SHOW", 40)):
                    print("DIFF %s\n  want %s\n  got  %s" % (label, expect, value))
        if partly:
            want.clear()
        for label in want:
            print("MISSING", label)
        print("%d answers compared, %d differ, %d missing" % (len(self.lines), bad, len(want)))
        return bool(bad or want)
