#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Charts of what `tests/bench/run` has measured, as SVG.

    tests/bench/charts.py FIGURES.json DIRECTORY

Cost over the number of masks, both axes logarithmic, one line for each module and place. A chart has its own background, light or
dark as the reader's system is, so that it can be read on any page. `write` takes the figures and says what it has written:

    {"kernel": "6.1", "date": "2026-11-27", "masks": {MODULE: {"turn": [[N, {"module": X, "all": Y}], …], …}}}
"""

import json
import math
import os
import sys
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 92, 196, 58, 52
MODULES = {"ours": "Rust", "stock": "C"}
PLACES = {"module": "in the module", "all": "whole kernel"}
CHARTS = {"turn": "Instructions a packet, where each mask gets as many", "random": "Instructions a packet, where most match the shortest masks",
          "install": "Instructions to install a flow with a mask of its own"}
STYLE = """
text { font: 13px sans-serif; fill: #24292f } .title { font-size: 16px; font-weight: bold } .small { font-size: 11px; fill: #57606a }
.paper { fill: #ffffff; stroke: #d0d7de } .grid { stroke: #d8dee4 } .line { fill: none; stroke-width: 2.5 }
.all { stroke-dasharray: 6 4 } .ours { stroke: #b7410e } .stock { stroke: #2f6fb0 } circle.ours { fill: #b7410e } circle.stock { fill: #2f6fb0 }
text.ours { fill: #b7410e; stroke: none } text.stock { fill: #2f6fb0; stroke: none }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .small { fill: #9aa4ae } .paper { fill: #0d1117; stroke: #30363d } .grid { stroke: #30363d }
.ours { stroke: #f0883e } .stock { stroke: #79b8ff } circle.ours { fill: #f0883e } circle.stock { fill: #79b8ff }
text.ours { fill: #f0883e } text.stock { fill: #79b8ff } }
"""


class Axis:
    """A logarithmic scale from the decade (or power of two) below the least value to the one above the greatest."""

    def __init__(self, values, start, end, base):
        low = math.floor(math.log(min(values), base) + 1e-9)
        high = max(math.ceil(math.log(max(values), base) - 1e-9), low + 1)
        self.low, self.high, self.start, self.end, self.base = low, high, start, end, base

    def at(self, value):
        return self.start + (math.log(value, self.base) - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self):
        return [self.base ** n for n in range(self.low, self.high + 1)]


def lines(figures, what):
    """What there is to draw: (module, place, [(masks, instructions)]). Figures that cannot be right are refused."""
    out = []
    for module, by in figures["masks"].items():
        if module not in MODULES:
            raise ValueError("no such module: %s" % module)
        for place in PLACES:
            points = [(n, cost[place]) for n, cost in by.get(what, ())]
            for n, cost in points:
                if not (isinstance(n, int) and n > 0 and math.isfinite(cost) and cost > 0):
                    raise ValueError("%s, %s, %s: %r instructions with %r masks" % (what, module, place, cost, n))
            if [n for n, _ in points] != sorted({n for n, _ in points}):
                raise ValueError("%s, %s: masks do not grow" % (what, module))
            if points:
                out.append((module, place, points))
        for n, cost in by.get(what, ()):
            if cost["module"] > cost["all"]:
                raise ValueError("%s, %s: the module's part of %d masks is more than the whole" % (what, module, n))
    return out


def plural(n):
    return "1 mask" if n == 1 else "%s masks" % format(n, ",")


def apart(wanted, least):
    """These positions, moved so far that there is `least` between neighbours."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    out = list(wanted)
    for before, i in zip(order, order[1:]):
        out[i] = max(out[i], out[before] + least)
    return out


def chart(figures, what):
    """The SVG text, or None where there is nothing to draw."""
    drawn = lines(figures, what)
    if not drawn:
        return None
    x = Axis([n for _, _, points in drawn for n, _ in points], LEFT, WIDTH - RIGHT, 2)
    y = Axis([cost for _, _, points in drawn for _, cost in points], HEIGHT - BOTTOM, TOP, 10)
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">' % (WIDTH, HEIGHT, WIDTH, HEIGHT),
           "<title>%s</title>" % escape(CHARTS[what]), "<style>%s</style>" % STYLE,
           '<rect class="paper" x="0.5" y="0.5" width="%d" height="%d" rx="6"/>' % (WIDTH - 1, HEIGHT - 1),
           '<text class="title" x="%d" y="26">%s</text>' % (20, escape(CHARTS[what])),
           '<text class="small" x="%d" y="44">Linux %s, %s; both scales are logarithmic</text>' % (20, escape(figures["kernel"]), escape(figures["date"]))]
    for tick in y.ticks():
        out.append('<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text x="%d" y="%.1f" text-anchor="end">%s</text>' % (
            LEFT, WIDTH - RIGHT, y.at(tick), y.at(tick), LEFT - 8, y.at(tick) + 4, format(tick, ",")))
    for tick in x.ticks()[::max(1, (x.high - x.low) // 7)]:
        out.append('<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/><text class="small" x="%.1f" y="%d" text-anchor="middle">%s</text>' % (
            x.at(tick), x.at(tick), TOP, HEIGHT - BOTTOM, x.at(tick), HEIGHT - BOTTOM + 18, format(tick, ",")))
    out.append('<text class="small" x="%.1f" y="%d" text-anchor="middle">masks</text>' % ((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14))
    labels = apart([y.at(points[-1][1]) for _, _, points in drawn], 30)
    for (module, place, points), label in zip(drawn, labels):
        path = " ".join("%.1f,%.1f" % (x.at(n), y.at(cost)) for n, cost in points)
        out.append('<polyline class="line %s %s" points="%s"/>' % (module, place, path))
        for n, cost in points:
            out.append('<circle class="%s" cx="%.1f" cy="%.1f" r="3.5"><title>%s, %s, %s: %s</title></circle>' % (
                module, x.at(n), y.at(cost), MODULES[module], PLACES[place], plural(n), format(round(cost), ",")))
        out.append('<text class="%s" x="%d" y="%.1f">%s, %s:</text><text class="%s" x="%d" y="%.1f">%s with %s</text>' % (
            module, WIDTH - RIGHT + 12, label - 2, MODULES[module], PLACES[place], module, WIDTH - RIGHT + 12, label + 12,
            format(round(points[-1][1]), ","), plural(points[-1][0])))
    return "\n".join(out + ["</svg>", ""])


def write(figures, directory):
    """The figures and their charts, as files in this directory, if there is anything to draw; their names."""
    drawn = {"bench-%s-%s.svg" % (what, figures["kernel"]): chart(figures, what) for what in CHARTS}
    texts = {name: text for name, text in drawn.items() if text}
    if not texts:
        return []
    texts["bench-%s.json" % figures["kernel"]] = json.dumps(figures, indent=1) + "\n"
    os.makedirs(directory, exist_ok=True)
    for name, text in texts.items():
        with open(os.path.join(directory, name), "w") as f:
            f.write(text)
    return [os.path.join(directory, name) for name in texts]


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1]) as source:
        print("\n".join(write(json.load(source), sys.argv[2])))
