"""The benchmark's fifth part: what an IOMMU costs. A page that a guest lends to the service domain enters and leaves the table of devices too. One
CPU, on which an instruction is a nanosecond; the difference to the same machine without an IOMMU is what counts."""
import os
import re
import subprocess

import system

KINDS = {"none": "without", "intel": "VT-d", "amd": "AMD-Vi"}
# Instructions that a page's map and unmap may take more, by the number of pages in a hypercall.
GOALS = {1: 450, 16: 220}


def build(out):
    path = os.path.join(out, "grants")
    subprocess.run([os.environ.get("CC", "gcc"), "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-D__XEN_TOOLS__", "-static", "-o", path,
                    os.path.join(system.HERE, "grants.c")], check=True)
    return path


def measure(who, hv, args, out):
    """{kind: {pages: [map, unmap, both]}}, in instructions of a hypercall with the service domain's part; `out` has small.elf."""
    add = [(build(out), "/bench/grants"), (os.path.join(out, "small.elf"), "/bench/small.elf")]
    found = {}
    for kind in KINDS:
        options = ["--iommu", kind] + (["--hv-args", " ".join(["iommu=strict", *system.spec_no(hv, args)[1:]])] if kind != "none" else [])
        text = system.in_dom0(who, hv, args, out, "iommu.sh", 300, add, {}, options=options, log="iommu-" + kind)
        found[kind] = {pages: [int(n) for n in ticks] for pages, *ticks in re.findall(r"^GRANTS (\d+) (\d+) (\d+) (\d+)\r?$", text, re.M)}
        if len(found[kind]) != len(GOALS):
            raise system.Failure("%s: %s" % (KINDS[kind], text[-500:]))
    return found


def more(found, kind, pages, what):
    """The instructions more for each page."""
    return (found[kind][str(pages)][what] - found["none"][str(pages)][what]) / pages


def over(found):
    """What a figure has above its goal, a line each."""
    return ["%s: map and unmap, %d at a time: %.0f more, above %d" % (KINDS[kind], pages, more(found, kind, pages, 2), goal)
            for kind in KINDS if kind in found for pages, goal in GOALS.items() if more(found, kind, pages, 2) > goal]


def table(found):
    if not found:
        return ""
    form = "%-44s %8s %8s %8s %8s"
    out = ["", form % ("an IOMMU: instructions more for each page", "map", "unmap", "both", "goal")]
    for kind in KINDS:
        for pages, goal in GOALS.items():
            if kind != "none":
                out.append(form % ("%s, %d at a time" % (KINDS[kind], pages), *("%.0f" % more(found, kind, pages, i) for i in range(3)), goal))
    return "\n".join(out) + "\n"
