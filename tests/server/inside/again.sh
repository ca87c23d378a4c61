# On Bothy with the newer packages: the guests go on. Then Bothy comes by `make install` in place of the package.
. /mnt/tests/lib.sh
check "it runs on Bothy" grep -q control_d /proc/xen/capabilities
check "the kernel is the newer one" test "$(uname -r)" = "$(newest_kernel)"
check "no service failed" services
sed "s/^/# /" /tmp/took
check "xendomains has restored both guests" all_guests
for name in web mail; do
	check "$name goes on where it was" within 60 goes_on $name /root/$name.words
	sed "s/^/# $name: /" /root/$name.words /tmp/words
	check "$name was not started anew" not said $name "guest: start 2"
done
check "no saved guest is left" sh -c '! ls /var/lib/xen/save /var/lib/xen/save.unfinished 2>/dev/null | grep "^[a-z]*\$"'
. /mnt/tests/purge.sh
cp -r /mnt/sources /srv/bothy && cd /srv/bothy || exit
check "make install" make -s -o build/bothy.elf install
cp /boot/grub/grub.cfg /tmp/grub.cfg
check "make install again" make -s -o build/bothy.elf install
check "that changes nothing in GRUB's menu" cmp /tmp/grub.cfg /boot/grub/grub.cfg
check "its entries are there" entries 3
check "the image is the one that was built" cmp build/bothy.elf /boot/bothy.elf
sed -i 's/^XENDOMAINS_SAVE=.*/XENDOMAINS_SAVE=""/' /etc/default/xendomains
check "xendomains no longer saves" grep -qx 'XENDOMAINS_SAVE=""' /etc/default/xendomains
