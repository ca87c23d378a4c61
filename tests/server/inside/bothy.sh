# On Bothy.
. /root/tests/lib.sh
check "it runs on Bothy" sh -c 'xl info xen_extra | grep -i bothy && grep -q control_d /proc/xen/capabilities'
check "no service failed" services
sed "s/^/# /" /tmp/took
check "the guest with a disk on LVM starts" xl create /etc/xen/web.cfg
check "the guest with a disk in a file starts" xl create /etc/xen/mail.cfg
for name in web mail; do
	check "$name is up" within 60 said $name "guest: start 1, "
	check "$name has an address from the server's DHCP" said $name "address 192.168.77."
done
check "both are in xl's list" sh -c '[ $(xl list | wc -l) = 4 ]'
