"""A cluster of two servers, which moves guests and starts them again: what is done to it, and what must be seen then."""
import calendar
import contextlib
import os
import re
import subprocess
import time

from machine import Failure

VIRSH = "virsh -c xen:///system "
ADDRESS = {"web": "192.168.77.11", "mail": "192.168.77.12", "twin": "192.168.77.13"}
# A guest's line, with the time when the console's daemon had it.
LINE = re.compile(r"\[([-0-9]+ [:0-9]+)\] guest: start (\d+)(?: tick (\d+))?\s*$")
# Pacemaker's log: an agent is called, or has ended.
ACTION = re.compile(r"(\w+ \d+ [:0-9]+)\S* .* (?:Requesting local execution|Result) of (\w+) operation for (\w+) on \w+(.*)")
MORE = """crm_mon -1rf; xl list; ls -l /var/log/xen/console; tail -n 20 /var/log/xen/console/*
journalctl -b --no-pager | tail -n 300; tail -n 300 /var/log/pacemaker/pacemaker.log
tail -n 40 /var/log/libvirt/libxl/*.log /var/log/xen/*.log; dmesg | tail -n 40; xl dmesg | tail -n 60"""


def clock(seconds):
    return time.strftime("%H:%M:%S", time.gmtime(seconds))


class Cluster:
    """The machines a and b of a fleet, with its guests."""

    def __init__(self, fleet, guests):
        self.fleet, self.guests = fleet, guests
        self.a, self.b = fleet.nodes["a"], fleet.nodes["b"]
        # The machine's clock, compared with ours.
        self.ahead = {}
        # How often a guest has been started.
        self.starts = {guest: 0 for guest in guests}

    def until(self, what, node, done, limit=900):
        """Wait until something is so on a machine. Without it the rest makes no sense."""
        end = time.monotonic() + limit
        right = done()
        while not right and time.monotonic() < end:
            node.run("sleep 2")
            right = done()
        if not self.fleet.check(what, right, node.said("crm_mon -1rf; xl list; tail -n 20 /var/log/pacemaker/pacemaker.log")):
            raise Failure(what)

    def lines(self, node, guest, count):
        """The newest lines of a guest on a machine: (time, start, tick), and the tick is 0 in the line of a start."""
        said = node.said("grep -ah 'guest: start' /var/log/xen/console/guest-%s*.log | sort | tail -n %d" % (guest, count))
        found = [LINE.search(line) for line in said.split("\n")]
        return [(calendar.timegm(time.strptime(m[1], "%Y-%m-%d %H:%M:%S")), int(m[2]), int(m[3] or 0)) for m in found if m]

    def ticks(self, node, guest, count=300):
        """The same of the guest's present start, without the line of the start."""
        return [(when, tick) for when, start, tick in self.lines(node, guest, count) if tick and start == self.starts[guest]]

    def runs(self, node, guest):
        return bool(self.ticks(node, guest, 1))

    def started(self, node, guest):
        """A guest was started on a machine, as often as it should have been."""
        lines = self.lines(node, guest, 200)
        again = [line for line in lines if line[1] > self.starts[guest] or line[1:] == (self.starts[guest], 0)]
        return len(again) == 1 and again[0][1] == self.starts[guest]

    def actions(self, node):
        """Pacemaker's calls of agents on a machine: {(guest, action): (begin, end, result)}."""
        found = {}
        for line in node.said("grep -E '(execution|Result) of [a-z_]+ operation for' /var/log/pacemaker/pacemaker.log | tail -n 80").split("\n"):
            match = ACTION.search(line)
            if match:
                when = calendar.timegm(time.strptime("%d %s" % (time.gmtime().tm_year, match[1]), "%Y %b %d %H:%M:%S"))
                begin = found.get((match[3], match[2]), (when,))[0]
                found[match[3], match[2]] = (begin, when, match[4]) if " Result of" in line else (when, None, "")
        return found

    def moved(self, guest, before, after, begin):
        """A guest was moved while it ran, and is the same as before. `begin` is by the first machine's clock."""
        self.until("%s goes on on %s" % (guest, after.name), after, lambda: len(self.ticks(after, guest, 5)) > 2)
        left, came = self.ticks(before, guest), self.ticks(after, guest)
        (gone, last), (there, first) = left[-1], came[0]
        self.fleet.tell("%s: tick %d on %s at %s, tick %d on %s at %s" % (guest, last, before.name, clock(gone), first, after.name, clock(there)))
        self.fleet.check("%s wasn't started again" % guest, not any(line[1] > self.starts[guest] or line[2] == 0 for line in self.lines(after, guest, 200)),
                         str(self.lines(after, guest, 20)))
        self.fleet.check("%s has lost no tick" % guest, 0 <= first - last <= 2, "%s\n%s" % (left[-5:], came[:5]))
        self.fleet.check("%s ran while it was moved" % guest, sum(when > begin for when, _ in left) > 1, "from %s: %s" % (clock(begin), left[-20:]))
        self.until("%s answers %s" % (guest, before.name), before, lambda: before.run("ping -c 1 -W 2 " + ADDRESS[guest])[0] == 0, 60)
        self.fleet.check("%s is gone from %s" % (guest, before.name), before.run("xl list " + guest)[0] != 0, before.said("xl list"))

    def settle(self, node):
        """Wait until Pacemaker has done its work."""
        status, said = node.run("crm_resource --wait --timeout=900", 1200)
        self.fleet.check("the cluster has settled", status == 0, said)

    def play(self):
        with self.logs_if_wrong():
            self.meet()
            self.by_hand()
            self.assemble()
            self.standby()
            self.power_fails()
        self.look_at_disks()

    def meet(self):
        """The machines know each other."""
        for node, other in (self.a, "b"), (self.b, "a"):
            self.ahead[node] = int(node.said("date +%s")) - time.time()
            self.fleet.tell("%s is %s, its clock is %.0f s ahead" % (node.name, node.said("uname -n"), self.ahead[node]))
            status, said = node.run("ssh -n -o BatchMode=yes %s xl info" % other)
            self.fleet.check("%s logs in on %s" % (node.name, other), status == 0 and "xen_version" in said, said)

    def by_hand(self):
        """virsh starts a guest and moves it."""
        self.starts["web"] += 1
        status, said = self.a.run(VIRSH + "create /etc/fleet/web.xml")
        self.fleet.check("virsh starts web on a", status == 0, said)
        self.until("web runs on a", self.a, lambda: self.runs(self.a, "web"))
        begin = time.time() + self.ahead[self.a]
        status, said = self.a.run(VIRSH + "migrate --live web xen+ssh://b/system", 900)
        self.fleet.tell("virsh migrate took %d s" % (time.time() + self.ahead[self.a] - begin))
        if self.fleet.check("virsh moves web to b", status == 0, said):
            self.moved("web", self.a, self.b, begin)
        for node in self.a, self.b:
            node.run("! xl list web || { %s shutdown web; for n in $(seq 60); do xl list web || break; sleep 1; done; }" % VIRSH)
            self.fleet.check("web is off on %s" % node.name, node.run("xl list web")[0] != 0, node.said("xl list"))

    def assemble(self):
        """The cluster starts the guests."""
        for node in self.a, self.b:
            node.run("systemctl start --no-block corosync pacemaker")
        for node in self.a, self.b:
            self.until("%s sees both machines" % node.name, node, lambda: node.run("crm_mon -1 | grep -q 'Online: *. a b '")[0] == 0)
        for guest in self.guests:
            self.starts[guest] += 1
        for guest in self.guests:
            self.until("%s starts on a" % guest, self.a, lambda: self.runs(self.a, guest))
        self.settle(self.a)
        self.fleet.show(re.sub("^", "# ", self.a.said("crm_mon -1"), flags=re.M))

    def standby(self):
        """A machine is emptied, and its guests move."""
        self.fleet.tell("a is put into standby")
        status, said = self.a.run("crm node standby a")
        self.fleet.check("crm node standby a", status == 0, said)
        for guest in self.guests:
            self.until("%s runs on b" % guest, self.b, lambda: self.runs(self.b, guest))
        self.settle(self.a)
        actions = self.actions(self.a)
        for guest in self.guests:
            begin, end, result = actions.get((guest, "migrate_to"), (0, 0, ""))
            if self.fleet.check("Pacemaker moved %s" % guest, ": ok" in result, str(actions)):
                self.fleet.tell("the move of %s: from %s to %s" % (guest, clock(begin), clock(end)))
                self.moved(guest, self.a, self.b, begin)
        self.fleet.tell("a is online again")
        self.a.run("crm node online a")
        self.settle(self.a)
        self.fleet.check("the guests stay on b", all(self.b.run("xl list " + guest)[0] == 0 and self.a.run("xl list " + guest)[0] for guest in self.guests))
        self.fleet.check("no machine was switched off so far", not self.fleet.fenced, str(self.fleet.fenced))

    def power_fails(self):
        """A machine with guests is killed, and the other one starts them."""
        left = {guest: self.ticks(self.b, guest, 3)[-1] for guest in self.guests}
        self.fleet.tell("the power of b fails")
        killed = time.time()
        self.b.cut()
        for guest in self.guests:
            self.starts[guest] += 1
        for guest in self.guests:
            self.until("%s is started on a" % guest, self.a, lambda: self.runs(self.a, guest))
        self.settle(self.a)
        self.a.run("sleep 20")
        if not self.fleet.check("b was switched off", [name for name, _ in self.fleet.fenced] == ["b"], str(self.fleet.fenced)):
            return
        fenced = self.fleet.fenced[0][1]
        for guest in self.guests:
            first = min(when for when, start, _ in self.lines(self.a, guest, 200) if start == self.starts[guest]) - self.ahead[self.a]
            self.fleet.tell("%s: tick %d on b; b without power at %s, switched off after %d s, first line on a after %d s" %
                            (guest, left[guest][1], clock(killed), fenced - killed, first - killed))
            # Both clocks have seconds only.
            self.fleet.check("%s was started after that" % guest, first > fenced - 2, "%s, %s" % (clock(first), clock(fenced)))
            self.fleet.check("%s was started once" % guest, self.started(self.a, guest), str(self.lines(self.a, guest, 20)))
            self.fleet.check("%s is there once" % guest, self.a.said("xl list").count("\n%s " % guest) == 1, self.a.said("xl list"))
        self.fleet.show(re.sub("^", "# ", self.a.said("crm_mon -1"), flags=re.M))

    def look_at_disks(self):
        """Nobody else wrote to a guest's disk: its file system is whole, and has all starts."""
        self.a.cut()
        os.environ["PATH"] += ":/usr/sbin:/sbin"
        for guest in self.guests:
            disk = "%s-%s.img" % (self.fleet.name, guest)
            # The guest had no time to close it, so there is a journal to be replayed.
            done = subprocess.run(["e2fsck", "-fp", disk], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self.fleet.check("the file system of %s is whole" % guest, done.returncode <= 1, done.stdout.decode(errors="replace"))
            log = subprocess.run(["debugfs", "-R", "cat /log", disk], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode(errors="replace")
            self.fleet.check("the disk of %s has %d starts" % (guest, self.starts[guest]), log.split().count("start") == self.starts[guest], log)

    @contextlib.contextmanager
    def logs_if_wrong(self):
        """What the machines' own logs have is kept if a check fails, or a machine no longer answers."""
        try:
            yield
        except Failure as e:
            self.fleet.tell(str(e))
            self.keep_logs()
            raise
        if self.fleet.bad:
            self.keep_logs()

    def keep_logs(self):
        for node in self.a, self.b:
            with open("%s-%s.more" % (self.fleet.name, node.name), "w", encoding="utf-8") as f:
                f.write(node.registers() + "\n\n")
                try:
                    for line in MORE.split("\n"):
                        f.write(node.said(line, 60) + "\n\n")
                except (Failure, OSError) as e:
                    f.write(str(e) + "\n")
                    # The kernel's console is another line.
                    node.seen = b""
                    node.type("\n")
                    for _ in range(20):
                        node.pump()
                    f.write("the console says: %s\n" % node.seen.decode(errors="replace"))
