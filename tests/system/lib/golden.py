# SPDX-License-Identifier: GPL-2.0
"""Answers of the stock C module, kept in tests/vectors/netlink, and ours compared with them.

A case makes requests in a fixed order and says each answer under a name; `finish` compares the
lines with what the C module said, by these rules:

A kernel that the vectors were recorded on (each file begins with the packages): ours is one program
for all kernels and is held to the newest recorded one's file.

Any other kernel: its own C module is asked first, in the same VM. A line that it says is held to
that, or on a kernel older than the newest recorded one also to the newest file, which the same
program must match there. A line that it does not say, perhaps because it cannot run the case to the
end, is held to the newest file.

The case marks what it knows better: `later` (the C module can it and ours not yet: must be refused
with EINVAL), `ours` (a deliberate difference, with its value), `either` (stable series got a fix at
different times: what any recorded kernel says will do).

`tests/system/run --module stock --record` writes the files: CASE.txt where the stock modules of all
recorded kernels agree, else CASE.6.1.txt and so on.
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
        self.asking = os.environ.get("ASKING") if self.name == os.environ.get("CASE") else None

    def say(self, label, value):
        label = self.prefix + label
        if any(l == label for l, _ in self.lines):
            raise SystemExit("label used twice: " + label)
        self.lines.append((label, value))
        if self.asking:  # at once: what was said counts even if the case ends here
            with open(self.asking, "a") as f:
                f.write("%s\t%s\n" % (label, value))

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
        if self.asking:
            return False
        stock, said = os.environ["MODULE"] == "stock", dict(self.lines)
        newest, oldest = recorded(self.name, NEWEST), recorded(self.name, OLDEST)
        if stock:
            name = os.environ.get("RECORDED")
            if not name:
                print("%d answers; none are recorded of this kernel" % len(said))
                return False
            newest = recorded(self.name, name)
        own = {} if stock else asked()
        if not newest and not own:
            print("no golden answers for", self.name)
            return not stock
        whole = bool(own) and "ASKED_IN_PART" not in os.environ

        def accepted(label):
            """The values that will do; None: the line may be missing."""
            if not stock and label in self.ours:
                return [self.ours[label]]
            if not stock and label in self.later:
                return [LATER]
            values = [own[label]] if label in own else [newest.get(label)] + [None] * whole
            if label in own and (label in self.either or "OLDER" in os.environ):
                values.append(newest.get(label))
            if label in self.either:
                values.append(oldest.get(label))
            return values

        labels = list(dict.fromkeys([*said, *newest, *own]))
        differ = [l for l in labels if not (partly and l not in said) and said.get(l) not in accepted(l)]
        for label in differ[:int(os.environ.get("SHOW", 40))]:
            if label not in said:
                print("MISSING", label)
                continue
            for value in dict.fromkeys(accepted(label)):
                print("DIFF %s\n  want %s" % (label, "(no such line)" if value is None else value))
            print("  got  %s" % said[label])
        print("%d answers compared, %d differ or are missing%s" % (len(said), len(differ), (
            "; held to this kernel's C module%s" % ("" if whole else ", which did not get to the end")) if own else ""))
        return bool(differ)


def recorded(case, kernel):
    """{label: value} of the stock module of one of the recorded kernels."""
    for path in ("%s/%s.%s.txt" % (VECTORS, case, kernel), "%s/%s.txt" % (VECTORS, case)):
        if os.path.exists(path):
            return read(path)
    return {}


def asked():
    """{label: value} of the stock module of this very kernel, if it was asked."""
    return read(os.environ["ASKED"]) if "ASKED" in os.environ else {}


def read(path):
    with open(path) as f:
        return dict(line.rstrip("\n").split("\t", 1) for line in f if not line.startswith("# "))
