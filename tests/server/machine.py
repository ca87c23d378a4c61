"""A machine in QEMU with a server's disk and a CD: its first serial line as a log to be read and typed at, its second one for commands."""
import os
import re
import select
import socket
import subprocess
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# The emulator takes longer over AVX than over what programs use without it.
CPU = "EPYC,+svm,+npt,-avx,-avx2,-fma,-f16c"
OVMF = "/usr/share/ovmf/OVMF.fd"


class Failure(Exception):
    """Why the machine can't be used any more."""


class Machine:
    """It is on from the start. `kernel` is QEMU's options for a Linux that firmware and GRUB don't start. `cd` may be None.
    `card` is added to the network card's options, `more` to QEMU's. QEMU keeps the files `fds` open."""

    def __init__(self, disk, cd, log, firmware="bios", controller="nvme", kernel=(), memory=4096, network="user,id=net", card="", more=(), fds=()):
        self.console, com1 = socket.socketpair()
        self.channel, com2 = socket.socketpair()
        line = ["qemu-system-x86_64", "-accel", "tcg,thread=single", "-M", "q35", "-cpu", CPU, "-smp", "2", "-m", str(memory),
                "-nodefaults", "-display", "none", "-no-reboot",
                "-drive", "if=none,id=disk,format=qcow2,cache=unsafe,file=" + disk,
                "-device", {"nvme": "nvme,drive=disk,serial=server,bootindex=1", "sata": "ide-hd,drive=disk,bus=ide.0,bootindex=1"}[controller],
                "-netdev", network, "-device", "e1000e,netdev=net,addr=3" + card,
                "-chardev", "socket,id=com1,fd=%d" % com1.fileno(), "-serial", "chardev:com1",
                "-chardev", "socket,id=com2,fd=%d" % com2.fileno(), "-serial", "chardev:com2", *kernel, *more]
        if cd:
            line += ["-drive", "if=none,id=cd,format=raw,readonly=on,file=" + cd, "-device", "ide-cd,drive=cd,bus=ide.1"]
        if firmware == "uefi":
            line += ["-bios", OVMF]
        self.errors = open(log + ".qemu", "wb")
        self.process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stderr=self.errors, pass_fds=[com1.fileno(), com2.fileno(), *fds])
        com1.close()
        com2.close()
        self.log = open(log, "ab")
        self.begun = time.monotonic()
        self.seen, self.answers = b"", b""

    def spent(self):
        """Seconds of work that the emulator has done: a busy build machine must not end a test."""
        try:
            with open("/proc/%d/stat" % self.process.pid) as f:
                fields = f.read().rsplit(")", 1)[1].split()
        except OSError:
            return 0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def keep(self, data):
        """Write what the first line has said into the log, each line with the time of its begin."""
        stamp = b"\n[%6.1f] " % (time.monotonic() - self.begun)
        self.log.write(data.replace(b"\n", stamp))
        self.log.flush()

    def pump(self, seconds=0.5):
        """Take what the two lines have. False when the machine is off and nothing is left to read."""
        got = False
        for line in select.select([self.console, self.channel], [], [], seconds)[0]:
            try:
                data = line.recv(65536)
            except ConnectionError:
                data = b""
            got = got or bool(data)
            if line is self.console:
                self.keep(data)
                self.seen += data
            else:
                self.answers += data
        if not got and self.process.poll() is not None:
            return False
        if not got:
            time.sleep(0.05)
        return True

    def wait(self, what, done, limit):
        """Wait until `done` gives something; what it gave. The limit is in seconds of the emulator's work, and four times that by the clock."""
        end, clock = self.spent() + limit, time.monotonic() + 4 * limit
        while True:
            result = done()
            if result:
                return result
            if not self.pump():
                raise Failure("the machine went off before %s" % what)
            if b"BOTHY PANIC" in self.seen:
                self.pump(2)
                raise Failure("Bothy stopped before %s" % what)
            if self.spent() > end or time.monotonic() > clock:
                raise Failure("in %d s there was no sign of %s" % (limit, what))

    def expect(self, pattern, limit=120):
        """Wait for the pattern on the first line; what comes later remains to be read."""
        def found():
            match = re.search(pattern, self.seen)
            if match:
                self.seen = self.seen[match.end():]
            return match
        return self.wait("'%s' on the console" % pattern.decode(), found, limit)

    def type(self, text):
        self.console.sendall(text.encode())

    def up(self, limit=240):
        """Wait for the channel: the server's services have been started."""
        def found():
            match = re.search(rb"channel: boot (\w+)\n", self.answers)
            if match:
                self.answers = self.answers[match.end():]
            return match
        return self.wait("the end of the server's start", found, limit)

    def run(self, command, limit=300, show=lambda text: None):
        """Run a command in the server: (status, output). Whole lines are shown as they come."""
        self.channel.sendall(command.encode() + b"\n")
        output = []

        def ended():
            while b"\n" in self.answers:
                line, self.answers = self.answers.split(b"\n", 1)
                text = line.decode(errors="replace")
                match = re.search(r"channel: status (\d+)$", text)
                if match:
                    return match
                output.append(text)
                show(text)
            return None
        match = self.wait("the end of '%s'" % command, ended, limit)
        return int(match.group(1)), "\n".join(output)

    def off(self, limit=240):
        """Wait until the machine has switched itself off, or would start again."""
        end, clock = self.spent() + limit, time.monotonic() + 4 * limit
        while self.pump():
            if self.spent() > end or time.monotonic() > clock:
                raise Failure("the machine is still on %d s later" % limit)

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        while self.pump(0):
            pass
        self.log.close()
        self.errors.close()
