"""In which functions an operation's instructions are: for a while, the emulator logs the address of each."""
import bisect
import collections
import os
import re
import socket
import subprocess
import threading
import time

SECONDS = 0.5


def log_text(path):
    try:
        with open(path, "rb") as f:
            return f.read().decode(errors="replace")
    except OSError:
        return ""


class Tracer(threading.Thread):
    """Waits until the guest says in the hypervisor's log which operation it repeats now, and lets the emulator log that."""

    def __init__(self, out, log, count):
        super().__init__(daemon=True)
        self.out, self.log, self.count = out, log, count
        self.monitor = os.path.join(out, "monitor")
        self.done = []

    def options(self):
        return ["--qemu", "-D %s -monitor unix:%s,server=on,wait=off" % (os.path.join(self.out, "trace-start.log"), self.monitor)]

    def run(self):
        while len(self.done) < self.count:
            time.sleep(0.05)
            for name in re.findall(r"\bprofile (\w+)", log_text(self.log)):
                if name not in self.done:
                    self.trace(name)
                    self.done.append(name)

    def trace(self, name):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.monitor)
            for line in ("logfile " + os.path.join(self.out, "trace-%s.log" % name), "singlestep on", "log exec,nochain"):
                s.sendall(line.encode() + b"\n")
            time.sleep(SECONDS * (4 if name.endswith("_64") else 1))
            for line in ("log none", "singlestep off"):
                s.sendall(line.encode() + b"\n")
            time.sleep(0.2)


class Symbols:
    def __init__(self, path):
        out = subprocess.run(["nm", "-n", path], stdout=subprocess.PIPE, check=True).stdout.decode()
        found = [(int(m[0], 16), m[1]) for m in re.findall(r"^([0-9a-f]+) [tT] (\S+)$", out, re.M)]
        self.addresses, self.names = [a for a, _ in found], [n for _, n in found]

    def name(self, address):
        i = bisect.bisect_right(self.addresses, address) - 1
        return self.names[i] if i >= 0 else "?"

    def address(self, name):
        return self.addresses[self.names.index(name)]


def one_operation(path, begin):
    """The addresses of one operation: of those in the trace, the first that is as long as most are."""
    runs, run = [], None
    with open(path) as f:
        for line in f:
            m = re.match(r"Trace \d+: \S+ \[[0-9a-f]+/([0-9a-f]+)/", line)
            if not m:
                continue
            pc = int(m.group(1), 16)
            if pc == begin:
                if run:
                    runs.append(run)
                run = []
            if run is not None:
                run.append(pc)
    if not runs:
        return [], 0
    length = collections.Counter(len(r) for r in runs).most_common(1)[0][0]
    return next(r for r in runs if len(r) == length), len(runs)


def source_lines(symbols_file, addresses):
    out = subprocess.run(["addr2line", "-e", symbols_file], input="\n".join("%x" % a for a in addresses).encode(), stdout=subprocess.PIPE, check=True)
    return [re.sub(r" \(discriminator.*", "", line) for line in out.stdout.decode().splitlines()]


def profile(name, function, out, symbols):
    """Print the table of an operation's functions, from what the tracer logged of it."""
    host, guest = Symbols(symbols), Symbols(os.path.join(out, "bench.elf.debug"))
    path = os.path.join(out, "trace-%s.log" % name)
    pcs, seen = one_operation(path, guest.address(function)) if os.path.exists(path) else ([], 0)
    if not pcs:
        print("\n%s: nothing was seen" % name)
        return
    own = [pc for pc in pcs if pc >> 63]
    count = collections.Counter(host.name(pc) for pc in own)
    print("\n%s: %d of the hypervisor's instructions, %d of the guest's (one of %d)" % (name, len(own), len(pcs) - len(own), seen))
    for symbol, n in count.most_common():
        print("  %6d  %s" % (n, symbol))
    with open(os.path.join(out, "profile-%s.txt" % name), "w") as f:
        for pc, line in zip(pcs, source_lines(symbols, pcs)):
            f.write("%x  %-24s %s\n" % (pc, host.name(pc) if pc >> 63 else "(guest) " + guest.name(pc), line if pc >> 63 else ""))
    os.unlink(path)
