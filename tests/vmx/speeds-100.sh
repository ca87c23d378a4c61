# On the first machine, of 100 MHz: a guest begins, and is saved to the disk.
. /tests/speeds.sh
check "speeds: the first machine has 100 MHz" differ "$(info cpu_mhz)" 100 1
ramdisk=$(sed -n 's/^ramdisk *= *"\(.*\)"/\1/p' /etc/xen/small.cfg)
dd if="$ramdisk" of=/tmp/ramdisk bs=512 conv=sync 2>/dev/null
cat /tests/rate.cpio >>/tmp/ramdisk
config small "memory = 112" 'ramdisk = "/tmp/ramdisk"'
check "speeds: created" xl create /tmp/small.cfg
check "speeds: comes up" within 90 says small 'guest: up'
type_line small 'dmesg -n 1; [ -e /sys/block ] || mount -t sysfs sysfs /sys; /rate &'
check "speeds: counts" within 60 said_more 1
agrees "speeds: at first" 100000
check "speeds: xl save, to the disk" xl save small "$disk"
sync
