# SPDX-License-Identifier: GPL-2.0
"""Results of the suites: kept test by test, so that a run can go on where it was stopped, and compared with the C module's."""

import json
import os

# Verdicts on a test.
SAME, BETTER, WORSE, NEITHER, SKIPPED, UNKNOWN = "same", "better", "WORSE", "neither", "skipped", "not compared"
PASSES = "passes"  # ours; the C module, whose result could not make ours worse, was not asked


class Results:
    """The results of one suite on one kernel with one module, a file with a line of JSON for each attempt.

    `identity` says what was run (versions, the module's hash); a file of something else is put aside, as is the whole of one
    from which the tests `again` are forgotten.
    """

    def __init__(self, path, identity, again=()):
        self.path, self.attempts, kept = path, {}, []
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.exists(path):
            with open(path, "r+") as f:
                text = f.read()
                whole = text[:text.rfind("\n") + 1]  # a run that is killed may leave half a line
                f.truncate(len(whole.encode()))
                lines = [json.loads(line) for line in whole.splitlines()]
            same = lines[:1] == [{"identity": identity}]
            kept = [entry for entry in lines[1:] if same and entry["test"] not in again]
            if not same or len(kept) < len(lines) - 1:
                os.replace(path, path + ".old")
        if not os.path.exists(path):
            with open(path, "w") as f:
                f.writelines(json.dumps(line) + "\n" for line in [{"identity": identity}, *kept])
        for entry in kept:
            tries = self.attempts.setdefault(entry["test"], [])
            if entry.pop("instead", False) and tries:
                tries.pop()
            tries.append(entry)

    def add(self, entry):
        self.attempts.setdefault(entry["test"], []).append(entry)
        with open(self.path, "a") as f:
            f.write(json.dumps(entry) + "\n")

    def amend(self, test, complaints):
        """Add complaints to the last attempt of a test: what shows only after it."""
        entry = dict(self.attempts[test][-1])
        entry["kernel"] = entry.get("kernel", []) + complaints
        self.attempts[test][-1] = entry
        with open(self.path, "a") as f:
            f.write(json.dumps(dict(entry, instead=True)) + "\n")

    def needs(self, test):
        """Whether the test is to be run (again): never was, or failed once."""
        tries = self.attempts.get(test, [])
        return not tries or (len(tries) == 1 and failed(tries[0]))

    def outcome(self, test):
        return Outcome(self.attempts.get(test, []))


def failed(entry):
    return not entry["result"].startswith(("ok", "skipped", "expected failure"))


class Outcome:
    """What is to be said of a test after all attempts: the last one's result, and every complaint of the kernel's."""

    def __init__(self, attempts):
        self.attempts = attempts
        self.result = attempts[-1]["result"] if attempts else ""
        self.seconds = attempts[-1]["secs"] if attempts else 0
        self.kernel = [line for a in attempts for line in a.get("kernel", [])]
        self.flaky = len(attempts) > 1 and failed(attempts[0]) and not failed(attempts[-1])

    @property
    def kind(self):
        """"ok", "skipped", "failed" or, if it was not run, ""."""
        if not self.result:
            return ""
        if self.result.startswith("skipped"):
            return "skipped"
        return "ok" if not failed(self.attempts[-1]) else "failed"

    def short(self):
        if not self.result:
            return "-"
        text = self.kind if self.kind != "failed" else "FAILED"
        return text + (" (2nd try)" if self.flaky else "") + (" +log" if self.kernel else "")


def verdict(stock, ours):
    """How ours compares with the C module on one test.

    A complaint of the kernel is never excused in ours, and never held against ours where only the C module caused it.
    """
    if ours.kind == "":
        return UNKNOWN
    if ours.kernel:
        return WORSE
    if stock.kind == "":
        return PASSES if ours.kind == "ok" else UNKNOWN
    if stock.kind == ours.kind:
        return {"ok": SAME, "skipped": SKIPPED, "failed": NEITHER}[ours.kind]
    if stock.kind == "ok":
        return WORSE
    if ours.kind == "ok":
        return BETTER
    # One skipped, the other failed: a failure of ours where the C module's run could not tell.
    return WORSE if ours.kind == "failed" else SKIPPED


def number(test):
    return (0, int(test), "") if test.isdigit() else (1, 0, test)


def compare(tests, stock, ours, reason=lambda result: ""):
    """(lines of the table, {verdict: [test]}) of two Results, for the tests of `tests` ({id: title}) that either ran."""
    lines, by = [], {}
    for test in sorted(tests, key=number):
        a, b = stock.outcome(test), ours.outcome(test)
        if not a.kind and not b.kind:
            continue
        v = verdict(a, b)
        by.setdefault(v, []).append(test)
        lines.append("%-18s %-16s %-16s %-12s %6s %6s  %s%s" % (
            test, a.short(), b.short(), v, "%.0f" % a.seconds if a.kind else "-", "%.0f" % b.seconds if b.kind else "-",
            tests[test], why(a, b, v, reason)))
    return lines, by


def why(stock, ours, v, reason):
    """What explains a verdict, after the title."""
    told = []
    if ours.kernel:
        told.append("kernel: " + ours.kernel[0])
    if v in (WORSE, BETTER, NEITHER, SKIPPED):
        for side in (ours, stock) if v == WORSE else (stock, ours):
            if side.kind in ("failed", "skipped"):
                told.append(" ".join((side.result, reason(side.result))).strip())
                break
    return "".join("  [%s]" % t for t in told)


HEAD = "%-18s %-16s %-16s %-12s %6s %6s  %s" % ("test", "C module", "ours", "verdict", "C s", "our s", "title")


def alone(tests, results, reason=lambda result: ""):
    """(lines, {kind: [test]}) where only one module ran."""
    lines, by = [], {}
    for test in sorted(tests, key=number):
        o = results.outcome(test)
        if not o.kind:
            continue
        by.setdefault(o.kind, []).append(test)
        told = " ".join((o.result, reason(o.result))).strip() if o.kind != "ok" else ""
        told = "  [%s]" % told if told else ""
        lines.append("%-18s %-16s %6.0f  %s%s%s" % (
            test, o.short(), o.seconds, tests[test], told, "  [kernel: %s]" % o.kernel[0] if o.kernel else ""))
    return lines, by


def strict(tests, results):
    """([test that passed], {test: why it did not}) where every test must pass: skipped is as bad as failed."""
    good, bad = [], {}
    for test in sorted(tests, key=number):
        o = results.outcome(test)
        if o.kernel:
            bad[test] = "kernel: " + o.kernel[0]
        elif o.kind != "ok":
            bad[test] = o.result or "not run"
        else:
            good.append(test)
    return good, bad


def summary(by):
    order = [SAME, PASSES, BETTER, WORSE, NEITHER, SKIPPED, UNKNOWN, "ok", "failed"]
    return ", ".join("%d %s" % (len(by[k]), k) for k in order if by.get(k)) or "nothing was run"
