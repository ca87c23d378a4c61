"""The benchmark's second part, of whole systems: how they start, what a guest's creation takes as guests become more, a guest's disk and
network through the service domain. One CPU whose instructions are nanoseconds, so seconds here are 1e9 instructions of the machine."""
import os
import re
import socket
import subprocess
import sys
import time

import cpio
import report

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
MEMORY, DOM0_MEMORY = 4096, 1024
STEPS = {
    "boot": "the system's start, some 20 s",
    "io": "a guest's disk and network, some minutes",
    "guests": "many small guests, some 10 minutes",
}
PAUSED, FIRST = (1, 64, 128, 256), (1, 2, 4, 8, 16, 32, 64, 128, 256)


def rows():
    seconds = dict(form="{:,.3f}", unit="s")
    out = [report.Row("dom0_line", "s from its first line to dom0's first line", **seconds),
           report.Row("kept", "MiB of %d kept from the domains" % MEMORY, form="{:,.0f}", unit="MiB")]
    out += [report.Row("created_%d" % n, "s for xl create -p of guest %d" % n, **seconds) for n in PAUSED]
    out += [report.Row("first_%d" % n, "s from xl create to guest %d's first instruction" % n, **seconds) for n in FIRST]
    out.append(report.Row("guests", "guests that there were", more_is_better=True, unit="guests"))
    out.append(report.Row("guest_kept", "MiB of free memory for a guest of 4 MiB", form="{:,.2f}", unit="MiB"))
    for name, what, unit in (("read_seq", "disk, read in order", "MiB/s"), ("read_random", "disk, read 4 KiB anywhere", "1/s"),
                             ("write_seq", "disk, write in order", "MiB/s"), ("write_random", "disk, write 4 KiB anywhere", "1/s"),
                             ("net_send", "TCP, guest to dom0", "MiB/s"), ("net_receive", "TCP, dom0 to guest", "MiB/s"),
                             ("net_ping", "TCP, a byte there and back", "1/s")):
        out.append(report.Row(name, "%s, %s" % (unit, what), more_is_better=True, form="{:,.0f}", unit=unit))
    return out


ROWS = rows()
# A disk's blocks of 1 MiB and a network's bytes, as MiB.
UNITS = {"read_seq": 1, "write_seq": 1, "net_send": 2**20, "net_receive": 2**20}


class Failure(Exception):
    """Why a step has no figures."""


def wait_for(what, seconds, pause=0.05):
    """What the function returns once that is true; None if it isn't in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = what()
        if result:
            return result
        time.sleep(pause)
    return None


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read().decode(errors="replace").replace("\r", "")
    except OSError:
        return ""


class Clock:
    """The machine's time, from its ACPI timer, which the emulator's monitor reads: 24 bits at 3.58 MHz."""

    def __init__(self, path):
        self.path, self.socket, self.ticks, self.last = path, None, 0, None

    def connected(self):
        if not self.socket and os.path.exists(self.path):
            s = socket.socket(socket.AF_UNIX)
            try:
                s.connect(self.path)
                self.socket = s
            except OSError:
                s.close()
        return self.socket is not None

    def seconds(self):
        self.socket.sendall(b"i/w 0x608\n")
        answer = ""
        while not (found := re.search(r"= (0x[0-9a-f]+)\r?\n", answer)):
            answer += self.socket.recv(4096).decode(errors="replace")
        now = int(found.group(1), 16)
        if self.last is not None:
            self.ticks += (now - self.last) % 2**24
        self.last = now
        return self.ticks / 3579545


def spec_no(hv, args):
    """What is done about speculation depends on the CPU; the figures are for the rest."""
    return [] if hv == "xen" or args.guards else ["--hv-args", "spec=no"]


def run_line(hv, args, log, *more, data=False):
    other = (["--hv", hv] if hv else []) + (["--cpu", args.cpu] if args.cpu else []) + ([] if data else ["--no-data"])
    return [os.path.join(TOP, "tools/run"), "--icount", "--net", "none", "--mem", str(MEMORY), "--log", log, *spec_no(hv, args), *other, *more]


def boot(who, hv, args, out):
    """Looks at the log and the machine's clock every few milliseconds, so that is how exact it is."""
    log, monitor = os.path.join(out, "boot-%s.log" % who), os.path.join(out, "monitor")
    for old in (log, monitor):
        if os.path.exists(old):
            os.unlink(old)
    command = run_line(hv, args, log, "--dom0-args", "earlyprintk=xen ignore_loglevel", "--qemu", "-monitor unix:%s,server=on,wait=off" % monitor,
                       "--timeout", "300", "--", "sh", "-c", "xl info; xl list")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    clock, stamps = Clock(monitor), {}
    marks = {"own_line": r"Bothy, a small hypervisor|Xen 4\.17|Xen version 4", "dom0_line": r"\n\[ +0\.0+\] "}
    try:
        while process.poll() is None and len(stamps) < len(marks):
            time.sleep(0.004)
            text = read(log)
            for name, pattern in marks.items():
                if name not in stamps and re.search(pattern, text) and clock.connected():
                    stamps[name] = clock.seconds()
            # It must not come round unseen.
            if stamps:
                clock.seconds()
        text = process.communicate(timeout=300)[0]
    except OSError:
        raise Failure("the machine went off; see %s" % os.path.relpath(log))
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    free = re.search(r"^free_memory *: (\d+)", text, re.M)
    if process.returncode or len(stamps) < len(marks) or not free:
        raise Failure("it did not start (status %d); see %s" % (process.returncode, os.path.relpath(log)))
    return {"system": {"dom0_line": stamps["dom0_line"] - stamps["own_line"], "kept": MEMORY - DOM0_MEMORY - int(free.group(1))}}


def build_io(out):
    path = os.path.join(out, "io")
    subprocess.run([os.environ.get("CC", "gcc"), "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-D__XEN_TOOLS__", "-static", "-o", path, os.path.join(HERE, "io.c")],
                   check=True)
    return path


def in_dom0(who, hv, args, out, script, timeout, add, words, data=False, options=(), log=None):
    """The script in the service domain, with these files and words, with the data disk or without, and with further options of tools/run: what it
    printed. Each of its lines that has news goes to stderr too."""
    log = os.path.join(out, "%s-%s.log" % (log or os.path.splitext(script)[0], who))
    words["CONFIG"] = 'tsc_mode = "native"' if hv == "xen" else ""
    more = [a for source, path in [*add, (os.path.join(HERE, script), "/bench/" + script)] for a in ("--add", "%s:%s" % (source, path))]
    line = run_line(hv, args, log, *options, *more, "--timeout", str(timeout), "--", "env", *["%s=%s" % w for w in words.items()], "bash", "/bench/" + script, data=data)
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, errors="replace")
    text = []
    try:
        for text_line in process.stdout:
            text.append(text_line)
            if re.match(r"CREATED|IO (?!warm)|STOP|MIGRATE|GRANTS", text_line):
                print("    " + text_line.rstrip(), file=sys.stderr, flush=True)
    finally:
        if process.poll() is None and sys.exc_info()[0]:
            process.terminate()
        process.wait()
    return "".join(text)


def build_initrd(out, tool, script):
    """The guests' initrd with the tool and, as the first program, the script."""
    archive = cpio.Archive()
    archive.copy("bench/io", tool)
    with open(os.path.join(HERE, script), "rb") as f:
        archive.file("bench/start", f.read(), 0o755)
    initrd = os.path.join(out, "initrd.img")
    with open(os.path.join(TOP, "build/guest/initrd.img"), "rb") as f, open(initrd, "wb") as g:
        data = f.read()
        g.write(data + bytes(-len(data) % 512) + archive.bytes())
    return initrd


def io(who, hv, args, out):
    tool = build_io(out)
    initrd = build_initrd(out, tool, "guest.sh")
    text = in_dom0(who, hv, args, out, "disk-net.sh", 1800, [(tool, "/bench/io"), (initrd, "/bench/initrd.img"),
                   (os.path.join(TOP, "build/dom0/vmlinuz"), "/bench/vmlinuz")], {})
    found = {name: int(units) / UNITS.get(name, 1) / (int(ns) / 1e9)
             for name, units, ns in re.findall(r"^IO (\w+) (\d+) (\d+)\r?$", text, re.M) if name != "warm"}
    if not found:
        raise Failure("the guest said nothing: %s" % text[-500:])
    return {"system": found}


def guests(who, hv, args, out):
    words = {"GUESTS": str(args.guests), "MEMORY": "4"}
    text = in_dom0(who, hv, args, out, "guests.sh", 3600, [(build_io(out), "/bench/io"), (os.path.join(out, "small.elf"), "/bench/small.elf")], words)
    found, series = {}, {}
    for kind in ("created", "first"):
        points = [(int(n), int(us) / 1e6) for n, us in re.findall(r"^%s (\d+) (\d+)$" % kind.upper(), text, re.M)]
        series[kind] = points
        found.update(("%s_%d" % (kind, n), s) for n, s in points if n in (PAUSED if kind == "created" else FIRST))
    if not series["first"]:
        raise Failure("no guest was created: %s" % text[-500:])
    found["guests"] = len(series["first"])
    free = [int(f) for f in re.findall(r"^FREE (\d+)$", text, re.M)]
    if len(free) == 2:
        found["guest_kept"] = (free[0] - free[1]) / found["guests"]
    stop = re.search(r"^STOP (.*)$", text, re.M)
    if stop:
        print("    %s: no more guests: %s" % (who, stop.group(1)), file=sys.stderr)
    return {"system": found, "series": series}


def measure(step, who, hv, args, out):
    """The figures of a step as {part: {name: value}}. `out` has small.elf."""
    return globals()[step](who, hv, args, out)
