# On the Bothy of `make install`: the guests were shut down, and have been started anew. Then Bothy goes for good.
. /mnt/tests/lib.sh
check "it runs on Bothy" grep -q control_d /proc/xen/capabilities
check "no service failed" services
sed "s/^/# /" /tmp/took
for name in web mail; do
	check "$name was stopped in order, and started anew" within 60 said $name "guest: start 2, stopped in order 1 times"
done
check "both are in xl's list" all_guests
cd /srv/bothy || exit
check "make uninstall" make -s uninstall
check "nothing of it is left" nothing_left
check "its entries are gone from GRUB's menu" entries 0
