#!/bin/sh
# A Linux guest's first program: its disk and its network, each after a first round that doesn't count.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
modprobe -aq xen-blkfront xen-netfront
until [ -b /dev/xvda ] && [ -e /sys/class/net/eth0 ]; do
	usleep 50000
done
ip link set lo up
ip addr add 192.168.99.2/24 dev eth0
ip link set eth0 up
until ping -c 1 -W 1 192.168.99.1 >/dev/null 2>&1; do
	:
done
io=/bench/io
$io disk warm /dev/xvda read seq 65536 64
$io disk read_seq /dev/xvda read seq 1048576 64
$io disk read_random /dev/xvda read random 4096 2000
$io disk write_seq /dev/xvda write seq 1048576 64
$io disk write_random /dev/xvda write random 4096 2000
$io net warm 192.168.99.1 5000 u 1000000
$io net net_send 192.168.99.1 5000 u 67108864
$io net net_receive 192.168.99.1 5000 d 67108864
$io net net_ping 192.168.99.1 5000 p 2000
poweroff -f
