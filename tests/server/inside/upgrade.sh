# On Bothy: newer packages of the kernel and of Bothy, and a restart for which xendomains saves the guests.
. /mnt/tests/lib.sh
newest=$(newest_kernel)
check "apt installs a newer kernel" apt-get -y install /mnt/linux-image-*.deb
check "GRUB's menu has it with Bothy" menu "^[[:space:]]*menuentry 'Debian GNU/Linux, with Bothy and Linux $newest'"
check "GRUB's menu still has the older one with Bothy" menu "^[[:space:]]*menuentry 'Debian GNU/Linux, with Bothy and Linux $(uname -r)'"
check "the short entry has the newer one" sh -c "sed -n \"/^menuentry 'Debian GNU.Linux, with Bothy'/,/^}/p\" /boot/grub/grub.cfg | grep -q vmlinuz-$newest"
check "the entries are one for each kernel, and the short one" entries 3
check "apt installs a newer Bothy" apt-get -y install /mnt/bothy_99*.deb
check "its version is the new one" sh -c "dpkg-query -Wf '\${Version}' bothy | grep -qx 99.1"
check "the entries stay" entries 3
sed -i "s/^GRUB_DEFAULT=.*/GRUB_DEFAULT='Debian GNU\/Linux, with Bothy'/" /etc/default/grub
check "Bothy becomes the default" update-grub
ln -s ../web.cfg ../mail.cfg /etc/xen/auto/
check "both guests still run" all_guests
for name in web mail; do
	last_words $name >/root/$name.words
	sed "s/^/# $name: /" /root/$name.words
done
