"""The benchmark's fourth part: what it costs to move a guest to another machine, here to the same one. One CPU, on which an instruction is a
nanosecond. Most figures are from the hypervisor's record, which has each write that faults and its cost."""
import os
import re

import system

DEBIAN_MEMORY = 384 * 2**20
# A write that takes more has split a page of 2 MiB.
SPLIT = 1000
# What an exit takes that isn't in its record.
EXIT = 135


def rows():
    """(name, what, goal, form)"""
    return [
        ("fault_4k", "first write to a clean frame of 4 KiB, the median", 300, "{:,.0f}"),
        ("fault_2m", "first write into a clean page of 2 MiB, the median", 4000, "{:,.0f}"),
        ("again", "pages of 2 MiB that it writes to as it moves again", None, "{:,.0f}"),
        ("faults", "such writes of a migration", None, "{:,.0f}"),
        ("share", "their part of the migration, %", 1, "{:,.2f}"),
        ("whole", "migration of 160 MiB, 8 MiB rewritten, millions", 2000, "{:,.0f}"),
        ("most", "most frames of a round, for 2,048 rewritten", 1.15 * 2048 + 300, "{:,.0f}"),
        ("last", "frames of the last round", None, "{:,.0f}"),
        ("downtime", "suspended until loaded again, millions", 50, "{:,.1f}"),
        ("away", "suspended until it goes on, millions", None, "{:,.1f}"),
        ("lost", "records that were lost meanwhile", 0, "{:,.0f}"),
        ("file", "Debian's file, as part of its memory", 0.3, "{:,.2f}"),
        ("types_holes", "types of 1024 frames: holes", 40000, "{:,.0f}"),
        ("types_used", "types of 1024 frames: in use", 80000, "{:,.0f}"),
        ("types_zero", "types of 1024 frames: of zeros", 800000, "{:,.0f}"),
        ("clean", "a round's bitmap of 1,044,480 frames", 600000, "{:,.0f}"),
    ]


def median(faults):
    """Of {cost: times}; None if there are none."""
    half = sum(faults.values()) / 2
    for cost in sorted(faults):
        half -= faults[cost]
        if half <= 0:
            return cost
    return None


def digest(text):
    """The figures in what migrate.sh printed."""
    said = {name: float(value) for name, value in re.findall(r"^MIGRATE (\w+) ([0-9.]+)\r?$", text, re.M)}
    faults = {int(cost): int(times) for cost, times in re.findall(r"^FAULT (\d+) (\d+)\r?$", text, re.M)}
    again = sum(int(times) for cost, times in re.findall(r"^AGAIN (\d+) (\d+)\r?$", text, re.M) if int(cost) >= SPLIT)
    rounds = [int(frames) for frames in re.findall(r"^ROUND (\d+)\r?$", text, re.M)]
    found = {name: said[name] for name in said if name.startswith(("types_", "clean"))}
    if "file" in said:
        found["file"] = said["file"] / DEBIAN_MEMORY
    if "whole" in said:
        found["whole"] = said["whole"] / 1e6
    if not faults or len(rounds) < 2 or "loaded" not in said:
        return found
    # Without any, the figure is missing: a move cost the guest its large pages.
    found["again"] = again or None
    found["lost"] = said["lost"]
    found["faults"] = sum(faults.values())
    found["share"] = 100 * sum((cost + EXIT) * times for cost, times in faults.items()) / said["whole"]
    found["fault_4k"] = median({cost: times for cost, times in faults.items() if cost < SPLIT})
    found["fault_2m"] = median({cost: times for cost, times in faults.items() if cost >= SPLIT})
    found["most"], found["last"] = max(rounds), rounds[-1]
    found["downtime"] = 1e3 * (said["loaded"] - said["suspended"])
    found["away"] = 1e3 * (said["on_again"] - said["suspended"])
    return {name: value for name, value in found.items() if value is not None}


def measure(who, hv, args, out):
    """{name: value} of rows()."""
    tool = system.build_io(out)
    initrd = system.build_initrd(out, tool, "mover.sh")
    add = [(tool, "/bench/io"), (initrd, "/bench/initrd.img"), (os.path.join(system.TOP, "build/dom0/vmlinuz"), "/bench/vmlinuz")]
    text = system.in_dom0(who, hv, args, out, "migrate.sh", 1800, add, {"BOTHY": "" if who == "xen" else "1"}, data=True)
    found = digest(text)
    missing = [row[0] for row in rows() if row[0] not in found]
    if "file" not in found or (missing and who != "xen"):
        raise system.Failure("without %s: %s" % (" ".join(missing), text[-500:]))
    return found


def over(found):
    """What a figure has above its goal, a line each."""
    return ["migration: %s: %s, more than %s" % (what, form.format(found[name]), form.format(goal))
            for name, what, goal, form in rows() if goal is not None and found.get(name, 0) > goal]


def table(bothy, xen):
    if not bothy and not xen:
        return ""
    line = "%-52s %12s %12s %12s"
    out = ["", line % ("a migration, in instructions", "Bothy", "Xen 4.17", "goal")]
    for name, what, goal, form in rows():
        if name in bothy or name in xen:
            cells = ["-" if value is None else form.format(value) for value in (bothy.get(name), xen.get(name), goal)]
            out.append(line % (what, *cells) + ("  over goal" if goal is not None and bothy.get(name, 0) > goal else ""))
    return "\n".join(out) + "\n"
