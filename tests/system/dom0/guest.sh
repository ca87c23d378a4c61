# A Debian guest does what guests do, and what it is told.
. /tests/lib.sh

# What the guest does by itself: read a file over the network, write it to its disk, and read it back from there.
mkdir -p /mnt/root /tmp/www
mount -o loop /guests/debian.img /mnt/root
cat >/mnt/root/etc/rc.local <<'END'
#!/bin/sh
[ ! -e /kept ] || echo "guest-test: kept $(cat /kept)"
n=0
until busybox wget -q -O /fetched http://SERVER:8080/data; do
	n=$((n + 1))
	[ $n -lt 30 ] || break
	sleep 1
done
sync
echo 3 >/proc/sys/vm/drop_caches
echo "guest-test: fetched $(sha256sum </fetched | cut -c1-64)"
echo "guest-test: address $(ip -br -4 addr show dev eth0)"
cat /proc/sys/kernel/random/boot_id >/kept
END
server=$(ip -br -4 addr show dev xenbr0 | awk '{ sub("/.*", "", $3); print $3 }')
sed -i "s/SERVER/$server/" /mnt/root/etc/rc.local
chmod +x /mnt/root/etc/rc.local
umount /mnt/root
dd if=/dev/urandom of=/tmp/www/data bs=1M count=4 2>/dev/null
sum=$(sha256sum </tmp/www/data | cut -c1-64)
httpd -p 8080 -h /tmp/www

before=$(free_memory)
check "debian: created" xl create /etc/xen/debian.cfg || tail -n 20 /var/log/xen/xen-hotplug.log
check "debian: comes up" within 60 says debian 'debian: up'
check "debian: has its two CPUs" within 5 says debian '2 CPUs'
check "debian: fetches a file, and has it back from its disk unchanged" within 60 says debian "guest-test: fetched $sum"
check "debian: has an address" within 10 says debian 'guest-test: address eth0 .* [1-9]'
answers() { ping -c 1 -W 2 "$(grep -ao 'guest-test: address eth0 .*' $consoles/guest-debian.log | tail -n 1 | awk '{ sub("/.*", "", $5); print $5 }')"; }
check "debian: answers a ping" within 10 answers
check "debian: shell" within 20 says debian 'root@debian'
type_line debian 'echo "type""d: $((6 * 7))"'
check "debian: answers on its console" within 20 says debian 'typed: 42'
shows()
{
	xl console debian </dev/null >/tmp/console 2>&1 &
	within 30 grep -aq debian /tmp/console
	shown=$?
	kill $!
	return $shown
}
check "debian: xl console shows it" shows

type_line debian "dmesg -r | sed -n 's/^<[0-4]>/ker''nel: &/p'; echo \"ker\"\"nel: all\""
check "debian: its kernel's warnings" within 10 says debian 'kernel: all'
guest_complains() { said debian | sed -n 's/^kernel: //p' | unexpected_warnings; }
on_bothy && check "debian: its kernel has nothing to complain of" not guest_complains

# Verbs.
check "xl list" xl list debian
check "xl vcpu-list" xl vcpu-list debian
check "xl pause" xl pause debian
check "xl pause: is paused" has_state debian p
type_line debian 'echo "af""ter pause"'
sleep 2
check "xl pause: does nothing" not says debian 'after pause'
check "xl unpause" xl unpause debian
check "xl unpause: goes on" within 10 says debian 'after pause'
pinned() { xl vcpu-list debian | awk -v v="$1" -v c="$2" '$3 == v { exit !($7 == c) }'; }
check "xl vcpu-pin" xl vcpu-pin debian 0 1
check "xl vcpu-pin: is pinned" pinned 0 1
check "xl vcpu-pin all" xl vcpu-pin debian 0 all
check "xl vcpu-pin all: is free" pinned 0 all
weight() { xl sched-credit2 -d debian | grep -q "debian *[0-9]* *$1 *$2"; }
check "xl sched-credit2: default" weight 256 0
check "xl sched-credit2 -w -c" xl sched-credit2 -d debian -w 512 -c 50
check "xl sched-credit2: is set" weight 512 50
check "xl sched-credit2: back" xl sched-credit2 -d debian -w 256 -c 0
check "xl mem-set: less" xl mem-set debian 300m
check "xl mem-set: has less" within 20 sh -c 'test "$(xl list debian | tail -n 1 | awk "{ print \$3 }")" = 300'
check "xl mem-set: back" xl mem-set debian 384m
check "xl mem-set: has it back" within 20 sh -c 'test "$(xl list debian | tail -n 1 | awk "{ print \$3 }")" -ge 383'
check "xl rename" xl rename debian renamed
check "xl rename back" xl rename renamed debian
check "xl vcpu-set: less" xl vcpu-set debian 1
one_cpu() { [ "$(xl vcpu-list debian | tail -n +2 | awk '$5 !~ /p/' | grep -c .)" = 1 ]; }
check "xl vcpu-set: one CPU" within 10 one_cpu
# What it answered last: to a line that was typed before, or to this one.
has_cpus() { type_line debian 'echo "cpus: $(nproc)"'; said debian | grep -ao 'cpus: [0-9][0-9]*' | tail -n 1 | grep -qx "cpus: $1"; }
check "xl vcpu-set: the guest has one CPU" within 10 has_cpus 1
check "xl vcpu-set: back" xl vcpu-set debian 2
check "xl vcpu-set: the guest has two CPUs" within 20 has_cpus 2
check "xl top" sh -c 'xentop -b -i 1 | grep -q debian'
check "xl uptime" sh -c 'xl uptime | grep -q debian'
check "xl dmesg" xl dmesg
check "xl network-list" sh -c 'xl network-list debian | grep -q " 4 "'
check "xl block-list" sh -c 'xl block-list debian | grep -q " 4 "'
truncate -s 8M /tmp/second.img
device=$(losetup -f --show /tmp/second.img)
check "xl block-attach: a block device" xl block-attach debian "phy:$device,xvdb,w"
type_line debian "until $(opens xvdb); do sleep 1; done; echo from the guest >/dev/xvdb && sync; echo \"written: \$?\""
check "xl block-attach: the guest writes to it" within 20 says debian 'written: 0'
check "xl block-attach: it is on the device" within 5 grep -q '^from the guest' /tmp/second.img || {
	head -c 32 /tmp/second.img | od -c | sed 's/^/# second.img: /'
	said debian | tail -n 4 | sed 's/^/# console: /'
}
check "xl block-detach" xl block-detach debian xvdb
check "xl block-detach: the device is free" within 20 losetup -d "$device"
check "xl reboot" xl reboot debian
check "xl reboot: it comes back" within 180 said_times debian 'debian: up' 2
check "xl reboot: its disk has what it wrote" within 30 says debian 'guest-test: kept [0-9a-f-]'
check "xl reboot: fetches again" within 60 said_times debian "guest-test: fetched $sum" 2
check "xl shutdown" xl shutdown -w debian
check "xl shutdown: is gone" within 60 not exists debian
check "memory is back" within 20 sh -c "test \$(xl info free_memory) -ge $((before - 1))"
check "no loop device is left" within 10 sh -c 'test -z "$(losetup -a)"'
exit 0
