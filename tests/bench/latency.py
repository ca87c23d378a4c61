"""The benchmark's third part: how long interrupts wait. Guests and the service domain do what makes the hypervisor's steps long, and its own
clock says what the longest was. One CPU, on which an instruction is a nanosecond."""
import os
import re

import system

# 100 us of a CPU that does an instruction in a nanosecond.
BUDGET = 100000
GUESTS = 16
GAMES = [
    ("idle", "nothing"),
    ("tables", "a guest's page tables, for one frame in each GiB, as many as 16 GiB may have: made and torn down"),
    ("batches", "512 frames moved over others, and populated over others, in one call"),
    ("balloon", "512 frames given back and taken; a block of 2 MiB too"),
    ("blocks", "blocks of 2 MiB, over frames and over another block"),
    ("flood", "lines to the log, by port and by hypercall"),
    ("grants", "64 grants mapped, unmapped, copied in one call"),
    ("multicall", "512 calls with 64 copies each in one"),
    ("ports", "all event channels opened, and reset"),
    ("triple_fault", "a guest that ends by a triple fault"),
    ("big_guest", "2 GiB, made and destroyed"),
    ("many_vcpus", "128 vCPUs, made and destroyed"),
    ("migration", "160 MiB, moved to the same machine, twice"),
    ("create_many", "%d guests made" % GUESTS),
    ("list", "xl list and vcpu-list, with these"),
    ("debug_keys", "xl debug-keys with 16 letters, with these"),
    ("dmesg", "xl dmesg"),
    ("destroy_many", "%d guests destroyed" % GUESTS),
    ("dom0_balloon", "400 MiB of the service domain's memory given back, and taken"),
    ("console", "the service domain's log to the serial line"),
]


def measure(who, hv, args, out):
    """{game: [instructions, the exit that took them]}; `out` has latency.elf and small.elf."""
    add = [(os.path.join(out, name + ".elf"), "/bench/%s.elf" % name) for name in ("latency", "small")]
    add += [(os.path.join(system.TOP, "build", *path), "/bench/" + path[1]) for path in (("dom0", "vmlinuz"), ("guest", "initrd.img"))]
    text = system.in_dom0(who, hv, args, out, "latency.sh", 1800, add, {"GUESTS": str(GUESTS)})
    found = {name: [int(ns), what] for name, ns, what in re.findall(r"^LATENCY (\w+) (\d+) (.*?)\r?$", text, re.M)}
    for line in re.findall(r"^# .*$", text, re.M):
        print("    " + line)
    missing = [name for name, _ in GAMES if name not in found]
    if missing:
        raise system.Failure("without %s: %s" % (" ".join(missing), text[-500:]))
    return found


def table(found):
    if not found:
        return ""
    form = "%-14s %12s  %s"
    out = ["", form % ("interrupts off", "instructions", "in which exit"), form % ("budget", "{:,}".format(BUDGET), "")]
    for name, what in GAMES:
        if name in found:
            ticks, label = found[name]
            out.append(form % (name, "{:,}".format(ticks), label) + ("  over budget" if ticks > BUDGET else ""))
    return "\n".join(out) + "\n"
