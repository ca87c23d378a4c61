# On Bothy: guests.
. /mnt/tests/lib.sh
check "it runs on Bothy" sh -c 'xl info xen_extra | grep -i bothy && grep -q control_d /proc/xen/capabilities'
check "no service failed" services
sed "s/^/# /" /tmp/took
for name in $guests; do
	check "$name, with its disk $(sed -n 's/.*target=\([^ "]*\).*/on \1/p' /etc/xen/$name.cfg), starts" xl create /etc/xen/$name.cfg
done
for name in $guests; do
	check "$name is up" within 60 said $name "guest: start 1, "
	check "$name has an address from DHCP on the bridge" said $name "address $(bridge_network)"
	check "$name reaches its network" within 30 said $name "s, network there"
done
check "xl lists: $guests" all_guests
