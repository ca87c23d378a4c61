# In bare Debian, as it was installed: the package goes in, and GRUB's menu has its entries.
. /mnt/tests/lib.sh
if [ -d /run/systemd/system ]; then
	check "bare Debian has no failed service" services
	sed "s/^/# /" /tmp/took
fi
package=$(ls /mnt/bothy_*.deb | grep -v _99.1_)
check "apt installs the package" apt-get -y install "$package"
check "the package is whole" dpkg -V bothy
check "GRUB's menu has the entry" menu "^menuentry 'Debian GNU/Linux, with Bothy'"
check "the default stays Linux without Bothy" sh -c "grep -m 1 '^menuentry' /boot/grub/grub.cfg | grep -qv Bothy"
check "the entries are one for the kernel, and the short one" entries 2
check "GRUB reads the menu" sh -c "! command -v grub-script-check || grub-script-check /boot/grub/grub.cfg"
check "the tool says where it is" sh -c 'bothy list 2>&1 | grep -q "not the service domain"'
check "a volume group" sh -c 'pvcreate -qq -y /dev/disk/by-partlabel/lvm && vgcreate -qq guests /dev/disk/by-partlabel/lvm'
check "a volume for a guest" sh -c 'lvcreate -qq -y -L 24M -n web guests && dd if=/srv/guests/disk.img of=/dev/guests/web bs=1M'
cp /srv/guests/disk.img /srv/guests/mail.img
# As this Linux has them: they save an emulator's time.
fast="cryptomgr.notests norandmaps mitigations=off init_on_alloc=0"
for name in web mail; do
	target=/dev/guests/web
	[ $name = web ] || target=/srv/guests/mail.img
	cat >/etc/xen/$name.cfg <<-END2
	name    = "$name"
	type    = "pvh"
	memory  = 128
	kernel  = "/srv/guests/vmlinux"
	ramdisk = "/srv/guests/initrd.img"
	cmdline = "root=/dev/xvda console=hvc0 quiet $fast"
	disk    = [ "format=raw, vdev=xvda, access=rw, target=$target" ]
	vif     = [ "bridge=xenbr0" ]
	END2
done
# The guests' consoles are kept in files.
mkdir -p /var/log/xen/console
echo 'XENCONSOLED_ARGS="--log=guest"' >>/etc/default/xen
check "the next start is by Bothy" grub-reboot "Debian GNU/Linux, with Bothy"
