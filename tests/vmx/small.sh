# On VMX, in Bochs: a small guest with a disk lives and ends.
. /tests/lib.sh

check "dom0: runs on VMX" grep -q GenuineIntel /proc/cpuinfo
/tests/process
check "dom0: has its disk" mountpoint -q /guests

before=$(free_memory)
dd if=/dev/urandom of=/tmp/disk bs=1M count=4 2>/dev/null
config small 'disk = [ "format=raw, vdev=xvda, access=rw, target=/tmp/disk" ]'
check "small: created" xl create /tmp/small.cfg || tail -n 20 /var/log/xen/xen-hotplug.log
check "small: comes up" within 90 says small 'guest: up'
check "small: shell" within 20 says small '/ #'
# Its system in RAM has the driver, but does not load it by itself.
type_line small 'modprobe xen-blkfront; until [ -b /dev/xvda ]; do usleep 50000; done; echo "di""sk"'
check "small: has its disk" within 30 says small '^disk'
type_line small 'echo "sum"": $(sha256sum </dev/xvda | cut -c1-64)"'
check "small: reads its disk" within 30 says small "sum: $(sha256sum </tmp/disk | cut -c1-64)"
type_line small 'echo written >/dev/xvda && sync; echo "synced: $?"'
check "small: writes to its disk" within 30 says small 'synced: 0'
check "small: what it wrote is there" grep -aq '^written' /tmp/disk
check "small: xl pause" xl pause small
check "small: is paused" has_state small p
check "small: xl unpause" xl unpause small
check "small: xl shutdown" timeout 60 xl shutdown -w small
check "small: is gone" within 20 not exists small
whole() { [ "$(free_memory)" -ge $((before - 1)) ]; }
check "dom0: the memory is back" within 10 whole
