"""A guest that moves between two servers, each with a copy of its disk, which DRBD keeps the same."""
import time

from cluster import Cluster

# The size of the guests' disks. The copies are larger: DRBD's own data stand behind it.
SUM = "dd if=/dev/loop7 bs=1M count=24 iflag=direct status=none | sha256sum"


class Mirror(Cluster):
    """The machines a and b of a fleet, without a cluster's programs."""

    def __init__(self, fleet):
        super().__init__(fleet, ["twin"])

    def play(self):
        with self.logs_if_wrong():
            self.meet()
            self.pair_disks()
            self.move()
            self.compare()

    def role(self, node, wanted):
        """The disk's role on this machine, and on the other one, as DRBD has them here."""
        self.until("on %s the disk is %s" % (node.name, wanted), node, lambda: node.said("drbdadm role twin 2>/dev/null") == wanted, 60)

    def pair_disks(self):
        """The guest's disk is on both machines."""
        for node in self.a, self.b:
            status, said = node.run("truncate -s 32M /srv/twin.img && losetup /dev/loop7 /srv/twin.img && modprobe drbd && "
                                    "drbdadm create-md --force twin && drbdadm up twin")
            self.fleet.check("DRBD starts on %s" % node.name, status == 0, said)
        status, said = self.a.run("drbdadm primary --force twin && dd if=/dev/disk/by-id/ata-QEMU_HARDDISK_mail of=/dev/drbd0 bs=1M conv=fsync && "
                                  "drbdadm secondary twin")
        self.fleet.check("the disk is written on a", status == 0, said)
        self.until("b has the same disk", self.a, lambda: self.a.said("drbdadm dstate twin 2>/dev/null") == "UpToDate/UpToDate", 300)

    def move(self):
        """xl starts the guest and moves it. Its disk is never written on both machines."""
        self.starts["twin"] += 1
        status, said = self.a.run("xl create /etc/fleet/twin.cfg")
        self.fleet.check("xl starts twin on a", status == 0, said)
        self.until("twin runs on a", self.a, lambda: self.runs(self.a, "twin"))
        self.role(self.a, "Primary/Secondary")
        begin = time.time() + self.ahead[self.a]
        status, said = self.a.run("xl migrate twin b", 900)
        self.fleet.tell("xl migrate took %d s" % (time.time() + self.ahead[self.a] - begin))
        self.fleet.check("xl moves twin to b", status == 0, said)
        self.moved("twin", self.a, self.b, begin)
        self.role(self.b, "Primary/Secondary")

    def compare(self):
        """The guest has ended: both copies are the same, and whole."""
        status, said = self.b.run("xl shutdown -w twin", 300)
        self.fleet.check("twin ends on b", status == 0, said)
        self.role(self.b, "Secondary/Secondary")
        copies = [node.said(SUM) for node in (self.a, self.b)]
        self.fleet.check("both copies are the same", copies[0] == copies[1] and copies[0].endswith("-"), str(copies))
        # The guest had no time to close it, so there is a journal to be replayed.
        status, said = self.a.run("dd if=/dev/loop7 bs=1M count=24 iflag=direct status=none of=/tmp/copy; e2fsck -fp /tmp/copy; [ $? -le 1 ] && debugfs -R 'cat /log' /tmp/copy")
        self.fleet.check("a's copy is whole, and has the guest's one start", status == 0 and said.split().count("start") == 1, said)
