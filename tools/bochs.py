"""Bochs, the emulator with Intel's VMX, run without a display: its configuration, and its serial ports as connections."""
import os
import socket
import subprocess
import threading
import time

# What Bochs has at most.
MEM_MAX = 2048
# Millions of instructions for each second of the machine's time: Linux calibrates the TSC to a round 100 MHz with it.
MHZ = 100
# Short names of its CPU models that have what Bothy needs.
MODELS = {"haswell": "corei7_haswell_4770", "ivy_bridge": "corei7_ivy_bridge_3770k", "skylake_x": "corei7_skylake_x",
          "icelake_u": "corei7_icelake_u", "tigerlake": "tigerlake"}
# What the service domain's Linux has to be told: to route PCI's interrupts to 9 and 11 as the firmware does, not to others, which the firmware
# has left edge-triggered.
KERNEL_OPTIONS = "acpi_irq_isa=3,4,5,6,7,10,12 "
# And on a model: its XSAVEC puts AVX-512's registers where its XRSTOR doesn't look for them (docs/testing.md). 321 is
# the number of that feature.
KERNEL_OPTIONS_OF = dict.fromkeys(("skylake_x", "icelake_u", "tigerlake"), "clearcpuid=321 ")
# Fixed, so that runs with one CPU are alike: 2023-11-14.
TIME = 1700000000
ROMS = ("/usr/share/bochs/BIOS-bochs-latest", "/usr/share/bochs/VGABIOS-lgpl-latest")


def configuration(args, iso, disks, ports, work, log):
    """The lines of bochsrc. disks: (path, whether to keep what is written); ports: TCP ports of COM1 and COM2; log: of Bochs itself."""
    lines = [
        "config_interface: textconfig",
        'display_library: rfb, options="timeout=0"',
        "cpu: model=%s, count=%d, ips=%d, reset_on_triple_fault=0, ignore_bad_msrs=1" % (
            MODELS.get(args.cpu or "haswell", args.cpu), args.cpus, (args.mhz or MHZ) * 1000000),
        "memory: guest=%d, host=%d" % (args.mem, args.mem),
        "romimage: file=%s, options=fastboot" % ROMS[0],
        "vgaromimage: file=" + ROMS[1],
        "pci: enabled=1, chipset=i440fx" + (", slot1=e1000" if args.net == "user" else ""),
        "plugin_ctrl: speaker=0, gameport=0, parallel=0, usb_uhci=0",
        "sound: waveoutdrv=dummy",
        "ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14",
        "ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15",
        "ata1-master: type=cdrom, path=%s, status=inserted" % iso,
        "boot: cdrom",
        "clock: sync=none, time0=%d, rtc_sync=0" % TIME,
        "log: " + log,
        "panic: action=fatal", "error: action=report", "info: action=report", "debug: action=ignore",
    ]
    for i, (path, keep) in enumerate(disks):
        mode = "flat" if keep else "volatile, journal=" + os.path.join(work, "journal%d" % i)
        lines.append("ata0-%s: type=disk, path=%s, mode=%s" % (("master", "slave")[i], path, mode))
    for i, port in enumerate(ports):
        lines.append("com%d: enabled=1, mode=socket-client, dev=127.0.0.1:%d" % (i + 1, port))
    if args.net == "user":
        lines.append("e1000: enabled=1, mac=52:54:00:12:34:56, ethmod=slirp")
    return lines


class Machine:
    """A running Bochs. com1 and com2 are sockets."""

    def __init__(self, args, iso, disks, work, log, errors):
        listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        rc, go = os.path.join(work, "bochsrc"), os.path.join(work, "go")
        with open(rc, "w") as f:
            f.write("\n".join(configuration(args, iso, disks, [s.getsockname()[1] for s in listeners], work, log)) + "\n")
        # Debian's build starts in its debugger.
        with open(go, "w") as f:
            f.write("continue\n")
        # Nobody listens to what ALSA has to say.
        self.process = subprocess.Popen(["bochs-bin", "-q", "-f", rc, "-rc", go], stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                                        env=dict(os.environ, ALSA_CONFIG_PATH="/dev/null"))
        self.com1, self.com2 = (self.accept(s) for s in listeners)

    def accept(self, listener):
        listener.settimeout(0.1)
        end = time.monotonic() + 120      # only for one that hangs: its end is seen at once
        with listener:
            while self.process.poll() is None and time.monotonic() < end:
                try:
                    return listener.accept()[0]
                except socket.timeout:
                    pass
        return None

    def started(self):
        return self.com1 is not None and self.com2 is not None


def copy_to_file(port, path, also=None):
    """Writes what comes from a port to a file, in a thread of its own; `also` gets it too."""
    def copy():
        with open(path, "wb", buffering=0) as f:
            while True:
                try:
                    data = port.recv(65536)
                except OSError:
                    data = b""
                if not data:
                    return
                f.write(data)
                if also:
                    also(data)
    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    return thread


def log_reason(log):
    """Why Bochs stopped, as its own log has it, or None."""
    try:
        with open(log, errors="replace") as f:
            lines = [line.rstrip() for line in f]
    except OSError:
        return None
    bad = [n for n, line in enumerate(lines) if "PANIC" in line or ">>PANIC<<" in line]
    return "\n".join(lines[max(0, bad[0] - 10):bad[0] + 2]) if bad else None
