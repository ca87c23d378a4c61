#!/bin/sh
# In the service domain: a Linux guest whose disk is a file in our RAM, and whose network ends at our bridge; guest.sh is what runs in it.
dd if=/dev/zero of=/tmp/disk bs=1M count=64 2>/dev/null
ip addr add 192.168.99.1/24 dev xenbr0
/bench/io serve 5000 >/dev/null 2>&1 &
cat >/tmp/io.cfg <<END
name = "io"
type = "pvh"
memory = 256
vcpus = 1
kernel = "/bench/vmlinuz"
ramdisk = "/bench/initrd.img"
cmdline = "console=hvc0 quiet rdinit=/bench/start"
disk = [ "format=raw, vdev=xvda, access=rw, target=/tmp/disk" ]
vif = [ "bridge=xenbr0" ]
on_poweroff = "destroy"
on_crash = "destroy"
$CONFIG
END
timeout 900 xl create -q -F /tmp/io.cfg 2>&1
cat /var/log/xen/console/guest-io.log
