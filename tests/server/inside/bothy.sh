# On Bothy: two guests.
. /mnt/tests/lib.sh
check "it runs on Bothy" sh -c 'xl info xen_extra | grep -i bothy && grep -q control_d /proc/xen/capabilities'
check "no service failed" services
sed "s/^/# /" /tmp/took
check "the guest with a disk on LVM starts" xl create /etc/xen/web.cfg
check "the guest with a disk in a file starts" xl create /etc/xen/mail.cfg
for name in web mail; do
	check "$name is up" within 60 said $name "guest: start 1, "
	check "$name has an address from DHCP on the bridge" said $name "address $(bridge_network)"
	check "$name reaches its network" within 30 said $name "s, network there"
done
check "both are in xl's list" both_guests
