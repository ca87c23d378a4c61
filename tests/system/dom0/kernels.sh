# The service domain of some release, and guests of others: each with a disk and a network, and nothing to complain of.
. /tests/lib.sh
. /tests/version

check "$NAME: the service domain runs $VERSION" test "$(uname -r)" = "$VERSION"
reports() { [ "$(info xen_major).$(info xen_minor)" = "$TOOLSTACK" ]; }
check "$NAME: its toolstack is Xen $TOOLSTACK's" reports

server=$(ip -br -4 addr show dev xenbr0 | awk '{ sub("/.*", "", $3); print $3 }')
mkdir -p /tmp/www
dd if=/dev/urandom of=/tmp/www/data bs=1M count=2 2>/dev/null
sum=$(sha256sum </tmp/www/data | cut -c1-64)
httpd -p 8080 -h /tmp/www

# One at a time: Linux complains of devices that come late.
for pair in $GUESTS; do
	guest=${pair%%=*}
	config "$guest" "kernel = \"/guests/$guest/vmlinuz\"" "ramdisk = \"/guests/$guest/guest.img\"" 'vcpus = 2' "memory = $MEMORY" "$MORE" \
		"disk = [ \"format=raw, vdev=xvda, access=rw, target=/guests/$guest/disk\" ]"
	check "$NAME: guest $guest: created" xl create "/tmp/$guest.cfg" || tail -n 20 /var/log/xen/xen-hotplug.log
	check "$NAME: guest $guest: comes up" within 90 says "$guest" 'guest: up .* 2 CPUs'
	type_line "$guest" 'echo "kernel: $(uname -r)"'
	check "$NAME: guest $guest: runs ${pair#*=}" within 20 says "$guest" "kernel: ${pair#*=}"
	type_line "$guest" "modprobe -aq crc32c_generic xen-blkfront ext4; until [ -b /dev/xvda ] && ping -c 1 $server >/dev/null; do sleep 1; done"
	type_line "$guest" "mount /dev/xvda /mnt && wget -q -O /mnt/data http://$server:8080/data && umount /mnt && mount -o ro /dev/xvda /mnt"
	type_line "$guest" 'echo "data: $(sha256sum </mnt/data)"; umount /mnt'
	check "$NAME: guest $guest: reads the network, writes to its disk and reads it" within 60 says "$guest" "data: $sum"
	type_line "$guest" "dmesg -r | sed -n 's/^<[0-4]>/log: &/p'; echo \"log\"\": all\""
	check "$NAME: guest $guest: its kernel's warnings" within 10 says "$guest" 'log: all'
	complains() { said "$guest" | sed -n 's/^log: //p' | unexpected_warnings | grep .; }
	check "$NAME: guest $guest: its kernel has nothing to complain of" not complains
	check "$NAME: guest $guest: shuts down" xl shutdown -w "$guest"
	check "$NAME: guest $guest: is gone" within 60 not exists "$guest"
	mount -o loop,ro "/guests/$guest/disk" /mnt
	check "$NAME: guest $guest: its disk has what it wrote" cmp /mnt/data /tmp/www/data
	umount /mnt
done
complains() { dmesg -r | unexpected_warnings | grep .; }
check "$NAME: the service domain's kernel has nothing to complain of" not complains
exit 0
